"""Intervals by resampling whole groups of cases. Metrics are vectorised over replicates of weights, so a bootstrap is
one call.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmfuse.decide.scores import ScoreTable
from mmfuse.errors import SpecError, nearest
from mmfuse.labels import Floats
from mmfuse.metrics import REPORTED
from mmfuse.seeds import generator

LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """A paired difference of two sources on the same cases, with its interval."""

    value: float
    low: float
    high: float
    groups: int
    """How many groups were resampled; the interval covers the choice of groups, not that of training cases or seeds."""

    def __str__(self) -> str:
        return f"{self.value:+.3f} (95 % {self.low:+.3f} … {self.high:+.3f})"


def bootstrap_weights(groups: NDArray[np.str_], replicates: int, seed: int) -> Floats:
    """(replicates, cases): how often each case stands in each resample of whole groups, with replacement
    (Field & Welsh, J. R. Stat. Soc. B 2007: the cluster bootstrap)."""
    names, member = np.unique(groups, return_inverse=True)
    drawn = generator(seed, "bootstrap").multinomial(len(names), np.full(len(names), 1 / len(names)), size=replicates)
    return drawn[:, member].astype(float)


def paired_difference(
    table: ScoreTable,
    one: str,
    other: str,
    *,
    metric: str,
    on: str = "test",
    label: str = "",
    replicates: int = 2000,
    seed: int = 0,
) -> Difference:
    """`metric`, as evaluations show it, of source `one` minus that of `other` on the same cases, with a 95 % interval
    (percentiles of the bootstrap).

    Over the label named, or meant over all labels by their weight. Cases about which either source abstains are left
    out of both.

    Raises: SpecError for an unknown metric, source or label, or where there is nothing to resample.
    """
    for word, known in ((metric, REPORTED), (one, table.sources), (other, table.sources)):
        if word not in known:
            raise SpecError(f"nothing is called '{word}'", mend=nearest(word, known))
    if label and label not in table.labels.names:
        raise SpecError(f"no label is called '{label}'", mend=nearest(label, table.labels.names))
    chosen = table.take(table.split == on)
    first, second = chosen.probabilities(one), chosen.probabilities(other)
    both = ~(np.isnan(first).any(axis=1) | np.isnan(second).any(axis=1))
    groups = np.asarray(chosen.groups)[both]
    if len(np.unique(groups)) < 2:
        raise SpecError(f"{len(np.unique(groups))} groups in '{on}' about which both sources speak", "two or more")
    weight = np.concatenate([np.ones((1, int(both.sum()))), bootstrap_weights(groups, replicates, seed)])
    values = [REPORTED[metric](p[both], chosen.targets[both], chosen.labels, weight) for p in (first, second)]
    gap = _over_labels(values[0] - values[1], table, label)
    drawn = gap[1:][~np.isnan(gap[1:])]
    if np.isnan(gap[0]) or not len(drawn):
        return Difference(float("nan"), float("nan"), float("nan"), len(np.unique(groups)))
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(float(gap[0]), float(low), float(high), len(np.unique(groups)))


def _over_labels(gap: Floats, table: ScoreTable, label: str) -> Floats:
    """(replicates, labels) → (replicates,)."""
    if label:
        return gap[:, table.labels.names.index(label)]
    weights = np.where(np.isnan(gap), 0.0, table.labels.weights)
    with np.errstate(invalid="ignore"):
        return np.where(
            weights.sum(axis=1) > 0, (weights * np.nan_to_num(gap)).sum(axis=1) / weights.sum(axis=1), np.nan
        )
