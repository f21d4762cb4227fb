"""Platt's sigmoid against an independent optimum, and what it does where there is nothing to calibrate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mmfuse import PartError
from mmfuse.decide.calibration import decision_values, fit_sigmoids, platt


def cross_entropy(values, positive, slope, intercept):
    n, m = positive.sum(), (~positive).sum()
    target = np.where(positive, (n + 1) / (n + 2), 1 / (m + 2))
    z = slope * values + intercept
    return np.sum(np.logaddexp(0, z) - target * z)


@given(st.integers(0, 10_000), st.sampled_from([1e-3, 1.0, 1e3]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_platt_is_the_optimum(seed, scale, separable):
    rng = np.random.default_rng(seed)
    positive = rng.permutation(np.arange(40) < rng.integers(2, 38))
    values = (rng.normal(size=40) * (0.1 if separable else 1.0) + positive) * scale
    slope, intercept = platt(values, positive)
    best = minimize(lambda x: cross_entropy(values / scale, positive, *x), (0.0, 0.0), method="BFGS", tol=1e-10)
    assert cross_entropy(values, positive, slope, intercept) <= best.fun + 1e-8


@pytest.mark.parametrize(("classes", "within"), [(2, 0.05), (3, 0.2)])
def test_sigmoids_sum_to_one_and_are_calibrated(classes, within):
    """Exactly so for two classes; for more, normalising one-against-rest sigmoids is an approximation (Zadrozny,
    Elkan 2002).
    """
    rng = np.random.default_rng(0)
    truth = rng.integers(0, classes, 4000)
    values = np.eye(classes)[truth] * 2 + rng.normal(size=(4000, classes))
    values = values if classes > 2 else np.stack([-values[:, 1], values[:, 1]], axis=1)
    p = fit_sigmoids(values, truth, np.arange(4000).astype(str))(values)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    for k in range(classes):
        for low in (0.1, 0.3, 0.5, 0.7):
            inside = (p[:, k] >= low) & (p[:, k] < low + 0.2)
            assert abs(p[inside, k].mean() - (truth[inside] == k).mean()) < within


def test_a_class_of_one_group_or_ranked_by_chance_is_its_share():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [50, 45, 5])
    groups = np.where(truth == 2, "one", np.arange(100).astype(str))
    values = np.eye(3)[truth] + rng.normal(size=(100, 3)) * 0.1
    values[:, 1] = -values[:, 1]
    values[truth == 2, 2] = np.nan
    sigmoids = fit_sigmoids(values, truth, groups)
    assert sigmoids.slope[0] > 0
    assert sigmoids.slope[1] == sigmoids.slope[2] == 0
    share = 1 / (1 + np.exp(-sigmoids.intercept))
    np.testing.assert_allclose(share[1:], [46 / 102, 6 / 102])


def test_decision_values_of_classifiers():
    rng = np.random.default_rng(0)
    x, three = rng.normal(size=(60, 4)), rng.integers(0, 3, 60)
    assert decision_values(SVC().fit(x, three), x, 3).shape == (60, 3)
    two = decision_values(SVC().fit(x, three == 0), x, 2)
    np.testing.assert_array_equal(two[:, 0], -two[:, 1])
    assert decision_values(Perceptron().fit(x, three), x, 3).shape == (60, 3)


class Silent:
    """Neither probabilities nor decision values."""


class Probabilities:
    """Only probabilities, which may be 0 and 1."""

    def predict_proba(self, inputs):
        return np.stack([np.zeros(len(inputs)), np.ones(len(inputs))], axis=1)


def test_classifiers_that_give_something_else():
    x = np.zeros((3, 2))
    with pytest.raises(PartError, match="neither predict_proba nor decision_function"):
        decision_values(Silent(), x, 2)
    assert np.isfinite(decision_values(Probabilities(), x, 2)).all()
    rng = np.random.default_rng(0)
    x, four = rng.normal(size=(60, 4)), np.arange(60) % 4
    pairs = SVC(decision_function_shape="ovo")
    for count in (3, 4):  # three classes have three pairs
        truth = np.arange(60) % count
        for estimator in (pairs, make_pipeline(StandardScaler(), pairs)):
            with pytest.raises(PartError, match="one a class"):
                decision_values(estimator.fit(x, truth), x, count)
        for sound in (SVC(), OneVsRestClassifier(pairs), make_pipeline(StandardScaler(), SVC())):
            assert decision_values(sound.fit(x, truth), x, count).shape == (60, count)
    assert decision_values(pairs.fit(x, np.arange(60) % 2), x, 2).shape == (60, 2)
    assert decision_values(LogisticRegression().fit(x, four), x, 4).shape == (60, 4)
