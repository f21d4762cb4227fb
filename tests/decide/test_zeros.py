"""Probabilities of exactly 0 and equal probabilities: the same to the bit wherever they are stored, loaded and read."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

from mmfuse import DecisionFusion, Label, Labels, Metric, Rule, ScoreTable, SecondStage, evaluate
from mmfuse.builtin.decisions import Mean
from mmfuse.decide.scores import log_scores, mean_of_views, stack
from mmfuse.decide.stages import FittedDecisions, fit_decisions

from .cohorts import LABELS, cohort, plan

THREE = Labels([Label("d", ("a", "b", "c"))])


def table_of(p, truth, labels=THREE):
    ids = np.arange(len(p)).astype(str)
    blank = np.full(len(p), -1)
    return ScoreTable({"s": log_scores(p)}, ids, ids, np.full(len(p), "test"), blank, truth[:, None], labels)


def test_a_zero_does_not_depend_on_how_many_others_there_are():
    """Class b is never given a chance: its AUC is .5, and the mean over a and b .75."""
    p = np.repeat([[1.0, 0.0, 0.0], [0.5, 0.0, 0.5]], 10, axis=0)
    figures = evaluate(table_of(p, np.repeat([0, 1], 10)))["sources"]["s"]["d"]
    assert figures["macro-auc"] == 0.75
    assert figures["by_class"]["b"]["auc"] == 0.5
    assert figures["log-loss"] == pytest.approx(-np.log(1e-12) / 2)


def votes(rng, n, classes, neighbours=20):
    """Shares of votes: equal where the counts are."""
    return np.array([rng.multinomial(neighbours, rng.dirichlet(np.full(classes, 0.3))) for _ in range(n)]) / neighbours


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("shares", ["votes", "tenths", "rounded to float32"])
def test_storage_keeps_every_bit_that_counts(classes, shares, tmp_path):
    rng = np.random.default_rng(classes)
    p = votes(rng, 400, classes)
    if shares == "tenths":
        p = np.array([[float(Fraction(round(v * 20), 20)) for v in row] for row in p])
    if shares == "rounded to float32":
        p = p.astype(np.float32).astype(float)
    labels = Labels([Label("d", tuple("abcdefg"[:classes]))])
    table = table_of(p, rng.integers(0, classes, 400), labels)
    table.save(tmp_path / "scores.npz")
    for found in (table.probabilities("s"), ScoreTable.load(tmp_path / "scores.npz").probabilities("s")):
        np.testing.assert_allclose(found, p, rtol=1e-6)
        assert ((found == 0) == (p == 0)).all()
        again = mean_of_views(log_scores(found), labels)
        for column in range(classes):
            order = np.argsort(p[:, column], kind="stable")
            for one in (found, again):
                steps = np.diff(one[order, column])
                exact = np.diff(p[order, column])
                assert ((steps == 0) == (exact == 0)).all()
                assert (steps >= 0).all()
    auc = [roc_auc_score(table.targets[:, 0] == k, p[:, k]) for k in range(classes)]
    assert evaluate(table)["sources"]["s"]["d"]["macro-auc"] == pytest.approx(np.mean(auc), abs=1e-12)


def test_what_sums_to_one_but_for_rounding_stays_as_it_is():
    p = np.array([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4], [0.7, 0.2, 0.1]])
    assert (p.sum(axis=1) != 1).any()
    np.testing.assert_array_equal(THREE.normalise(p), p)
    logs = np.log(p)
    np.testing.assert_array_equal(THREE.log_probabilities(logs), logs)
    with np.errstate(divide="ignore"):
        zeros = np.log([[0.5, 0.0, 0.5], [0.0, 0.0, 1.0]])
    np.testing.assert_array_equal(THREE.log_probabilities(zeros), zeros)
    for shift in (7, -3):  # logits
        found = THREE.log_probabilities(zeros + shift)
        np.testing.assert_array_equal(found, THREE.log_softmax(zeros + shift))
        np.testing.assert_allclose(np.exp(found), np.exp(zeros))
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        assert np.isnan(THREE.log_probabilities(np.full((1, 3), -np.inf))).all()
        assert THREE.log_probabilities(np.array([[1e4, 0.0, 0.0]]))[0, 0] == 0


class Forest(SecondStage):
    """A forest whose trees are grown to the end: shares of votes."""

    def estimator(self, seed):
        return RandomForestClassifier(n_estimators=10, random_state=seed)


class Nearest(SecondStage):
    """Five votes."""

    def estimator(self, seed):
        return KNeighborsClassifier(5, algorithm="brute")


@pytest.mark.parametrize("part", [Forest(), Nearest()], ids=lambda part: part.name)
def test_votes_of_a_stage_stay_votes(part, tmp_path):
    """Tenths and fifths, exact zeros among them, through stages, storage, a mean that reads them, and new cases."""
    table, features = cohort(n=120, unknown=0.0)
    spec, wiring = plan(("x", part, ("fused",), ("meta",)), ("both", Mean(), ("x", "x"), ()))
    fitted, scored = fit_decisions(spec, wiring, table, features)
    scored.save(tmp_path / "scores.npz")
    scored = ScoreTable.load(tmp_path / "scores.npz")
    parts = 10 if isinstance(part, Forest) else 5
    for source in ("x", "both"):
        p = scored.probabilities(source)
        p = p[~np.isnan(p).any(axis=1)]
        assert (p == 0).sum() > 20
        assert len(np.unique(p)) == len(np.unique(np.round(p * parts)))
        np.testing.assert_allclose(p * parts, np.round(p * parts), atol=1e-12)
    fitted.save(tmp_path / "stages")
    again = FittedDecisions.load(tmp_path / "stages", spec, wiring)
    new = again.apply({"fused": table.sources["fused"], "derm": table.sources["derm"]}, features, len(table))
    test = table.split == "test"
    np.testing.assert_array_equal(new["x"][:, test], scored.sources["x"][:, test])
    assert np.isneginf(new["x"]).any()


@dataclass(frozen=True, eq=False)
class SetRule(Rule):
    """The classes of more than a quarter, equally likely; all others are ruled out."""

    def __call__(self, scores, labels):
        with np.errstate(invalid="ignore"):
            return labels.normalise((np.exp(scores).mean(axis=(0, 1)) > 0.25).astype(float))


class Sets(DecisionFusion):
    """Answers with a set of classes, as conformal prediction does."""

    rule = SetRule

    def fit(self, scores, targets, labels, weight):
        return SetRule()


class SetSize(Metric):
    """Mean number of classes that have a chance."""

    def score(self, p, targets, labels, weight):
        spoken = ~np.isnan(p).any(axis=1)
        sizes = np.stack([(p[spoken][:, part] > 0).sum(axis=1) for part in labels.slices.values()], axis=1)
        return weight[:, spoken] @ sizes / weight[:, spoken].sum(axis=1, keepdims=True)


def test_a_rule_may_rule_classes_out(tmp_path):
    table, features = cohort(absent=0.1)
    _, scored = fit_decisions(*plan(("set", Sets(), ("fused",), ())), table, features)
    scored.save(tmp_path / "scores.npz")
    scored = ScoreTable.load(tmp_path / "scores.npz")
    p = table.probabilities("fused")[table.split == "test"]
    p = p[~np.isnan(p).any(axis=1)]
    sizes = [(p[:, part] > 0.25).sum(axis=1).mean() for part in LABELS.slices.values()]
    figures = evaluate(scored, metrics={"size": SetSize()})["sources"]["set"]
    assert [figures[label]["size"] for label in LABELS.names] == pytest.approx(sizes)
    assert min(sizes) < 2  # classes are ruled out


def test_decisions_are_given_zeros_as_minus_infinity():
    p = np.repeat([[0.25, 0.0, 0.75], [np.nan, np.nan, np.nan]], [2, 1], axis=0)
    for per_view in (False, True):
        given = stack({"s": log_scores(p)}, ["s"], THREE, per_view)
        np.testing.assert_array_equal(np.exp(given[0, 0]), p)
        assert np.isneginf(given[0, 0, :2, 1]).all()
