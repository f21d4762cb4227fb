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
from torch import Tensor

from mmfuse.errors import SpecError
from mmfuse.events import EpochEnded, Notice, Watch
from mmfuse.labels import Labels
from mmfuse.net.answering import answer
from mmfuse.net.augmenting import Augmenter
from mmfuse.net.batches import Batch, Index, NetworkData, read_batch, shuffled
from mmfuse.net.checkpoints import Checkpoint, optimiser_tensors, part_of, put_back
from mmfuse.net.devices import make_fabric, ready
from mmfuse.net.lessons import Learner, Lesson
from mmfuse.net.network import FusionNetwork
from mmfuse.net.optimising import make_optimiser, rate_factor
from mmfuse.net.presence import Pattern, hide, patterns_of, stacked
from mmfuse.net.randomness import own_randomness, reseed
from mmfuse.net.watching import LossLog, Watched
from mmfuse.net.working import ahead, fitting_threads
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
) -> Trained:
    """Trains on the cases at `train` that have any modality, choosing the best epoch on those at `valid` (none: the
    last one is kept).

    The network ends on `device`, in eval mode, with the weights of the best epoch. With a `checkpoint` a training that
    was killed goes on from its last epoch, as if nothing had happened.

    Raises: SpecError if the loss stops being finite (naming the cases), if nothing learns, or if no training case has a
    modality; RunError if a checkpoint cannot be written or read.
    """
    section = spec.plan.training
    train = with_anything(data, train, name)
    if section.loss == "":
        raise SpecError("no loss is named", "a loss", "read the plan by mmfuse.load, which names one", "training.loss")
    best = section.best
    with own_randomness(derive(spec.plan.seed, name, "loss")):
        learner = Learner(ready(network, device), section.loss.build(labels, labels.counts(data.targets[train])))
    course = Course(
        data=data,
        train=train,
        valid=valid,
        section=section,
        seed=spec.plan.seed,
        watched=Watched(best.metric, wiring.best_sources, labels) if best.metric and len(valid) else None,
        augmenter=Augmenter(wiring, data.vectors, device),
        device=device,
        watch=watch,
        name=name,
        checkpoint=Checkpoint(checkpoint),
        answers=spec.plan.prediction.batch,
    )
    return learn(learner, course)


def with_anything(data: NetworkData, train: Index, name: str) -> Index:
    """Those of the cases at `train` that have any modality. Raises: SpecError if there are none."""
    train = train[data.anything[train]]
    if not len(train):
        found = f"{name}: no training case has {' or '.join(sorted(data.blocks))}"
        raise SpecError(found, "one case or more that an encoder can read", "see `mmfuse check` for what is present")
    return train


def learn(lesson: Lesson, course: Course) -> Trained:
    """Carries a course out; the network ends in eval mode. Raises: as `train_network`."""
    images = bool(course.data.images - set(course.data.vectors))
    with (
        own_randomness(derive(course.seed, course.name, "training"), course.device),
        fitting_threads(course.device, images),
    ):
        try:
            return _Loop(lesson, course).run()
        finally:
            lesson.network.eval()


