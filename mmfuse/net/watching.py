"""Which epoch is best: the mean of a metric over labels and sources, on `valid`."""

from __future__ import annotations

import math

import numpy as np

from mmfuse.errors import SpecError, nearest
from mmfuse.labels import Ints, Labels
from mmfuse.metrics import LARGER_IS_BETTER, METRICS
from mmfuse.net.answering import RawScores


class Watched:
    """The metric by which epochs are compared."""

    def __init__(self, metric: str, sources: tuple[str, ...], labels: Labels) -> None:
        if metric not in METRICS:
            raise SpecError(
                f"no metric is called '{metric}'", mend=nearest(metric, METRICS), where="training.best.metric"
            )
        self.metric, self.sources, self.labels = metric, sources, labels
        self.larger_is_better = metric in LARGER_IS_BETTER

    def value(self, scores: RawScores, targets: Ints) -> float:
        """Mean over labels (by their weight) and over sources, of what is defined; NaN if nothing is."""
        means = [self._of_source(scores[source], targets) for source in self.sources]
        defined = [value for value in means if not math.isnan(value)]
        return sum(defined) / len(defined) if defined else math.nan

    def _of_source(self, logits: np.ndarray, targets: Ints) -> float:
        p = self.labels.softmax(logits.astype(np.float64)).mean(axis=0)
        by_label = METRICS[self.metric](p, targets, self.labels, None)[0]
        weight = np.where(np.isnan(by_label), 0.0, self.labels.weights)
        return float((np.nan_to_num(by_label) * weight).sum() / weight.sum()) if weight.sum() > 0 else math.nan

    def better(self, value: float, than: float) -> bool:
        """Whether `value` beats the best so far (NaN: there is none)."""
        if math.isnan(value):
            return False
        return math.isnan(than) or (value > than if self.larger_is_better else value < than)
