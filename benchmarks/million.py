"""What does each step cost a case, and does its memory grow with the cases, up to a million of them?

    python benchmarks/million.py [CASES ...]

For each number of CASES (10000 100000 1000000), in a process of its own: a table of lesions with a generated image of
8 × 8 pixels each (a PNG file of its own), age and sex, a label of two classes and patients of two lesions; then, one
after the other, everything that a training does with it. Said of each step: seconds; microseconds a case; and the most
MB that the process holds while it works, all that it holds from the steps before included, the table itself (its cells
as text) left out. Linux alone.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

IDLE = "libraries alone"
FOLDER_OF = 1000
"""Images a folder."""
ENCODER = '''
"""A small convolution, for images of 8 pixels."""
import mmfuse

class Small(mmfuse.Encoder):
    """Two convolutions and a mean over places."""
    def build(self, shape):
        from torch import nn
        layers = [nn.Conv2d(shape[0], 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())

@mmfuse.hookimpl
def mmfuse_parts():
    return [Small]
'''
CARD = """
[cases]
id = "id"
case_is = "lesion"
group = "patient"
[labels]
kind = ["benign", "malignant"]
[modalities]
photo = { use = "image", column = "photo", size = 8 }
meta = { use = "table", numeric = ["age"], categorical = ["sex"] }
[split]
fractions = { train = 0.6, valid = 0.2, test = 0.2 }
"""
PLAN = """
[network]
encoders.image = {{ use = "small", weights = "none", frozen = {frozen} }}
encoders.table = "linear"
fusion = "concat"
head = "linear"
[training]
epochs = 1
batch = 512
best = {{ metric = "" }}
"""


def png(pixels: np.ndarray) -> bytes:
    """(height, width, 3) bytes as a PNG file."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    parts = [
        (b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 1)),
        (b"IEND", b""),
    ]
    chunks = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def draw(place: Path, cases: int) -> None:
    rng = np.random.default_rng(0)
    kind = rng.random(cases) < 0.3
    age = np.clip(rng.normal(50 + 10 * kind, 15), 1, 99).round().astype(int)
    with (place / "cases.csv").open("w") as file:
        file.write("id,patient,photo,age,sex,kind\n")
        for start in range(0, cases, FOLDER_OF):
            folder = place / f"images/{start // FOLDER_OF:04d}"
            folder.mkdir(parents=True)
            some = min(FOLDER_OF, cases - start)
            pixels = rng.integers(0, 200, (some, 8, 8, 3), dtype=np.uint8)
            pixels[:, 2:6, 2:6, 0] += (50 * kind[start : start + some]).astype(np.uint8)[:, None, None]
            for i in range(some):
                name = f"images/{start // FOLDER_OF:04d}/{i:03d}.png"
                (place / name).write_bytes(png(pixels[i]))
                row = start + i
                word = "malignant" if kind[row] else "benign"
                file.write(f"l{row:07d},p{row // 2:06d},{name},{age[row]},{'mf'[row % 2]},{word}\n")
    (place / "cases.toml").write_text(CARD)
    (place / "small.py").write_text(ENCODER)


def memory() -> float:
    """MB that this process holds and no file backs (what is read through a memory map is the system's to take back)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def give_back() -> None:
    """What nothing holds goes back to the system, so that it does not count as held."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


class Peak(threading.Thread):
    """The most that is held while this lasts, looked at every five milliseconds."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self._done = memory(), threading.Event()

    def run(self) -> None:
        while not self._done.wait(0.005):
            self.most = max(self.most, memory())

    def __enter__(self) -> Peak:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self.join()


class Steps:
    """Carries steps out and writes down what each took."""

    def __init__(self) -> None:
        self.found = {IDLE: (0.0, memory())}
        self.table = 0.0

    def __call__(self, name: str, what: Callable[[], Any]) -> Any:
        give_back()
        before, began = memory(), time.perf_counter()
        with Peak() as peak:
            made = what()
        seconds = time.perf_counter() - began
        give_back()
        self.table = self.table or memory() - before
        self.found[name] = (seconds, peak.most - self.table)
        print(f"  {name}: {seconds:.1f} s, {self.found[name][1]:.0f} MB beyond the table", file=sys.stderr)
        return made


def carry_out(place: Path) -> dict[str, tuple[float, float]]:
    import mmfuse
    from mmfuse.data.inputs import read_inputs

    os.environ["MMFUSE_CACHE"] = str(place / "cache")
    catalog = mmfuse.Catalog(files=[place / "small.py"])

    def spec(frozen: bool) -> mmfuse.Spec:
        plan = place / f"plan-{frozen}.toml"
        plan.write_text(PLAN.format(frozen=str(frozen).lower()))
        return mmfuse.load(plan, place / "cases.toml", catalog=catalog)

    pipelines = {frozen: mmfuse.Pipeline(spec(frozen), catalog=catalog, device="cpu") for frozen in (False, True)}
    import torch  # noqa: F401  # what libraries take is no case's

    step = Steps()
    table = step("table", lambda: mmfuse.read_table(place / "cases.csv"))
    card = pipelines[False].spec.card
    held = step("cases", lambda: mmfuse.Cases(table, card, place))
    split = step("split", lambda: mmfuse.assign(held, card.split))
    readers = {"photo": card.modalities["photo"].fit(held.rows())}
    step("images decoded into the cache", lambda: read_inputs(readers, held))
    step("images found in the cache", lambda: read_inputs(readers, held))
    step("an epoch, and all cases answered", lambda: pipelines[False].fit(held, split))
    step("frozen: features, an epoch, all answered", lambda: pipelines[True].fit(held, split))
    step("frozen again, features found", lambda: pipelines[True].fit(held, split))
    step("run written", lambda: pipelines[True].save(place / "run"))
    run = step("run read", lambda: mmfuse.Pipeline.load(place / "run", catalog=catalog, device="cpu"))
    new = held.take(np.flatnonzero(np.asarray(split) == "test"))
    step("test cases predicted", lambda: run.predict_proba(new))
    step("figures", lambda: mmfuse.evaluate(run.scores, on="test"))
    step("intervals", lambda: mmfuse.intervals(run.scores, on="test", metrics=("macro-auc", "accuracy")))
    return step.found


@contextmanager
def a_folder() -> Any:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def main(counts: list[int]) -> None:
    found = {}
    for cases in counts:
        with a_folder() as place:
            print(f"{cases} cases", file=sys.stderr, flush=True)
            draw(place, cases)
            line = [sys.executable, __file__, "--one", str(place)]
            done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True)
            found[cases] = json.loads(done.stdout.splitlines()[-1])
    print("| step | " + " | ".join(f"{cases:,} cases" for cases in counts) + " |")
    print("|---" * (1 + len(counts)) + "|")
    for name in found[counts[0]]:
        cells = []
        for cases in counts:
            seconds, most = found[cases][name]
            cells.append(
                f"{seconds:.1f} s, {seconds / cases * 1e6:.0f} µs, {most:.0f} MB" if seconds else f"{most:.0f} MB"
            )
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(carry_out(Path(sys.argv[2]))))
    else:
        main([int(word) for word in sys.argv[1:]] or [10_000, 100_000, 1_000_000])
