"""Learning without labels: the steps of `[pretexts]`, one after the other with one network, on the same training loop.

No label is handed on: what an objective sees is what the network makes of the inputs. Each step has seeds of its own.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from mmfuse.attribution import attributed
from mmfuse.errors import PartError, SpecError, placed
from mmfuse.events import Notice, StepEnded, StepStarted, Watch, silent
from mmfuse.labels import UNKNOWN, Ints
from mmfuse.net.assembling import Assembler, fit_readers
from mmfuse.net.augmenting import Augmenter
from mmfuse.net.batches import Batch, Index, NetworkData, in_order, read_batch
from mmfuse.net.checkpoints import Checkpoint
from mmfuse.net.devices import choose_device, ready
from mmfuse.net.features import Outputs
from mmfuse.net.fitted import FittedNetwork, Member
from mmfuse.net.gathering import done_already, gather, joined, part, share
from mmfuse.net.lessons import TINY, Lesson, broken_cases, checked_losses, learning_from, loss_counts
from mmfuse.net.network import FusionNetwork
from mmfuse.net.randomness import own_randomness
from mmfuse.net.training import Course, Trained, learn, with_anything
from mmfuse.net.views import IDENTITY
from mmfuse.net.weights import load_all, read_tensors, start_weights, write_tensors
from mmfuse.net.working import answering_batch, answers
from mmfuse.parts import Pretext
from mmfuse.seeds import derive
from mmfuse.spec import PretextLine, Spec, TrainingSection
from mmfuse.wiring import FUSED, Wiring
from mmfuse.work import Work

if TYPE_CHECKING:
    from mmfuse.data.cases import Cases

NAME = "network"
"""Of what is pretrained, in a run."""
CHECKPOINT, WEIGHTS = "checkpoint.safetensors", "network.safetensors"


_CONTRASTS = (
    "{step}: '{part}' tells a case apart from the others of its batch, and training.accumulate = {many} adds up "
    "batches that do not see each other: a larger batch is more, several are not; mend: a larger `batch` on its line"
)


class Unlabelled(Lesson):
    """Network and objective in one forward pass."""

    def __init__(
        self, network: FusionNetwork, objective: nn.Module, part: Pretext, data: NetworkData, train: Index
    ) -> None:
        super().__init__()
        draws, self._part = part.draws, part
        self.network, self.objective, self.draws = network, objective, draws
        self._data, self._train = data, train
        self._place = np.full(len(data), -1)
        self._place[train] = np.arange(len(train))

    def begin_epoch(self, epoch: int) -> tuple[str, ...]:
        """The objective looks at all cases, if it wants to."""
        self.network.eval()
        with attributed(self._part, "`begin_epoch`", "pretexts"):
            return tuple(self.objective.begin_epoch(epoch, self.embed))  # type: ignore[operator]  # the role's contract

    def embed(self, of: Callable[[Outputs], Tensor]) -> Tensor:
        """`of` the network's outputs for every case that is learnt from, unaugmented and without gradients."""
        device = next(self.network.parameters()).device
        images = self._data.heavy
        own = self._train[share(len(self._train))]
        jobs = in_order(own, answering_batch(64, device, images))

        def one(network: FusionNetwork, batch: Batch) -> Tensor:
            given = batch.to(device)
            return of(network(given.inputs, given.present, given.known_of(IDENTITY)))

        def read(index: Index) -> Batch:
            return read_batch(self._data, index, pin=device.type == "cuda")

        return gather(torch.cat([made.clone() for made in answers(self.network, read, one, jobs, device, images)]))

    def forward(self, draws: Sequence[Batch], progress: float) -> dict[str, Tensor]:
        """The objective's losses, and what the fusion adds (a mean over the readings)."""
        outputs = [self.network(drawn.inputs, drawn.present, drawn.known_of(IDENTITY)) for drawn in draws]
        position = torch.from_numpy(self._place[draws[0].index]).to(draws[0].targets.device)
        broken = torch.stack([broken_cases(made) for made in outputs]).any(dim=0)
        self.broken = gather(broken.float()) > 0

        def whole(tensor: Tensor) -> Tensor:
            return gather(learning_from(tensor, self.network))

        with attributed(self._part, "`forward`", "pretexts"):
            given = self.objective(outputs, position, whole)
        losses = checked_losses(given, self._part, "pretexts")
        group = draws[0].group
        share = 1.0 if group is None else group.share
        losses = {name: loss * share for name, loss in losses.items()}
        counted = loss_counts(self.network, outputs[0].present)
        every = {} if group is None else loss_counts(self.network, group.effective.present)
        for name in outputs[0].fused.losses:
            if name in losses:
                raise PartError(f"objective and fusion both name a loss '{name}'", "names of their own", "rename one")
            own = torch.stack([made.fused.losses[name] for made in outputs]).mean()
            one = torch.ones(len(position), device=position.device)
            total = whole(counted.get(name, one)).sum()
            if group is not None:
                total = every[name].sum() if name in every else total / share
            losses[name] = whole(own * counted.get(name, one)).sum() / total.clamp(min=TINY)
        return losses


