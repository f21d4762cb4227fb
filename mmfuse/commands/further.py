"""The rest of an evaluation: the positive class and how far probabilities may be trusted, operating points, metrics of
plugins, and figures of all labels together. What is undefined, or rests on few cases, says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmfuse.show import Cell, Screen, cell

if TYPE_CHECKING:
    from mmfuse import Interval

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
Intervals = Mapping[str, Mapping[str, Mapping[str, "Interval"]]]


def show_positive(screen: Screen, evaluation: Evaluation, label: str, marked: Mapping[str, str], at: Intervals) -> None:
    """One table of a label's positive class, then the figures at its operating points, with their intervals `at`.

    `marked` {source: the words that stand for it}.
    """
    speakers = {**evaluation["sources"], **_trivial(evaluation, "trivial", by_label=True)}
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
            _show_point(screen, marked.get(name, name), told[label]["at"], at.get(name, {}).get(label, {}))


def show_together(screen: Screen, evaluation: Evaluation, marked: Mapping[str, str], intervals: Intervals) -> None:
    """One table of what speaks of all labels at once, if there is any, with intervals; then the metrics that failed."""
    speakers = {**evaluation["together"], **_trivial(evaluation, "trivial_together", by_label=False)}
    names: Mapping[str, Any] = next(iter(speakers.values()), {})
    if names:
        named = {name: TOGETHER.get(name, name) for name in names}
        screen.text("\nall labels together")
        rows: list[tuple[Cell, ...]] = []
        for name, told in speakers.items():
            rows.append((marked.get(name, name), *_cells(told, named)))
            made = intervals.get(name, {}).get("", {})
            ranges = [_range(made[metric]) if metric in made else "" for metric in named]
            rows += [("  95 %", *ranges)] if any(ranges) else []
        screen.table(("source", *named.values()), rows)
        rare = [label for label, told in next(iter(evaluation["trivial"].values())).items() if told["few"]]
        if rare:
            screen.text(f"macro F1 of positives leaves out {', '.join(rare)}: fewer than 10 positive or negative cases")
    for name, remark in evaluation["remarks"].items():
        screen.text(f"{name}: {remark}")
    for name, why in evaluation["failed"].items():
        screen.text(f"metric '{name}' failed and is not shown: {why}")


def show_findings(screen: Screen, evaluation: Evaluation) -> None:
    """What cannot be of the figures that were shown; nothing where all can."""
    for text in evaluation["lint"]:
        screen.text(f"cannot be: {text}")


def _trivial(evaluation: Evaluation, place: str, by_label: bool) -> dict[str, Any]:
    """The trivial predictors of a table: those of all metrics, and those of a metric that stands in it."""
    of_label: Mapping[str, Any] = next(iter(next(iter(evaluation["trivial"].values())).values()), {})
    of = evaluation["trivial_of"]
    return {
        name: told
        for name, told in evaluation[place].items()
        if name not in of or any((metric in of_label) == by_label for metric in of[name])
    }


def _range(made: Interval) -> str:
    return "" if math.isnan(made.low) else f"{made.low:.2f}–{made.high:.2f}"


def _show_point(screen: Screen, source: str, at: Mapping[str, Any], made: Mapping[str, Interval]) -> None:
    figures = ", ".join(
        f"{POSITIVE[name]} {'undefined' if at[name] is None else cell(at[name])}"
        + (f" ({_range(made[name])})" if name in made and _range(made[name]) else "")
        for name in ("sensitivity", "specificity", "ppv", "npv")
    )
    whence = f"fitted on {at['fitted_positives']} positive and {at['fitted_negatives']} other cases of `valid`"
    screen.text(f"{source} at {at['rule']} (p >= {at['threshold']:.4g}, {whence}): {figures}")
    notes: dict[str, list[str]] = {}
    for name, one in made.items():
        if one.note:
            notes.setdefault(one.note, []).append(POSITIVE[name])
    for note, names in notes.items():
        screen.text(f"  interval of {', '.join(names)} there: {note}")


def _cells(figures: Mapping[str, Any], named: Mapping[str, str]) -> list[Cell]:
    return [cell(float("nan") if figures[name] is None else figures[name]) for name in named]
