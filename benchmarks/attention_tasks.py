"""What attention over places and what feature reconstruction are good for, on two drawn tasks with a known answer.

    python benchmarks/attention_tasks.py [correspondence] [spurious] [--on valid] [--seeds 0 1 2]

`correspondence`: each of two images has one mark at a random place; the label is whether it is the same place. Neither
image tells anything by itself, nor do the two images' pooled vectors. `spurious`: both images have faint true marks at
random places; in training and `valid` one image also has a bright spot that names the class, at a random place, and at
test there is none. All arms read one fixed patch encoder, which is a part of this file. Knobs were settled on `valid`,
`test` was opened once. Prints accuracy of every arm and paired differences with 95 % intervals over cases and seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import mmfuse

if TYPE_CHECKING:
    from torch import nn

PATCH, ROWS = 8, 3
SIZE = PATCH * ROWS
PLACES = ROWS * ROWS
IMAGES = ("photo", "sound")
SPLITS = {"train": 1000, "valid": 400, "test": 1000}
DATA_SEED = 2026
METRIC = "accuracy"

Picture = NDArray[np.float64]


class PatchEncoder(mmfuse.Encoder):
    """Each patch by its own through fixed random filters; the vector is the mean over patches. It learns nothing."""

    width: int = 32

    def build(self, shape: tuple[int, ...]) -> nn.Module:
        import torch
        from torch import nn

        class Patches(nn.Module):
            filters: torch.Tensor

            def __init__(self, channels: int, width: int) -> None:
                super().__init__()
                drawn = torch.randn(width, channels, PATCH, PATCH, generator=torch.Generator().manual_seed(0))
                self.register_buffer("filters", drawn / drawn.flatten(1).norm(dim=1)[:, None, None, None])

            def forward(self, images: torch.Tensor) -> mmfuse.Features:
                maps = torch.relu(nn.functional.conv2d(images - 0.5, self.filters, stride=PATCH))
                return mmfuse.Features(maps.mean(dim=(2, 3)), (maps,))

        return Patches(shape[0], self.width)


@mmfuse.hookimpl
def mmfuse_parts() -> list[type[mmfuse.Part]]:
    """The encoder of all arms."""
    return [PatchEncoder]


# ── the tasks ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def blank(rng: np.random.Generator) -> Picture:
    """Grey noise (height, width, 3)."""
    return 0.5 + rng.normal(0, 0.06, (SIZE, SIZE, 3))


def mark(picture: Picture, place: int, colour: tuple[float, float, float]) -> None:
    """Adds a colour to one patch."""
    row, column = divmod(place, ROWS)
    picture[row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH] += colour


def correspondence(rng: np.random.Generator, label: int, split: str) -> tuple[Picture, Picture]:
    """One mark an image: at the same place (1) or at two places (0), each as likely anywhere in both classes."""
    photo, sound = blank(rng), blank(rng)
    first, second = rng.choice(PLACES, 2, replace=False)
    mark(photo, first, (0.3, 0.1, -0.1))
    mark(sound, first if label else second, (-0.1, 0.2, 0.2))
    return photo, sound


FAINT, BRIGHT = 0.045, 0.45
TRUE_MARKS = 2


def spurious(rng: np.random.Generator, label: int, split: str) -> tuple[Picture, Picture]:
    """Faint marks name the class in both images; a bright spot in the photograph does too, but not at test."""
    pictures, sign = (blank(rng), blank(rng)), 1 if label else -1
    for picture in pictures:
        for place in rng.choice(PLACES, TRUE_MARKS, replace=False):
            mark(picture, place, (FAINT * sign, -FAINT * sign, 0.0))
    if split != "test":
        mark(pictures[0], rng.integers(PLACES), (BRIGHT if label else 0.0, 0.0, 0.0 if label else BRIGHT))
    return pictures


def write(folder: Path, draw: Callable[..., tuple[Picture, Picture]]) -> Path:
    """Draws all cases as PNG files; their table."""
    from PIL import Image

    rng = mmfuse.generator(DATA_SEED, draw.__name__)
    words: dict[str, list[str]] = {name: [] for name in ("id", "answer", "split", *IMAGES)}
    for split, count in SPLITS.items():
        for i in range(count):
            name, label = f"{split}{i:04}", i % 2
            for image, picture in zip(IMAGES, draw(rng, label, split), strict=True):
                pixels = (255 * picture.clip(0, 1)).round().astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{name}-{image}.png", compress_level=1)
                words[image].append(f"{name}-{image}.png")
            words["id"].append(name)
            words["answer"].append(("no", "yes")[label])
            words["split"].append(split)
    mmfuse.Table.of(words).write(folder / "cases.csv")
    return folder / "cases.csv"


CARD: dict[str, Any] = {
    "cases": {"id": "id"},
    "labels": {"answer": ["no", "yes"]},
    "modalities": {name: {"use": "image", "column": name, "size": SIZE} for name in IMAGES},
    "split": {"column": "split"},
}


# ── the arms ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Task(NamedTuple):
    """What is drawn, which fusions read it, and which of them are compared."""

    draw: Callable[..., tuple[Picture, Picture]]
    arms: dict[str, Mapping[str, Any]]
    compared: tuple[tuple[str, str], ...]
    training: dict[str, Any]


ATTENTION = {"use": "attention-guided", "width": 64, "heads": 4, "positions": "sine", "dropout": 0.0}
PLAIN = {"use": "attention-guided", "width": 64, "heads": 4, "dropout": 0.0}
LEARNING = {
    "epochs": 40,
    "batch": 64,
    "lr": 2e-3,
    "optimiser": "adamw",
    "schedule": "cosine",
    "warmup": 0.1,
    "best": {"metric": ""},
}

TASKS = {
    "correspondence": Task(
        correspondence,
        {
            "attention": ATTENTION,
            "local alone": {**ATTENTION, "global_learning": False},
            "local, no inter": {**ATTENTION, "global_learning": False, "inter": False},
            "concat": {"use": "concat", "width": 64},
        },
        (("attention", "concat"), ("local alone", "concat"), ("local alone", "local, no inter")),
        {**LEARNING, "epochs": 80},
    ),
    "spurious": Task(
        spurious,
        {
            "none": PLAIN,
            **{by: {**PLAIN, "reconstruction": {"by": by, "classify": 1.0}} for by in ("erase", "random", "cross")},
            "erase, rebuilt alone": {**PLAIN, "reconstruction": {"by": "erase", "classify": 0.0}},
        },
        (
            ("erase", "none"),
            ("random", "none"),
            ("cross", "none"),
            ("erase", "random"),
            ("erase, rebuilt alone", "none"),
        ),
        LEARNING,
    ),
}


def plan(fusion: Mapping[str, Any], training: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """One arm's plan."""
    network = {
        "encoders": {"image": {"use": "patch-encoder", "frozen": True, "weights": "none"}},
        "fusion": dict(fusion),
        "head": {"use": "mlp", "widths": [64], "dropout": 0.0, "norm": "none"},
    }
    return {"seed": seed, "network": network, "training": {**training}}


