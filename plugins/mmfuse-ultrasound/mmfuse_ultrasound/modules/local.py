"""Attention-guided local learning at one scale: places attend to their own map and to those of the others.

Q, K and V are one for all modalities of a scale (what is a modality's own is its projection to places): A_mm and A_mn
differ in whose keys they read. Between a photograph and an ultrasound image no place lies over another, so all places
of the one see all of the other. An absent modality is neither looked at nor heard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmfuse_ultrasound.modules.attention import attend, looked_at, shares
from mmfuse_ultrasound.modules.places import Codes

Tensors = dict[str, Tensor]


class Asked(NamedTuple):
    """Queries, keys and values (batch, places, width) of one modality."""

    queries: Tensor
    keys: Tensor
    values: Tensor


def key(modality: str) -> str:
    """A modality's name as torch takes it for a submodule: without dots, and no attribute of a module."""
    return "of-" + modality.replace("%", "%25").replace(".", "%2e")


class LocalScale(nn.Module):
    """{modality: (batch, places, width)} → the same after intra- and inter-modality attention."""

    def __init__(
        self, grids: Mapping[str, tuple[int, int]], width: int, heads: int, *, intra: bool, inter: bool, positions: str
    ) -> None:
        super().__init__()
        self.names, self.heads = tuple(sorted(grids)), heads
        self.intra, self.inter = intra, inter and len(grids) > 1
        asks = self.names if self.intra or self.inter else ()
        self.codes = nn.ModuleDict({key(name): Codes(positions, grids[name], width) for name in asks})
        self.ask = _Projections(width) if asks else None
        self.norms = nn.ModuleDict({key(name): nn.LayerNorm(width) for name in self.names})
        kinds = [kind for kind, there in (("intra", self.intra), ("inter", self.inter)) if there]
        self.gates = nn.ParameterDict(
            {f"{kind}-{key(name)}": nn.Parameter(torch.zeros(width)) for kind in kinds for name in self.names}
        )

    def forward(self, places: Tensors, present: Mapping[str, Tensor]) -> tuple[Tensors, dict[str, Asked]]:
        """L_m = LN(T_m + g_i ⊙ I_m + g_x ⊙ X_m), and what was asked (for pictures); what is absent stays zero."""
        asked = self._ask(places)
        out = {}
        for name in self.names:
            x = places[name]
            if self.intra:
                found = attend(*asked[name], self.heads)
                x = x + self.gates[f"intra-{key(name)}"] * found
            if self.inter:
                keys, values, seen = self._others(name, asked, present)
                found = attend(asked[name].queries, keys, values, self.heads, seen)
                x = x + self.gates[f"inter-{key(name)}"] * found
            out[name] = torch.where(present[name][:, None, None], self.norms[key(name)](x), 0.0)
        return out, asked

    @torch.no_grad()
    def looks(self, asked: Mapping[str, Asked], present: Mapping[str, Tensor]) -> dict[str, Tensors]:
        """{kind: {modality: (batch, places)}}: how much each of its places is looked at, by its own and by the others'.

        Each sums to one, or is zero where nobody looks: the modality is absent, or alone.
        """
        found: dict[str, Tensors] = {}
        if self.intra:
            found["intra"] = {
                name: torch.where(
                    present[name][:, None], looked_at(asked[name].queries, asked[name].keys, self.heads), 0.0
                )
                for name in self.names
            }
        if self.inter:
            found["inter"] = {name: shares(total) for name, total in self._looks_between(asked, present).items()}
        return found

    def _looks_between(self, asked: Mapping[str, Asked], present: Mapping[str, Tensor]) -> Tensors:
        total = {name: torch.zeros(asked[name].keys.shape[:2], device=asked[name].keys.device) for name in self.names}
        for name in self.names:
            others = self._names_beside(name)
            keys, _, seen = self._others(name, asked, present)
            all_looks = looked_at(asked[name].queries, keys, self.heads, seen)
            all_looks = torch.where(present[name][:, None], all_looks, 0.0)
            sizes = [asked[other].keys.shape[1] for other in others]
            for other, looks in zip(others, all_looks.split(sizes, dim=1), strict=True):
                total[other] += looks
        return total

    def _ask(self, places: Tensors) -> dict[str, Asked]:
        if self.ask is None:
            return {}
        return {name: self.ask(places[name], self.codes[key(name)](places[name])) for name in self.names}

    def _names_beside(self, name: str) -> Sequence[str]:
        return [other for other in self.names if other != name]

    def _others(
        self, name: str, asked: Mapping[str, Asked], present: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Keys and values of the others side by side, and (batch, keys) which of them are there."""
        beside = self._names_beside(name)
        return (
            torch.cat([asked[other].keys for other in beside], dim=1),
            torch.cat([asked[other].values for other in beside], dim=1),
            torch.cat([present[other][:, None].expand(asked[other].keys.shape[:2]) for other in beside], dim=1),
        )


class _Projections(nn.Module):
    """Queries and keys of places with codes, values of places without. No biases: one of keys would change nothing.

    Keys start as queries do, so that a place first attends to what is like it, in content and in place: from random
    ones, gates at zero find no direction to open in.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.queries, self.keys, self.values = (nn.Linear(width, width, bias=False) for _ in range(3))
        with torch.no_grad():
            self.keys.weight.copy_(self.queries.weight)
            self.values.weight.copy_(torch.eye(width))

    def forward(self, places: Tensor, coded: Tensor) -> Asked:
        return Asked(self.queries(coded), self.keys(coded), self.values(places))
