"""Figures of merit, vectorised over replicates of case weights; training, decisions and evaluation use the same ones.

Every figure takes `p` (cases, columns) probabilities, `targets` (cases, labels) with -1 unknown, and `weight`
(replicates, cases), and gives (replicates, labels), or (replicates, 1) where it is of all labels together. A weight of
0 is a case that is not there. Read in the order `basis`, `answers`, `ranking`, `within` (folds), `calibration`,
`table`, `asking` (by name, or a plugin's), then `operating` (thresholds), `evaluation` and `linting`. NumPy alone.
"""

from __future__ import annotations

from mmfuse.metrics.answers import side
from mmfuse.metrics.asking import Asked, Figure, Wanted, asked, at_point
from mmfuse.metrics.basis import FEWEST, Measure, Score, counted, merit
from mmfuse.metrics.evaluation import Evaluation, Scored, evaluate
from mmfuse.metrics.linting import lint, lint_evaluation, lintable
from mmfuse.metrics.operating import OperatingPoint, OperatingPoints, read_rule
from mmfuse.metrics.ranking import class_auc, counted_macro_auc, weighted_auc, weighted_average_precision
from mmfuse.metrics.table import LARGER_IS_BETTER, MEASURES, METRICS, REPORTED
from mmfuse.metrics.within import macro_auc_within

__all__ = [
    "FEWEST", "LARGER_IS_BETTER", "MEASURES", "METRICS", "REPORTED", "Asked", "Evaluation", "Figure", "Measure",
    "OperatingPoint", "OperatingPoints", "Score", "Scored", "Wanted", "asked", "at_point", "class_auc", "counted",
    "counted_macro_auc", "evaluate", "lint", "lint_evaluation", "lintable", "macro_auc_within", "merit", "read_rule",
    "side", "weighted_auc", "weighted_average_precision",
]  # fmt: skip
