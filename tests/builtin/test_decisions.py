"""Decisions: the rules' contract, the searches against plain loops, temperature and shares against independent
computations.
"""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import log_loss

from mmfuse import Label, Labels, SpecError
from mmfuse.builtin.decisions import Mean, Product, Simplex, Temperature, Vote, Weighted
from mmfuse.builtin.search import hits, lattice, pose

LABELS = Labels([Label("grade", ("a", "b", "c"), weight=2.0), Label("sign", ("no", "yes"))])
ALL = [
    Simplex(step=0.25),
    Simplex(step=0.25, mix="probabilities", scope="label", objective="balanced-accuracy"),
    Simplex(objective="log-loss"),
    Simplex(objective="log-loss", mix="probabilities", scope="label"),
    Weighted(shares=(3, 1, 0)),
    Weighted(shares=(3, 1, 0), mix="logits"),
    Mean(),
    Product(),
    Vote(),
    Temperature(),
]


def problem(seed, sources=3, views=1, cases=40, labels=LABELS, silent=0.0, unknown=0.1):
    rng = np.random.default_rng(seed)
    targets = np.stack([rng.integers(0, len(label.classes), cases) for label in labels], axis=1)
    signal = labels.one_hot(targets) * rng.uniform(0, 2, size=(sources, 1, 1, 1))
    scores = labels.log_softmax(rng.normal(size=(sources, views, cases, labels.columns)) * 1.5 + signal)
    scores[np.broadcast_to((rng.random((sources, cases)) < silent)[:, None], scores.shape[:3])] = np.nan
    targets[rng.random(targets.shape) < unknown] = -1
    return scores, targets


def plain_answer(scores, weights, mix, labels, case):
    """One case, one source and view at a time: (columns,) probabilities, or None where nobody speaks."""
    speakers = [s for s in range(len(scores)) if not np.isnan(scores[s, :, case]).any()]
    if not speakers:
        return None
    out = np.empty(labels.columns)
    for index, part in enumerate(labels.slices.values()):
        w = [weights[s, index] for s in speakers]
        w = [1.0] * len(w) if sum(w) == 0 else w
        total = 0
        for view in range(scores.shape[1]):
            z = [scores[s, view, case, part] for s in speakers]
            if mix == "logits":
                e = np.exp(sum(a * b for a, b in zip(w, z, strict=True)) / sum(w))
                total = total + e / e.sum()
            else:
                total = total + sum(a * np.exp(b) for a, b in zip(w, z, strict=True)) / sum(w)
        out[part] = total / scores.shape[1]
    return out


def plain_objective(scores, targets, weights, mix, labels, objective):
    """(labels,) objective of one candidate, by loops over cases and classes."""
    values = []
    answers = [plain_answer(scores, weights, mix, labels, case) for case in range(scores.shape[2])]
    for index, part in enumerate(labels.slices.values()):
        known = [i for i, a in enumerate(answers) if a is not None and targets[i, index] >= 0]
        right = {i: int(np.argmax(answers[i][part])) == targets[i, index] for i in known}
        if objective == "accuracy":
            values.append(np.mean([right[i] for i in known]))
        elif objective == "balanced-accuracy":
            classes = {targets[i, index] for i in known}
            values.append(np.mean([np.mean([right[i] for i in known if targets[i, index] == c]) for c in classes]))
        else:
            values.append(np.mean([-np.log(answers[i][part][targets[i, index]]) for i in known]))
    return np.array(values)


@pytest.mark.parametrize("part", ALL, ids=lambda part: repr(part))
@pytest.mark.parametrize("seed", range(3))
def test_contract_of_rules(part, seed, tmp_path):
    views = 2 if part.per_view else 1
    scores, targets = problem(seed, views=views, silent=0.3)
    scores[:, :, 0] = np.nan
    targets[:, 1] = np.where(targets[:, 1] == 1, -1, targets[:, 1])  # a class that never occurs
    rule = part.fit(scores, targets, LABELS, np.ones(len(targets)))
    p = rule(scores, LABELS)
    silent = np.isnan(scores).any(axis=(1, 3)).all(axis=0)
    assert np.isnan(p[silent]).all()
    for block in LABELS.slices.values():
        np.testing.assert_allclose(p[~silent][:, block].sum(axis=1), 1, rtol=1e-12)
    assert (p[~silent] >= 0).all()
    rule.save(tmp_path / "rule")
    np.testing.assert_array_equal(part.rule.load(tmp_path / "rule")(scores, LABELS), p)
    order = np.random.default_rng(seed).permutation(p.shape[0])
    np.testing.assert_array_equal(rule(scores[:, :, order], LABELS), p[order])


@pytest.mark.parametrize("part", ALL, ids=lambda part: repr(part))
def test_nothing_known_and_certainty_do_no_harm(part):
    scores, targets = problem(0, views=1)
    rule = part.fit(scores, np.full_like(targets, -1), LABELS, np.ones(len(targets)))
    with np.errstate(divide="ignore"):
        certain = np.log(np.broadcast_to(LABELS.one_hot(np.maximum(targets, 0)), scores.shape))
    p = rule(certain, LABELS)
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p, LABELS.one_hot(np.maximum(targets, 0)), atol=1e-12 if part != Vote() else 0.3)


