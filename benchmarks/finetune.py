"""How fast does a network of two image encoders learn, beside the fastest plain loop, and beside a usual one?

    MMFUSE_DATA=FOLDER MMFUSE_WEIGHTS=FILE.safetensors python benchmarks/finetune.py [ROUNDS] [PAIRS] [EPOCHS]

Two tf_efficientnet_lite0 on pairs of photographs of MILK10k (224 pixels), the sum of their vectors, a linear head,
AdamW, batches of 32, float32, on the CPU. Each arm in a process of its own, ROUNDS (5) times alternating; medians of
pairs a second (the first epoch of each process is not counted) and their ratios are said.

bare     images decoded beforehand, no augmentation, channels last, fused optimiser, the allocator keeps large blocks:
         what the processor can do
decode   a DataLoader with two workers that decodes, resizes, flips and turns each image in every epoch; default memory
         format, Adam, the allocator as it is
engine   `mmfuse.Pipeline` with augmentation (flips, turns, scale) of every image
still    the same without augmentation, as `bare`
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor, nn

SIZE, BATCH, CLASSES = 224, 32, 11
MODEL = "tf_efficientnet_lite0"


def files(pairs: int) -> list[tuple[Path, Path]]:
    """Of so many lesions the clinical and the dermoscopic photograph."""
    import csv

    folder = Path(os.environ["MMFUSE_DATA"]) / "milk10k"
    images = {path.stem: path for path in folder.rglob("*.jpg")}
    by_lesion: dict[str, list[Path]] = {}
    with (folder / "metadata.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            by_lesion.setdefault(row["lesion_id"], []).append(images[row["isic_id"]])
    return [(two[0], two[1]) for two in by_lesion.values() if len(two) == 2][:pairs]


def networks() -> nn.ModuleList:
    import timm
    from safetensors.torch import load_file
    from torch import nn

    weights = load_file(os.environ["MMFUSE_WEIGHTS"])
    made = [timm.create_model(MODEL, num_classes=0) for _ in range(2)]
    for model in made:
        model.load_state_dict({key: tensor for key, tensor in weights.items() if not key.startswith("classifier")})
    return nn.ModuleList([*made, nn.Linear(made[0].num_features, CLASSES)])


def _steps(parts: nn.ModuleList, optimiser: Any, batches: Iterable[tuple[Tensor, Tensor, Tensor]]) -> None:
    from torch.nn.functional import cross_entropy

    one, two, head = parts
    for first, second, target in batches:
        loss = cross_entropy(head(one(first) + two(second)), target)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        loss.item()


def bare(pairs: int, epochs: int) -> list[float]:
    import numpy as np
    import torch
    from PIL import Image

    from mmfuse.net.allocating import keep_large_blocks

    keep_large_blocks()
    given = np.stack([np.stack([_picture(Image.open(path)) for path in two]) for two in files(pairs)])
    parts = networks().to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(parts.parameters(), lr=1e-4, fused=True)
    target = torch.arange(len(given)) % CLASSES

    def batches() -> Iterable[tuple[Tensor, Tensor, Tensor]]:
        order = torch.randperm(len(given))
        for index in order.split(BATCH):
            images = torch.from_numpy(given[index.numpy()]).float().div_(255).sub_(0.5).div_(0.5)
            one, two = (images[:, side].contiguous(memory_format=torch.channels_last) for side in (0, 1))
            yield one, two, target[index]

    return _timed(len(given), epochs, lambda: _steps(parts, optimiser, batches()))


def decode(pairs: int, epochs: int) -> list[float]:
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    class Pairs(Dataset):  # type: ignore[type-arg]
        def __init__(self) -> None:
            self.files = files(pairs)

        def __len__(self) -> int:
            return len(self.files)

        def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
            return *(_changed(Image.open(path)) for path in self.files[index]), index % CLASSES  # type: ignore[return-value]

    def _changed(image: Image.Image) -> Tensor:
        image = image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        if torch.rand(()) < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        image = image.rotate(float(torch.empty(()).uniform_(-45, 45)), Image.Resampling.BILINEAR)
        return (torch.from_numpy(_bytes(image)).float() / 255 - 0.5) / 0.5

    parts = networks().train()
    optimiser = torch.optim.Adam(parts.parameters(), lr=1e-4)
    loader = DataLoader(Pairs(), batch_size=BATCH, shuffle=True, num_workers=2)
    return _timed(len(loader.dataset), epochs, lambda: _steps(parts, optimiser, loader))  # type: ignore[arg-type]


def engine(pairs: int, epochs: int, augmented: bool = True) -> list[float]:
    import tempfile

    import mmfuse

    rows = [(f"case {i}", *map(str, two), str(i % CLASSES)) for i, two in enumerate(files(pairs))]
    columns = dict(zip(("id", "clinic", "derm", "kind"), map(list, zip(*rows, strict=True)), strict=True))
    pictures = {name: {"use": "image", "column": name, "size": SIZE} for name in ("clinic", "derm")}
    card = {"cases": {"id": "id"}, "labels": {"kind": [str(i) for i in range(CLASSES)]}, "modalities": pictures}
    plan = {
        "network": {
            "encoders": {"image": {"use": "timm", "model": MODEL, "weights": os.environ["MMFUSE_WEIGHTS"]}},
            "fusion": "sum",
            "head": "linear",
        },
        "augment": {"geometry": {"use": "geometry", "on": ["image"]}} if augmented else {},
        "training": {"epochs": epochs, "batch": BATCH, "lr": 1e-4, "best": {"metric": ""}},
    }
    rates: list[float] = []

    def watch(event: mmfuse.Event) -> None:
        if isinstance(event, mmfuse.EpochEnded):
            rates.append(event.cases_per_second)

    spec = mmfuse.load(plan, card)
    cases = mmfuse.Cases(mmfuse.Table.of(columns), spec.card, Path())
    with tempfile.TemporaryDirectory() as cache:
        os.environ["MMFUSE_CACHE"] = cache
        mmfuse.Pipeline(spec, device="cpu", watch=watch).fit(cases, ["train"] * len(cases))
    return rates[1:]


def still(pairs: int, epochs: int) -> list[float]:
    return engine(pairs, epochs, augmented=False)


def _timed(pairs: int, epochs: int, epoch: Any) -> list[float]:
    rates = []
    for _ in range(epochs):
        began = time.perf_counter()
        epoch()
        rates.append(pairs / (time.perf_counter() - began))
    return rates[1:]


def _picture(image: Any) -> Any:
    return _bytes(image.convert("RGB").resize((SIZE, SIZE)))


def _bytes(image: Any) -> Any:
    import numpy as np

    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


ARMS = {"bare": bare, "decode": decode, "engine": engine, "still": still}


def main(words: Sequence[str]) -> None:
    rounds, pairs, epochs = (int(word) for word in [*words, *("5", "256", "2")[len(words) :]])
    rates: dict[str, list[float]] = {name: [] for name in ARMS}
    for _ in range(rounds):
        for name, found in rates.items():
            command = [sys.executable, __file__, "--one", name, str(pairs), str(epochs)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{name}: {done.stderr}")
            found += json.loads(done.stdout.splitlines()[-1])
    middle = {name: statistics.median(found) for name, found in rates.items()}
    for name, found in rates.items():
        print(f"{name}: {middle[name]:.1f} pairs a second ({min(found):.1f} … {max(found):.1f})")
    for one, other in (("engine", "decode"), ("engine", "bare"), ("still", "bare")):
        print(f"{one} / {other}: {middle[one] / middle[other]:.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(ARMS[sys.argv[2]](int(sys.argv[3]), int(sys.argv[4]))))
    else:
        main(sys.argv[1:])