def fitted(name: str, table: Path, seed: int) -> mmfuse.ScoreTable:
    """All arms' scores of the same cases, one source an arm."""
    catalog, tables = mmfuse.Catalog(files=[__file__]), {}
    cases = mmfuse.Cases.load(table, mmfuse.load_card(CARD))
    for arm, fusion in TASKS[name].arms.items():
        began = time.perf_counter()
        spec = mmfuse.load(plan(fusion, TASKS[name].training, seed), CARD, catalog=catalog)
        tables[arm] = mmfuse.Pipeline(spec, catalog=catalog, device="cpu").fit(cases).scores
        print(f"  seed {seed}, {arm}: {time.perf_counter() - began:.0f} s", flush=True)
    first = next(iter(tables.values()))
    return dataclasses.replace(first, sources={arm: table.sources["fused"] for arm, table in tables.items()})


def answer(name: str, seeds: list[int], on: str) -> dict[str, mmfuse.Difference]:
    """Runs a task, a process a seed, and says what came out; the paired differences by `one - other`."""
    task = TASKS[name]
    print(f"{name}: {SPLITS}, accuracy on {on}", flush=True)
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(len(seeds)) as pool:
        table = write(Path(folder), task.draw)
        waiting = [pool.submit(fitted, name, table, seed) for seed in seeds]
        tables = [one.result() for one in waiting]
    gaps = {}
    for arm in task.arms:
        print(f"{arm:25} {mmfuse.over_seeds(tables, arm, metric=METRIC, on=on)}")
    for one, other in task.compared:
        gaps[f"{one} - {other}"] = mmfuse.difference_over_seeds(tables, one, other, metric=METRIC, on=on)
        print(f"{one + ' - ' + other:25} {gaps[f'{one} - {other}']}", flush=True)
    return gaps


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("tasks", nargs="*", default=list(TASKS), choices=[*TASKS, []])
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--on", default="test")
    given = options.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process a seed; torch is not imported yet
    for name in given.tasks or TASKS:
        answer(name, given.seeds, given.on)


if __name__ == "__main__":
    main()
