"""What stands where a modality is absent (law 3): a running mean of what its encoder gave, plus a learned offset.

One vector, one channel vector per map level spread over all places, one token vector spread over all tokens; the same
in training and in prediction.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmfuse.net.features import Features, level_shapes, levels_of, of_levels
from mmfuse.net.gathering import added_up, joined
from mmfuse.net.presence import Present
from mmfuse.parts import FlowShape

MOMENTUM = 0.1
"""How far a batch in which every case is present moves the mean; one with few present cases moves it in proportion
less."""


class StandIn(nn.Module):
    """The stand-in of one modality.

    The first batch that has present cases sets the means; each later one moves them by 0.1 times the share of its cases
    that are present. Only present cases count. Offsets start at zero.
    """

    observed: Tensor

    def __init__(self, flow: FlowShape) -> None:
        super().__init__()
        self.flow, self.shapes = flow, level_shapes(flow)
        widths = {level: shape[_axis(shape)] for level, shape in self.shapes.items()}
        self.offsets = nn.ParameterDict({level: nn.Parameter(torch.zeros(width)) for level, width in widths.items()})
        for level, width in widths.items():
            self.register_buffer(f"mean_{level}", torch.zeros(width))
        self.register_buffer("observed", torch.tensor(False))

    @torch.no_grad()
    def observe(self, given: Features | None, who: Present) -> None:
        """Moves the means towards the present cases' features (None: there are none). Levels that were not given (of
        frozen encoders comes only what is read) stay. Processes that are joined observe what all of them see."""
        found, count, batch = self._of_all(self._means(given), who)
        if not count:
            return
        rate = torch.where(self.observed, MOMENTUM * count / batch, 1.0)
        for level, now in found.items():
            mean = self.get_buffer(f"mean_{level}")
            mean += rate * (now - mean)
        self.observed.fill_(True)

    def _means(self, given: Features | None) -> dict[str, Tensor]:
        found = {}
        for level, tensor in ({} if given is None else levels_of(given)).items():
            own = 1 + _axis(self.shapes[level])
            found[level] = tensor.float().mean(dim=[axis for axis in range(tensor.dim()) if axis != own])
        return found

    def _of_all(self, means: dict[str, Tensor], who: Present) -> tuple[dict[str, Tensor], int, int]:
        """Means over the present cases of all processes; how many those are, and how many cases there are."""
        if joined()[1] == 1:
            return means, who.count, who.batch
        device = self.observed.device
        blank = {level: self.get_buffer(f"mean_{level}").new_zeros(()) for level in self.shapes}
        sums = [(means.get(n, blank[n]) * who.count).expand_as(self.get_buffer(f"mean_{n}")) for n in self.shapes]
        there = torch.tensor([*(n in means for n in self.shapes), who.count, who.batch], device=device)
        *levels, told = added_up(torch.cat([*sums, there])).split([*map(len, sums), len(there)])
        *seen, count, batch = map(int, told.tolist())
        kept = zip(self.shapes, levels, seen, strict=True)
        return {level: total / count for level, total, here in kept if here}, count, batch

    def one(self, level: str) -> Tensor:
        """What one absent case gets at this level."""
        shape = self.shapes[level]
        value = self.get_buffer(f"mean_{level}") + self.offsets[level]
        return (value[:, None, None] if _axis(shape) == 0 and len(shape) == 3 else value).expand(shape)

    def fill(self, given: Features | None, who: Present) -> Features:
        """The features of the present cases (None: there are none) → features of the whole batch."""
        if given is None:
            levels = {level: self.one(level).expand(who.batch, *self.shapes[level]) for level in self.shapes}
            return of_levels(levels, self.flow, {})
        if who.count == who.batch:
            return given
        attention = {name: who.spread(tensor, 0.0) for name, tensor in given.attention.items()}
        levels = {level: who.spread(tensor, self.one(level)) for level, tensor in levels_of(given).items()}
        return of_levels(levels, self.flow, attention)


def _axis(shape: tuple[int, ...]) -> int:
    """Which axis of one case is the width: channels of a map come first, the width of vectors and tokens last."""
    return 0 if len(shape) == 3 else len(shape) - 1
