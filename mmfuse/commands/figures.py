"""How an evaluation looks: every source × label beside the trivial predictors, and the classes too rare to count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmfuse.show import Cell, Screen

METRICS = {
    "accuracy": "accuracy",
    "balanced-accuracy": "balanced",
    "macro-f1": "macro F1",
    "macro-auc": "macro AUC",
    "log-loss": "log loss",
}
"""What is shown of an evaluation, and the words above the columns."""

Evaluation = Mapping[str, Any]


def show_figures(screen: Screen, evaluation: Evaluation, answer: str = "") -> None:
    """One table a label; where there are several labels, one more of their means.

    `answer` is the source that is marked as the pipeline's own.
    """
    unit = evaluation["case_is"]
    place = "all" if evaluation["on"] == "all" else f"`{evaluation['on']}`"
    screen.heading(f"figures on {place}: {evaluation['cases']} cases (one case is one {unit})")
    speakers = {**evaluation["sources"], **evaluation["trivial"]}
    for label, counts in evaluation["counts"].items():
        spread = ", ".join(f"{name} {count}" for name, count in counts.items())
        screen.text(f"\n{label}  ({spread})")
        rows = [_row(_marked(name, answer), figures[label]) for name, figures in speakers.items()]
        screen.table(("source", "cases", *METRICS.values()), rows)
        _show_left_out(screen, {name: figures[label] for name, figures in evaluation["sources"].items()})
    if len(evaluation["counts"]) > 1:
        screen.text("\nmean over the labels, by their weight")
        rows = [
            (_marked(name, answer), *(_cell(means[metric]) for metric in METRICS))
            for name, means in evaluation["mean"].items()
        ]
        screen.table(("source", *METRICS.values()), rows)


def _marked(name: str, answer: str) -> str:
    return f"{name} (the answer)" if name == answer else name


def _row(name: str, figures: Mapping[str, Any]) -> tuple[Cell, ...]:
    return (name, figures["cases"], *(_cell(figures[metric]) for metric in METRICS))


def _cell(value: float | None) -> float:
    return float("nan") if value is None else value


def _show_left_out(screen: Screen, by_source: Mapping[str, Mapping[str, Any]]) -> None:
    rare: dict[str, int] = {}
    for figures in by_source.values():
        for name, count in figures["left_out"].items():
            rare[name] = max(count, rare.get(name, 0))
    if rare:
        words = ", ".join(f"{name} ({count})" for name, count in rare.items())
        screen.text(f"too rare for the macro AUC (fewer than 10 cases, or fewer than 10 others): {words}")
