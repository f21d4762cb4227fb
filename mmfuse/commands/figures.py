"""How an evaluation looks: every source × label with its intervals, beside the trivial predictors, and the classes too
rare to count.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmfuse.commands.further import show_findings, show_positive, show_together
from mmfuse.show import Cell, Screen, cell

if TYPE_CHECKING:
    from mmfuse import Interval

METRICS = {
    "accuracy": "accuracy",
    "balanced-accuracy": "balanced",
    "macro-f1": "macro F1",
    "macro-auc": "macro AUC",
    "log-loss": "log loss",
}
"""What is shown of an evaluation, and the words above the columns."""

Evaluation = Mapping[str, Any]
Intervals = Mapping[str, Mapping[str, Mapping[str, "Interval"]]]
"""{source: {label: {metric: interval}}}; the label `` is the mean over labels."""

NONE: Intervals = {}


def show_figures(
    screen: Screen, evaluation: Evaluation, answer: str = "", intervals: Intervals = NONE, at: Intervals = NONE
) -> None:
    """One table a label; where there are several labels, one more of their means.

    `answer` is the source that is marked as the pipeline's own. Below each source stand its 95 % intervals, and below
    all tables what they cover; `at` are those at operating points. Trivial predictors that belong to one metric stand
    beside that metric alone.
    """
    unit = evaluation["case_is"]
    place = "all" if evaluation["on"] == "all" else f"`{evaluation['on']}`"
    told = "" if unit == "case" else f" (one case is one {unit})"
    screen.heading(f"figures on {place}: {evaluation['cases']} cases{told}")
    for label, counts in evaluation["counts"].items():
        spread = ", ".join(f"{name} {count}" for name, count in counts.items())
        screen.text(f"\n{label}  ({spread})")
        rows: list[tuple[Cell, ...]] = []
        for name, figures in {**evaluation["sources"], **evaluation["trivial"]}.items():
            if name in evaluation["trivial_of"]:
                continue
            rows.append((_marked(name, answer), figures[label]["cases"], *_cells(figures[label])))
            rows += _ranges(intervals.get(name, {}).get(label, {}), before=1)
        screen.table(("source", "cases", *METRICS.values()), rows)
        _show_left_out(screen, {name: figures[label] for name, figures in evaluation["sources"].items()})
        _show_notes(screen, intervals, label)
        show_positive(screen, evaluation, label, {answer: _marked(answer, answer)}, at)
    if len(evaluation["counts"]) > 1:
        screen.text("\nmean over the labels, by their weight")
        rows = []
        for name, means in evaluation["mean"].items():
            rows.append((_marked(name, answer), *_cells(means)))
            rows += _ranges(intervals.get(name, {}).get("", {}), before=0)
        screen.table(("source", *METRICS.values()), rows)
        _show_notes(screen, intervals, "")
    show_together(screen, evaluation, {answer: _marked(answer, answer)}, intervals)
    if evaluation["within_folds"]:
        screen.text("\nof several folds: AUC and average precision compare cases of the same fold alone")
    show_findings(screen, evaluation)
    if covers := what_is_covered(intervals):
        screen.text(f"\n95 % intervals cover {covers}")


def what_is_covered(intervals: Intervals) -> str:
    """What the widest based of the intervals covers; empty where there is none."""
    every = [made for labels in intervals.values() for metrics in labels.values() for made in metrics.values()]
    given = [made for made in every if not math.isnan(made.low)]
    return max(given, key=lambda made: made.cases).covers if given else ""


def as_tree(intervals: Intervals, at: Intervals = NONE) -> dict[str, Any]:
    """The intervals as JSON can hold them; the mean over labels stands under `mean`, operating points under `at`."""

    def plain(metrics: Mapping[str, Interval]) -> dict[str, Any]:
        return {metric: dataclasses.asdict(made) for metric, made in metrics.items()}

    return {
        "level": 0.95,
        "covers": what_is_covered(intervals),
        "sources": {
            source: {label: plain(metrics) for label, metrics in labels.items() if label}
            for source, labels in intervals.items()
        },
        "mean": {source: plain(labels[""]) for source, labels in intervals.items()},
        "at": {source: {label: plain(made) for label, made in labels.items()} for source, labels in at.items()},
    }


def _marked(name: str, answer: str) -> str:
    return f"{name} (the answer)" if name == answer else name


def _cells(figures: Mapping[str, Any]) -> list[Cell]:
    return [cell(float("nan") if figures[metric] is None else figures[metric]) for metric in METRICS]


def _ranges(made: Mapping[str, Interval], before: int) -> list[tuple[Cell, ...]]:
    """The line below a source: a range a metric, empty where none is given; no line where there is none at all."""
    if all(math.isnan(one.low) for one in made.values()):
        return []
    words = [
        "" if metric not in made or math.isnan(made[metric].low) else f"{made[metric].low:.2f}–{made[metric].high:.2f}"
        for metric in METRICS
    ]
    return [("  95 %", *[None] * before, *words)]


def _show_notes(screen: Screen, intervals: Intervals, label: str) -> None:
    """Each warning once, with the metrics and the sources that it speaks of; no sources where it is all of them."""
    said: dict[str, dict[str, list[str]]] = {}
    for source, labels in intervals.items():
        for metric, made in labels.get(label, {}).items():
            if made.note and metric in METRICS:
                said.setdefault(made.note, {}).setdefault(METRICS[metric], []).append(source)
    for note, of in said.items():
        gathered: dict[tuple[str, ...], list[str]] = {}
        for metric, sources in of.items():
            gathered.setdefault(tuple(sources), []).append(metric)
        for sources_of, metrics in gathered.items():
            whose = "" if len(sources_of) == len(intervals) else f" ({', '.join(sources_of)})"
            screen.text(f"interval of {', '.join(metrics)}{whose}: {note}")


def _show_left_out(screen: Screen, by_source: Mapping[str, Mapping[str, Any]]) -> None:
    rare: dict[str, int] = {}
    for figures in by_source.values():
        for name, count in figures["left_out"].items():
            rare[name] = max(count, rare.get(name, 0))
    if rare:
        words = ", ".join(f"{name} ({count})" for name, count in rare.items())
        screen.text(f"too rare for the macro AUC (fewer than 10 cases, or fewer than 10 others): {words}")
