"""Averages of a network's weights over its training, which are watched on `valid` and kept instead of the last ones.

They hold what learns and its statistics; encoders that are frozen whole are not copied. Tensors and count are in the
checkpoint, so that a resumed training averages on bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _NormBase
from torch.optim.swa_utils import get_ema_multi_avg_fn, get_swa_multi_avg_fn

from mmfuse.net.lessons import Lesson, learning
from mmfuse.net.network import FusionNetwork
from mmfuse.net.optimising import first_averaged
from mmfuse.spec import TrainingSection


class Average:
    """No average: the weights themselves are watched and kept. Base of those that there are."""

    anew: ClassVar[bool] = False
    """Whether running statistics are taken anew before it is used."""

    def __init__(self, lesson: Lesson, section: TrainingSection) -> None:
        self._lesson, self._section = lesson, section
        self.tensors: dict[str, Tensor] = {}
        """By name in the network's state; empty: nothing is averaged yet."""
        self.count = 0
        """How many states were averaged."""

    @property
    def counts(self) -> bool:
        """Whether what an epoch ends with may be kept."""
        return bool(self.tensors) or not self.anew

    def after_step(self) -> None:
        """The optimiser has made a step."""

    def after_epoch(self, epoch: int) -> None:
        """An epoch (from 1) is done."""

    def take_up(self, tensors: Mapping[str, Tensor], count: int) -> None:
        """Goes on from these, laid out in memory as the network's are."""
        state = self._state()
        self.tensors = {name: torch.empty_like(state[name]).copy_(tensor) for name, tensor in tensors.items()}
        self.count = count

    def put(self) -> None:
        """Gives the network the averages, if there are any."""
        self._lesson.network.load_state_dict(self.tensors, strict=False)

    @contextmanager
    def worn(self, show: Callable[[], None]) -> Iterator[None]:
        """Within it the network has the averages, if there are any; afterwards its own weights again. `show` passes all
        training cases through the network, for an average whose statistics are taken anew."""
        if not self.tensors:
            yield
            return
        own = _copied(self._state())
        self.put()
        if self.anew:
            with _taken_anew(self._lesson.network):
                show()
            self.tensors = _copied(self._state())
        yield
        self._lesson.network.load_state_dict(own, strict=False)

    def _state(self) -> dict[str, Tensor]:
        return learning(self._lesson, self._lesson.network.state_dict(), "")

    def _add(self, fold: Callable[[list[Tensor], list[Tensor], int], None]) -> None:
        """Moves averages towards what is now; counts (whole numbers, truth values) are taken as they are."""
        state = self._state()
        before = self.tensors or _copied(state)
        self.tensors = {name: before[name] if t.is_floating_point() else t.clone() for name, t in state.items()}
        floats = [name for name, tensor in state.items() if tensor.is_floating_point()]
        fold([self.tensors[name] for name in floats], [state[name] for name in floats], self.count)
        self.count += 1


class Exponential(Average):
    """average ← d average + (1 - d) weights after each step, d = min(`ema_decay`, (1 + n) / (10 + n)) after n steps, so
    that the first weights are soon forgotten (the ramp of TensorFlow's `ExponentialMovingAverage`). Statistics
    likewise."""

    def after_step(self) -> None:
        decay = min(self._section.ema_decay, (1 + self.count) / (10 + self.count))
        self._add(get_ema_multi_avg_fn(decay))


class Stochastic(Average):
    """The plain mean of the weights that the last epochs end with; statistics of normalisation and stand-ins are taken
    anew from the training cases (Izmailov et al., "Averaging weights leads to wider optima", 2018, arXiv 1803.05407,
    algorithm 1)."""

    anew: ClassVar[bool] = True

    def after_epoch(self, epoch: int) -> None:
        if epoch >= first_averaged(self._section):
            self._add(get_swa_multi_avg_fn())


AVERAGES: dict[str, type[Average]] = {"none": Average, "ema": Exponential, "swa": Stochastic}
"""By their word in [training]."""


def _copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}


@contextmanager
def _taken_anew(network: FusionNetwork) -> Iterator[None]:
    """Within it, without gradients and in training mode, running statistics of normalisation begin anew and are plain
    means over batches; stand-ins begin anew. What is held keeps its own."""
    network.train()
    layers = [layer for layer in network.modules() if isinstance(layer, _NormBase) and layer.training]
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
    for modality in network.modalities:
        network.standin(modality).observed.fill_(False)
    try:
        with torch.no_grad():
            yield
    finally:
        for layer, momentum in zip(layers, before, strict=True):
            layer.momentum = momentum
