"""How much the best of several is flattered by having been picked on the cases on which it is shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmfuse.decide.scores import ScoreTable
from mmfuse.metrics import Wanted, asked, merit
from mmfuse.study.resampling import drawn_again, sample

OPTIMISM = 500
"""Resamples from which the optimism of the best of several is reckoned."""


def best_of_several(tables: Sequence[ScoreTable], names: Sequence[str], metric: Wanted) -> tuple[str, float]:
    """The best of `names` on `test`, and the expected maximum of their chance deviations: by so much the best is
    optimistic if all are equally good (bootstrap of groups, the same resamples for all)."""
    values, drawn = [], []
    for name in names:
        by_seed = []
        for table in tables:
            held = sample(table, "test", outer_folds(table))
            groups = held.table.groups
            p = held.table.probabilities(name)
            own, drawn_of = held.figure(metric, p), held.figure(metric, p, drawn_again(groups, OPTIMISM, 0))
            by_seed.append(held.overall(metric, p, np.concatenate([own, drawn_of]), ""))
        mean = merit(asked(metric).figure.ideal, np.mean(by_seed, axis=0))
        if not np.isnan(mean).all():
            values.append(mean[0])
            drawn.append(mean[1:] - np.nanmean(mean[1:]))
    if len(values) < len(names):
        return "", 0.0  # undefined for one of them: which is best cannot be said
    return names[int(np.argmax(values))], float(np.nanmean(np.max(drawn, axis=0)))


def outer_folds(table: ScoreTable) -> np.ndarray | tuple[()]:
    """Outer folds, where there are several: an AUC compares cases of the same one."""
    return table.folds if len(np.unique(table.folds)) > 1 else ()
