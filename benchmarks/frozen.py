"""How fast are features of a frozen encoder extracted, and are they the same ones?

    MMFUSE_WEIGHTS=FILE.safetensors python benchmarks/frozen.py [ROUNDS] [PAIRS]

One run: a plain loop as research code writes it (float32, default memory format, batches of 64, torch's threads) and
the engine's own extraction (`mmfuse.net.embeddings`, its defaults, its cache filled from nothing) of PAIRS pairs of
images of 224 pixels, by timm's tf_efficientnet_lite0, each in a process of its own, ROUNDS times alternating. Said:
medians in pairs a second, their ratio, and the cosine between the features. Where other work shares the processor, the
seconds of it that were used are fairer than those of the clock; both are said.

MMFUSE_DATA=FOLDER with `milk10k/` takes photographs from there; else images are drawn here.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Work = Callable[[np.ndarray], np.ndarray]
"""Images → features."""

SIZE, BATCH = 224, 64
MODEL = "tf_efficientnet_lite0"


def images(pairs: int) -> np.ndarray:
    """(2 × pairs, 3, 224, 224) bytes: photographs where there are some, else soft patches of colour."""
    from PIL import Image

    count = 2 * pairs
    folder = Path(os.environ.get("MMFUSE_DATA", "")) / "milk10k"
    files = sorted(folder.rglob("*.jpg"))[:count] if "MMFUSE_DATA" in os.environ else []
    rng = np.random.default_rng(0)
    given = [Image.open(file).convert("RGB") for file in files]
    given += [
        Image.fromarray(rng.integers(0, 256, (14, 14, 3), dtype=np.uint8), "RGB") for _ in range(count - len(given))
    ]
    return np.stack(
        [np.asarray(one.resize((SIZE, SIZE), Image.Resampling.BICUBIC)).transpose(2, 0, 1) for one in given]
    )


def plain() -> Work:
    """The yardstick."""
    import timm
    import torch
    from safetensors.torch import load_file

    model = timm.create_model(MODEL, num_classes=0).eval()
    weights = load_file(os.environ["MMFUSE_WEIGHTS"])
    model.load_state_dict({key: value for key, value in weights.items() if not key.startswith("classifier")})
    mean, std = (torch.tensor(model.pretrained_cfg[word]).view(3, 1, 1) for word in ("mean", "std"))

    def work(given: np.ndarray) -> np.ndarray:
        made = []
        with torch.no_grad():
            for start in range(0, len(given), BATCH):
                batch = torch.from_numpy(given[start : start + BATCH]).float() / 255
                made.append(model((batch - mean) / std))
        return torch.cat(made).numpy()

    return work


def engine() -> Work:
    """What mmfuse does, its cache on disk included."""
    import torch

    from mmfuse.builtin.encoders import Timm
    from mmfuse.data.inputs import Block
    from mmfuse.net.devices import frozen_precision, ready
    from mmfuse.net.embeddings import frozen_features
    from mmfuse.net.measuring import measure_encoder
    from mmfuse.net.sights import Sight
    from mmfuse.parts import Reader

    class Pictures(Reader):
        shape = (3, SIZE, SIZE)

    part = Timm(model=MODEL)
    module = part.build(Pictures.shape)
    part.start(module, os.environ["MMFUSE_WEIGHTS"])
    device = torch.device("cpu")
    ready(module, device)
    flow = measure_encoder(module, part, Pictures.shape, MODEL)

    def work(given: np.ndarray) -> np.ndarray:
        found = frozen_features(
            module, part, Block.memory(given), Pictures(), sight=Sight("identity"), flow=flow, levels=("vector",),
            precision=frozen_precision("auto", device), batch=BATCH, what="images", watch=lambda event: None,
        )  # fmt: skip
        return found["vector"].take(slice(None))

    return work


def one(name: str, file: Path, pairs: int) -> None:
    """One of the two in this process: its features to a file, its seconds to the screen."""
    given = images(pairs)
    work = {"plain": plain, "engine": engine}[name]()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["MMFUSE_CACHE"] = cache
        work(given[:BATCH])
    with tempfile.TemporaryDirectory() as cache:
        os.environ["MMFUSE_CACHE"] = cache
        clock, used = time.perf_counter(), time.process_time()
        features = work(given)
        seconds = time.perf_counter() - clock, time.process_time() - used
    np.save(file, features)
    print(json.dumps(seconds))


def main() -> None:
    rounds, pairs = (int(word) for word in (sys.argv[1:] + ["5", "128"][len(sys.argv) - 1 :]))
    cores = os.cpu_count() or 1
    taken: dict[str, list[tuple[float, float]]] = {"plain": [], "engine": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, seconds in taken.items():
                file = Path(folder) / f"{name}.npy"
                command = [sys.executable, __file__, "--one", name, str(file), str(pairs)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                clock, used = json.loads(done.stdout.splitlines()[-1])
                seconds.append((clock, used / cores))
        a, b = (np.load(Path(folder) / f"{name}.npy") for name in taken)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    for index, what in enumerate(("of the clock", f"of {cores} busy cores")):
        rate = {name: pairs / statistics.median(each[index] for each in seconds) for name, seconds in taken.items()}
        words = ", ".join(f"{name} {value:.1f}" for name, value in rate.items())
        print(f"pairs a second {what}: {words}; ratio {rate['engine'] / rate['plain']:.1f}")
    print(f"cosine: mean {cosine.mean():.4f}, least {cosine.min():.4f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
