"""The attention-guided fusion: places → local vectors → class token, with reconstruction in training.

Whatever is absent is masked out of every attention and sum, so neither its content nor its stand-in is heard.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfuse import Features, FlowShape, Fused
from mmfuse_ultrasound.modules.attention import shares
from mmfuse_ultrasound.modules.local import LocalScale, Tensors, key
from mmfuse_ultrasound.modules.places import Places
from mmfuse_ultrasound.modules.rebuilding import DROPPINGS, Looks, Rebuilder
from mmfuse_ultrasound.modules.transformer import ClassToken

if TYPE_CHECKING:
    from mmfuse_ultrasound.fusions import AttentionGuided

Grids = list[dict[str, tuple[int, int]]]


class AttentionGuidedFusion(nn.Module):
    """Built from the part's knobs, the flows and how many `scales` are read (0: no maps)."""

    def __init__(self, part: AttentionGuided, flows: Mapping[str, FlowShape], scales: int) -> None:
        super().__init__()
        self.names = tuple(sorted(flows))
        self.mapped = tuple(name for name in self.names if scales and flows[name].maps)
        self.width, self.scales = part.width, scales
        shapes = [{name: flows[name].maps[i] for name in self.mapped} for i in range(-scales, 0)]
        self.places = nn.ModuleList(
            nn.ModuleDict({key(name): Places(shape, part.places, part.width) for name, shape in scale.items()})
            for scale in shapes
        )
        self.grids: Grids = [{name: _grid(scale, name) for name in self.mapped} for scale in self.places]
        self.local = nn.ModuleList(
            LocalScale(grids, part.width, part.heads, intra=part.intra, inter=part.inter, positions=part.positions)
            for grids in self.grids
        )
        self.merge = nn.ModuleDict({key(name): nn.Linear(scales * part.width, part.width) for name in self.mapped})
        self.overall = nn.ModuleDict()
        self.token: ClassToken | None = None
        if part.global_learning:
            self.overall.update({key(name): _Vector(flows[name].width, part.width) for name in self.names})
            self.token = ClassToken(part.width, part.heads, part.depth, part.dropout)
        self.rebuilder = _rebuilder(part, self.grids)
        self.classify = part.reconstruction.classify
        self.rebuild = part.reconstruction.rebuild

    def forward(self, features: Mapping[str, Features], present: Mapping[str, Tensor]) -> Fused:
        rebuilder = self.rebuilder if self.training else None
        places = [
            {name: scale[key(name)](features[name].maps[i - self.scales], present[name]) for name in self.mapped}
            for i, scale in enumerate(self.places)
        ]
        look = not self.training or (rebuilder is not None and rebuilder.dropping.by_attention)
        local, looks = self._local(places, present, look)
        vectors = {
            name: layer(features[name].vector, present[name])
            for name, layer in ((name, self.overall[key(name)]) for name in self.names if key(name) in self.overall)
        }
        fused = Fused(self._fuse(local, vectors, present, present))
        if rebuilder is None:
            return fused if self.training else fused._replace(attention=self._pictures(looks))
        rebuilt = rebuilder(places, looks, present)
        fused = fused._replace(losses={"reconstruction": self.rebuild * rebuilt.loss})
        if self.classify == 0:
            return fused
        # An encoder's own vector has seen the places that were taken away: it is left out beside rebuilt ones.
        heard = {
            name: present[name] & ~rebuilt.touched[name] if name in rebuilt.touched else present[name]
            for name in self.names
        }
        again, _ = self._local(rebuilt.places, present, look=False)
        vector = self._fuse(again, vectors, present, heard)
        weight = self.classify * torch.stack(list(rebuilt.touched.values())).any(dim=0).to(vector.dtype)
        return fused._replace(views={"rebuilt": (vector, weight)})

    def _local(self, places: list[Tensors], present: Mapping[str, Tensor], look: bool) -> tuple[Tensors, list[Looks]]:
        """{modality: (batch, width)}, merged over scales; and who looked where, if that is asked."""
        means: dict[str, list[Tensor]] = {name: [] for name in self.mapped}
        looks: list[Looks] = []
        for scale, given in zip(self.local, places, strict=True):
            found, asked = scale(given, present)
            if look:
                looks.append(scale.looks(asked, present))
            for name, x in found.items():
                means[name].append(x.mean(dim=1))
        merged = {name: self.merge[key(name)](torch.cat(each, dim=1)) for name, each in means.items()}
        return merged, looks

    def _fuse(
        self, local: Tensors, vectors: Tensors, present: Mapping[str, Tensor], heard: Mapping[str, Tensor]
    ) -> Tensor:
        """(batch, width): the class token's answer from local vectors and, of those `heard`, the encoders' own; without
        it the local ones side by side, zero where absent."""
        known = {name: torch.where(present[name][:, None], x, 0.0) for name, x in local.items()}
        if self.token is None:
            return torch.cat([known[name] for name in self.mapped], dim=1)
        tokens = [vectors[name] for name in self.names] + [known[name] for name in self.mapped]
        there = [heard[name] for name in self.names] + [present[name] for name in self.mapped]
        fused: Tensor = self.token(torch.stack(tokens, dim=1), torch.stack(there, dim=1))
        return fused

    def _pictures(self, looks: list[Looks]) -> dict[str, Tensor]:
        """{`modality/kind`: (batch, rows, columns)} on the finest grid: the mean over scales, summing to one."""
        pictures = {}
        for kind in looks[0] if looks else ():
            for name in self.mapped:
                finest = max((grids[name] for grids in self.grids), key=lambda grid: grid[0] * grid[1])
                levels = [
                    functional.interpolate(at[kind][name].unflatten(1, grids[name])[:, None], size=finest)[:, 0]
                    for at, grids in zip(looks, self.grids, strict=True)
                ]
                summed = torch.stack([shares(level.flatten(1)) for level in levels]).sum(dim=0)
                pictures[f"{name}/{kind}"] = shares(summed).unflatten(1, finest)
        return pictures


class _Vector(nn.Module):
    """An encoder's vector → (batch, width), normed; zero where absent."""

    def __init__(self, given: int, width: int) -> None:
        super().__init__()
        self.project, self.norm = nn.Linear(given, width), nn.LayerNorm(width)

    def forward(self, vector: Tensor, there: Tensor) -> Tensor:
        placed: Tensor = self.norm(self.project(torch.where(there[:, None], vector, 0.0)))
        return torch.where(there[:, None], placed, 0.0)


def _grid(scale: nn.Module, name: str) -> tuple[int, int]:
    layer = scale.get_submodule(key(name))
    assert isinstance(layer, Places)
    return layer.grid


def _rebuilder(part: AttentionGuided, grids: Grids) -> Rebuilder | None:
    """None without reconstruction, and where `cross` has no second modality to rebuild from."""
    make = DROPPINGS.get(part.reconstruction.by)
    if make is None or (make.from_others and len(grids[0]) < 2):
        return None
    return Rebuilder(grids, make(part.reconstruction.dropped), part.width, part.heads)
