"""A network whose weights, gradients and optimiser state lie in parts in several processes (FSDP, as torch's
`fully_shard` has it): `training.shard`.

What learns is a copy of the lesson, cut up: each encoder that learns by itself, everything else together. The whole
one stays beside it, takes its weights after each epoch and does what networks do alone: it answers, is kept, is stored.
While an epoch runs it lies on the CPU.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from mmfuse.errors import Faults, SpecError
from mmfuse.net.gathering import added_up, in_parts, joined
from mmfuse.net.lessons import Lesson
from mmfuse.spec import TrainingSection


class Whole:
    """A lesson that each process holds whole: it learns itself."""

    def __init__(self, lesson: Lesson) -> None:
        self.lesson = lesson

    def bring(self) -> None:
        """Gives the whole lesson what was learnt; all processes together."""

    def send(self) -> None:
        """Gives what learns the weights of the whole lesson."""

    def send_away(self) -> None:
        """The whole lesson is not needed until it is brought again."""

    def before_step(self) -> None:
        """What the batch did not use gets no gradient, so that the optimiser leaves it as it is."""


class Shards(Whole):
    """A lesson in parts, beside the whole one. `lesson` is what learns."""

    def __init__(self, whole: Lesson, device: torch.device) -> None:
        super().__init__(_cut(copy.deepcopy(whole), device))
        self._whole, self._device = whole, device

    def bring(self) -> None:
        state = {name: full(tensor) for name, tensor in self.lesson.state_dict().items()}
        self._whole.to(self._device).load_state_dict(state)

    def send(self) -> None:
        state = self._whole.state_dict()
        with torch.no_grad():
            for name, tensor in self.lesson.state_dict().items():
                tensor.copy_(cut_as(state[name], tensor))

    def send_away(self) -> None:
        self._whole.to("cpu")

    def before_step(self) -> None:
        given = [parameter for parameter in self.lesson.parameters() if parameter.grad is not None]
        anything = torch.stack([_own(parameter.grad).any().float() for parameter in given])
        for parameter, used in zip(given, added_up(anything).tolist(), strict=True):
            if not used:
                parameter.grad = None


def held(lesson: Lesson, section: TrainingSection, device: torch.device) -> Whole:
    """How a lesson is held while it learns. Raises: SpecError where torch cannot cut it up."""
    if not section.shard or joined()[1] == 1:
        return Whole(lesson)
    faults, where, mend = Faults(), "training.shard", "leave one of them out"
    if section.average == "ema":
        found = "shard = true with average = 'ema', which moves whole weights after each step"
        faults.add(where, found, "average = 'swa' or 'none'", mend)
    if section.compile:
        faults.add(
            where, "shard = true with compile = true, which passes by what puts the parts together", "one of them", mend
        )
    faults.raise_as(SpecError)
    return Shards(lesson, device)


def _cut(lesson: Lesson, device: torch.device) -> Lesson:
    try:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard
    except ImportError as error:
        found = f"torch {torch.__version__} has no fully_shard"
        raise SpecError(found, "torch 2.6 or newer", "leave shard out", "training.shard") from error
    lesson.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # what torch can cut
    mesh, network = init_device_mesh(device.type, (joined()[1],)), lesson.network
    for encoder in network.encoders.children():
        if any(parameter.requires_grad for parameter in encoder.parameters()):
            fully_shard(encoder, mesh=mesh)
    fully_shard(lesson, mesh=mesh)
    network.sharded = True
    return lesson


def _own(tensor: Any) -> Tensor:  # noqa: ANN401  # a tensor, or torch's DTensor
    return tensor.to_local() if in_parts(tensor) else tensor  # type: ignore[no-any-return]


def full(tensor: Any) -> Tensor:  # noqa: ANN401  # a tensor, or torch's DTensor
    """A tensor in parts → the whole of it, in all processes; another one as it is."""
    return tensor.full_tensor() if in_parts(tensor) else tensor  # type: ignore[no-any-return]


def cut_as(whole: Tensor, other: Any) -> Tensor:  # noqa: ANN401  # a tensor, or torch's DTensor
    """A whole tensor, cut up as `other` is; as it is where that is whole."""
    if not in_parts(other):
        return whole
    from torch.distributed.tensor import distribute_tensor

    # every process holds the whole: nothing has to be sent
    return distribute_tensor(whole.contiguous(), other.device_mesh, other.placements, src_data_rank=None)
