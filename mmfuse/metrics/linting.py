"""What figures cannot be at once: arithmetic that holds for every table of answers, so that a breach means that two
definitions were mixed, or a number was copied wrongly.

Works on numbers alone, one's own or those that a paper reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ALIASES = {
    "f1": "f1", "f-1": "f1", "recall": "sensitivity", "tpr": "sensitivity", "precision": "ppv", "tnr": "specificity",
    "acc": "accuracy", "subset-accuracy": "exact-match", "label-accuracy": "bit-accuracy",
}  # fmt: skip
"""Other names of the same figures; all are compared in small letters, with hyphens."""

KINDS = ("exact-match", "bit-accuracy", "top-1-any-true")
"""What "accuracy" of several labels may mean: every label right; the share of (case, label) pairs that are right; the
most probable label is one of the true ones."""

EXACT = 1e-9
"""How far figures that were reckoned here may lie from the true ones."""

_OF_ALL_CLASSES = ("accuracy", "acc", "kappa", "balanced-accuracy", "macro-f1", "macro-auc")
_SHARES = (
    "accuracy", "balanced-accuracy", "sensitivity", "specificity", "ppv", "npv", "f1", "exact-match", "bit-accuracy",
    "hamming", "macro-auc", "auc", "average-precision", "macro-f1", "micro-f1",
)  # fmt: skip


def lint(figures: Mapping[str, float | None], *, labels: int = 1, rounding: float = 0.0005) -> list[str]:
    """What is wrong with figures of one table of answers, a sentence each; empty if nothing is.

    `figures` {name: value}, shares in [0, 1] (kappa from -1), None is undefined and says nothing. `labels` is how many
    labels they speak of together; `rounding` is how far a reported number may lie from the true one (three decimals:
    0.0005). With one label, sensitivity, specificity, ppv, npv and f1 must be those of one 2 x 2 table, not means over
    classes.
    """
    told = {_known(name): float(value) for name, value in figures.items() if value is not None}
    faults = [text for name, value in told.items() for text in _out_of_range(name, value, rounding)]
    if faults:  # what is no share cannot be compared
        return faults
    if labels > 1 and "accuracy" in told:
        faults.append(f"'accuracy' of {labels} labels does not say which: call it one of {', '.join(KINDS)}")
    for rule in (_kappa, _least_accuracy, _harmonic, _between, _several):
        faults += rule(told, rounding)
    return faults


def lintable(name: str) -> bool:
    """Whether any rule of `lint` reads a figure of this name."""
    return _known(name) in (*_SHARES, *KINDS, "kappa")


def lint_evaluation(evaluation: Mapping[str, Any]) -> list[str]:
    """What cannot be of the figures of an evaluation (`evaluate`), a sentence each that begins with whose they are.

    The accuracy of more than two classes is no figure of the positive class's 2 x 2 table and is held against itself
    alone. A finding means that a metric is not what its name says.
    """
    told = []
    for source, by_label in {**evaluation["sources"], **evaluation["trivial"]}.items():
        for label, figures in by_label.items():
            given = {name: value for name, value in figures.items() if isinstance(value, float)}
            of_positive = given
            if len(evaluation["counts"][label]) > 2:
                of_positive = {name: value for name, value in given.items() if name not in _OF_ALL_CLASSES}
                given = {name: value for name, value in given.items() if name in _OF_ALL_CLASSES}
                told += [f"{source}, {label}: {text}" for text in lint(given, rounding=EXACT)]
            told += [f"{source}, {label}: {text}" for text in lint(of_positive, rounding=EXACT)]
    several = len(evaluation["counts"])
    for source, figures in {**evaluation["together"], **evaluation["trivial_together"]}.items():
        told += [f"{source}, all labels: {text}" for text in lint(figures, labels=several, rounding=EXACT)]
    return list(dict.fromkeys(told))


def _known(name: str) -> str:
    plain = name.strip().lower().replace("_", "-").replace(" ", "-")
    return ALIASES.get(plain, plain)


def _out_of_range(name: str, value: float, rounding: float) -> list[str]:
    low = -1.0 if name == "kappa" else 0.0
    if name in (*_SHARES, "kappa") and not low - rounding <= value <= 1 + rounding:
        return [f"{name} {value:g} is no share: give it between {low:g} and 1 (94.2 % is 0.942)"]
    return []


def _kappa(told: Mapping[str, float], rounding: float) -> list[str]:
    """Kappa = (accuracy - chance) / (1 - chance) with chance >= 0 (Cohen, Educ. Psychol. Meas. 1960)."""
    return [
        f"kappa {told['kappa']:g} is larger than {name} {told[name]:g}: they are not of one table"
        for name in ("accuracy", "bit-accuracy")
        if "kappa" in told and name in told and told["kappa"] > told[name] + 2 * rounding
    ]


def _least_accuracy(told: Mapping[str, float], rounding: float) -> list[str]:
    """With FP = TP (1 / P - 1), FN = TP (1 / R - 1) and TN >= 0, accuracy >= 1 / (1 / P + 1 / R - 1)."""
    if not {"ppv", "sensitivity"} <= told.keys():
        return []
    precision, recall = (max(told[name] - rounding, 0.0) for name in ("ppv", "sensitivity"))
    if not precision or not recall:
        return []
    least = 1 / (1 / precision + 1 / recall - 1)
    return [
        f"{name} {told[name]:g} is too small for precision {told['ppv']:g} and recall {told['sensitivity']:g}: "
        f"one table with these has at least {least:.4f}"
        for name in ("accuracy", "bit-accuracy")
        if name in told and told[name] < least - rounding
    ]


def _harmonic(told: Mapping[str, float], rounding: float) -> list[str]:
    """F1 = 2 P R / (P + R), and grows with both."""
    if not {"f1", "ppv", "sensitivity"} <= told.keys():
        return []
    low, high = (
        _f1(*(min(max(told[name] + shift, 0.0), 1.0) for name in ("ppv", "sensitivity")))
        for shift in (-rounding, rounding)
    )
    if low - rounding <= told["f1"] <= high + rounding:
        return []
    right = _f1(told["ppv"], told["sensitivity"])
    return [
        f"f1 {told['f1']:g} is not that of precision {told['ppv']:g} and recall {told['sensitivity']:g}: {right:.4f}"
    ]


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def _between(told: Mapping[str, float], rounding: float) -> list[str]:
    """Accuracy is a mean of sensitivity and specificity, weighted by how many are positive."""
    if not {"accuracy", "sensitivity", "specificity"} <= told.keys():
        return []
    low, high = sorted((told["sensitivity"], told["specificity"]))
    if low - 2 * rounding <= told["accuracy"] <= high + 2 * rounding:
        return []
    return [f"accuracy {told['accuracy']:g} does not lie between sensitivity and specificity ({low:g} to {high:g})"]


def _several(told: Mapping[str, float], rounding: float) -> list[str]:
    """A case with every label right has every pair right; the share of right pairs is one minus Hamming's."""
    faults = []
    pairs = told.get("bit-accuracy", 1 - told["hamming"] if "hamming" in told else None)
    if pairs is not None and told.get("exact-match", 0.0) > pairs + 2 * rounding:
        faults.append(f"exact-match {told['exact-match']:g} is larger than the share of right pairs {pairs:g}")
    if {"bit-accuracy", "hamming"} <= told.keys() and abs(1 - told["hamming"] - told["bit-accuracy"]) > 2 * rounding:
        faults.append(f"bit-accuracy {told['bit-accuracy']:g} is not one minus hamming {told['hamming']:g}")
    return faults
