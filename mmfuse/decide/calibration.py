"""Platt's sigmoid for estimators that give decision values and no probabilities, fitted on values from copies that
did not see the case.

scikit-learn's own (`probability=True`) splits patients over its inner folds; here groups stay whole and folds are
seeded (law 2).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmfuse.errors import PartError
from mmfuse.labels import Floats, Ints

_STEPS = 100
_CLOSE = 1e-10
_SMALLEST = 1e-12


class Sigmoids(NamedTuple):
    """One sigmoid a class: p = 1 / (1 + exp(-(slope * value + intercept))), then normalised over the classes."""

    slope: Floats
    intercept: Floats

    def __call__(self, values: Floats) -> Floats:
        """(n, classes) decision values → (n, classes) probabilities that sum to one."""
        p = 1.0 / (1.0 + np.exp(-np.clip(values * self.slope + self.intercept, -700, 700)))
        total = p.sum(axis=1, keepdims=True)
        return p / np.where(total > 0, total, 1.0)


def decision_values(estimator: Any, inputs: Floats, classes: int) -> Floats:  # noqa: ANN401  # scikit-learn has no common type
    """(n, classes) values of a fitted classifier, one a class against the rest: `decision_function`, else the
    log-odds of its probabilities.

    Raises: PartError if the classifier gives neither, or another number of columns (`decision_function_shape="ovo"`).
    """
    decide, probabilities = getattr(estimator, "decision_function", None), getattr(estimator, "predict_proba", None)
    if decide is not None and classes > 2 and _gives_pairs(estimator):
        raise PartError(
            f"{type(estimator).__name__} gives decision values a pair of classes (decision_function_shape='ovo')",
            f"({len(inputs)}, {classes}): one a class; three classes have three pairs, so their number tells nothing",
            "decision_function_shape='ovr'",
        )
    if decide is not None:
        values = np.asarray(decide(inputs), dtype=float)
        values = np.stack([-values, values], axis=1) if values.ndim == 1 else values
    elif probabilities is not None:
        p = np.clip(np.asarray(probabilities(inputs), dtype=float), _SMALLEST, 1 - _SMALLEST)
        values = np.log(p) - np.log1p(-p)
    else:
        raise PartError(
            f"{type(estimator).__name__} has neither predict_proba nor decision_function",
            "a classifier that has one of them",
            "use another classifier",
        )
    if values.shape != (len(inputs), classes):
        raise PartError(
            f"{type(estimator).__name__} gave decision values of shape {values.shape}",
            f"({len(inputs)}, {classes}): one a class",
        )
    return values


def _gives_pairs(estimator: Any) -> bool:  # noqa: ANN401
    """Whether it, or the last step of a pipeline, compares classes two by two; what it wraps for one class after the
    other (`estimator__…`) does not matter."""
    params: dict[str, Any] = getattr(estimator, "get_params", dict)()
    return any(
        value == "ovo"
        for name, value in params.items()
        if name.rpartition("__")[2] == "decision_function_shape" and "estimator" not in name.split("__")
    )


def fit_sigmoids(values: Floats, truth: Ints, groups: NDArray[np.str_]) -> Sigmoids:
    """Sigmoids from out-of-fold decision values (n, classes), NaN where a copy did not know the class.

    A class whose cases are of fewer than two groups cannot be held out, and one whose values rank its cases no better
    than chance has nothing to calibrate: both get its share of the cases as a constant.

    Source: Platt 1999, with his smoothed targets; Newton's method as in Lin, Lin and Weng, Machine Learning 68, 2007.
    """
    slope, intercept = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for column in range(values.shape[1]):
        positive = truth == column
        spoken = ~np.isnan(values[:, column])
        slope[column], intercept[column] = _constant(positive)
        if len(np.unique(groups[positive & spoken])) >= 2 and (spoken & ~positive).any():
            found = platt(values[spoken, column], positive[spoken])
            if found[0] > 0:
                slope[column], intercept[column] = found
    return Sigmoids(slope, intercept)


def _constant(positive: NDArray[np.bool_]) -> tuple[float, float]:
    of_class, of_rest = positive.sum() + 1, (~positive).sum() + 1
    return 0.0, float(np.log(of_class / of_rest))


def platt(values: Floats, positive: NDArray[np.bool_]) -> tuple[float, float]:
    """(slope, intercept) of the sigmoid with the least log loss against Platt's smoothed targets (N+ + 1)/(N+ + 2)
    and 1/(N- + 2).
    """
    scale = float(np.abs(values).max()) or 1.0
    x = values / scale
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    target = np.where(positive, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
    at = np.array(_constant(positive))
    design = np.stack([x, np.ones_like(x)], axis=1)
    loss = _loss(design @ at, target)
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-design @ at))
        gradient = design.T @ (p - target)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + 1e-12 * np.eye(2)
        if np.abs(gradient).max() < _CLOSE:
            break
        step, size = np.linalg.solve(hessian, gradient), 1.0
        while size > _CLOSE and _loss(design @ (at - size * step), target) > loss:
            size /= 2
        at = at - size * step
        loss = _loss(design @ at, target)
    return float(at[0] / scale), float(at[1])


def _loss(z: Floats, target: Floats) -> float:
    return float(np.sum(np.logaddexp(0, z) - target * z))
