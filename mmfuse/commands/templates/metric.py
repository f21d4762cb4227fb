"""One metric for mmfuse, vectorised over replicates of the cases (bootstrap weights)."""

from __future__ import annotations

import numpy as np

import mmfuse


class NewPart(mmfuse.Metric):
    """Mean probability that is given to the right class."""

    def score(self, p: np.ndarray, targets: np.ndarray, labels: mmfuse.Labels, weight: np.ndarray) -> np.ndarray:
        """(cases, columns), (cases, labels) -1 unknown, (replicates, cases) → (replicates, labels)."""
        hit = labels.one_hot(targets) * p
        right = np.stack([hit[:, columns].sum(axis=1) for columns in labels.slices.values()], axis=1)
        counted = (targets >= 0) & ~np.isnan(right)
        total = weight @ counted
        above = weight @ np.where(counted, right, 0.0)
        return np.divide(above, total, out=np.full(total.shape, np.nan), where=total > 0)


@mmfuse.hookimpl
def mmfuse_parts() -> list[type[mmfuse.Part]]:
    return [NewPart]
