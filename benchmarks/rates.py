"""The rest of the engine, each beside an outside way of doing the same, in one run.

    python benchmarks/rates.py [ROUNDS]

Every pair of ways is taken ROUNDS (5) times alternating; medians and their ratio are said.

cache, filled      512 photographs decoded, resized, put on disk | decoded and resized by as many threads, not kept
cache, read        random batches of 32 of those rows | the same rows out of an array in memory (its bandwidth)
prediction         ResNet-18, 64 images of 224 pixels | a plain loop, batches of 64, torch's threads
six views          the same under six test-time views | six times the plain loop
simplex            5,151 mixtures, 203 cases, 8 classes, 6 views | a NumPy loop over the mixtures
second stage       XGBoost on 1,000 cases, out of fold and for new cases | scikit-learn's cross_val_predict and a fit
bootstrap          2,000 replicates of macro AUC, 1,000 cases | scikit-learn's roc_auc_score, replicate by replicate
cold start         `mmfuse COMMAND` | `python -c "import click, pydantic.main"`

MMFUSE_DATA=FOLDER with `milk10k/` takes photographs from there; else JPEG files are drawn.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import mmfuse

IMAGES, SIZE, LOOKED_AT = 512, 224, 64
COMMANDS = (("--help",), ("parts",), ("recipes",), ("plugins",), ("cache",), ("train", "--help"))
Ways = tuple[str, str, int, Callable[[], Any], Callable[[], Any]]
"""What, of what, how many of it, our way and the outside one."""


def photographs(folder: Path) -> list[Path]:
    from PIL import Image

    data = Path(os.environ.get("MMFUSE_DATA", "")) / "milk10k"
    found = sorted(data.rglob("*.jpg"))[:IMAGES] if "MMFUSE_DATA" in os.environ else []
    rng = np.random.default_rng(0)
    for number in range(len(found), IMAGES):
        patches = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8), "RGB")
        found.append(folder / f"{number}.jpg")
        patches.resize((600, 450)).save(found[-1])
    return found


def reading(files: list[Path]) -> Iterator[Ways]:
    from PIL import Image

    from mmfuse.data.inputs import read_inputs

    card = {"cases": {"id": "id"}, "modalities": {"photo": {"use": "image", "column": "photo", "size": SIZE}}}
    card = mmfuse.load_card(card)
    table = mmfuse.Table.of({"id": map(str, range(len(files))), "photo": map(str, files)})
    cases = mmfuse.Cases(table, card, labelled=False)
    readers = {"photo": card.modalities["photo"].fit(cases.rows())}

    def filled() -> None:
        with tempfile.TemporaryDirectory() as cache:
            os.environ["MMFUSE_CACHE"] = cache
            read_inputs(readers, cases)

    def one(file: Path) -> np.ndarray:
        return np.asarray(Image.open(file).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC))

    def threads() -> None:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(one, files))

    yield "cache, filled", "images", len(files), filled, threads
    kept = tempfile.mkdtemp()
    os.environ["MMFUSE_CACHE"] = kept
    block = read_inputs(readers, cases)["photo"]
    held = block.take(slice(None))
    batches = np.random.default_rng(0).permutation(np.tile(np.arange(len(files)), 4)).reshape(-1, 32)
    ours = lambda: [block.take(some) for some in batches]  # noqa: E731
    yield "cache, read", "MB", round(4 * held.nbytes / 1e6), ours, lambda: [held[some] for some in batches]


def answering(files: list[Path]) -> Iterator[Ways]:
    import timm
    import torch
    from torch import nn

    files = files[:LOOKED_AT]
    card = {
        "cases": {"id": "id"},
        "labels": {"kind": ["a", "b"]},
        "modalities": {"photo": {"use": "image", "column": "photo", "size": SIZE}},
    }
    words = {"id": map(str, range(len(files))), "photo": map(str, files), "kind": ["a", "b"] * (len(files) // 2)}
    six = ["identity", "flip-x", "flip-y", "rotate-90", "rotate-180", "rotate-270"]

    def fitted(views: list[str]) -> mmfuse.Pipeline:
        encoder = {"use": "timm", "model": "resnet18", "weights": "none"}
        plan = {
            "network": {"encoders": {"image": encoder}, "head": "linear"},
            "training": {"epochs": 1, "batch": 16, "best": {"metric": ""}},
            "prediction": {"views": views},
        }
        pipeline = mmfuse.Pipeline(mmfuse.load(plan, card), device="cpu")
        return pipeline.fit(cases.take(np.arange(32)), ["train"] * 32)

    cases = mmfuse.Cases(mmfuse.Table.of(words), mmfuse.load_card(card))
    model = nn.Sequential(timm.create_model("resnet18", num_classes=0), nn.Linear(512, 2)).eval()
    one, all_six = fitted(["identity"]), fitted(six)
    images = torch.rand(len(files), 3, SIZE, SIZE)

    def plain(times: int) -> None:
        with torch.no_grad():
            for _ in range(times):
                for some in images.split(64):
                    model((some - 0.5) / 0.5)

    yield "prediction", "cases", len(files), lambda: one.predict_proba(cases), lambda: plain(1)
    yield "six views", "cases", len(files), lambda: all_six.predict_proba(cases), lambda: plain(6)


def deciding() -> Iterator[Ways]:
    from mmfuse.builtin.decisions import Simplex
    from mmfuse.builtin.search import lattice

    labels = mmfuse.Labels([mmfuse.Label("kind", tuple("abcdefgh"))])
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 8, (203, 1))
    scores = rng.normal(size=(3, 6, 203, 8)) + 2 * np.eye(8)[targets[:, 0]]
    logs = labels.log_softmax(scores)

    def loop() -> float:
        best = 0.0
        for counts in lattice(3, 100):
            mixed = np.tensordot(counts / 100, logs, axes=1)
            p = np.exp(mixed - mixed.max(axis=-1, keepdims=True))
            p /= p.sum(axis=-1, keepdims=True)
            best = max(best, float((p.mean(axis=0).argmax(axis=1) == targets[:, 0]).mean()))
        return best

    part = Simplex(step=0.01, objective="accuracy", mix="logits", scope="global")
    yield "simplex", "mixtures", 5151, lambda: part.fit(logs, targets, labels, np.ones(203)), loop


def second_stage() -> Iterator[Ways]:
    from sklearn.model_selection import cross_val_predict
    from xgboost import XGBClassifier

    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 1200)
    values = rng.normal(size=(1200, 20)) + kind[:, None] * rng.random(20)
    columns = {f"x{j}": values[:, j].round(4).astype(str) for j in range(20)}
    card = {
        "cases": {"id": "id"},
        "labels": {"kind": ["0", "1", "2"]},
        "modalities": {"meta": {"use": "table", "numeric": list(columns)}},
    }
    stage = {"use": "xgboost", "reads": [], "features": ["meta"]}
    spec = mmfuse.load({"decisions": {"trees": stage}, "training": {"folds": 5}}, card)
    table = mmfuse.Table.of({"id": map(str, range(1200)), "kind": kind.astype(str), **columns})
    cases, split = mmfuse.Cases(table, spec.card), ["train"] * 1000 + ["test"] * 200
    part = spec.plan.decisions["trees"].part

    def outside() -> None:
        made = XGBClassifier(
            n_estimators=part.trees, max_depth=part.max_depth, learning_rate=part.learning_rate, n_jobs=1,
            subsample=part.subsample, colsample_bytree=part.colsample, tree_method="hist",
        )  # fmt: skip
        cross_val_predict(made, values[:1000], kind[:1000], cv=5, method="predict_proba")
        made.fit(values[:1000], kind[:1000]).predict_proba(values[1000:])

    yield "second stage", "fits", 6, lambda: mmfuse.Pipeline(spec).fit(cases, split), outside


def resampling() -> Iterator[Ways]:
    from sklearn.metrics import roc_auc_score

    labels = mmfuse.Labels([mmfuse.Label("kind", ("a", "b"))])
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, (1000, 1))
    p = labels.softmax(rng.normal(size=(1000, 2)) + np.eye(2)[targets[:, 0]])
    weight = mmfuse.bootstrap_weights(np.arange(1000).astype(str), 2000, 0)
    ours = lambda: mmfuse.MEASURES["macro-auc"].score(p, targets, labels, weight)  # noqa: E731
    outside = lambda: [roc_auc_score(targets[:, 0], p[:, 1], sample_weight=w) for w in weight]  # noqa: E731
    yield "bootstrap", "replicates", 2000, ours, outside


def starting() -> Iterator[Ways]:
    def run(*line: str) -> None:
        subprocess.run([sys.executable, *line], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)

    for words in COMMANDS:
        ours = lambda words=words: run("-m", "mmfuse", *words)  # noqa: E731
        yield f"mmfuse {' '.join(words)}", "starts", 1, ours, lambda: run("-c", "import click, pydantic.main")


def main(rounds: int) -> None:
    print("| what | engine, a second | outside way, a second | ratio |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        files = photographs(Path(place))
        for group in (reading(files), answering(files), deciding(), second_stage(), resampling(), starting()):
            for what, unit, count, ours, outside in group:
                seconds: tuple[list[float], list[float]] = ([], [])
                for number in range(rounds + 1):
                    for taken, way in zip(seconds, (ours, outside), strict=True):
                        began = time.perf_counter()
                        way()
                        if number:  # the first one warms up
                            taken.append(time.perf_counter() - began)
                one, other = map(statistics.median, seconds)
                print(f"| {what} | {count / one:.3g} {unit} | {count / other:.3g} | {other / one:.2f} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
