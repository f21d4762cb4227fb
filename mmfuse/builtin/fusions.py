"""Feature fusions of vectors: `concat`, `sum`, `mean`, `product` and `gated`.

Modalities are taken by name, in sorted order, so the order of a dict never matters. Where a modality is absent its
tensors hold the network's stand-in; each part says whether it reads that or leaves the modality out. Nothing here
imports torch before `build`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from mmfuse import FeatureFusion, FlowShape, SpecError

if TYPE_CHECKING:
    from torch import nn

    from mmfuse.builtin.modules.fusions import Projections

Width = Annotated[int, Field(ge=0)]
Absent = Literal["stand-in", "skip"]


class Concat(FeatureFusion):
    """All vectors side by side; an absent modality enters by its stand-in."""

    width: Width = 0
    """Each modality is first projected to this width, by a linear layer of its own; 0: taken as it is."""

    def build(self, flows: Mapping[str, FlowShape]) -> nn.Module:
        """→ a module whose vector is (batch, sum of the widths), modalities in sorted order."""
        from mmfuse.builtin.modules.fusions import Concatenation, Projections

        return Concatenation(Projections(flows, self.width))


class Sum(FeatureFusion):
    """The vectors added up, place by place."""

    width: Width = 0
    """Each modality is first projected to this width, by a linear layer of its own; 0: taken as it is, all must be
    equally wide."""
    absent: Absent = "stand-in"
    """What an absent modality adds: its stand-in, or nothing (`skip`)."""

    @property
    def symmetric(self) -> bool:
        return self.width == 0

    def build(self, flows: Mapping[str, FlowShape]) -> nn.Module:
        """→ a module whose vector is (batch, width).

        Raises: SpecError for unequal widths without `width`.
        """
        from mmfuse.builtin.modules.fusions import Projections, Summation

        return Summation(_aligned(flows, self.width, self.name, Projections), skip=self.absent == "skip")


class Mean(FeatureFusion):
    """The mean of the vectors, place by place, over the modalities that are there."""

    width: Width = 0
    """Each modality is first projected to this width, by a linear layer of its own; 0: taken as it is, all must be
    equally wide."""
    absent: Absent = "skip"
    """An absent modality is left out (`skip`; zero where none is there), or counts with its stand-in."""

    @property
    def symmetric(self) -> bool:
        return self.width == 0

    def build(self, flows: Mapping[str, FlowShape]) -> nn.Module:
        """→ a module whose vector is (batch, width).

        Raises: SpecError for unequal widths without `width`.
        """
        from mmfuse.builtin.modules.fusions import Average, Projections

        return Average(_aligned(flows, self.width, self.name, Projections), skip=self.absent == "skip")


class Product(FeatureFusion):
    """The vectors multiplied, place by place."""

    width: Width = 0
    """Each modality is first projected to this width, by a linear layer of its own; 0: taken as it is, all must be
    equally wide."""
    absent: Absent = "stand-in"
    """What an absent modality multiplies by: its stand-in, or one (`skip`)."""

    @property
    def symmetric(self) -> bool:
        return self.width == 0

    def build(self, flows: Mapping[str, FlowShape]) -> nn.Module:
        """→ a module whose vector is (batch, width).

        Raises: SpecError for unequal widths without `width`.
        """
        from mmfuse.builtin.modules.fusions import Multiplication, Projections

        return Multiplication(_aligned(flows, self.width, self.name, Projections), skip=self.absent == "skip")


class Gated(FeatureFusion):
    """Gated multimodal unit: at each place all modalities together decide how much each of those present is heard.

    Arevalo, Solorio, Montes-y-Gómez, González, "Gated multimodal units for information fusion", 2017, arXiv 1702.01992:
    h_m = tanh(W_m x_m) and, for two modalities, h = z h_1 + (1 - z) h_2 with z = sigmoid(W_z [x_1, x_2]). Here the
    gates are the softmax over the present modalities of W_m' [x_1 … x_k], which for two is exactly that unit (W_z =
    W_1' - W_2') and needs no other form for more.
    """

    width: Annotated[int, Field(ge=1)] = 256
    """Width of the fused vector."""

    def build(self, flows: Mapping[str, FlowShape]) -> nn.Module:
        """→ a module whose vector is (batch, `width`), each value in (-1, 1)."""
        from mmfuse.builtin.modules.fusions import GatedUnit

        return GatedUnit(flows, self.width)


def _aligned(flows: Mapping[str, FlowShape], width: int, name: str, make: type[Projections]) -> Projections:
    """The layers that make all vectors equally wide."""
    if not width and len({flow.width for flow in flows.values()}) > 1:
        found = ", ".join(f"{modality} {flow.width}" for modality, flow in sorted(flows.items()))
        raise SpecError(
            f"fusion '{name}' was given vectors of unequal width: {found}",
            "equal widths, or one to project each modality to",
            "width = 256",
            "network.fusion",
        )
    return make(flows, width)
