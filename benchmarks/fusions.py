"""What do 20 ways of fusing cost on features that are kept, and what 20 times the whole?

    MMFUSE_DATA=FOLDER MMFUSE_WEIGHTS=FILE.safetensors python benchmarks/fusions.py [LESIONS] [REFITS]

LESIONS (200) of MILK10k, frozen tf_efficientnet_lite0 at 224 pixels, 20 epochs of a fusion and heads. One run: REFITS
(1) fits in which the frozen encoders run in every epoch (`training.cache_limit = 0`), as in a script that keeps no
features; as many that begin with an empty cache, so that all images are decoded and encoded once; then 20 fusions (4
kinds × 5 widths) from the kept vectors. Said: seconds of each, and the ratios of 20 refits (the mean refit × 20) to the
20 fusions.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from finetune import files

import mmfuse

KINDS, WIDTHS = ("concat", "sum", "mean", "gated"), (32, 64, 128, 256, 512)
SIZE, CLASSES = 224, 11


def fitted(pairs: list[tuple[Path, Path]], fusion: dict[str, object], limit: float = 20.0) -> float:
    """Seconds of one fit; `limit` in GB of features may be kept."""
    rows = [(f"case {i}", *map(str, two), str(i % CLASSES)) for i, two in enumerate(pairs)]
    columns = dict(zip(("id", "clinic", "derm", "kind"), map(list, zip(*rows, strict=True)), strict=True))
    pictures = {name: {"use": "image", "column": name, "size": SIZE} for name in ("clinic", "derm")}
    card = {"cases": {"id": "id"}, "labels": {"kind": [str(i) for i in range(CLASSES)]}, "modalities": pictures}
    encoder = {"use": "timm", "model": "tf_efficientnet_lite0", "weights": os.environ["MMFUSE_WEIGHTS"], "frozen": True}
    network = {"encoders": {"image": encoder}, "fusion": fusion, "head": "linear", "side_heads": True}
    spec = mmfuse.load({"network": network, "training": {"epochs": 20, "batch": 32, "cache_limit": limit}}, card)
    cases = mmfuse.Cases(mmfuse.Table.of(columns), spec.card, Path())
    began = time.perf_counter()
    mmfuse.Pipeline(spec, device="cpu").fit(cases, ["valid" if i % 4 == 0 else "train" for i in range(len(cases))])
    return time.perf_counter() - began


def main() -> None:
    lesions, refits = (int(word) for word in [*sys.argv[1:], *("200", "1")[len(sys.argv) - 1 :]])
    pairs = files(lesions)
    each_epoch, once = [], []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MMFUSE_CACHE"] = f"{folder}/before"
        fitted(pairs[:32], {"use": "concat"})  # imports, and the processor's kernels
        for number in range(refits):
            os.environ["MMFUSE_CACHE"] = f"{folder}/none-{number}"
            each_epoch.append(fitted(pairs, {"use": "concat"}, limit=0))
            os.environ["MMFUSE_CACHE"] = f"{folder}/{number}"
            once.append(fitted(pairs, {"use": "concat"}))
        kept = [fitted(pairs, {"use": kind, "width": width}) for kind in KINDS for width in WIDTHS]
    print(f"{len(pairs)} lesions; {len(kept)} fusions of kept vectors: {sum(kept):.1f} s")
    for what, seconds in (("encoders run in every epoch", each_epoch), ("all is encoded once a fit", once)):
        one = sum(seconds) / refits
        print(f"a refit where {what}: {one:.1f} s; 20 of them / 20 fusions: {20 * one / sum(kept):.0f}")


if __name__ == "__main__":
    main()
