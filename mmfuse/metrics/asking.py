"""A figure that is asked for: one of mmfuse by its name, a plugin's `Metric`, or one at an operating point.

Whoever asks is given an array of the right shape or an error that names the metric: a stranger's metric may raise
anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mmfuse.attribution import attributed
from mmfuse.errors import MmfuseError, PartError, PartFailedError, SpecError, nearest
from mmfuse.labels import Floats, Ints, Labels
from mmfuse.metrics.answers import side
from mmfuse.metrics.basis import Measure, weights_of
from mmfuse.metrics.table import MEASURES
from mmfuse.metrics.within import WITHIN, mean_over_strata

SUMS = 1e-6
"""How far from one the probabilities of a trivial predictor may sum."""


class Figure(Protocol):
    """What is read of a metric: a `Metric`, or a `Measure` of this room."""

    @property
    def ideal(self) -> float: ...
    @property
    def by_label(self) -> bool: ...
    @property
    def of_positive(self) -> bool: ...
    @property
    def ranks(self) -> bool: ...
    @property
    def suits(self) -> Any: ...  # noqa: ANN401  # a method, or a field that holds a function
    @property
    def trivial(self) -> Any: ...  # noqa: ANN401
    @property
    def remark(self) -> str: ...
    @property
    def score(self) -> Any: ...  # noqa: ANN401


class Named(Figure, Protocol):
    """A figure that knows its own name, as parts do."""

    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class Asked:
    """A figure and its name."""

    name: str
    figure: Figure
    threshold: float = float("nan")
    """From which probability of the positive class on a case is called positive; NaN: where it is the most probable."""

    def score(
        self, p: Floats, targets: Ints, labels: Labels, weight: Floats | None = None, strata: Ints | None = None
    ) -> Floats:
        """(replicates, labels), or (replicates, 1) where it is not `by_label`. With `strata` (n,), numbers of folds, a
        figure that ranks compares cases of one fold alone.

        Raises: PartError naming the metric, where it fails or gives another shape.
        """
        weights = weights_of(len(p), weight)
        width = len(labels) if self.figure.by_label else 1
        try:
            values = np.asarray(self._values(p, targets, labels, weights, strata), dtype=float)
        except (MmfuseError, MemoryError):
            raise
        except Exception as error:  # a stranger's metric may raise anything
            raise PartFailedError(f"{type(error).__name__}: {error}", where=f"metric '{self.name}'") from error
        if values.shape != (len(weights), width):
            found = f"gave an array of shape {values.shape} instead of ({len(weights)}, {width})"
            raise PartError(found, "one value a replicate and label", where=f"metric '{self.name}'")
        return values

    def suits(self, labels: Labels) -> bool:
        """Whether it has a meaning for these labels. Raises: PartFailedError naming the metric, where it fails."""
        with attributed(self.figure, "`suits`"):
            return bool(self.figure.suits(labels))

    def _values(self, p: Floats, targets: Ints, labels: Labels, weight: Floats, strata: Ints | None) -> Any:  # noqa: ANN401
        if strata is None or not self.figure.ranks or len(np.unique(strata)) < 2:
            return self.figure.score(p, targets, labels, weight)
        if self.name in WITHIN:
            return WITHIN[self.name](p, targets, labels, weight, strata)
        return mean_over_strata(self.figure.score, p, targets, labels, weight, strata)

    def trivial(self, labels: Labels, prior: Floats) -> dict[str, Floats]:
        """{name: (columns,) probabilities} of the constant predictors that stand beside it.

        Raises: PartError naming the metric, where they are no probabilities.
        """
        try:
            given = {
                str(name): np.asarray(p, dtype=float) for name, p in dict(self.figure.trivial(labels, prior)).items()
            }
        except Exception as error:
            raise PartError(f"the trivial predictors failed: {type(error).__name__}: {error}") from error
        for name, p in given.items():
            if p.shape != (labels.columns,) or not (p >= 0).all():
                found = f"trivial predictor '{name}' is of shape {p.shape}" if p.ndim != 1 else f"'{name}' is {p}"
                raise PartError(found, f"({labels.columns},) probabilities, one a column")
            if any(abs(p[part].sum() - 1) > SUMS for part in labels.slices.values()):
                raise PartError(f"trivial predictor '{name}' does not sum to one over the classes of each label")
        return given


Wanted = str | Named | Asked
"""How a metric is asked for: the name of one of `MEASURES`, a `Metric`, or `Asked`."""


def asked(metric: Wanted) -> Asked:
    """The figure that is meant. Raises: SpecError for a name that is none of `MEASURES`."""
    if isinstance(metric, Asked):
        return metric
    if not isinstance(metric, str):
        return Asked(metric.name, metric)
    if metric not in MEASURES:
        raise SpecError(f"no metric is called '{metric}'", f"one of {list(MEASURES)}", nearest(metric, MEASURES))
    return Asked(metric, MEASURES[metric])


def at_point(name: str, threshold: float) -> Asked:
    """Sensitivity, specificity, ppv or npv where a case is called positive from a probability on."""
    return Asked(name, Measure(side(name, threshold), of_positive=True), threshold)


def trivial_predictors(metrics: Mapping[str, Figure], labels: Labels, prior: Floats) -> tuple[
    dict[str, Floats], dict[str, list[str]], dict[str, str]
]:  # fmt: skip
    """What stands beside figures without having looked at any case: {name: (columns,) probabilities}, then beside which
    metrics each is shown ({} of all: `majority`, the most frequent class, and `prior`, the shares of classes), and
    {metric: why it gave none}.

    Two metrics that mean the same by one name share it; another meaning stands under the metric's name as well.
    """
    blocks = [np.eye(part.stop - part.start)[np.argmax(prior[part])] for part in labels.slices.values()]
    found: dict[str, Floats] = {"majority": np.concatenate([np.empty(0), *blocks]), "prior": np.asarray(prior)}
    of: dict[str, list[str]] = {}
    failed: dict[str, str] = {}
    for metric, figure in metrics.items():
        try:
            given = Asked(metric, figure).trivial(labels, prior)
        except PartError as error:
            failed[metric] = error.faults[0].found
            continue
        for name, p in given.items():
            title = name if name not in found or np.allclose(found[name], p) else f"{name} ({metric})"
            if title not in found:
                found[title], of[title] = p, []
            if title in of:
                of[title].append(metric)
    return found, of, failed
