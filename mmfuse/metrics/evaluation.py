"""What every source is worth on every label, beside the trivial predictors: numbers that JSON can hold.

Undefined is None, never a number. A class with too few cases is named, and is in no mean over classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np

from mmfuse.errors import MmfuseError, TableError, nearest
from mmfuse.labels import Floats, Ints, Labels
from mmfuse.metrics.asking import Asked, Figure, trivial_predictors
from mmfuse.metrics.basis import FEWEST, class_counts, counted, known_and_spoken, positive_column
from mmfuse.metrics.linting import lint_evaluation
from mmfuse.metrics.operating import OperatingPoints, figures_at
from mmfuse.metrics.table import MEASURES
from mmfuse.metrics.within import class_auc_within, class_average_precision_within

Evaluation = dict[str, Any]
"""Nested dict that JSON can hold; see `evaluate`."""

_NAMED = ("rule", "positive", "threshold")


class Scored(Protocol):
    """What an evaluation reads of a score table."""

    @property
    def sources(self) -> Mapping[str, Floats]: ...
    @property
    def split(self) -> np.ndarray: ...
    @property
    def folds(self) -> Ints: ...
    @property
    def targets(self) -> Ints: ...
    @property
    def labels(self) -> Labels: ...
    @property
    def case_is(self) -> str: ...
    @property
    def prior(self) -> Floats: ...

    def probabilities(self, source: str) -> Floats:
        """(cases, columns), NaN where the source abstains."""
        ...


def evaluate(
    table: Scored,
    on: str = "test",
    *,
    metrics: Mapping[str, Figure] = MEASURES,
    points: OperatingPoints = OperatingPoints(),  # noqa: B008  # frozen and empty
) -> Evaluation:
    """Every source × label on the cases of a split (`train`, `valid`, `test`) or on `all`, beside the trivial ones.

    Gives `{"on", "case_is", "cases", "counts": {label: {class: n}}, "positive": {label: class}, "sources": {source:
    {label: figures}}, "together": {source: {metric: value}}, "mean": {source: {metric: value}}, "trivial": {name:
    {label: figures}}, "trivial_together", "trivial_of": {name: [metric]}, "remarks": {metric: sentence}, "failed":
    {metric: reason}, "lint": [what cannot be of these figures], "within_folds": bool}`. Figures are `cases` (known and
    spoken about), `positives` and `negatives` among them, every metric by name, `by_class` {class: {cases, auc,
    average-precision}} (one against the rest), `left_out` {class: n} of the classes with fewer than 10 cases, or fewer
    than 10 others, which macro AUC and average precision do not count, `few` (whether the positive class is one of
    them), and `at`, the figures at the label's operating point if `points` hold one. `majority` answers with the most
    frequent class of `train`, `prior` with the shares of classes there; further trivial predictors are those of a
    metric (`Metric.trivial`) and stand beside the metrics that `trivial_of` names. `mean` is over labels where the
    metric is defined, by their weight; what speaks of the positive class is meant over labels that are not `few`.
    `together` are metrics of all labels at once, where they have a meaning. Undefined is None. `metrics` {name:
    `Metric` or measure} are shown instead of those that come with mmfuse; one that fails is named in `failed` and is
    None. On `train`, whose scores come from the networks of several folds, what ranks compares cases of one fold alone.

    Raises: TableError if no case is in that split.
    """
    chosen = np.ones(len(table.split), dtype=bool) if on == "all" else np.asarray(table.split) == on
    if not chosen.any():
        known = sorted({*map(str, table.split)} - {""})
        raise TableError(f"no case is '{on}'", f"one of {[*known, 'all']}", nearest(on, [*known, "all"]))
    targets, labels = table.targets[chosen], table.labels
    strata = np.asarray(table.folds)[chosen] if on == "train" else np.zeros(int(chosen.sum()), dtype=int)
    judge = _Judge(metrics, points, targets, labels, strata)
    spoken = {name: table.probabilities(name)[chosen] for name in table.sources}
    constant, beside, failed = trivial_predictors({**judge.of_label, **judge.of_all}, labels, table.prior)
    judge.failed |= failed
    trivial = {name: np.broadcast_to(p, (len(targets), labels.columns)) for name, p in constant.items()}
    figures = {name: judge.figures(p, name) for name, p in spoken.items()}
    counts = labels.counts(targets).astype(int)
    made: Evaluation = {
        "on": on,
        "case_is": table.case_is,
        "cases": int(chosen.sum()),
        "counts": {
            label.name: dict(zip(label.classes, counts[labels.slices[label.name]].tolist(), strict=True))
            for label in labels
        },
        "positive": {label.name: label.positive for label in labels},
        "sources": figures,
        "together": {name: judge.together(p) for name, p in spoken.items()},
        "mean": {name: judge.over_labels(by_label) for name, by_label in figures.items()},
        "trivial": {name: judge.figures(p) for name, p in trivial.items()},
        "trivial_together": {name: judge.together(p) for name, p in trivial.items()},
        "trivial_of": beside,
        "remarks": judge.remarks,
        "failed": judge.failed,
        "within_folds": len(np.unique(strata)) > 1,
    }
    return {**made, "lint": lint_evaluation(made)}


class _Judge:
    """All metrics on the same cases."""

    def __init__(
        self, metrics: Mapping[str, Figure], points: OperatingPoints, targets: Ints, labels: Labels, strata: Ints
    ) -> None:
        self.points, self.targets, self.labels, self.strata = points, targets, labels, strata
        self.failed: dict[str, str] = {}
        suited = {name: metric for name, metric in metrics.items() if self._suits(name, metric)}
        self.of_label = {name: metric for name, metric in suited.items() if metric.by_label}
        self.of_all = {name: metric for name, metric in suited.items() if not metric.by_label}
        self.remarks = {name: str(metric.remark) for name, metric in suited.items() if metric.remark}

    def figures(self, p: Floats, source: str = "") -> dict[str, dict[str, Any]]:
        """All metrics of one source, label by label."""
        labels, targets = self.labels, self.targets
        values = {name: self._score(name, metric, p, len(labels)) for name, metric in self.of_label.items()}
        auc = class_auc_within(p, targets, labels, None, self.strata)[0]
        precision = class_average_precision_within(p, targets, labels, None, self.strata)[0]
        counts, enough = class_counts(p, targets, labels), counted(p, targets, labels)
        cases = known_and_spoken(p, targets, labels).sum(axis=0)
        out: dict[str, dict[str, Any]] = {}
        for index, label in enumerate(labels):
            part, column = labels.slices[label.name], positive_column(labels, label)
            figures: dict[str, Any] = {"cases": int(cases[index]), "positives": int(counts[column])}
            figures["negatives"] = figures["cases"] - figures["positives"]
            figures.update({name: number(of_labels[index]) for name, of_labels in values.items()})
            names = dict(zip(label.classes, range(part.start, part.stop), strict=True))
            figures["by_class"] = {
                name: {"cases": int(counts[i]), "auc": number(auc[i]), "average-precision": number(precision[i])}
                for name, i in names.items()
            }
            figures["left_out"] = {name: int(counts[i]) for name, i in names.items() if not enough[i]}
            figures["few"] = min(figures["positives"], figures["negatives"]) < FEWEST
            point = self.points.of(source).get(label.name)
            if point is not None:
                at = figures_at(point, p, targets, labels, label.name)
                fitted = {f"fitted_{name}": value for name, value in asdict(point).items() if name not in _NAMED}
                figures["at"] = {name: getattr(point, name) for name in _NAMED}
                figures["at"] |= {name: number(value[0]) for name, value in at.items()} | fitted
            out[label.name] = figures
        return out

    def together(self, p: Floats) -> dict[str, float | None]:
        """The metrics of all labels at once."""
        return {name: number(self._score(name, metric, p, 1)[0]) for name, metric in self.of_all.items()}

    def over_labels(self, figures: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
        """Mean over labels, by their weight, of each metric where it is defined."""
        out: dict[str, float | None] = {}
        for name, metric in self.of_label.items():
            asked = [label for label in self.labels if not (metric.of_positive and figures[label.name]["few"])]
            pairs = [(label.weight, figures[label.name][name]) for label in asked]
            defined = [(weight, value) for weight, value in pairs if value is not None and weight > 0]
            total = sum(weight for weight, _ in defined)
            out[name] = sum(weight * value for weight, value in defined) / total if defined else None
        return out

    def _score(self, name: str, metric: Figure, p: Floats, width: int) -> Floats:
        """(labels,) or (1,) values; NaN, and a remark, where a metric fails: others are not lost with it."""
        try:
            return Asked(name, metric).score(p, self.targets, self.labels, None, self.strata)[0]
        except MmfuseError as error:
            self.failed[name] = error.faults[0].found
            return np.full(width, np.nan)

    def _suits(self, name: str, metric: Figure) -> bool:
        try:
            _ = (metric.by_label, metric.of_positive, metric.ranks, metric.remark)
            return bool(metric.suits(self.labels))
        except Exception as error:
            self.failed[name] = f"{type(error).__name__}: {error}"
            return False


def number(value: float) -> float | None:
    """A figure as JSON can hold it: what is undefined is None."""
    return float(value) if math.isfinite(value) else None