def pretrain_network(
    spec: Spec,
    wiring: Wiring,
    cases: Cases,
    index: Ints,
    *,
    device: str = "auto",
    watch: Watch = silent,
    work: Work | None = None,
) -> FittedNetwork:
    """The network after all steps of `[pretexts]` on the cases at `index`; their labels are not looked at.

    Raises: SpecError if the plan has no network or no pretext, or parts do not fit; TableError for cells that cannot be
    read.
    """
    lines, where = spec.plan.pretexts, choose_device(device)
    done = done_already(work, [f"pretext {name}" for name in lines])
    if not lines or not wiring.encoders:
        found = "the plan has no [pretexts]" if wiring.encoders else "the plan has no network"
        raise SpecError(found, "a network and an objective without labels", "`mmfuse recipes` shows plans", "pretexts")
    readers = fit_readers(spec, wiring, cases, index)
    shapes = {modality: reader.shape for modality, reader in readers.items()}
    network = FusionNetwork(spec, wiring, shapes, cases.labels, NAME)
    start_weights(network, spec, wiring, watch)
    ready(network, where)
    given = Assembler(spec, wiring, cases, watch).data(network, readers, (IDENTITY,))
    data = dataclasses.replace(given, targets=np.full_like(given.targets, UNKNOWN))
    train = with_anything(data, np.asarray(index), "pretraining")
    # All are built before any is learnt by: what does not fit is found at once.
    objectives = {name: _objective(name, line, spec, network, len(train), where) for name, line in lines.items()}
    trained = Trained(0, 0, float("nan"), frozenset())
    for number, (name, line) in enumerate(lines.items(), 1):
        step = f"pretext {name}"
        watch(StepStarted(step, number, len(lines)))
        if work is not None and step in done:
            load_all(network, read_tensors(work.found(step) / WEIGHTS), str(work.folder), f"remove {work.folder}")
            trained, seconds = _of_all_epochs(_section(spec.plan.training, line)), 0.0
        else:
            objective = objectives[name]
            trained, seconds = _step(step, line, objective, spec, wiring, network, data, train, where, watch, work)
        watch(StepEnded(step, seconds))
    part()
    unknown = tuple(0.0 for _ in range(cases.labels.columns))
    return FittedNetwork(spec, wiring, {NAME: Member(network.eval(), readers, trained, unknown)})


def _objective(
    name: str, line: PretextLine, spec: Spec, network: FusionNetwork, cases: int, device: torch.device
) -> nn.Module:
    """Built from a seed of its own."""
    seed = derive(spec.plan.seed, f"pretext {name}", "objective")
    with own_randomness(seed), placed(f"pretexts.{name}", "pretexts"), _blamed(line, name):
        return line.part.build(_widths(network), spec.card.label_set, cases).to(device)


def _blamed(line: PretextLine, name: str) -> attributed:
    return attributed(line.part, "`build`", f"pretexts.{name}")


def _step(
    step: str,
    line: PretextLine,
    objective: nn.Module,
    spec: Spec,
    wiring: Wiring,
    network: FusionNetwork,
    data: NetworkData,
    train: Index,
    device: torch.device,
    watch: Watch,
    work: Work | None,
) -> tuple[Trained, float]:
    """One pretext, and the seconds that it took."""
    began = time.perf_counter()
    place = None if work is None else work.step(step)
    lesson = Unlabelled(network, objective, line.part, data, train)
    course = Course(
        data=data,
        train=train,
        valid=train[:0],
        section=_section(spec.plan.training, line),
        seed=spec.plan.seed,
        watched=None,
        augmenter=Augmenter(wiring, data.still, device),
        device=device,
        watch=watch,
        name=step,
        checkpoint=Checkpoint(None if place is None else place / CHECKPOINT),
    )
    if line.part.contrasts and (many := course.section.accumulate) > 1:
        watch(Notice(_CONTRASTS.format(step=step, many=many, part=line.part.name), "warning"))
    with _held(network, line.hold_encoders):
        trained = learn(lesson, course)
    if work is not None and place is not None and joined()[0] == 0:
        write_tensors(network, place / WEIGHTS)
        work.done(step, beside=(CHECKPOINT,))
        course.checkpoint.remove()
    return trained, time.perf_counter() - began


def _of_all_epochs(section: TrainingSection) -> Trained:
    return Trained(section.epochs, section.epochs, float("nan"), frozenset())


def _section(training: TrainingSection, line: PretextLine) -> TrainingSection:
    """[training] with what the line says otherwise; the last epoch is kept."""
    given = {"epochs": line.epochs, "batch": line.batch, "lr": line.lr}
    return training.model_copy(update={"shard": False} | {name: value for name, value in given.items() if value})


def _widths(network: FusionNetwork) -> dict[str, int]:
    fused = {FUSED: network.fused_width} if network.fused_width else {}
    return {**network.widths, **fused}


@contextmanager
def _held(network: FusionNetwork, hold: bool) -> Iterator[None]:
    """Within it the encoders stay as they are, where that is asked for."""
    learning = [p for p in network.encoders.parameters() if p.requires_grad] if hold else []
    before = network.held
    network.held = [*before, *(network.encoders.values() if hold else ())]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        network.held = before
        for parameter in learning:
            parameter.requires_grad_(True)
