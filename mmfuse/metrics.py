"""Figures of merit, vectorised over replicates of case weights; training, decisions and evaluation use the same ones.

Every metric takes `p` (cases, columns) probabilities, `targets` (cases, labels) with -1 unknown, and `weight`
(replicates, cases), and gives (replicates, labels). A case whose label is unknown, or about which the source abstains
(NaN), weighs nothing for that label (law 3); a figure that is undefined is NaN. A weight of 0 is a case that is not
there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mmfuse.errors import TableError, nearest
from mmfuse.labels import Floats, Ints, Labels

Score = Callable[[Floats, Ints, Labels, Floats | None], Floats]
"""`(p, targets, labels, weight) -> (replicates, labels)`; without `weight`, one replicate of ones."""

Evaluation = dict[str, Any]
"""Nested dict that JSON can hold; see `evaluate`."""

SMALLEST = 1e-12
"""Probabilities below it count as it in the log loss, so that one wrong certainty does not make it infinite."""

FEWEST = 10
"""Cases of a class, and cases of its other classes, below which its AUC is not counted in an evaluation."""

_CELLS = 1 << 22
"""Numbers that are held at once per working array (32 MB) when an AUC is computed for many replicates."""


class _Answered(NamedTuple):
    """One label on the cases where it is known and spoken about."""

    p: Floats
    """(n, classes)"""
    truth: Ints
    """(n,)"""
    weight: Floats
    """(replicates, n)"""


def _weights(cases: int, weight: Floats | None) -> Floats:
    return np.ones((1, cases)) if weight is None else np.atleast_2d(np.asarray(weight, dtype=float))


def _by_label(
    p: Floats, targets: Ints, labels: Labels, weight: Floats | None, figure: Callable[[_Answered], Floats]
) -> Floats:
    """`figure` of each label's answered cases, side by side: (replicates, labels)."""
    weights = _weights(len(p), weight)
    columns = []
    for index, part in enumerate(labels.slices.values()):
        block, truth = np.asarray(p[:, part], dtype=float), np.asarray(targets[:, index])
        answered = (truth >= 0) & ~np.isnan(block).any(axis=1)
        columns.append(figure(_Answered(block[answered], truth[answered], weights[:, answered])))
    return np.stack(columns, axis=-1) if columns else np.empty((len(weights), 0))


def _ratio(above: Floats, below: Floats) -> Floats:
    """above / below; NaN where nothing is below."""
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), np.nan)


