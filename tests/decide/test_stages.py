"""What the engine does so that no part must: gaps, absence, calibration, storage, order, seeds."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC

from mmfuse import LabelLine, PartError, RunError, SecondStage, TableError
from mmfuse.builtin.decisions import Mean, Simplex, Temperature, Vote
from mmfuse.decide.inputs import Block, Filling
from mmfuse.decide.stages import FittedDecisions, fit_decisions

from .cohorts import LABELS, Held, Numbers, WitnessDecision, cohort, plan


class Bayes(SecondStage):
    """Naive Bayes: quick."""

    def estimator(self, seed):
        return GaussianNB()


class Margin(SecondStage):
    """A support vector machine: no probabilities of its own."""

    def estimator(self, seed):
        return SVC(random_state=seed)


class Mute(SecondStage):
    """Gives nothing to predict with."""

    def estimator(self, seed):
        class Nothing:
            def fit(self, inputs, truth):
                return self

        return Nothing()


class Noisy(SecondStage):
    """Warns while it learns."""

    def estimator(self, seed):
        class Warning(GaussianNB):
            def fit(self, inputs, truth):
                warnings.warn("did not converge", stacklevel=1)
                return super().fit(inputs, truth)

        return Warning()


def sums_to_one(p):
    spoken = ~np.isnan(p).any(axis=1)
    for block in LABELS.slices.values():
        np.testing.assert_allclose(p[spoken][:, block].sum(axis=1), 1, rtol=1e-9)
    return spoken


@given(
    st.integers(0, 10_000), st.sampled_from([Bayes(), Margin(), Bayes(calibrate="sigmoid"), Simplex(step=0.2), Vote()])
)
@settings(max_examples=40, deadline=None)
def test_small_and_broken_cohorts_do_no_harm(seed, part):
    """Few cases, empty cells, unknown labels, classes that are missing or single: a prediction for all but the empty
    cases.
    """
    rng = np.random.default_rng(seed)
    table, features = cohort(
        n=int(rng.integers(16, 40)), seed=seed, absent=0.3, unknown=float(rng.choice([0.0, 0.5, 1.0]))
    )
    targets = table.targets.copy()
    targets[:, rng.integers(0, 2)] = (
        0 if rng.random() < 0.5 else rng.integers(0, 2, len(targets)) * rng.integers(0, 2, len(targets))
    )
    table = type(table)(**{**vars(table), "targets": targets})
    reads = ("fused", "derm")
    is_stage = isinstance(part, SecondStage)
    spoken = np.any([~np.isnan(table.sources[r][0, :, 0]) for r in reads], axis=0)
    if not spoken[table.split == "valid"].any() or not spoken[table.split == "train"].any():
        return
    _, scored = fit_decisions(*plan(("x", part, reads, ("meta",) if is_stage else ())), table, features)
    found = sums_to_one(scored.probabilities("x"))
    learnt_from = "train" if is_stage else "valid"
    expected = spoken | (features.present if is_stage else False)
    if len({*table.groups[spoken & (table.split == learnt_from)]}) > 1:
        np.testing.assert_array_equal(found, expected)


def test_a_class_that_training_lacks_gets_nothing():
    table, features = cohort(unknown=0.0)
    targets = table.targets.copy()
    targets[table.split == "train", 0] = np.minimum(targets[table.split == "train", 0], 1)
    targets[table.split == "train", 1] = 0
    table = type(table)(**{**vars(table), "targets": targets})
    for part in (Bayes(), Margin()):
        _, scored = fit_decisions(*plan(("x", part, ("fused",), ("meta",))), table, features)
        p = scored.probabilities("x")
        assert not np.isnan(scored.sources["x"]).any()
        assert (p[:, 2] == 0).all()
        assert (p[:, 3] == 1).all()


def test_without_any_known_label_the_answer_is_uniform():
    table, features = cohort(unknown=1.0)
    _, scored = fit_decisions(*plan(("x", Bayes(), ("fused",), ())), table, features)
    np.testing.assert_allclose(scored.probabilities("x"), np.broadcast_to([1 / 3] * 3 + [1 / 2] * 2, (120, 5)))


def test_a_stage_equals_the_bare_classifier_on_the_same_inputs():
    table, features = cohort(unknown=0.2, absent=0.2)
    _, scored = fit_decisions(*plan(("x", Bayes(), ("fused",), ("meta",))), table, features)
    train, test = (np.flatnonzero(table.split == name) for name in ("train", "test"))
    p = table.probabilities("fused")
    speaks = ~np.isnan(p[:, 0])
    learn = train[speaks[train]]
    prior = LABELS.prior(table.targets[learn])
    mean = features.values[learn][features.present[learn]].mean(axis=0)
    x = np.column_stack(
        [
            np.where(speaks[:, None], p, prior),
            ~speaks,
            np.where(features.present[:, None], features.values, mean),
            ~features.present,
        ]
    )
    x[:, 7:9] -= mean[1:]  # the reader centres
    some = test[(speaks | features.present)[test]]
    for index, block in enumerate(LABELS.slices.values()):
        known = learn[table.targets[learn, index] >= 0]
        bare = GaussianNB().fit(x[known], table.targets[known, index])
        np.testing.assert_allclose(scored.probabilities("x")[some][:, block], bare.predict_proba(x[some]), atol=1e-9)


def test_absent_blocks_are_filled_and_marked():
    values = np.array([[1.0, 2.0], [3.0, 6.0], [np.nan, np.nan]])
    block = Block(values, np.array([True, True, False]))
    filling = Filling.learn([], [block], np.zeros((3, 2), int), LABELS)
    matrix, anything = filling.matrix([block])
    np.testing.assert_array_equal(matrix, [[1, 2, 0], [3, 6, 0], [2, 4, 1]])
    assert anything.tolist() == [True, True, False]


def test_round_trip_is_bit_for_bit(tmp_path):
    table, features = cohort(absent=0.2)
    run = plan(
        ("scheme/1 ü", Simplex(step=0.1), ("fused", "derm"), ()),
        ("margin", Margin(), ("scheme/1 ü",), ("meta",)),
        ("bayes", Bayes(), (), ("meta",)),
        ("warm", Temperature(), ("margin",), ()),
        ("last", Mean(), ("scheme/1 ü", "margin", "bayes", "warm"), ()),
    )
    fitted, scored = fit_decisions(*run, table, features)
    fitted.save(tmp_path / "stages")
    again = FittedDecisions.load(tmp_path / "stages", *run)
    new = cohort(n=50, seed=9, absent=0.2)
    first, second = (d.apply(new[0].sources, new[1], 50) for d in (fitted, again))
    assert list(first) == ["fused", "derm", "scheme/1 ü", "margin", "bayes", "warm", "last"]
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    test = table.split == "test"
    served = fitted.apply(table.sources, features, len(table))
    np.testing.assert_array_equal(served["last"][:, test], scored.sources["last"][:, test])
    assert {file.suffix for file in (tmp_path / "stages").rglob("*") if file.is_file()} == {".json", ".npz", ".skops"}


def test_what_is_stored_must_fit_the_spec(tmp_path):
    table, features = cohort()
    run = plan(("a", Mean(), ("fused",), ()), ("b", Bayes(), ("a",), ("meta",)))
    fit_decisions(*run, table, features)[0].save(tmp_path)
    with pytest.raises(RunError, match=r"holds decisions \['a', 'b'\]"):
        FittedDecisions.load(tmp_path, *plan(("a", Mean(), ("fused",), ())))
    for file in (
        "2-b/label-0.skops",
        "2-b/answers.npz",
        "2-b/readers.json",
        "2-b/reader-0.npz",
        "1-a/rule.json",
        "order.json",
    ):
        content = (tmp_path / file).read_bytes()
        (tmp_path / file).write_bytes(content[: len(content) // 2])
        with pytest.raises(RunError, match=file.split("/")[-1].split(".")[0]):
            FittedDecisions.load(tmp_path, *run)
        (tmp_path / file).unlink()
        with pytest.raises(RunError):
            FittedDecisions.load(tmp_path, *run)
        (tmp_path / file).write_bytes(content)
    FittedDecisions.load(tmp_path, *run)
    assert json.loads((tmp_path / "order.json").read_text()) == {"a": "1-a", "b": "2-b"}


def test_a_further_decision_changes_no_other_and_seeds_matter():
    table, features = cohort(folds=np.full(120, -1))
    one = ("x", Margin(), ("fused",), ("meta",))
    _, alone = fit_decisions(*plan(one), table, features)
    _, second = fit_decisions(*plan(("before", Mean(), ("fused", "derm"), ()), one), table, features)
    np.testing.assert_array_equal(alone.sources["x"], second.sources["x"])
    _, other = fit_decisions(*plan(one, seed=1), table, features)
    assert (alone.sources["x"] != other.sources["x"]).any()


def test_faults_of_parts_are_named():
    table, features = cohort()
    with pytest.raises(PartError, match=r"neither predict_proba|gives no probabilities"):
        fit_decisions(*plan(("x", Mute(), ("fused",), ())), table, features)
    with pytest.raises(PartError, match="gives no probabilities") as caught:
        fit_decisions(*plan(("x", Margin(calibrate="none"), ("fused",), ())), table, features)
    assert "stage 'x', label 'grade'" in str(caught.value)

    class Broken(WitnessDecision):
        @property
        def rule(self):
            return None

        def fit(self, scores, targets, labels, weight):
            return lambda scores, labels: np.zeros((3, 5))

    with pytest.raises(PartError, match="decision 'x'"):
        fit_decisions(*plan(("x", Broken(), ("fused",), ())), table, features)


def test_values_that_are_no_numbers_are_named():
    table, features = cohort()
    features.values[3, 1] = np.nan
    broken = Held(features.values, np.ones(120, bool))
    with pytest.raises(TableError, match="hold NaN or infinity") as caught:
        fit_decisions(*plan(("x", Bayes(), (), ("meta",))), table, broken)
    assert "modality 'meta'" in str(caught.value)


class Unsure(SecondStage):
    """Divides by nothing for some cases."""

    def estimator(self, seed):
        class Half(GaussianNB):
            def predict_proba(self, inputs):
                p = super().predict_proba(inputs)
                p[0] = np.nan
                return p

        return Half()


def test_a_probability_that_is_no_number_is_no_abstention():
    table, features = cohort()
    with pytest.raises(PartError, match=r"not finite.* of 1 of \d+ cases") as caught:
        fit_decisions(*plan(("x", Unsure(), ("fused",), ())), table, features)
    assert "stage 'x'" in str(caught.value)


def test_warnings_of_classifiers_reach_the_watcher(recwarn):
    table, features = cohort()
    events = []
    fit_decisions(*plan(("x", Noisy(), ("fused",), ())), table, features, watch=events.append)
    assert any("stage 'x': UserWarning: did not converge" in getattr(event, "text", "") for event in events)
    assert not any("did not converge" in str(warning.message) for warning in recwarn)


def test_labels_of_the_card_and_sizes_are_nowhere_repeated():
    """A card with one label: the same parts, no size written anywhere."""
    labels = {"only": LabelLine(classes=("n", "y"))}
    spec, wiring = plan(("x", LogisticStage(), (), ("meta",)), labels=labels)
    table, features = cohort()
    table = type(table)(
        sources={}, ids=table.ids, groups=table.groups, split=table.split, folds=table.folds,
        targets=table.targets[:, 1:], labels=spec.card.label_set,
    )  # fmt: skip
    _, scored = fit_decisions(spec, wiring, table, features)
    assert scored.probabilities("x").shape == (120, 2)
    assert Numbers.name == "numbers"


class LogisticStage(SecondStage):
    """Logistic regression."""

    def estimator(self, seed):
        return LogisticRegression()
