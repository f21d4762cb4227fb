"""The one training loop, on Lightning Fabric: every network of every plan learns here.

Order, augmentation, dropout and modality dropout draw from seeds derived by name and epoch; the process's random state
is left as it was, and the same seed gives the same bits on the same CPU, also where a training that was killed goes on
from a checkpoint. What is kept is the best epoch on `valid` (the named exception of law 2).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmfuse.attribution import attributed
from mmfuse.data.aside import picked
from mmfuse.errors import Faults, SpecError
from mmfuse.events import EpochEnded, Notice, Watch
from mmfuse.labels import Labels
from mmfuse.net.answering import answer
from mmfuse.net.augmenting import Augmenter
from mmfuse.net.averaging import AVERAGES
from mmfuse.net.batches import Index, NetworkData
from mmfuse.net.checkpoints import Checkpoint, Kept
from mmfuse.net.compiling import compiling
from mmfuse.net.devices import make_fabric, ready
from mmfuse.net.features import ALIKE
from mmfuse.net.gathering import agree, from_first, joined, made_even
from mmfuse.net.lessons import Learner, Lesson
from mmfuse.net.network import FusionNetwork
from mmfuse.net.optimising import make_optimiser, rate_factor, rates_of
from mmfuse.net.presence import Pattern
from mmfuse.net.randomness import own_randomness, reseed
from mmfuse.net.sharding import held
from mmfuse.net.showing import Course, Shown, shown
from mmfuse.net.views import IDENTITY
from mmfuse.net.watching import Finite, LossLog, Watched
from mmfuse.net.working import fitting_threads
from mmfuse.parts import Loss
from mmfuse.seeds import derive
from mmfuse.spec import Spec
from mmfuse.wiring import Wiring


@dataclass(frozen=True)
class Trained:
    """What a training left behind, beside the network itself."""

    epochs: int
    """Epochs that were run."""
    best_epoch: int
    """The one whose weights were kept, from 1."""
    best_value: float
    """The watched metric there; NaN if none was watched."""
    patterns: frozenset[Pattern]
    """The patterns of presence that training showed."""


_WEIGHED = (
    "{name}: a step adds up {many} batches, and the loss '{loss}' does not say what its means are over: each batch "
    "counts by its cases with a known label, which is exact for a mean over those"
)


def train_network(
    network: FusionNetwork,
    data: NetworkData,
    train: Index,
    valid: Index,
    *,
    spec: Spec,
    wiring: Wiring,
    labels: Labels,
    device: torch.device,
    watch: Watch,
    name: str = "network",
    checkpoint: Path | None = None,
    weights: NDArray[np.float64] | None = None,
) -> Trained:
    """Trains on the cases at `train` that have any modality, choosing the best epoch on those at `valid` (none: the
    last one is kept).

    The network ends on `device`, in eval mode, with the weights of the best epoch. With a `checkpoint` a training that
    was killed goes on from its last epoch, as if nothing had happened. `weights` (all cases): how much each counts in
    the loss, beside the mean of the training cases; None: all alike.

    Raises: SpecError if the loss stops being finite (naming the cases), if nothing learns, or if no training case has a
    modality; RunError if a checkpoint cannot be written or read.
    """
    section = spec.plan.training
    train = with_anything(data, train, name)
    if section.loss == "":
        raise SpecError("no loss is named", "a loss", "read the plan by mmfuse.load, which names one", "training.loss")
    best = section.best
    with own_randomness(derive(spec.plan.seed, name, "loss")):
        with attributed(section.loss, "`build`", "training.loss"):
            loss = section.loss.build(labels, labels.counts(data.targets[train]))
        learner = Learner(ready(network, device), loss, _weights(section.loss, weights, train), section.loss).to(device)
    if section.accumulate > 1 and not section.loss.accumulates:
        watch(Notice(_WEIGHED.format(name=name, many=section.accumulate, loss=section.loss.name)))
    watched = Watched(best.metric, wiring.best_sources, labels) if best.metric and len(valid) else None
    course = Course(
        data=data, train=train, valid=valid, section=section, seed=spec.plan.seed, watched=watched,
        augmenter=Augmenter(wiring, data.still, device), device=device, watch=watch, name=name,
        checkpoint=Checkpoint(checkpoint), answers=spec.plan.prediction.batch,
    )  # fmt: skip
    return learn(learner, course)


def with_anything(data: NetworkData, train: Index, name: str) -> Index:
    """Those of the cases at `train` that have any modality. Raises: SpecError if there are none."""
    train = picked(train, data.anything[train])
    if not len(train):
        found = f"{name}: no training case has {' or '.join(sorted(data.blocks))}"
        raise SpecError(found, "one case or more that an encoder can read", "see `mmfuse check` for what is present")
    return train


def _weights(loss: Loss, weights: NDArray[np.float64] | None, train: Index) -> Tensor:
    """(all cases), their mean over `train` 1; one number where all count alike. Raises: SpecError if the loss takes no
    weights, or no training case counts."""
    if weights is None or np.ptp(weights[train]) == 0 < weights[train][0]:
        return ALIKE
    faults = Faults()
    if not loss.weighs_cases:
        mend = "cross-entropy, focal, or a card without case weights"
        faults.add("cases.weight", f"the loss '{loss.name}' counts every case alike", "one that weighs cases", mend)
    if not weights[train].any():
        faults.add("cases.weight", "every training case has weight 0", "cases that count", "look at the column")
    faults.raise_as(SpecError)
    return torch.from_numpy(weights / weights[train].mean()).float()


def learn(lesson: Lesson, course: Course) -> Trained:
    """Carries a course out; the network ends in eval mode. Raises: as `train_network`."""
    seed = derive(course.seed, course.name, "training")
    with own_randomness(seed, course.device), fitting_threads(course.device, course.data.heavy):
        try:
            loop = _Loop(lesson, course)
            with compiling(loop.held.lesson.network, course.section.compile):
                return loop.run()
        finally:
            lesson.network.eval()


class _Loop:
    """One training: what stays the same over epochs, and what is best so far."""

    def __init__(self, lesson: Lesson, course: Course) -> None:
        self.lesson, self.course, self.network, self.section = lesson, course, lesson.network, course.section
        self.held = held(lesson, self.section, course.device)
        learns = self.held.lesson
        self.fabric = make_fabric(course.device, self.section.precision, learns is not lesson)
        optimiser = make_optimiser(self.section, learns, course.device, rates_of(learns.network))
        self.learner, self.optimiser = self.fabric.setup(learns, optimiser)
        self.per_epoch = math.ceil(len(_all_work(course.batches(0))) / self.section.accumulate)
        self.average = AVERAGES[self.section.average](lesson, self.section)
        self.kept = Kept(lesson, self.optimiser, self.average, self.fabric.strategy.precision)
        self.finite = Finite(lesson, course.section.lr)
        self.taught = False

    def run(self) -> Trained:
        course, kept, epochs = self.course, self.kept, self.section.epochs
        if kept.read(course.checkpoint):
            course.watch(Notice(f"{course.name}: goes on after epoch {kept.epoch} of {epochs}"))
        agree(kept.epoch, f"the checkpoint of {course.name}")
        self.held.send()
        done, began = kept.epoch, time.perf_counter()
        for epoch in range(done + 1, epochs + 1):
            if kept.best_epoch and self.section.patience and kept.epoch - kept.best_epoch >= self.section.patience:
                break
            self.held.send_away()
            reseed(derive(course.seed, course.name, "epoch", epoch))
            for text in self.lesson.begin_epoch(epoch):
                course.watch(Notice(f"{course.name}, epoch {epoch}: {text}", "warning"))
            if rank := joined()[0]:  # what is dropped in one slice is no copy of another's
                reseed(derive(course.seed, course.name, "epoch", epoch, "rank", rank))
            start = time.perf_counter()
            losses = self._epoch(epoch)
            rate = len(course.train) / max(time.perf_counter() - start, 1e-9)
            kept.epoch = epoch
            self.held.bring()
            self.finite.check(f"{course.name}, epoch {epoch}")
            value, best = self._look()
            if epoch < epochs and from_first(course.checkpoint.is_due):
                kept.write(course.checkpoint)
            left = (time.perf_counter() - began) / (epoch - done) * (epochs - epoch)
            valid = {} if course.watched is None or math.isnan(value) else {course.watched.metric: value}
            course.watch(EpochEnded(course.name, epoch, epochs, losses, valid, best, rate, left))
        if not kept.put_best():
            self.average.put()
            if course.watched is not None:
                text = f"{course.watched.metric} is undefined on `valid` in every epoch; the last epoch is kept"
                course.watch(Notice(f"{course.name}: {text}", "warning"))
        self.finite.check(f"{course.name}, what is kept")
        return Trained(kept.epoch, kept.best_epoch or kept.epoch, kept.best_value, frozenset(kept.patterns))

    # ── one epoch ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _epoch(self, epoch: int) -> dict[str, float]:
        """One pass over the training cases; the mean of each loss over cases."""
        self.learner.train()
        course, began = self.course, (epoch - 1) * self.per_epoch
        log = LossLog(course.data.ids, course.name, epoch, self.section.lr)
        for one in shown(course, self.lesson.draws, epoch, self.kept.patterns):
            losses = self._learn(one, began + one.step)
            share = 1.0 if one.draws[0].group is None else one.draws[0].group.share
            log.add(one.cases, losses, share, self.held.lesson.broken)
        return log.means()

    def _learn(self, one: Shown, step: int) -> dict[str, Tensor]:
        """Gradients of one batch, added to those of its step so far, and after the last of them a step. Processes
        exchange gradients with the last one alone."""
        steps = self.section.epochs * self.per_epoch
        with self.fabric.no_backward_sync(self.learner, enabled=not one.is_last):
            losses: dict[str, Tensor] = self.learner(one.draws, step / steps)
            terms = list(losses.values())
            if any(term.requires_grad for term in terms):  # a batch of unknown labels teaches nothing
                self.fabric.backward(torch.stack(terms).sum())
                self.taught = True
        even_statistics(self.learner)
        if one.is_last and self.taught:
            self._step(rate_factor(self.section, step, steps, self.per_epoch))
            self.taught = False
        return losses

    def _step(self, factor: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = self.section.lr * factor * group["share"]
        self.held.before_step()
        if (clip := self.section.clip) > 0:
            self.fabric.clip_gradients(self.learner, self.optimiser, max_norm=clip, error_if_nonfinite=False)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.average.after_step()

    # ── after an epoch ────────────────────────────────────────────────────────────────────────────────────────────────

    def _look(self) -> tuple[float, bool]:
        """What the epoch that is just done is worth on `valid`, NaN if nothing is; and whether it is the best: it is
        kept."""
        course, watched, kept = self.course, self.course.watched, self.kept
        self.average.after_epoch(kept.epoch)
        if watched is None and kept.epoch < self.section.epochs:
            return math.nan, False
        with self.average.worn(self._show_all):
            if watched is None:
                return math.nan, False
            where = f"{course.name}, epoch {kept.epoch}"
            scores = answer(self.network, course.data, course.valid, batch=course.answers, where=where)
            value = from_first(watched.value(scores, course.data.targets[course.valid]))
            best = self.average.counts and watched.better(value, kept.best_value)
            if best:
                kept.keep(value)
        return value, best

    def _show_all(self) -> None:
        """Passes all training cases through the network, as the epoch that is just done showed them."""
        for one in shown(self.course, self.lesson.draws, self.kept.epoch, self.kept.patterns):
            for drawn in one.draws:
                self.network(drawn.inputs, drawn.present, drawn.known_of(IDENTITY))
                even_statistics(self.network)


def even_statistics(network: nn.Module) -> None:
    """The running means and variances of what normalises over cases and learns become their mean over processes: each
    takes them of its slice of a batch."""
    if joined()[1] == 1:
        return
    layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm) and layer.training]
    made_even([buffer for layer in layers for buffer in layer.buffers() if buffer.is_floating_point()])


def _all_work(batches: list[Index]) -> list[Index]:
    """The same. Raises: SpecError if a process would get no case of one of them."""
    fewest, processes = min(map(len, batches)), joined()[1]
    if fewest < processes:
        found = f"a batch of {fewest} for {processes} processes"
        raise SpecError(found, "a case for each", "a larger training.batch, or fewer processes", "training.batch")
    return batches