@pytest.mark.parametrize("mix", ["logits", "probabilities"])
def test_mixture_equals_plain_loops(mix):
    scores, _ = problem(1, views=3, silent=0.3)
    rule = Weighted(shares=(3, 1, 0), mix=mix).fit(scores, np.empty((0, 2)), LABELS, np.empty(0))
    p = rule(scores, LABELS)
    weights = np.repeat([[0.75], [0.25], [0.0]], 2, axis=1)
    for case in range(len(p)):
        expected = plain_answer(scores, weights, mix, LABELS, case)
        np.testing.assert_allclose(p[case], np.full(5, np.nan) if expected is None else expected, rtol=1e-10)


@pytest.mark.parametrize("seed", range(200))
def test_simplex_reaches_what_plain_loops_reach(seed):
    rng = np.random.default_rng(1000 + seed)
    sources, views = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    mix, scope = ["logits", "probabilities"][seed % 2], ["global", "label"][seed // 2 % 2]
    objective = ["accuracy", "balanced-accuracy"][seed // 4 % 2]
    scores, targets = problem(seed, sources, views, cases=14, silent=0.25 * (seed // 8 % 2))
    found = (
        Simplex(objective=objective, mix=mix, scope=scope, step=0.25).fit(scores, targets, LABELS, np.ones(14)).weights
    )
    reached = plain_objective(scores, targets, found, mix, LABELS, objective)
    share = LABELS.weights / LABELS.weights.sum()
    best, best_label = -1.0, np.full(2, -1.0)
    for counts in itertools.product(range(5), repeat=sources):
        if sum(counts) == 4:
            weights = np.repeat(np.array(counts)[:, None] / 4, 2, axis=1)
            values = plain_objective(scores, targets, weights, mix, LABELS, objective)
            best, best_label = max(best, values @ share), np.maximum(best_label, values)
    if scope == "global":
        assert reached @ share == pytest.approx(best, abs=1e-12)
    else:
        np.testing.assert_allclose(reached, best_label, atol=1e-12)


@given(st.integers(1, 5), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_lattice_is_every_share_once(sources, parts):
    plain = [c for c in itertools.product(range(parts + 1), repeat=sources) if sum(c) == parts] if sources < 5 else None
    found = lattice(sources, parts)
    assert (found.sum(axis=1) == parts).all()
    assert len(np.unique(found, axis=0)) == len(found)
    if plain is not None:
        assert [tuple(row) for row in found.tolist()] == plain


def test_hits_of_every_candidate_with_ties_and_silence():
    """Scores on a coarse grid, so that classes tie: the first of equals is the answer; those of weight zero speak
    alone equally.
    """
    rng = np.random.default_rng(0)
    _, targets = problem(0, cases=60)
    scores = rng.integers(-4, 1, size=(3, 1, 60, 5)) / 4
    scores[np.broadcast_to((rng.random((3, 60)) < 0.4)[:, None], scores.shape[:3])] = np.nan
    counts = lattice(3, 2)
    found = hits(pose(scores, targets, LABELS, np.ones(60), balanced=False), counts, "logits")
    for candidate, weights in enumerate(counts / 2):
        for index, part in enumerate(LABELS.slices.values()):
            right = []
            for case in range(60):
                speak = [s for s in range(3) if not np.isnan(scores[s, 0, case, 0])]
                if speak and targets[case, index] >= 0:
                    w = weights[speak] if weights[speak].sum() else np.ones(len(speak))
                    z = sum(a * scores[s, 0, case, part] for a, s in zip(w, speak, strict=True))
                    right.append(int(np.argmax(z)) == targets[case, index])
            assert found[candidate, index] == pytest.approx(np.mean(right), abs=1e-12)


def test_of_equal_candidates_the_nearest_to_equal_weights_wins():
    scores, targets = problem(0, sources=3)
    same = np.repeat(scores[:1], 3, axis=0)
    weights = Simplex(step=0.1).fit(same, targets, LABELS, np.ones(len(targets))).weights
    assert sorted(weights[:, 0].tolist()) == pytest.approx([0.3, 0.3, 0.4])


def test_weight_of_cases_counts():
    scores, targets = problem(4, sources=2, unknown=0.0)
    problem_of = pose(scores, targets, LABELS, np.repeat([0.0, 1.0], 20), balanced=False)
    half = pose(scores[:, :, 20:], targets[20:], LABELS, np.ones(20), balanced=False)
    counts = lattice(2, 10)
    np.testing.assert_allclose(hits(problem_of, counts, "logits"), hits(half, counts, "logits"), atol=1e-12)


def test_too_many_candidates_are_refused_with_the_count():
    scores, targets = problem(0, sources=6)
    with pytest.raises(SpecError, match="96,560,646 candidates"):
        Simplex().fit(scores, targets, LABELS, np.ones(len(targets)))
    Simplex(objective="log-loss").fit(scores, targets, LABELS, np.ones(len(targets)))


@pytest.mark.parametrize("mix", ["logits", "probabilities"])
@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("silent", [0.0, 0.3])
def test_log_loss_is_below_every_lattice_point(mix, views, silent):
    for seed in range(4):
        scores, targets = problem(seed, views=views, silent=silent)
        found = Simplex(objective="log-loss", mix=mix).fit(scores, targets, LABELS, np.ones(len(targets))).weights
        assert found[:, 0].sum() == pytest.approx(1)
        assert (found >= 0).all()
        share = LABELS.weights / LABELS.weights.sum()
        reached = plain_objective(scores, targets, found, mix, LABELS, "log-loss") @ share
        for row in lattice(3, 10) / 10:
            other = (
                plain_objective(scores, targets, np.repeat(row[:, None], 2, axis=1), mix, LABELS, "log-loss") @ share
            )
            assert reached <= other + 1e-9


@pytest.mark.parametrize("mix", ["logits", "probabilities"])
def test_convex_log_loss_is_solved_to_the_gap(mix):
    """The gap g·w - min g bounds the distance to the global minimum of a convex loss (Frank and Wolfe 1956); g by
    differences.
    """
    scores, targets = problem(7, sources=4, cases=60, unknown=0.0)
    share = LABELS.weights / LABELS.weights.sum()
    w = Simplex(objective="log-loss", mix=mix).fit(scores, targets, LABELS, np.ones(60)).weights[:, 0]

    def loss(v):
        total = 0.0
        for index, part in enumerate(LABELS.slices.values()):
            z = np.einsum("s,snk->nk", v, scores[:, 0, :, part] if mix == "logits" else np.exp(scores[:, 0, :, part]))
            p = np.exp(z) / np.exp(z).sum(1, keepdims=True) if mix == "logits" else z
            total += share[index] * -np.log(p[np.arange(60), targets[:, index]]).mean()
        return total

    g = np.array([(loss(w + 1e-6 * e) - loss(w - 1e-6 * e)) / 2e-6 for e in np.eye(4)])
    assert g @ w - g.min() < 1e-6


def test_search_is_fast():
    """5,151 candidates × 203 cases × 8 labels (24 columns). The bounds are of two cores; here they are a guard
    against loops.
    """
    labels = Labels([Label(f"l{i}", tuple("abcde"[:k])) for i, k in enumerate([5, 3, 2, 3, 3, 3, 3, 2])])
    for views, seconds in ((1, 1.0), (6, 3.0)):
        scores, targets = problem(0, 3, views, 203, labels)
        took = []
        for _ in range(3):
            start = time.perf_counter()
            Simplex().fit(scores, targets, labels, np.ones(203))
            took.append(time.perf_counter() - start)
        assert min(took) < seconds


def test_vote_counts_then_asks_the_mean():
    labels = Labels([Label("x", ("a", "b", "c"))])
    p = np.array(
        [[[0.4, 0.35, 0.25], [0.6, 0.4, 0.0]], [[0.4, 0.35, 0.25], [0.1, 0.9, 0.0]], [[0.0, 0.9, 0.1], [np.nan] * 3]]
    )
    with np.errstate(divide="ignore"):
        answer = Vote().fit(np.log(p)[:, None], np.empty((0, 1)), labels, np.empty(0))(np.log(p)[:, None], labels)
    assert answer.argmax(axis=1).tolist() == [0, 1]


def test_temperature_is_the_best_of_many():
    scores, targets = problem(2, sources=1, cases=200, unknown=0.2)
    hot = LABELS.log_softmax(scores * 4)
    rule = Temperature().fit(hot, targets, LABELS, np.ones(200))
    for index, part in enumerate(LABELS.slices.values()):
        known = targets[:, index] >= 0
        truth, classes = targets[known, index], list(range(part.stop - part.start))

        def loss(t, known=known, part=part, truth=truth, classes=classes):
            return log_loss(truth, LABELS.softmax(hot[0, 0] / t)[known][:, part], labels=classes)

        best = loss(rule.temperatures[index])
        assert rule.temperatures[index] > 1.5
        assert all(best <= loss(t) + 1e-9 for t in np.geomspace(0.3, 30, 60))
    np.testing.assert_array_equal(rule(hot, LABELS).shape, (200, 5))
    assert np.isnan(rule(np.full_like(hot, np.nan), LABELS)).all()


def test_faults_of_knobs():
    scores, targets = problem(0)
    with pytest.raises(ValidationError, match="1 is no multiple of"):
        Simplex(step=0.03)
    for step in (1e-300, 5e-324, 1e-7):  # whose whole parts are more than any lattice has, or no number at all
        with pytest.raises(ValidationError, match=r"greater than or equal to 0\.000001"):
            Simplex(step=step)
    with pytest.raises(SpecError, match=r"step = 0\.0056 or more"):
        Simplex(step=1e-6).fit(np.concatenate([scores, scores[:1]]), targets, LABELS, np.ones(40))
    with pytest.raises(ValidationError, match="all shares are 0"):
        Weighted(shares=(0, 0))
    with pytest.raises(SpecError, match="2 shares for 3 sources"):
        Weighted(shares=(1, 2)).fit(scores, targets, LABELS, np.ones(40))