class _Loop:
    """One training: what stays the same over epochs, and what is best so far."""

    def __init__(self, lesson: Lesson, course: Course) -> None:
        self.lesson, self.course, self.network, self.section = lesson, course, lesson.network, course.section
        self.fabric = make_fabric(course.device, self.section.precision)
        optimiser = make_optimiser(self.section, lesson, course.device)
        self.learner, self.optimiser = self.fabric.setup(lesson, optimiser)
        self.per_epoch = math.ceil(len(self._batches(0)) / self.section.accumulate)
        self.begun, self.best_epoch, self.best_value = 0, 0, math.nan
        self.best_state: dict[str, Tensor] = {}
        self.patterns: set[Pattern] = set()
        self.taught = False

    def run(self) -> Trained:
        course, epochs = self.course, self.section.epochs
        first = self._go_on() + 1
        began = time.perf_counter()
        for epoch in range(first, epochs + 1):
            if self._is_stale(epoch - 1):
                break
            self.begun = epoch
            reseed(derive(course.seed, course.name, "epoch", epoch))
            for text in self.lesson.begin_epoch(epoch):
                course.watch(Notice(f"{course.name}, epoch {epoch}: {text}", "warning"))
            start = time.perf_counter()
            losses = self._epoch(epoch)
            rate = len(course.train) / max(time.perf_counter() - start, 1e-9)
            value = self._valid_value()
            best = self._keep_if_best(epoch, value)
            if epoch < epochs and course.checkpoint.is_due:
                self._write_down(epoch)
            left = (time.perf_counter() - began) / (epoch - first + 1) * (epochs - epoch)
            valid = {} if course.watched is None or math.isnan(value) else {course.watched.metric: value}
            course.watch(EpochEnded(course.name, epoch, epochs, losses, valid, best, rate, left))
        if self.best_state:
            self.network.load_state_dict(self.best_state, strict=False)
        elif course.watched is not None:
            text = f"{course.watched.metric} is undefined on `valid` in every epoch; the last epoch is kept"
            course.watch(Notice(f"{course.name}: {text}", "warning"))
        return Trained(self.begun, self.best_epoch or self.begun, self.best_value, frozenset(self.patterns))

    def _is_stale(self, epoch: int) -> bool:
        """Whether no epoch was better for so long that training stops."""
        return bool(self.best_epoch and self.section.patience and epoch - self.best_epoch >= self.section.patience)

    # ── one epoch ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _batches(self, epoch: int) -> list[Index]:
        course = self.course
        return shuffled(course.train, self.section.batch, generator(course.seed, course.name, "order", epoch))

    def _epoch(self, epoch: int) -> dict[str, float]:
        """One pass over the training cases; the mean of each loss over cases."""
        self.learner.train()
        course, size = self.course, self.section.accumulate
        batches = self._batches(epoch)
        hiding = generator(course.seed, course.name, "modality-dropout", epoch)
        drawing = torch.Generator().manual_seed(derive(course.seed, course.name, "augmentation", epoch))
        log = LossLog(course.data.ids, course.name, epoch, self.section.lr)
        pinned = course.device.type == "cuda"
        for i, batch in enumerate(ahead(lambda index: read_batch(course.data, index, pin=pinned), batches)):
            self._hide(batch, hiding)
            draws = tuple(batch.to(course.device) for _ in range(self.lesson.draws))
            for drawn in draws:
                course.augmenter.change(drawn, drawing)
            last = (i + 1) % size == 0 or i + 1 == len(batches)
            step = (epoch - 1) * self.per_epoch + i // size
            group = min(size, len(batches) - i // size * size)
            log.add(batch.index, self._learn(draws, step, group, last))
        return log.means()

    def _hide(self, batch: Batch, rng: np.random.Generator) -> None:
        """Modality dropout, and a record of the patterns that are shown."""
        names = list(batch.present)
        if self.section.modality_dropout > 0:
            mask = stacked({name: tensor.numpy() for name, tensor in batch.present.items()}, names)
            kept = hide(mask, self.section.modality_dropout, rng)
            batch.present.update({name: torch.from_numpy(kept[:, j].copy()) for j, name in enumerate(names)})
        self.patterns.update(patterns_of({name: tensor.numpy() for name, tensor in batch.present.items()}))

    def _learn(self, draws: tuple[Batch, ...], step: int, group: int, last: bool) -> dict[str, Tensor]:
        """Gradients of one batch (of `group` that are added up), and after the last of them a step."""
        steps = self.section.epochs * self.per_epoch
        losses: dict[str, Tensor] = self.learner(draws, step / steps)
        terms = list(losses.values())
        if any(term.requires_grad for term in terms):  # a batch of unknown labels teaches nothing
            self.fabric.backward(torch.stack(terms).sum() / group)
            self.taught = True
        if last and self.taught:
            self._step(rate_factor(self.section, step, steps, self.per_epoch))
            self.taught = False
        return losses

    def _step(self, factor: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = self.section.lr * factor
        if self.section.clip > 0:
            self.fabric.clip_gradients(
                self.learner, self.optimiser, max_norm=self.section.clip, error_if_nonfinite=False
            )
        self.optimiser.step()
        self.optimiser.zero_grad()

    # ── the best one, and where it stands ─────────────────────────────────────────────────────────────────────────────

    def _valid_value(self) -> float:
        course = self.course
        if course.watched is None:
            return math.nan
        scores = answer(self.network, course.data, course.valid, batch=course.answers)
        return course.watched.value(scores, course.data.targets[course.valid])

    def _keep_if_best(self, epoch: int, value: float) -> bool:
        if self.course.watched is None or not self.course.watched.better(value, self.best_value):
            return False
        self.best_epoch, self.best_value = epoch, value
        state = self._learning(self.network.state_dict())
        self.best_state = {key: tensor.detach().to("cpu", copy=True) for key, tensor in state.items()}
        return True

    def _learning(self, state: dict[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
        """A state without the encoders that are held whole: they stay as they were made."""
        network = self.network
        held = tuple(f"{prefix}encoders.{network.keys[m]}." for m in network.modalities if network.is_frozen(m))
        return {key: tensor for key, tensor in state.items() if not key.startswith(held)}

    def _write_down(self, epoch: int) -> None:
        state = self._learning(self.lesson.state_dict(), "network.")
        tensors = {
            **{f"lesson/{name}": tensor for name, tensor in state.items()},
            **{f"best/{name}": tensor for name, tensor in self.best_state.items()},
            **{f"optimiser/{name}": tensor for name, tensor in optimiser_tensors(self.optimiser).items()},
        }
        best = None if math.isnan(self.best_value) else self.best_value
        about = {"epoch": epoch, "best_epoch": self.best_epoch, "best_value": best, "patterns": sorted(self.patterns)}
        self.course.checkpoint.write(tensors, about)

    def _go_on(self) -> int:
        """Takes up the training where a checkpoint left it; the number of epochs that are done."""
        standing = self.course.checkpoint.read()
        if standing is None:
            return 0
        tensors, about = standing
        self.lesson.load_state_dict(part_of(tensors, "lesson"), strict=False)
        self.best_state = part_of(tensors, "best")
        put_back(self.optimiser, part_of(tensors, "optimiser"))
        self.begun, self.best_epoch = about["epoch"], about["best_epoch"]
        self.best_value = math.nan if about["best_value"] is None else about["best_value"]
        self.patterns = {tuple(words) for words in about["patterns"]}
        self.course.watch(Notice(f"{self.course.name}: goes on after epoch {self.begun} of {self.section.epochs}"))
        return self.begun
