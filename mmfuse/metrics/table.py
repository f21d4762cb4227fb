"""Every figure that comes with mmfuse, by the name that plans, results and `mmfuse parts` use."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mmfuse.metrics import answers, calibration, ranking
from mmfuse.metrics.basis import Measure, Score, all_binary

METRICS: Mapping[str, Score] = {
    "accuracy": answers.accuracy,
    "balanced-accuracy": answers.balanced_accuracy,
    "macro-f1": answers.macro_f1,
    "macro-auc": ranking.macro_auc,
    "average-precision": ranking.average_precision,
    "log-loss": calibration.log_loss,
    "brier": calibration.brier,
}
"""What training may choose its epoch by: of all classes that occur, however rare."""

MEASURES: Mapping[str, Measure] = {
    "accuracy": Measure(answers.accuracy),
    "balanced-accuracy": Measure(answers.balanced_accuracy),
    "macro-f1": Measure(answers.macro_f1),
    "macro-auc": Measure(ranking.counted_macro_auc, ranks=True),
    "average-precision": Measure(ranking.counted_average_precision, ranks=True),
    "log-loss": Measure(calibration.log_loss, -np.inf),
    "brier": Measure(calibration.brier, -np.inf),
    "calibration-slope": Measure(calibration.calibration_slope, 1.0),
    "calibration-intercept": Measure(calibration.calibration_intercept, 0.0),
    "calibration-error": Measure(calibration.calibration_error, -np.inf),
    "entropy": Measure(calibration.entropy, np.nan),
    **{name: Measure(answers.side(name), of_positive=True) for name in answers.SIDES},
    "exact-match": Measure(answers.exact_match, by_label=False, suits=all_binary),
    "hamming": Measure(answers.hamming, -np.inf, by_label=False, suits=all_binary),
    "micro-f1": Measure(answers.micro_f1, by_label=False, suits=all_binary),
    "positive-macro-f1": Measure(answers.positive_macro_f1, by_label=False, suits=all_binary),
}
"""What evaluations show, and what must be known about each."""

REPORTED: Mapping[str, Score] = {name: measure.score for name, measure in MEASURES.items() if measure.by_label}
"""What evaluations and comparisons show of each label: the same metrics, AUC and average precision over the classes
with enough cases."""

LARGER_IS_BETTER = frozenset(name for name, measure in MEASURES.items() if measure.ideal == np.inf)
