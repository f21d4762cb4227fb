"""On CUDA: how fast does a network of two image encoders learn, beside the fastest plain loop?

    python benchmarks/cuda.py [ROUNDS] [CASES] [SIZE]

Two ResNet-50 of timm (random weights) on drawn images of SIZE (224) pixels, the sum of their vectors, a linear head,
AdamW, batches of 128, bfloat16, channels last, compiled. Each arm in a process of its own, ROUNDS (5) times
alternating, CASES (4096) an epoch; the first epoch, in which is compiled, is not counted. Said: medians of cases a
second, their ratio, and the most memory that tensors took on the device.

bare     images on the device beforehand, no augmentation: what the device can do
engine   `mmfuse.Pipeline`: images from its cache on disk, flipped, turned and scaled on the device
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

BATCH, CLASSES, EPOCHS, MODEL = 128, 7, 4, "resnet50"


def images(cases: int, size: int) -> np.ndarray:
    """(cases, 2, 3, size, size) bytes: soft patches of colour, repeated where there are many."""
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 256, (min(cases, 512), 2, 3, size // 16, size // 16), dtype=np.uint8)
    return np.resize(patches.repeat(16, axis=3).repeat(16, axis=4), (cases, 2, 3, size, size))


def bare(cases: int, size: int) -> tuple[list[float], float]:
    import timm
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = (timm.create_model(MODEL, num_classes=0) for _ in range(2))
            self.head = nn.Linear(self.one.num_features, CLASSES)

        def forward(self, one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
            return self.head(self.one(one) + self.two(two))

    given = torch.from_numpy(images(cases, size)).cuda()
    target = torch.arange(cases, device="cuda") % CLASSES
    both = Both().cuda().to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(both.parameters(), fused=True)
    run, rates = torch.compile(both), []
    for _ in range(EPOCHS):
        began = time.perf_counter()
        for index in torch.randperm(cases, device="cuda").split(BATCH):
            two = [
                given[index, side].float().div_(255).contiguous(memory_format=torch.channels_last) for side in (0, 1)
            ]
            with torch.autocast("cuda", torch.bfloat16):
                loss = cross_entropy(run(*two), target[index])
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
        torch.cuda.synchronize()
        rates.append(cases / (time.perf_counter() - began))
    return rates[1:], torch.cuda.max_memory_allocated() / 1e9 - given.nbytes / 1e9


def engine(cases: int, size: int) -> tuple[list[float], float]:
    import torch
    from PIL import Image

    import mmfuse

    with tempfile.TemporaryDirectory() as folder:
        os.environ["MMFUSE_CACHE"] = f"{folder}/cache"
        rows = []
        for i, pair in enumerate(images(min(cases, 512), size)):
            names = [f"{folder}/{i}-{side}.png" for side in (0, 1)]
            for name, one in zip(names, pair, strict=True):
                Image.fromarray(np.ascontiguousarray(one.transpose(1, 2, 0))).save(name)
            rows.append(names)
        table = {"id": [f"case {i}" for i in range(cases)], "kind": [str(i % CLASSES) for i in range(cases)]}
        table |= {name: [rows[i % len(rows)][side] for i in range(cases)] for side, name in enumerate(("one", "two"))}
        pictures = {name: {"use": "image", "column": name, "size": size} for name in ("one", "two")}
        card = {"cases": {"id": "id"}, "labels": {"kind": [str(i) for i in range(CLASSES)]}, "modalities": pictures}
        network = {"encoders": {"image": {"use": "timm", "model": MODEL, "weights": "none"}}, "fusion": "sum"}
        plan = {
            "network": {**network, "head": "linear"},
            "augment": {"geometry": {"use": "geometry", "on": ["image"]}},
            "training": {"epochs": EPOCHS, "batch": BATCH, "compile": True, "best": {"metric": ""}},
        }
        rates: list[float] = []

        def watch(event: mmfuse.Event) -> None:
            if isinstance(event, mmfuse.EpochEnded):
                rates.append(event.cases_per_second)

        spec = mmfuse.load(plan, card)
        pipeline = mmfuse.Pipeline(spec, device="cuda", watch=watch)
        pipeline.fit(mmfuse.Cases(mmfuse.Table.of(table), spec.card, Path()), ["train"] * cases)
        return rates[1:], torch.cuda.max_memory_allocated() / 1e9


ARMS = {"bare": bare, "engine": engine}


def main(rounds: int, cases: int, size: int) -> None:
    import torch

    if not torch.cuda.is_available():
        print("left out: there is no CUDA device that torch can use")
        return
    rates: dict[str, list[float]] = {name: [] for name in ARMS}
    memory = dict.fromkeys(ARMS, 0.0)
    for _ in range(rounds):
        for name, found in rates.items():
            command = [sys.executable, __file__, "--one", name, str(cases), str(size)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            some, most = json.loads(done.stdout.splitlines()[-1])
            found += some
            memory[name] = max(memory[name], most)
    middle = {name: statistics.median(found) for name, found in rates.items()}
    for name, found in rates.items():
        print(f"{name}: {middle[name]:.0f} cases a second ({min(found):.0f} … {max(found):.0f}), {memory[name]:.1f} GB")
    print(f"engine / bare: {middle['engine'] / middle['bare']:.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(ARMS[sys.argv[2]](int(sys.argv[3]), int(sys.argv[4]))))
    else:
        main(*(int(word) for word in [*sys.argv[1:], *("5", "4096", "224")[len(sys.argv) - 1 :]]))
