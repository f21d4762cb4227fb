"""Feature reconstruction learning: which places training takes away, and the decoder that rebuilds them.

Draws come from torch's global generator, which the engine seeds anew for each epoch, as dropout's do. Originals are
targets without gradient: the decoder is to meet them, not they the decoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfuse import FlowShape
from mmfuse_ultrasound.modules.local import Tensors, key
from mmfuse_ultrasound.modules.places import grid_of, sine_codes
from mmfuse_ultrasound.modules.transformer import Layer

if TYPE_CHECKING:
    from mmfuse_ultrasound.fusions import AttentionGuided

Looks = Mapping[str, Tensors]
"""{`intra` or `inter`: {modality: (batch, places)}} at one scale."""


class Dropping(Protocol):
    """Says which places are rebuilt, and which of these stand in the rebuilt features that are classified."""

    from_others: bool
    """Whether a place is rebuilt from the other modalities, or from what is left of its own."""
    by_attention: bool
    """Whether it reads `looks`."""

    def taken(self, places: Sequence[Tensors], looks: Sequence[Looks], present: Mapping[str, Tensor]) -> list[Tensors]:
        """At each scale {modality: (batch, places) bool}; never any of an absent modality."""

    def shown(self, present: Mapping[str, Tensor]) -> Tensors:
        """{modality: (batch,)}: where rebuilt places stand for the originals."""


class MostAttended:
    """The places that are looked at most, by their own modality and by the others together."""

    from_others, by_attention = False, True

    def __init__(self, dropped: float) -> None:
        self.dropped = dropped

    def taken(self, places: Sequence[Tensors], looks: Sequence[Looks], present: Mapping[str, Tensor]) -> list[Tensors]:
        return [
            {
                name: highest(torch.stack([kind[name] for kind in at.values()]).sum(dim=0), self.dropped, present[name])
                for name in scale
            }
            for scale, at in zip(places, looks, strict=True)
        ]

    def shown(self, present: Mapping[str, Tensor]) -> Tensors:
        return dict(present)


class AtRandom:
    """As many places as `MostAttended` takes, drawn evenly: its control."""

    from_others, by_attention = False, False

    def __init__(self, dropped: float) -> None:
        self.dropped = dropped

    def taken(self, places: Sequence[Tensors], looks: Sequence[Looks], present: Mapping[str, Tensor]) -> list[Tensors]:
        return [
            {
                name: highest(torch.rand(x.shape[:2], device=x.device), self.dropped, present[name])
                for name, x in scale.items()
            }
            for scale in places
        ]

    def shown(self, present: Mapping[str, Tensor]) -> Tensors:
        return dict(present)


class OneModality:
    """All places of every modality that has another beside it; of each case one modality, drawn evenly, is shown."""

    from_others, by_attention = True, False

    def __init__(self, dropped: float) -> None:
        """`dropped` says nothing here: all places go."""

    def taken(self, places: Sequence[Tensors], looks: Sequence[Looks], present: Mapping[str, Tensor]) -> list[Tensors]:
        beside = torch.stack([present[name] for name in places[0]]).sum(dim=0) > 1
        return [
            {name: (present[name] & beside)[:, None].expand(x.shape[:2]) for name, x in scale.items()}
            for scale in places
        ]

    def shown(self, present: Mapping[str, Tensor]) -> Tensors:
        there = torch.stack(list(present.values()), dim=1)
        lots = torch.rand(there.shape, device=there.device).masked_fill(~there, -1.0)
        chosen = functional.one_hot(lots.argmax(dim=1), there.shape[1]).bool()
        return dict(zip(present, chosen.unbind(1), strict=True))


DROPPINGS: dict[str, type[MostAttended | AtRandom | OneModality]] = {
    "erase": MostAttended,
    "random": AtRandom,
    "cross": OneModality,
}


def share_of(places: int, share: float) -> int:
    """How many places a share is: one at least, but never all."""
    return min(max(1, round(share * places)), places - 1)


def taken_places(
    part: AttentionGuided, flows: Mapping[str, FlowShape], scales: int, present: Mapping[str, Tensor]
) -> Tensor:
    """Return how many places of each case are taken away, over scales and modalities with maps: (cases,) float."""
    mapped, dropping = sorted(name for name, flow in flows.items() if flow.maps), part.reconstruction
    beside = torch.stack([present[name] for name in mapped]).sum(dim=0) > 1
    total = torch.zeros(len(beside), device=beside.device)
    for name in mapped:
        for _, height, width in flows[name].maps[-scales:]:
            rows, columns = grid_of(height, width, part.places)
            whole = DROPPINGS[dropping.by].from_others
            count = rows * columns if whole else share_of(rows * columns, dropping.dropped)
            total = total + count * (present[name] & beside if whole else present[name])
    return total


def highest(score: Tensor, share: float, there: Tensor) -> Tensor:
    """(batch, places) → which are among the highest `share` of each case: one at least, but never all."""
    count = share_of(score.shape[1], share)
    chosen = torch.zeros_like(score, dtype=torch.bool)
    chosen.scatter_(1, score.topk(count, dim=1).indices, True)
    return chosen & there[:, None]


class Rebuilt(NamedTuple):
    """What stands where places were taken away."""

    places: list[Tensors]
    """At each scale {modality: (batch, places, width)}, originals where nothing was taken."""
    touched: Tensors
    """{modality: (batch,)}: whether rebuilt places stand in it."""
    loss: Tensor
    """Mean over the places taken of 1 - cosine to the originals; 0 where none was."""


class Rebuilder(nn.Module):
    """A mask token a modality and one decoder layer, which sees where each place is."""

    def __init__(
        self, grids: Sequence[Mapping[str, tuple[int, int]]], dropping: Dropping, width: int, heads: int
    ) -> None:
        super().__init__()
        self.dropping = dropping
        names = sorted(grids[0])
        self.masks = nn.ParameterDict({key(name): nn.Parameter(0.02 * torch.randn(width)) for name in names})
        self.decoders = nn.ModuleDict({key(name): _Decoder(width, heads) for name in names})
        for i, scale in enumerate(grids):
            for name, grid in scale.items():
                self.register_buffer(f"codes{i}-{key(name)}", sine_codes(grid, width), persistent=False)

    def forward(self, places: Sequence[Tensors], looks: Sequence[Looks], present: Mapping[str, Tensor]) -> Rebuilt:
        there = {name: present[name] for name in sorted(places[0])}
        gone, shown = self.dropping.taken(places, looks, there), self.dropping.shown(there)
        rebuilt: list[Tensors] = []
        total, count = torch.zeros((), device=_device(places)), torch.zeros((), device=_device(places))
        for i, (scale, taken) in enumerate(zip(places, gone, strict=True)):
            coded = {name: x + self.get_buffer(f"codes{i}-{key(name)}") for name, x in scale.items()}
            rebuilt.append({})
            for name, x in scale.items():
                here = taken[name][..., None]
                asking = torch.where(here, self.masks[key(name)], x) + self.get_buffer(f"codes{i}-{key(name)}")
                others, seen = self._read(name, asking, coded, present)
                new = self.decoders[key(name)](asking, others, seen)
                rebuilt[-1][name] = torch.where(here & shown[name][:, None, None], new, x).to(x.dtype)
                distance = 1 - functional.cosine_similarity(new.float(), x.detach().float(), dim=-1)
                total, count = total + torch.where(taken[name], distance, 0.0).sum(), count + taken[name].sum()
        touched = {n: torch.stack([taken[n].any(dim=1) for taken in gone]).any(dim=0) & shown[n] for n in there}
        return Rebuilt(rebuilt, touched, total / count.clamp(min=1))

    def _read(self, name: str, asking: Tensor, coded: Tensors, present: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """What a modality's places are rebuilt from, and (batch, places) which of it are there."""
        if not self.dropping.from_others:
            return asking, present[name][:, None].expand(asking.shape[:2])
        others = [other for other in sorted(coded) if other != name]
        seen = [present[other][:, None].expand(coded[other].shape[:2]) for other in others]
        return torch.cat([coded[other] for other in others], dim=1), torch.cat(seen, dim=1)


class _Decoder(nn.Module):
    """One pre-norm layer and a projection back to places."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.layer, self.norm, self.out = Layer(width, heads, dropout=0.0), nn.LayerNorm(width), nn.Linear(width, width)

    def forward(self, asking: Tensor, others: Tensor, seen: Tensor) -> Tensor:
        given: Tensor = self.out(self.norm(self.layer(asking, others, seen)))
        return given


def _device(places: Sequence[Tensors]) -> torch.device:
    return next(iter(places[0].values())).device
