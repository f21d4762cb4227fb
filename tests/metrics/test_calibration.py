"""Slope, intercept and error of calibration against independent computations, and where they are undefined."""

import numpy as np
import pytest
from problems import LABELS, drawn, problem
from scipy.optimize import brentq
from sklearn.linear_model import LogisticRegression

from mmfuse.labels import Label, Labels
from mmfuse.metrics import calibration as ours
from mmfuse.metrics import recalibration

SIGN = Labels([Label("sign", ("no", "yes"))])


def event(block, truth):
    """The probability that is looked at, and whether it came true, written anew."""
    if block.shape[1] == 2:
        return block[:, 1], truth == 1
    picks = block.argmax(axis=1)
    return block[np.arange(len(block)), picks], picks == truth


def logit(chance):
    return np.log(chance / (1 - chance))


def reference_slope(chance, came):
    model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=2000, solver="newton-cholesky")
    return model.fit(logit(chance)[:, None], came).coef_[0, 0]


def reference_intercept(chance, came):
    return brentq(lambda a: np.mean(1 / (1 + np.exp(-a - logit(chance)))) - came.mean(), -40, 40, xtol=1e-12)


def reference_error(chance, came, bins=10):
    """Each case cut into 10,000 equal pieces, cases of equal probability mixed: bins then hold whole pieces."""
    pieces = 1000
    values = np.unique(chance)
    mixed = np.concatenate([np.full((chance == v).sum() * pieces, came[chance == v].mean()) for v in values])
    spread = np.concatenate([np.full((chance == v).sum() * pieces, v) for v in values])
    return np.mean([abs((q - y).mean()) for q, y in zip(np.split(spread, bins), np.split(mixed, bins), strict=True)])


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize(
    ("name", "reference"), [("calibration_slope", reference_slope), ("calibration_intercept", reference_intercept)]
)
def test_equals_a_general_solver_on_every_replicate(name, reference, ties):
    for seed in range(6):
        p, targets, weight = problem(seed, cases=120, replicates=4, ties=ties)
        found = getattr(ours, name)(p, targets, LABELS, weight)
        for r in range(len(weight)):
            for index in range(len(LABELS)):
                expected = reference(*event(*drawn(p, targets, LABELS, weight[r], index)))
                assert found[r, index] == pytest.approx(expected, abs=2e-6)


def test_the_error_equals_a_plain_one():
    for seed in range(5):
        p, targets, weight = problem(seed, replicates=3)
        found = ours.calibration_error(p, targets, LABELS, weight)
        for r in range(len(weight)):
            for index in range(len(LABELS)):
                expected = reference_error(*event(*drawn(p, targets, LABELS, weight[r], index)))
                assert found[r, index] == pytest.approx(expected, abs=1e-9)


def test_what_was_planted_is_found():
    rng = np.random.default_rng(0)
    eta = rng.normal(scale=1.5, size=40000)
    came = (rng.random(len(eta)) < 1 / (1 + np.exp(-eta))).astype(np.int64)[:, None]
    extreme, high = SIGN.softmax(np.stack([0 * eta, 2 * eta], 1)), SIGN.softmax(np.stack([0 * eta, eta + 1], 1))
    assert ours.calibration_slope(extreme, came, SIGN)[0, 0] == pytest.approx(0.5, abs=0.02)
    assert ours.calibration_slope(high, came, SIGN)[0, 0] == pytest.approx(1.0, abs=0.03)
    assert ours.calibration_intercept(high, came, SIGN)[0, 0] == pytest.approx(-1.0, abs=0.03)
    honest = SIGN.softmax(np.stack([0 * eta, eta], 1))
    v = np.mean(honest[:, 0] * honest[:, 1])
    assert ours.calibration_error(honest, came, SIGN)[0, 0] < 3 * np.sqrt(20 * v / (np.pi * len(eta)))
    assert ours.calibration_error(high, came, SIGN)[0, 0] > 0.1


