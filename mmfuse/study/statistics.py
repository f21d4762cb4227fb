"""All of the study's statistics under one name: intervals, paired differences, tests and verdicts.

`resampling` → `intervals` → `paired` (with `classical`) → `repeated`, `verdicts` is the order to read them in.
"""

from __future__ import annotations

from mmfuse.metrics import macro_auc_within
from mmfuse.study.classical import Tested, corrected_t, delong, delong_parts, holm, mcnemar
from mmfuse.study.intervals import LEVEL, Interval, interval, intervals, intervals_at
from mmfuse.study.paired import Difference, paired_difference
from mmfuse.study.repeated import difference_over_seeds, over_seeds
from mmfuse.study.resampling import bootstrap_weights, jackknife_weights
from mmfuse.study.verdicts import DELTA, Verdict, verdict

__all__ = [
    "DELTA",
    "LEVEL",
    "Difference",
    "Interval",
    "Tested",
    "Verdict",
    "bootstrap_weights",
    "corrected_t",
    "delong",
    "delong_parts",
    "difference_over_seeds",
    "holm",
    "interval",
    "intervals",
    "intervals_at",
    "jackknife_weights",
    "macro_auc_within",
    "mcnemar",
    "over_seeds",
    "paired_difference",
    "verdict",
]
