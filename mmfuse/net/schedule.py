"""The learning rate over training, as a factor of `training.lr`."""

from __future__ import annotations

import math

from mmfuse.spec import TrainingSection


def warmup_steps(section: TrainingSection, steps: int) -> int:
    """How many of all `steps` (of the optimiser) the rate rises in."""
    return min(round(section.warmup * steps), steps - 1) if section.warmup else 0


def rate_factor(section: TrainingSection, step: int, steps: int, per_epoch: int) -> float:
    """Factor in [0, 1] at optimiser step `step` (from 0) of `steps`, with `per_epoch` of them in an epoch.

    During warm-up (step + 1) / warm-up steps; after it, for `cosine`, (1 + cos(π t)) / 2 with t the share of the
    remaining steps that are done (Loshchilov, Hutter, SGDR, 2017, eq. 5, without restarts). `schedule_by = "epoch"`
    holds the value of an epoch's first step throughout it: without warm-up that is (1 + cos(π epoch / epochs)) / 2.
    """
    rising = warmup_steps(section, steps)
    if step < rising:
        return (step + 1) / rising
    if section.schedule == "constant":
        return 1.0
    at = step // per_epoch * per_epoch if section.schedule_by == "epoch" else step
    return 0.5 * (1 + math.cos(math.pi * max(at - rising, 0) / (steps - rising)))
