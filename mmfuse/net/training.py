"""The one training loop, on Lightning Fabric: every network of every plan learns here.

Order, augmentation, dropout and modality dropout draw from seeds derived by name and epoch; the process's random state
is left as it was, and the same seed gives the same bits on the same CPU. What is kept is the best epoch on `valid` (the
named exception of law 2).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from mmfuse.errors import PartError, SpecError
from mmfuse.events import EpochEnded, Notice, Watch
from mmfuse.labels import Labels
from mmfuse.net.answering import answer
from mmfuse.net.augmenting import Augmenter
from mmfuse.net.batches import Batch, Index, NetworkData, read_batch, shuffled
from mmfuse.net.devices import make_fabric, ready
from mmfuse.net.network import FusionNetwork
from mmfuse.net.optimising import make_optimiser, rate_factor
from mmfuse.net.presence import Pattern, hide, patterns_of, stacked
from mmfuse.net.randomness import own_randomness, reseed
from mmfuse.net.views import IDENTITY
from mmfuse.net.watching import Watched
from mmfuse.net.working import ahead, fitting_threads
from mmfuse.seeds import derive, generator
from mmfuse.spec import Spec
from mmfuse.wiring import Wiring

LOOKED_AT = 16
"""Steps between looks at the losses; each look waits for the device."""


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
) -> Trained:
    """Trains on the cases at `train` that have any modality, choosing the best epoch on those at `valid` (none: the
    last one is kept).

    The network ends on `device`, in eval mode, with the weights of the best epoch.

    Raises: SpecError if the loss stops being finite (naming the cases), if nothing learns, or if no training case has a
    modality.
    """
    train = train[data.anything[train]]
    if not len(train):
        found = f"{name}: no training case has {' or '.join(sorted(data.blocks))}"
        raise SpecError(found, "one case or more that an encoder can read", "see `mmfuse check` for what is present")
    images = bool(data.images - set(data.vectors))
    with own_randomness(derive(spec.plan.seed, name, "training"), device), fitting_threads(device, images):
        loop = _Loop(network, data, train, valid, spec, wiring, labels, device, watch, name)
        try:
            return loop.run()
        finally:
            network.eval()


class Learner(nn.Module):
    """Network and loss in one forward pass, as distribution wants it."""

    def __init__(self, network: FusionNetwork, loss: nn.Module) -> None:
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """The batch's losses by name: the loss part's, and what the fusion adds."""
        outputs = self.network(batch.inputs, batch.present, batch.vectors_of(IDENTITY))
        own = self.loss(outputs, batch.targets, progress)
        twice = sorted(set(own) & set(outputs.fused.losses))
        if twice:
            raise PartError(
                f"loss and fusion both name a loss {twice}", "names of their own", "rename one of them", "training.loss"
            )
        return {**own, **outputs.fused.losses}


class _Loop:
    """One training: what stays the same over epochs, and what is best so far."""

    def __init__(
        self,
        network: FusionNetwork,
        data: NetworkData,
        train: Index,
        valid: Index,
        spec: Spec,
        wiring: Wiring,
        labels: Labels,
        device: torch.device,
        watch: Watch,
        name: str,
    ) -> None:
        self.network, self.data, self.train, self.valid = network, data, train, valid
        self.spec, self.section, self.device, self.watch, self.name = spec, spec.plan.training, device, watch, name
        self.fabric: Fabric = make_fabric(device, self.section.precision)
        part, counts = self.section.loss, labels.counts(data.targets[train])
        if part == "":
            raise SpecError(
                "no loss is named", "a loss", "read the plan by mmfuse.load, which names one", "training.loss"
            )
        loss = part.build(labels, counts)
        learner = Learner(ready(network, device), loss)
        self.learner, self.optimiser = self.fabric.setup(learner, make_optimiser(self.section, learner, device))
        self.augmenter = Augmenter(wiring, data.vectors, device)
        best = self.section.best
        self.watched = Watched(best.metric, wiring.best_sources, labels) if best.metric and len(valid) else None
        self.per_epoch = math.ceil(len(self._batches(0)) / self.section.accumulate)
        self.best_epoch, self.best_value = 0, math.nan
        self.best_state: dict[str, Tensor] = {}
        self.patterns: set[Pattern] = set()
        self.taught = False

    def run(self) -> Trained:
        began = time.perf_counter()
        epochs = self.section.epochs
        for epoch in range(1, epochs + 1):
            reseed(derive(self.spec.plan.seed, self.name, "epoch", epoch))
            start = time.perf_counter()
            losses = self._epoch(epoch)
            rate = len(self.train) / max(time.perf_counter() - start, 1e-9)
            value = self._valid_value()
            best = self._keep_if_best(epoch, value)
            left = (time.perf_counter() - began) / epoch * (epochs - epoch)
            valid = {} if self.watched is None or math.isnan(value) else {self.watched.metric: value}
            self.watch(EpochEnded(self.name, epoch, epochs, losses, valid, best, rate, left))
            if self.best_epoch and self.section.patience and epoch - self.best_epoch >= self.section.patience:
                break
        if self.best_state:
            self.network.load_state_dict(self.best_state, strict=False)
        elif self.watched is not None:
            text = f"{self.name}: {self.watched.metric} is undefined on `valid` in every epoch; the last epoch is kept"
            self.watch(Notice(text, "warning"))
        return Trained(epoch, self.best_epoch or epoch, self.best_value, frozenset(self.patterns))

    # ── one epoch ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _batches(self, epoch: int) -> list[Index]:
        return shuffled(self.train, self.section.batch, generator(self.spec.plan.seed, self.name, "order", epoch))

    def _epoch(self, epoch: int) -> dict[str, float]:
        """One pass over the training cases; the mean of each loss over cases."""
        self.learner.train()
        seed, size = self.spec.plan.seed, self.section.accumulate
        batches = self._batches(epoch)
        hiding = generator(seed, self.name, "modality-dropout", epoch)
        drawing = torch.Generator().manual_seed(derive(seed, self.name, "augmentation", epoch))
        log = _LossLog(self.data, self.name, epoch, self.section.lr)
        groups = [
            min(size, len(batches) - start)
            for start in range(0, len(batches), size)
            for _ in range(min(size, len(batches) - start))
        ]
        pinned = self.device.type == "cuda"
        for i, batch in enumerate(ahead(lambda index: read_batch(self.data, index, pin=pinned), batches)):
            self._hide(batch, hiding)
            on_device = batch.to(self.device)
            self.augmenter.change(on_device, drawing)
            last = (i + 1) % size == 0 or i + 1 == len(batches)
            step = (epoch - 1) * self.per_epoch + i // size
            log.add(batch.index, self._learn(on_device, step, groups[i], last))
        return log.means()

    def _hide(self, batch: Batch, rng: np.random.Generator) -> None:
        """Modality dropout, and a record of the patterns that are shown."""
        names = list(batch.present)
        if self.section.modality_dropout > 0:
            mask = stacked({name: tensor.numpy() for name, tensor in batch.present.items()}, names)
            kept = hide(mask, self.section.modality_dropout, rng)
            batch.present.update({name: torch.from_numpy(kept[:, j].copy()) for j, name in enumerate(names)})
        self.patterns.update(patterns_of({name: tensor.numpy() for name, tensor in batch.present.items()}))

    def _learn(self, batch: Batch, step: int, group: int, last: bool) -> dict[str, Tensor]:
        """Gradients of one batch (of `group` that are added up), and after the last of them a step."""
        steps = self.section.epochs * self.per_epoch
        losses: dict[str, Tensor] = self.learner(batch, step / steps)
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

    # ── the best one ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _valid_value(self) -> float:
        if self.watched is None:
            return math.nan
        scores = answer(self.network, self.data, self.valid, batch=self.spec.plan.prediction.batch)
        return self.watched.value(scores, self.data.targets[self.valid])

    def _keep_if_best(self, epoch: int, value: float) -> bool:
        if self.watched is None or not self.watched.better(value, self.best_value):
            return False
        held = tuple(f"encoders.{self.network.keys[m]}." for m in self.network.modalities if self.network.is_frozen(m))
        self.best_epoch, self.best_value = epoch, value
        self.best_state = {
            key: tensor.detach().to("cpu", copy=True)
            for key, tensor in self.network.state_dict().items()
            if not key.startswith(held)
        }
        return True


class _LossLog:
    """Losses of an epoch, by name. They are looked at every few steps, since each look waits for the device."""

    def __init__(self, data: NetworkData, network: str, epoch: int, lr: float) -> None:
        self._data, self._where, self._lr = data, f"{network}, epoch {epoch}", lr
        self._waiting: list[tuple[Index, dict[str, Tensor]]] = []
        self._sums: dict[str, float] = {}
        self._cases: dict[str, int] = {}

    def add(self, index: Index, losses: dict[str, Tensor]) -> None:
        """Raises: SpecError if one of the last few losses was not finite."""
        self._waiting.append((index, {name: loss.detach() for name, loss in losses.items()}))
        if len(self._waiting) >= LOOKED_AT or all(loss.device.type == "cpu" for loss in losses.values()):
            self._look()

    def means(self) -> dict[str, float]:
        self._look()
        return {name: total / self._cases[name] for name, total in self._sums.items()}

    def _look(self) -> None:
        for index, losses in self._waiting:
            for name, loss in losses.items():
                value = float(loss)
                if not math.isfinite(value):
                    raise self._refusal(index, name, value)
                self._sums[name] = self._sums.get(name, 0.0) + value * len(index)
                self._cases[name] = self._cases.get(name, 0) + len(index)
        self._waiting.clear()

    def _refusal(self, index: Index, name: str, value: float) -> SpecError:
        ids: Sequence[str] = [str(word) for word in self._data.ids[index]]
        named = ", ".join(ids[:20]) + (f" and {len(ids) - 20} more" if len(ids) > 20 else "")
        mend = f"a smaller training.lr (now {self._lr:g}), training.clip = 1.0, or look at the inputs of these cases"
        return SpecError(f"loss '{name}' is {value} on the batch of cases {named}", "a finite loss", mend, self._where)
