"""The one training loop, on Lightning Fabric: every network of every plan learns here.

Order, augmentation, dropout and modality dropout draw from seeds derived by name and epoch; the process's random state
is left as it was, and the same seed gives the same bits on the same CPU, also where a training that was killed goes on
from a checkpoint. What is kept is the best epoch on `valid` (the named exception of law 2).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
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
from mmfuse.net.batches import Batch, Index, NetworkData, read_batch, shuffled
from mmfuse.net.checkpoints import Checkpoint, Kept
from mmfuse.net.compiling import compiling
from mmfuse.net.devices import make_fabric, ready
from mmfuse.net.features import ALIKE
from mmfuse.net.gathering import agree, from_first, joined, made_even, share
from mmfuse.net.lessons import Learner, Lesson
from mmfuse.net.network import FusionNetwork
from mmfuse.net.optimising import make_optimiser, rate_factor, rates_of
from mmfuse.net.presence import Pattern, hide, patterns_of, stacked
from mmfuse.net.randomness import own_randomness, reseed
from mmfuse.net.sampling import balanced
from mmfuse.net.sharding import held
from mmfuse.net.views import IDENTITY
from mmfuse.net.watching import LossLog, Watched
from mmfuse.net.working import ahead, fitting_threads
from mmfuse.parts import Loss
from mmfuse.seeds import derive, generator
from mmfuse.spec import Spec, TrainingSection
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


@dataclass(frozen=True)
class Course:
    """How a lesson is learnt, and from which cases."""

    data: NetworkData
    train: Index
    valid: Index
    section: TrainingSection
    seed: int
    watched: Watched | None
    """By what the best epoch is chosen; None: the last one is kept."""
    augmenter: Augmenter
    device: torch.device
    watch: Watch
    name: str
    """All seeds are derived from it."""
    checkpoint: Checkpoint = Checkpoint(None)  # noqa: RUF009  # one that keeps nothing
    answers: int = 64
    """Cases a batch when `valid` is answered."""


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
        self.per_epoch = math.ceil(len(_all_work(self._batches(0))) / self.section.accumulate)
        self.average = AVERAGES[self.section.average](lesson, self.section)
        self.kept = Kept(lesson, self.optimiser, self.average)
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
        return Trained(kept.epoch, kept.best_epoch or kept.epoch, kept.best_value, frozenset(kept.patterns))

    # ── one epoch ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _batches(self, epoch: int) -> list[Index]:
        course, rng = self.course, generator(self.course.seed, self.course.name, "order", epoch)
        even = self.section.sampling == "balanced"
        train = balanced(course.train, course.data.targets, rng) if even else course.train
        return shuffled(train, self.section.batch, rng, max(2, joined()[1]))

    def _epoch(self, epoch: int) -> dict[str, float]:
        """One pass over the training cases; the mean of each loss over cases."""
        self.learner.train()
        course, size = self.course, self.section.accumulate
        batches = self._batches(epoch)
        log = LossLog(course.data.ids, course.name, epoch, self.section.lr)
        for i, draws in enumerate(self._shown(epoch, batches)):
            last = (i + 1) % size == 0 or i + 1 == len(batches)
            step = (epoch - 1) * self.per_epoch + i // size
            group = min(size, len(batches) - i // size * size)
            log.add(batches[i], self._learn(draws, step, group, last))
        return log.means()

    def _shown(self, epoch: int, batches: list[Index]) -> Iterator[tuple[Batch, ...]]:
        """Each batch (this process's share of it) as training shows it in this epoch: hidden, augmented, on the device,
        as often as a step draws. All chance is drawn for the whole batch, however many processes share it."""
        course = self.course
        hiding = generator(course.seed, course.name, "modality-dropout", epoch)
        drawing = torch.Generator().manual_seed(derive(course.seed, course.name, "augmentation", epoch))
        pinned = course.device.type == "cuda"
        data = course.data.picked(generator(course.seed, course.name, "feature-view", epoch))
        own = ahead(lambda index: read_batch(data, index[share(len(index))], pin=pinned), batches)
        for whole, batch in zip(batches, own, strict=True):
            part = share(len(whole))
            batch.present.update({name: mask[part] for name, mask in self._present(whole, hiding).items()})
            draws = tuple(batch.to(course.device) for _ in range(self.lesson.draws))
            for drawn in draws:
                course.augmenter.change(drawn, drawing, part, len(whole))
            yield draws

    def _present(self, whole: Index, rng: np.random.Generator) -> dict[str, Tensor]:
        """Who has what after modality dropout; the patterns that are shown are recorded."""
        present = {name: block.there[whole] for name, block in self.course.data.blocks.items()}
        if self.section.modality_dropout > 0:
            kept = hide(stacked(present, list(present)), self.section.modality_dropout, rng)
            present = {name: kept[:, j].copy() for j, name in enumerate(present)}
        self.kept.patterns.update(patterns_of(present))
        return {name: torch.from_numpy(mask) for name, mask in present.items()}

    def _learn(self, draws: tuple[Batch, ...], step: int, group: int, last: bool) -> dict[str, Tensor]:
        """Gradients of one batch (of `group` that are added up), and after the last of them a step."""
        steps = self.section.epochs * self.per_epoch
        losses: dict[str, Tensor] = self.learner(draws, step / steps)
        terms = list(losses.values())
        if any(term.requires_grad for term in terms):  # a batch of unknown labels teaches nothing
            self.fabric.backward(torch.stack(terms).sum() / group)
            self.taught = True
        even_statistics(self.learner)
        if last and self.taught:
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
            scores = answer(self.network, course.data, course.valid, batch=course.answers)
            value = from_first(watched.value(scores, course.data.targets[course.valid]))
            best = self.average.counts and watched.better(value, kept.best_value)
            if best:
                kept.keep(value)
        return value, best

    def _show_all(self) -> None:
        """Passes all training cases through the network, as the epoch that is just done showed them."""
        for draws in self._shown(self.kept.epoch, self._batches(self.kept.epoch)):
            for drawn in draws:
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