def _mean(values: Floats) -> Floats:
    """Mean over the last axis of what is defined; NaN where nothing is."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1).astype(float))


def _average(values: Floats, weight: Floats) -> Floats:
    """(n,) values, (replicates, n) weights → (replicates,) weighted mean."""
    return _ratio(weight @ values, weight.sum(axis=1))


def _confusion(given: _Answered) -> tuple[Floats, Floats, Floats]:
    """(replicates, classes) weight of the cases that are hits, are of the class, were answered with the class."""
    classes = np.arange(given.p.shape[1])
    truth = given.truth[:, None] == classes
    picked = np.argmax(given.p, axis=1)[:, None] == classes
    return given.weight @ (truth & picked), given.weight @ truth, given.weight @ picked


def accuracy(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """Share of cases whose most probable class (the first of equals) is right."""
    return _by_label(
        p, targets, labels, weight, lambda a: _average((a.p.argmax(axis=1) == a.truth).astype(float), a.weight)
    )


def balanced_accuracy(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """Mean recall over the classes that occur (in each replicate)."""

    def figure(given: _Answered) -> Floats:
        hits, of_class, _ = _confusion(given)
        return _mean(_ratio(hits, of_class))

    return _by_label(p, targets, labels, weight, figure)


def macro_f1(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """Mean F1 over the classes that occur or are answered (in each replicate)."""

    def figure(given: _Answered) -> Floats:
        hits, of_class, picked = _confusion(given)
        return _mean(_ratio(2 * hits, of_class + picked))

    return _by_label(p, targets, labels, weight, figure)


def log_loss(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """Mean of -ln of the probability of the true class, in nats; probabilities are clipped to [1e-12, 1]."""

    def figure(given: _Answered) -> Floats:
        of_truth = np.take_along_axis(given.p, given.truth[:, None], axis=1)[:, 0]
        return _average(-np.log(np.clip(of_truth, SMALLEST, 1.0)), given.weight)

    return _by_label(p, targets, labels, weight, figure)


def brier(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """Mean squared distance of the probabilities from the truth, summed over classes: in [0, 2].

    Source: Brier, Monthly Weather Review 78, 1950, eq. 2. With two classes it is twice the form that looks at one of
    them.
    """

    def figure(given: _Answered) -> Floats:
        truth = given.truth[:, None] == np.arange(given.p.shape[1])
        return _average(((given.p - truth) ** 2).sum(axis=1), given.weight)

    return _by_label(p, targets, labels, weight, figure)


def weighted_auc(score: Floats, positive: Floats, weight: Floats) -> Floats:
    """Chance that a positive case scores above a negative one, ties counted half (Hanley, McNeil, Radiology 1982).

    `score` (n,), `positive` (n,) bool, `weight` (replicates, n) → (replicates,); NaN where either side is empty.
    """
    order = np.argsort(score, kind="stable")
    ranked, positive = score[order], positive[order]
    first, last = np.searchsorted(ranked, ranked[positive], "left"), np.searchsorted(ranked, ranked[positive], "right")
    out = np.empty(len(weight))
    step = max(1, _CELLS // max(1, len(score)))
    for start in range(0, len(weight), step):
        block = weight[start : start + step][:, order]
        negative = np.zeros((len(block), len(score) + 1))
        np.cumsum(np.where(positive, 0.0, block), axis=1, out=negative[:, 1:])
        of_positive = block[:, positive]
        won = (of_positive * (negative[:, first] + negative[:, last])).sum(axis=1) / 2
        out[start : start + step] = _ratio(won, of_positive.sum(axis=1) * negative[:, -1])
    return out


def class_auc(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """(replicates, columns) AUC of each class against the other classes of its label."""
    weights = _weights(len(p), weight)
    out = np.full((len(weights), labels.columns), np.nan)

    for index, part in enumerate(labels.slices.values()):
        truth, block = np.asarray(targets[:, index]), p[:, part]
        answered = (truth >= 0) & ~np.isnan(block).any(axis=1)
        for column in range(part.stop - part.start):
            positive = truth[answered] == column
            if positive.any() and not positive.all():
                out[:, part.start + column] = weighted_auc(block[answered, column], positive, weights[:, answered])
    return out


def macro_auc(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """Mean over classes of one-against-rest AUC; a class that does not occur (in a replicate) is left out."""
    columns = class_auc(p, targets, labels, weight)
    blocks = [_mean(columns[:, part]) for part in labels.slices.values()]
    return np.stack(blocks, axis=-1) if blocks else np.empty((len(columns), 0))


def counted(p: Floats, targets: Ints, labels: Labels) -> NDArray[np.bool_]:
    """(columns,) whether a class has at least 10 cases, and 10 others, among those known and spoken about."""
    out = np.zeros(labels.columns, dtype=bool)
    for index, part in enumerate(labels.slices.values()):
        answered = (targets[:, index] >= 0) & ~np.isnan(p[:, part]).any(axis=1)
        counts = np.bincount(targets[answered, index], minlength=part.stop - part.start)
        out[part] = np.minimum(counts, answered.sum() - counts) >= FEWEST
    return out


def counted_macro_auc(p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None) -> Floats:
    """The macro AUC over the classes that are `counted` among all cases given; NaN where there is none."""
    columns = np.where(counted(p, targets, labels), class_auc(p, targets, labels, weight), np.nan)
    blocks = [_mean(columns[:, part]) for part in labels.slices.values()]
    return np.stack(blocks, axis=-1) if blocks else np.empty((len(columns), 0))


METRICS: Mapping[str, Score] = {
    "accuracy": accuracy,
    "balanced-accuracy": balanced_accuracy,
    "macro-f1": macro_f1,
    "macro-auc": macro_auc,
    "log-loss": log_loss,
    "brier": brier,
}
"""Every metric by the name that specs and results use."""

REPORTED: Mapping[str, Score] = {**METRICS, "macro-auc": counted_macro_auc}
"""What evaluations and comparisons show: the same metrics, the macro AUC over classes with enough cases."""

LARGER_IS_BETTER = frozenset({"accuracy", "balanced-accuracy", "macro-f1", "macro-auc"})


# ── evaluation: every source × label beside the trivial predictors ──────────────────────────────────────────────────


class Scored(Protocol):
    """What an evaluation reads of a score table."""

    @property
    def sources(self) -> Mapping[str, Floats]: ...
    @property
    def split(self) -> np.ndarray: ...
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


def evaluate(table: Scored, on: str = "test") -> Evaluation:
    """Every source × label on the cases of a split (`train`, `valid`, `test`) or on `all`, beside the trivial ones.

    Gives `{"on", "case_is", "cases", "counts": {label: {class: n}}, "sources": {source: {label: figures}}, "mean":
    {source: {metric: value}}, "trivial": {"majority" | "prior": {label: figures}}}`. Figures are `cases` (known and
    spoken about), every metric by name, and `left_out`: {class: n} of the classes with fewer than 10 cases, or fewer
    than 10 others, which the macro AUC does not count. `majority` answers with the most frequent class of `train`,
    `prior` with the shares of classes there. `mean` is over labels where the metric is defined, by their weight.
    Undefined is None.

    Raises: TableError if no case is in that split.
    """
    known = sorted({*map(str, table.split)} - {""})
    chosen = np.ones(len(table.split), dtype=bool) if on == "all" else np.asarray(table.split) == on
    if not chosen.any():
        raise TableError(f"no case is '{on}'", f"one of {[*known, 'all']}", nearest(on, [*known, "all"]))
    targets, labels = table.targets[chosen], table.labels
    one = np.concatenate(
        [np.eye(part.stop - part.start)[np.argmax(table.prior[part])] for part in labels.slices.values()]
    )
    spoken = {name: table.probabilities(name)[chosen] for name in table.sources}
    trivial = {"majority": np.broadcast_to(one, (len(targets), labels.columns))}
    trivial["prior"] = np.broadcast_to(table.prior, (len(targets), labels.columns))
    figures = {name: _figures(p, targets, labels) for name, p in spoken.items()}
    counts = labels.counts(targets).astype(int)
    return {
        "on": on,
        "case_is": table.case_is,
        "cases": int(chosen.sum()),
        "counts": {
            label.name: dict(zip(label.classes, counts[labels.slices[label.name]].tolist(), strict=True))
            for label in labels
        },
        "sources": figures,
        "mean": {name: _over_labels(by_label, labels) for name, by_label in figures.items()},
        "trivial": {name: _figures(p, targets, labels) for name, p in trivial.items()},
    }


def _figures(p: Floats, targets: Ints, labels: Labels) -> dict[str, dict[str, Any]]:
    """All metrics of one source, label by label."""
    by_metric = {name: score(p, targets, labels, None)[0] for name, score in REPORTED.items()}
    enough = counted(p, targets, labels)
    out: dict[str, dict[str, Any]] = {}
    for index, label in enumerate(labels):
        part = labels.slices[label.name]
        answered = (targets[:, index] >= 0) & ~np.isnan(p[:, part]).any(axis=1)
        counts = np.bincount(targets[answered, index], minlength=len(label.classes))
        figures: dict[str, Any] = {"cases": int(answered.sum())}
        figures.update({name: _number(values[index]) for name, values in by_metric.items()})
        figures["left_out"] = {
            name: int(n) for name, n, ok in zip(label.classes, counts, enough[part], strict=True) if not ok
        }
        out[label.name] = figures
    return out


def _over_labels(figures: Mapping[str, Mapping[str, Any]], labels: Labels) -> dict[str, float | None]:
    """Mean over labels, by their weight, of each metric where it is defined."""
    out: dict[str, float | None] = {}
    for metric in METRICS:
        pairs = [(label.weight, figures[label.name][metric]) for label in labels]
        defined = [(weight, value) for weight, value in pairs if value is not None and weight > 0]
        total = sum(weight for weight, _ in defined)
        out[metric] = sum(weight * value for weight, value in defined) / total if defined else None
    return out


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