def test_the_positive_class_is_the_cards():
    p, targets, weight = problem(3, SIGN)
    other = Labels([Label("sign", ("no", "yes"), positive="no")])
    one, two = (ours.calibration_intercept(p, targets, labels, weight) for labels in (SIGN, other))
    np.testing.assert_allclose(one, -two, atol=1e-7)
    slopes = [ours.calibration_slope(p, targets, labels, weight) for labels in (SIGN, other)]
    np.testing.assert_allclose(*slopes, atol=1e-7)


def test_far_replicates_are_solved_too():
    """A weight may move the rate of positives from 5 to 95 %, and probabilities may be all but certain."""
    rng = np.random.default_rng(1)
    chance = np.concatenate([rng.random(150), [1e-9, 1 - 1e-9] * 5])
    came = (rng.random(160) < 0.5).astype(float)
    weight = np.stack([np.where(came > 0, k, 1.0) for k in (0.01, 0.05, 1.0, 20.0, 400.0)])
    for row, a, b in zip(
        weight,
        recalibration.intercept(chance, came, weight),
        recalibration.slope(chance, came, weight),
        strict=True,
    ):
        x = recalibration.logit(chance)
        assert np.average(1 / (1 + np.exp(-a - x)), weights=row) == pytest.approx(np.average(came, weights=row))
        model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=5000, solver="newton-cholesky")
        assert b == pytest.approx(model.fit(x[:, None], came, sample_weight=row).coef_[0, 0], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("chance", "came", "slope", "intercept"),
    [
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], False, True),  # separated
        ([0.2, 0.2, 0.2, 0.2], [0, 1, 1, 1], False, True),  # one probability
        ([0.1, 0.5, 0.5, 0.9], [0, 0, 1, 1], False, True),  # separated but for a tie
        ([0.1, 0.2, 0.3, 0.4], [1, 1, 1, 1], False, False),  # one outcome
        ([0.0, 0.0, 1.0, 1.0], [0, 1, 0, 1], True, True),  # certain, and half of the time wrong
        ([], [], False, False),
    ],
)
def test_where_they_are_defined(chance, came, slope, intercept):
    chance, came = np.array(chance, dtype=float), np.array(came, dtype=float)
    weight = np.ones((2, len(chance)))
    assert (~np.isnan(recalibration.slope(chance, came, weight))).all() == slope
    found = recalibration.intercept(chance, came, weight)
    assert (~np.isnan(found)).all() == intercept
    if intercept:
        x = recalibration.logit(chance)
        assert np.mean(1 / (1 + np.exp(-found[0] - x))) == pytest.approx(came.mean())


def test_a_separated_resample_is_nan_beside_others():
    chance, came = np.array([0.1, 0.3, 0.4, 0.6, 0.9]), np.array([0.0, 1.0, 0.0, 1.0, 1.0])
    weight = np.array([[1.0] * 5, [1, 0, 1, 1, 1], [0] * 5])
    assert np.isnan(recalibration.slope(chance, came, weight)).tolist() == [False, True, True]


def test_entropy_is_scipys_of_what_is_known():
    from scipy.stats import entropy

    p, targets, weight = problem(3)
    found = ours.entropy(p, targets, LABELS, weight)
    for index, part in enumerate(LABELS.slices.values()):
        ok = (targets[:, index] >= 0) & ~np.isnan(p[:, part]).any(axis=1)
        each = entropy(p[ok][:, part], axis=1)
        np.testing.assert_allclose(found[:, index], weight[:, ok] @ each / weight[:, ok].sum(axis=1))
    certain = np.array([[1.0, 0.0], [0.5, 0.5]])
    for row, value in zip(certain, (0.0, np.log(2)), strict=True):
        np.testing.assert_allclose(ours.entropy(row[None], np.array([[0]]), SIGN), value, atol=1e-9)
