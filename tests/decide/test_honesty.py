"""Law 2: nobody speaks about whom he learnt from. Parts that fail when they are asked to, labels that are changed,
folds that are given.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from mmfuse import PartFailedError, SecondStage, SpecError
from mmfuse.builtin.decisions import Simplex
from mmfuse.decide.folding import OUTSIDE, learning
from mmfuse.decide.stages import fit_decisions

from .cohorts import LABELS, WitnessDecision, WitnessStage, cohort, plan


class Memory(SecondStage):
    """A forest of whole trees: knows its training cases by heart."""

    def estimator(self, seed):
        return RandomForestClassifier(20, random_state=seed)


class Line(SecondStage):
    """Logistic regression."""

    def estimator(self, seed):
        return LogisticRegression(max_iter=1000, random_state=seed)


@pytest.mark.parametrize("decides", [False, True], ids=["probabilities", "calibrated"])
@pytest.mark.parametrize("own_folds", [True, False])
@pytest.mark.parametrize("reads", [(), ("fused", "derm")])
def test_no_stage_speaks_about_a_group_it_learnt_from(decides, own_folds, reads):
    table, features = cohort(folds=None if own_folds else np.full(120, -1))
    stage = WitnessStage(column=6 * len(reads), decides=decides)
    _, scored = fit_decisions(*plan(("stage", stage, reads, ("meta",))), table, features)
    assert not np.isnan(scored.probabilities("stage")).any()
    # Everything that reading learns is learnt anew in each fold, from the fold's training cases alone.
    train = np.flatnonzero(table.split == "train")
    whole, *copies = features.fits
    np.testing.assert_array_equal(whole, train)
    assert len(copies) == (4 if own_folds else 5)
    left_out = [np.setdiff1d(train, fit) for fit in copies]
    np.testing.assert_array_equal(np.sort(np.concatenate(left_out)), train)
    for fit, out in zip(copies, left_out, strict=True):
        assert not {*table.groups[fit]} & {*table.groups[out]}


@pytest.mark.parametrize("learn", ["auto", "train"])
def test_no_decision_speaks_about_a_case_it_learnt_from(learn):
    table, features = cohort()
    _, scored = fit_decisions(*plan(("rule", WitnessDecision(), ("fused", "derm"), (), learn)), table, features)
    assert not np.isnan(scored.probabilities("rule")).any()


def test_reusing_valid_is_possible_by_name_and_warned_of():
    table, features = cohort()
    with pytest.raises(PartFailedError, match="learnt from"):
        fit_decisions(*plan(("rule", WitnessDecision(), ("fused",), (), "valid-reused")), table, features)
    events = []
    spec_and_wiring = plan(("rule", Simplex(step=0.1), ("fused", "derm"), (), "valid-reused"))
    fitted, scored = fit_decisions(*spec_and_wiring, table, features, watch=events.append)
    assert any("optimistic" in getattr(event, "text", "") and event.level == "warning" for event in events)
    again = fitted.apply(table.sources, features, len(table))
    np.testing.assert_array_equal(again["rule"], scored.sources["rule"])


def test_own_labels_never_reach_own_prediction():
    """With folds given, other labels in a fold change what is said about other folds, and nothing about this one."""
    table, features = cohort(unknown=0.0)
    run = plan(("stage", Line(), ("fused",), ("meta",)))
    _, first = fit_decisions(*run, table, features)
    changed = table.targets.copy()
    fold = table.folds == 0
    changed[fold] = (changed[fold] + 1) % (3, 2)
    _, second = fit_decisions(*run, type(table)(**{**vars(table), "targets": changed}), features)
    np.testing.assert_array_equal(first.sources["stage"][:, fold], second.sources["stage"][:, fold])
    assert (first.sources["stage"][:, ~fold] != second.sources["stage"][:, ~fold]).any()


def test_labels_of_test_cases_change_nothing():
    table, features = cohort()
    run = plan(("rule", Simplex(step=0.1), ("fused", "derm"), ()), ("stage", Line(), ("rule",), ("meta",)))
    _, first = fit_decisions(*run, table, features)
    changed = np.where((table.split == "test")[:, None], -1, table.targets)
    _, second = fit_decisions(*run, type(table)(**{**vars(table), "targets": changed}), features)
    for name in ("rule", "stage"):
        np.testing.assert_array_equal(first.sources[name], second.sources[name])


def test_a_stage_that_memorises_noise_is_at_chance():
    table, features = cohort(n=600, signal=0.0, unknown=0.0)
    rng = np.random.default_rng(1)
    noise = np.stack([rng.integers(0, 3, 600), rng.integers(0, 2, 600)], axis=1)
    table = type(table)(**{**vars(table), "targets": noise})
    fitted, scored = fit_decisions(*plan(("stage", Memory(), ("fused",), ("meta",))), table, features)
    train = table.split == "train"
    honest = (LABELS.argmax(scored.probabilities("stage")) == noise)[train].mean(axis=0)
    seen = scored.with_source("stage", fitted.apply(table.sources, features, 600)["stage"])
    by_heart = (LABELS.argmax(seen.probabilities("stage")) == noise)[train].mean(axis=0)
    assert (np.abs(honest - (1 / 3, 1 / 2)) < 0.1).all()
    assert (by_heart > 0.98).all()


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_learning_sets_keep_groups_whole(seed):
    rng = np.random.default_rng(seed)
    table, _ = cohort(n=40, folds=rng.integers(-1, 3, 40), seed=seed)
    usable = rng.random(40) < 0.7
    found = learning(table, "train", usable, seed)
    in_split = table.split == "train"
    np.testing.assert_array_equal(found.cases, np.flatnonzero(in_split & usable))
    assert (found.folds[found.cases] != OUTSIDE).all()
    assert (found.folds[~in_split] == OUTSIDE).all()
    learnt = {*table.groups[found.cases]}
    for case in np.flatnonzero(in_split):
        assert (found.folds[case] != OUTSIDE) == (table.groups[case] in learnt)
    for group in learnt:
        assert len({*found.folds[in_split & (table.groups == group)].tolist()}) == 1


def test_folds_of_the_network_are_kept_where_they_will_do():
    table, _ = cohort()
    found = learning(table, "train", np.ones(120, bool), 0)
    train = table.split == "train"
    np.testing.assert_array_equal(found.folds[train], table.folds[train])
    halves = np.where(train & (np.arange(120) < 30), -1, np.where(train, 0, -1))
    table = type(table)(**{**vars(table), "folds": halves})
    assert len(learning(table, "train", halves == 0, 0).numbers()) == 5


def test_half_a_training_set_that_nobody_speaks_about():
    """`folds = { column, predict }`: the network speaks about half of `train`; the stage learns from that half
    alone.
    """
    train_half = np.arange(120) < 30
    table, features = cohort(folds=np.where(np.arange(120) < 60, np.where(train_half, -1, 0), -1))
    fused = np.where(train_half[None, :, None], np.nan, table.sources["fused"])
    table = table.with_source("fused", fused)
    _, scored = fit_decisions(*plan(("stage", Line(), ("fused",), ())), table, features)
    p = scored.probabilities("stage")
    assert np.isnan(p[train_half]).all()
    assert not np.isnan(p[~train_half]).any()
    features.fits.clear()
    _, scored = fit_decisions(*plan(("stage", WitnessStage(column=6), ("fused",), ("meta",))), table, features)
    assert not np.isnan(scored.probabilities("stage")).any()
    np.testing.assert_array_equal(features.fits[0], np.arange(30, 60))


def test_nothing_to_learn_from_is_refused_with_the_mend():
    table, features = cohort()
    train = table.split == "train"
    table = table.with_source("fused", np.where(train[None, :, None], np.nan, table.sources["fused"]))
    with pytest.raises(SpecError, match=r"set training\.folds") as caught:
        fit_decisions(*plan(("stage", Line(), ("fused",), ())), table, features)
    assert "decisions.stage" in str(caught.value)


def test_one_group_cannot_speak_about_itself():
    table, features = cohort()
    table = type(table)(**{**vars(table), "groups": np.where(table.split == "valid", "one", table.groups)})
    events = []
    _, scored = fit_decisions(*plan(("rule", Simplex(step=0.5), ("fused",), ())), table, features, watch=events.append)
    silent = np.isnan(scored.probabilities("rule")).any(axis=1)
    np.testing.assert_array_equal(silent, table.split == "valid")
    assert any("one group alone" in getattr(event, "text", "") for event in events)


def test_without_valid_decisions_learn_on_train():
    table, features = cohort(splits=(0.5, 0.0))
    table = type(table)(**{**vars(table), "split": np.where(table.split == "train", "train", "test")})
    _, scored = fit_decisions(*plan(("rule", WitnessDecision(), ("fused",), ())), table, features)
    assert not np.isnan(scored.probabilities("rule")).any()
