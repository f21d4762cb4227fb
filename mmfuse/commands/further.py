"""The rest of an evaluation: the positive class and how far probabilities may be trusted, operating points, metrics of
plugins, and figures of all labels together. What is undefined, or rests on few cases, says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmfuse.show import Cell, Screen, cell

POSITIVE = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "average-precision": "av. precision",
    "calibration-slope": "slope",
    "calibration-intercept": "intercept",
    "calibration-error": "calib. error",
}
"""What is shown of a label's positive class and of calibration, and the words above the columns."""

TOGETHER = {
    "exact-match": "exact match",
    "hamming": "Hamming loss",
    "micro-f1": "micro F1",
    "positive-macro-f1": "macro F1 of positives",
}
"""What is shown of several labels together."""

_SHOWN = {"accuracy", "balanced-accuracy", "macro-f1", "macro-auc", "log-loss", "brier", *POSITIVE}
_FACTS = {"cases", "positives", "negatives", "by_class", "left_out", "few", "at"}

Evaluation = Mapping[str, Any]


def show_positive(screen: Screen, evaluation: Evaluation, label: str, marked: Mapping[str, str]) -> None:
    """One table of a label's positive class, then the figures at its operating points.

    `marked` {source: the words that stand for it}.
    """
    speakers = {**evaluation["sources"], **evaluation["trivial"]}
    first = next(iter(speakers.values()))[label]
    added = [name for name in first if name not in _SHOWN | _FACTS]  # metrics of plugins
    named = {**POSITIVE, **{name: name for name in added}}
    positive = evaluation["positive"][label]
    few = ", too few for more than a hint" if first["few"] else ""
    screen.text(f"positive: {positive} ({first['positives']} cases, {first['negatives']} others{few})")
    rows = [(marked.get(name, name), *_cells(told[label], named)) for name, told in speakers.items()]
    screen.table(("source", *named.values()), rows)
    for name, told in evaluation["sources"].items():
        if "at" in told[label]:
            _show_point(screen, marked.get(name, name), told[label]["at"])


def show_together(screen: Screen, evaluation: Evaluation, marked: Mapping[str, str]) -> None:
    """One table of what speaks of all labels at once, if there is any; then the metrics that failed."""
    speakers = {**evaluation["together"], **evaluation["trivial_together"]}
    names: Mapping[str, Any] = next(iter(speakers.values()), {})
    if names:
        named = {name: TOGETHER.get(name, name) for name in names}
        screen.text("\nall labels together")
        screen.table(
            ("source", *named.values()),
            [(marked.get(name, name), *_cells(told, named)) for name, told in speakers.items()],
        )
        rare = [label for label, told in next(iter(evaluation["trivial"].values())).items() if told["few"]]
        if rare:
            screen.text(f"macro F1 of positives leaves out {', '.join(rare)}: fewer than 10 positive or negative cases")
    for name, why in evaluation["failed"].items():
        screen.text(f"metric '{name}' failed and is not shown: {why}")


def _show_point(screen: Screen, source: str, at: Mapping[str, Any]) -> None:
    figures = ", ".join(
        f"{POSITIVE[name]} {'undefined' if at[name] is None else cell(at[name])}"
        for name in ("sensitivity", "specificity", "ppv", "npv")
    )
    whence = f"fitted on {at['fitted_positives']} positive and {at['fitted_negatives']} other cases of `valid`"
    screen.text(f"{source} at {at['rule']} (p >= {at['threshold']:.4g}, {whence}): {figures}")


def _cells(figures: Mapping[str, Any], named: Mapping[str, str]) -> list[Cell]:
    return [cell(float("nan") if figures[name] is None else figures[name]) for name in named]
