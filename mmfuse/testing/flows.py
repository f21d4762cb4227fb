"""The flows that a fusion is tried with: those that the caller gives, or the kit's, and features of their shapes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmfuse import Encoder, FeatureFusion, Features, FlowShape
from mmfuse.testing import modules
from mmfuse.testing.kit import Given

Flows = Mapping[str, FlowShape]

_IMAGE = FlowShape(12, ((6, 4, 4), (8, 2, 2)), (5, 12))
_TABLE = FlowShape(12)
CASES = 4


class Gives(Encoder):
    """An encoder of the kit that gives features of any shape of a flat input."""

    name = "kit-gives"
    width: int
    maps: tuple[tuple[int, int, int], ...] = ()
    tokens: tuple[int, ...] = ()

    def build(self, shape: tuple[int, ...]) -> nn.Module:
        return GivesModule(shape[0], self.width, self.maps, self.tokens)


class GivesModule(nn.Module):
    """What `Gives` builds: a linear layer for each thing that it gives."""

    def __init__(
        self, inputs: int, width: int, maps: tuple[tuple[int, int, int], ...], tokens: tuple[int, ...]
    ) -> None:
        super().__init__()
        shapes = [(width,), *maps, *([tokens] if tokens else [])]
        self.shapes, self.has_tokens = shapes, bool(tokens)
        self.layers = nn.ModuleList(nn.Linear(inputs, int(torch.tensor(shape).prod())) for shape in shapes)

    def forward(self, rows: Tensor) -> Features:
        vector, *rest = (layer(rows).unflatten(1, shape) for layer, shape in zip(self.layers, self.shapes, strict=True))
        maps, tokens = (rest[:-1], rest[-1]) if self.has_tokens else (rest, None)
        return Features(vector, tuple(maps), tokens)


def flows_of(part: FeatureFusion, given: Given) -> Flows:
    """The caller's, or as many rich ones as the fusion takes."""
    return given.flows or dict.fromkeys(_names(part), _IMAGE)


def mixed_flows(part: FeatureFusion, given: Given) -> dict[str, Flows]:
    """{in words: other flows that a plan may well have}, where the caller gave none."""
    if given.flows:
        return {}
    names = _names(part)
    bare = {name: _IMAGE._replace(maps=()) if k == 0 else _IMAGE for k, name in enumerate(names)}
    found: dict[str, Flows] = {"one modality without maps": bare}
    least, most = part.arity
    if least <= 2 and (most == 0 or most >= 2):
        found["an image and a table"] = {"image": _IMAGE, "table": _TABLE}
    return found


def _names(part: FeatureFusion) -> tuple[str, ...]:
    least, most = part.arity
    count = max(least, 3 if most == 0 or most >= 3 else most)
    return tuple("cabdefgh"[:count])


def features_of(flows: Flows, cases: int = CASES, seed: int = 1) -> dict[str, Features]:
    made = {}
    for k, (name, flow) in enumerate(flows.items()):
        maps = tuple(modules.noise(cases, *shape, seed=seed + 10 * k) for shape in flow.maps)
        vector = modules.noise(cases, flow.width, seed=seed + 10 * k + 1) - 0.5
        tokens = None if flow.tokens is None else modules.noise(cases, *flow.tokens, seed=seed + 10 * k + 2)
        made[name] = Features(vector, maps, tokens)
    return made


def all_present(flows: Flows, cases: int = CASES) -> dict[str, Tensor]:
    return {name: torch.ones(cases, dtype=torch.bool) for name in flows}
