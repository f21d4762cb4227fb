"""The stages through the engine: found by the catalog, honest on noise, able to learn, and the same after a round
trip.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from mmfuse import (
    Card,
    CasesSection,
    DecisionLine,
    FittedDecisions,
    Label,
    LabelLine,
    Labels,
    Learnt,
    Modality,
    Plan,
    Reader,
    RunError,
    ScoreTable,
    Spec,
    fit_decisions,
    wire,
)
from mmfuse.testing import check
from mmfuse_metadata import Knn, Logistic, RandomForest, Svm, Xgboost, mmfuse_parts

STAGES = [
    Svm(),
    Svm(kernel="linear", class_weight="balanced", scale=False),
    Xgboost(trees=15),
    Logistic(),
    RandomForest(trees=15, max_depth=3),
    Knn(k=7, scale="standard"),
    Knn(k=15, distance="euclidean", scale="l2", votes="distance"),
]


@dataclass(frozen=True, eq=False)
class Centred(Reader):
    """A table that is centred, so that there is something to learn."""

    mean: np.ndarray


class Numbers(Modality):
    """A modality whose arrays the test holds."""

    reader = Centred

    @property
    def columns(self):
        return ("numbers",)


@dataclass
class Held:
    """Features for the engine: an array, centred on the cases it was fitted on."""

    values: np.ndarray
    present: np.ndarray

    def fit(self, modality: str, index: np.ndarray, whole: bool = True) -> Learnt:
        return Centred(self.values[index][self.present[index]].mean(axis=0))

    def read(self, modality, learnt, index):
        return self.values[index] - learnt.mean, self.present[index]


def cohort(n=210, signal=2.0, seed=0):
    """Two labels of which the table knows `signal`; some cells empty, two cases a patient."""
    rng = np.random.default_rng(seed)
    card = Card(
        cases=CasesSection(id="id"),
        labels={"grade": LabelLine(classes=("a", "b", "c")), "sign": LabelLine(classes=("no", "yes"))},
        modalities={"table1": Numbers()},
    )
    targets = np.stack([rng.integers(0, 3, n), rng.integers(0, 2, n)], axis=1)
    values = rng.normal(size=(n, 6))
    values[:, :2] += signal * targets
    split = np.where(np.arange(n) < 2 * n // 3, "train", "test")
    groups = (np.arange(n) // 2).astype(str)
    table = ScoreTable({}, np.arange(n).astype(str), groups, split, np.full(n, -1), targets, card.label_set)
    return card, table, Held(values, rng.random(n) > 0.1)


def fitted(part, **knobs):
    card, table, features = cohort(**knobs)
    spec = Spec(card=card, plan=Plan(decisions={"stage": DecisionLine(part=part, features=("table1",))}))
    wiring = wire(spec)
    decisions, scored = fit_decisions(spec, wiring, table, features)
    return spec, wiring, decisions, scored, features


def right(table: ScoreTable, split: str) -> np.ndarray:
    labels: Labels = table.labels
    chosen = (table.split == split) & ~np.isnan(table.probabilities("stage")).any(axis=1)
    return (labels.argmax(table.probabilities("stage")) == table.targets)[chosen].mean(axis=0)


def test_all_are_brought_by_the_hook():
    assert [part.name for part in mmfuse_parts()] == ["svm", "xgboost", "logistic", "random-forest", "knn"]


def test_importing_the_plugin_loads_nothing_heavy():
    code = "import sys, mmfuse_metadata; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "mmfuse_metadata.stages" in loaded
    assert not {"sklearn", "xgboost", "scipy", "pandas", "torch"} & set(loaded)


@pytest.mark.parametrize("part", STAGES, ids=repr)
def test_learns_and_survives_a_round_trip(part, tmp_path):
    spec, wiring, decisions, scored, features = fitted(part)
    assert (right(scored, "train") > (0.5, 0.6)).all()
    assert (right(scored, "test") > (0.5, 0.6)).all()
    p = scored.probabilities("stage")
    silent = ~features.present
    assert np.isnan(p[silent]).all()
    for block in scored.labels.slices.values():
        np.testing.assert_allclose(p[~silent][:, block].sum(axis=1), 1)
    decisions.save(tmp_path)
    again = FittedDecisions.load(tmp_path, spec, wiring).apply({}, features, len(p))
    np.testing.assert_array_equal(again["stage"], decisions.apply({}, features, len(p))["stage"])
    assert {file.suffix for file in (tmp_path / "1-stage").glob("label-*")} == {f".{part.suffix}"}


@pytest.mark.parametrize("part", [RandomForest(trees=30), Xgboost(trees=60, max_depth=6)], ids=repr)
def test_a_memorising_stage_is_at_chance_on_noise(part):
    _, _, decisions, scored, features = fitted(part, n=450, signal=0.0)
    about_train = right(scored, "train")
    assert (np.abs(about_train - (1 / 3, 1 / 2)) < 0.1).all()
    train = (scored.split == "train") & features.present
    seen = scored.with_source("stage", decisions.apply({}, features, len(scored))["stage"]).take(train)
    assert (right(seen, "train") > 0.95).all()


def test_a_broken_file_is_named(tmp_path):
    spec, wiring, decisions, _, _ = fitted(Xgboost(trees=3))
    decisions.save(tmp_path)
    file = tmp_path / "1-stage" / "label-1.json"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(RunError, match=r"label-1\.json") as caught:
        FittedDecisions.load(tmp_path, spec, wiring)
    assert "cannot be read" in str(caught.value)


def test_a_strangers_stage_calls_nothing_when_a_run_is_read(tmp_path):
    """A file in the place of a stored classifier that would write a marker as soon as it is asked."""
    import skops.io
    from sklearn.datasets import dump_svmlight_file
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    spec, wiring, decisions, _, _ = fitted(Logistic())
    decisions.save(tmp_path / "stages")
    calls = FunctionTransformer(dump_svmlight_file, kw_args={"y": np.zeros(1), "f": str(tmp_path / "marker")})
    skops.io.dump(make_pipeline(calls, LogisticRegression()), tmp_path / "stages" / "1-stage" / "label-0.skops")
    with pytest.raises(RunError, match=r"label-0\.skops.*dump_svmlight_file"):
        FittedDecisions.load(tmp_path / "stages", spec, wiring)
    assert not (tmp_path / "marker").exists()


def test_same_seed_same_scores():
    first, second = (fitted(Xgboost(trees=5))[3].sources["stage"] for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("part", STAGES, ids=repr)
def test_keeps_the_contract(part):
    check(part)


def test_the_nearest_vote():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), rng.integers(0, 2, 40)
    asked = rng.normal(size=(9, 3))
    found = Knn(k=5).estimator(0).fit(x, y).predict_proba(asked)
    cosine = (asked @ x.T) / np.linalg.norm(asked, axis=1)[:, None] / np.linalg.norm(x, axis=1)
    np.testing.assert_allclose(found[:, 1], y[np.argsort(-cosine, axis=1)[:, :5]].mean(axis=1))
    same = Knn(k=5, distance="euclidean", scale="l2").estimator(0).fit(x, y).predict_proba(asked)
    np.testing.assert_allclose(same, found)
    few = Knn(k=500).estimator(0).fit(x, y).predict_proba(asked)
    np.testing.assert_allclose(few[:, 1], y.mean())


def test_so_many_trees_that_it_takes_long_are_told_beforehand():
    """One a class and round: of 500 classes 200 rounds are 100,000; of two classes, of few or of few rounds nothing."""
    classes = tuple(f"c{i}" for i in range(500))
    labels = Labels([Label("kind", classes), Label("sign", ("no", "yes"))])
    targets = np.stack([np.arange(1000) % 500, np.arange(1000) % 2], axis=1)
    (told,) = Xgboost().cautions(labels, targets)
    assert "label 'kind' has 500 classes among 1000 training cases" in told
    assert "100,000 trees" in told
    assert "trees = 40" in told
    assert not Xgboost(trees=40).cautions(labels, targets)
    assert not Xgboost().cautions(labels, np.where(targets < 100, targets, -1))  # classes that occur
    assert not RandomForest().cautions(labels, targets)


def test_the_same_fit_is_the_same_file(tmp_path):
    """Of all stages, byte for byte, from classifiers that were fitted one after the other."""
    rng = np.random.default_rng(0)
    inputs, truth = rng.normal(size=(60, 4)), rng.integers(0, 3, 60)
    for part in STAGES:
        one, two = (tmp_path / f"{name}.{part.suffix}" for name in ("one", "two"))
        for path in (one, two):
            part.save(part.estimator(3).fit(inputs, truth), path)
        assert one.read_bytes() == two.read_bytes(), part


def test_a_solver_that_cannot_part_the_classes_ends():
    """A linear machine of a huge cost on noise: libsvm alone goes on and on."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 8)), rng.integers(0, 2, 200)
    machine = Svm(C=1e300, kernel="linear", max_iter=10_000).estimator(0)
    with pytest.warns(ConvergenceWarning):
        machine.fit(x, y)
    assert (machine[-1].n_iter_ <= 10_000).all()
    assert Svm().estimator(0)[-1].max_iter == 1_000_000
