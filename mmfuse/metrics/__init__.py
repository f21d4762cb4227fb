"""Figures of merit, vectorised over replicates of case weights; training, decisions and evaluation use the same ones.

Every figure takes `p` (cases, columns) probabilities, `targets` (cases, labels) with -1 unknown, and `weight`
(replicates, cases), and gives (replicates, labels), or (replicates, 1) where it is of all labels together. A weight of
0 is a case that is not there. Read in the order `basis`, `answers`, `ranking`, `calibration`, `table`, then `operating`
(thresholds), `evaluation` and `linting`. NumPy alone.
"""

from __future__ import annotations

from mmfuse.metrics.answers import side
from mmfuse.metrics.basis import FEWEST, Measure, Score, counted
from mmfuse.metrics.evaluation import Evaluation, Scored, evaluate
from mmfuse.metrics.linting import lint
from mmfuse.metrics.operating import OperatingPoint, OperatingPoints, read_rule
from mmfuse.metrics.ranking import class_auc, counted_macro_auc, weighted_auc, weighted_average_precision
from mmfuse.metrics.table import LARGER_IS_BETTER, MEASURES, METRICS, REPORTED

__all__ = [
    "FEWEST", "LARGER_IS_BETTER", "MEASURES", "METRICS", "REPORTED", "Evaluation", "Measure", "OperatingPoint",
    "OperatingPoints", "Score", "Scored", "class_auc", "counted", "counted_macro_auc", "evaluate", "lint", "read_rule",
    "side", "weighted_auc", "weighted_average_precision",
]  # fmt: skip
