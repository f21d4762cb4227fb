"""What the builtin fusions build: modules `(features, present)` → `Fused`, taking modalities by sorted name.

An absent modality's own input never reaches a result: its tensors are stand-ins, and where it is skipped not even they
are read.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmfuse import Features, FlowShape, Fused


def key(modality: str) -> str:
    """A modality's name as torch takes it for a submodule: without dots, and no attribute of a module (`type` …)."""
    return "of-" + modality.replace("%", "%25").replace(".", "%2e")


def stack_present(names: tuple[str, ...], present: Mapping[str, Tensor]) -> Tensor:
    """(batch, modalities, 1) bool."""
    return torch.stack([present[name] for name in names], dim=1).unsqueeze(-1)


class Projections(nn.Module):
    """Each modality's vector through a linear layer of its own, or as it is if `width` is 0."""

    def __init__(self, flows: Mapping[str, FlowShape], width: int) -> None:
        super().__init__()
        self.names = tuple(sorted(flows))
        layers = {key(name): nn.Linear(flows[name].width, width) if width else nn.Identity() for name in self.names}
        self.layers = nn.ModuleDict(layers)

    def forward(self, features: Mapping[str, Features]) -> list[Tensor]:
        """Vectors in the order of `names`."""
        return [self.layers[key(name)](features[name].vector) for name in self.names]


class Concatenation(nn.Module):
    """Vectors side by side."""

    def __init__(self, project: nn.Module) -> None:
        super().__init__()
        self.project = project

    def forward(self, features: Mapping[str, Features], present: Mapping[str, Tensor]) -> Fused:
        return Fused(torch.cat(self.project(features), dim=1))


class _Stacked(nn.Module):
    """Equally wide vectors as (batch, modalities, width), with the mask of those that count."""

    def __init__(self, project: Projections, skip: bool) -> None:
        super().__init__()
        self.project = project
        self.skip = skip

    def stacked(self, features: Mapping[str, Features], present: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        vectors = torch.stack(self.project(features), dim=1)
        counts = stack_present(self.project.names, present)
        return vectors, counts if self.skip else torch.ones_like(counts)


class Summation(_Stacked):
    """Σ of the vectors that count."""

    def forward(self, features: Mapping[str, Features], present: Mapping[str, Tensor]) -> Fused:
        vectors, counts = self.stacked(features, present)
        return Fused(torch.where(counts, vectors, 0.0).sum(1))


class Average(_Stacked):
    """Mean of the vectors that count; zero where none does."""

    def forward(self, features: Mapping[str, Features], present: Mapping[str, Tensor]) -> Fused:
        vectors, counts = self.stacked(features, present)
        return Fused(torch.where(counts, vectors, 0.0).sum(1) / counts.sum(1).clamp(min=1))


class Multiplication(_Stacked):
    """Π of the vectors that count."""

    def forward(self, features: Mapping[str, Features], present: Mapping[str, Tensor]) -> Fused:
        vectors, counts = self.stacked(features, present)
        return Fused(torch.where(counts, vectors, 1.0).prod(1))


class GatedUnit(nn.Module):
    """Σ gate ⊙ tanh(W x) over modalities, the gates a softmax over those present (where none is: over all
    stand-ins)."""

    def __init__(self, flows: Mapping[str, FlowShape], width: int) -> None:
        super().__init__()
        self.names = tuple(sorted(flows))
        total = sum(flow.width for flow in flows.values())
        # No biases, as in the paper's equations.
        self.values = nn.ModuleDict({key(name): nn.Linear(flows[name].width, width, bias=False) for name in self.names})
        self.gates = nn.ModuleDict({key(name): nn.Linear(total, width, bias=False) for name in self.names})

    def forward(self, features: Mapping[str, Features], present: Mapping[str, Tensor]) -> Fused:
        vectors = {name: features[name].vector for name in self.names}
        everything = torch.cat(list(vectors.values()), dim=1)
        values = torch.stack([torch.tanh(self.values[key(name)](x)) for name, x in vectors.items()], dim=1)
        gates = torch.stack([self.gates[key(name)](everything) for name in self.names], dim=1)
        counts = stack_present(self.names, present)
        counts = counts | ~counts.any(dim=1, keepdim=True)
        weights = torch.softmax(gates.masked_fill(~counts, -torch.inf), dim=1)
        return Fused((weights * values).sum(1))
