"""The fusion `attention-guided`: knobs alone, which are checked here before anything is built.

An AGFnet-style design (Xiao et al., IEEE TMI 2025;44(1):543-555, doi 10.1109/TMI.2024.3450682): of the paper only the
abstract is known, so every choice that it leaves open is a knob. torch is imported inside `build` (law 9).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from mmfuse import Faults, FeatureFusion, FlowShape, Node, SpecError

if TYPE_CHECKING:
    from torch import Tensor, nn

Share = Annotated[float, Field(gt=0, lt=1)]
Weight = Annotated[float, Field(ge=0)]

_WITHOUT_MAPS = ("table", "vector")
"""Uses whose encoders give a vector alone."""
_LEVELS = "levels = [3, 4, 5] on the encoder's line (timm), or another encoder that gives maps"


class Reconstruction(Node):
    """Feature reconstruction learning: training takes places away, rebuilds them, and classifies what was rebuilt."""

    by: Literal["none", "erase", "random", "cross"] = "none"
    """What is taken away: nothing, the most attended places (`erase`), as many places at random (`random`, its
    control), or all places of a modality, rebuilt from the others (`cross`; of each case one modality, drawn evenly,
    is classified as rebuilt)."""
    dropped: Share = 0.3
    """The share of places that `erase` and `random` take, at each scale of each modality."""
    rebuild: Weight = 0.5
    """Weight of the loss 1 - cosine between rebuilt and original places."""
    classify: Weight = 0.5
    """Weight of a case in the head's loss on the rebuilt features; 0: they are not classified."""


class AttentionGuided(FeatureFusion):
    """AGFnet-style: attention within and between the modalities' maps, then a token that attends to all of them.

    Local: at each scale the places of each map are projected to `width` and attend to those of their own map (intra)
    and of all other present modalities' (inter): LN(T + g_intra I + g_inter X), both gates zero at the start. Means
    over places are merged over scales to one vector a modality. Global: a class token reads each modality's local
    vector and its encoder's vector through a pre-norm transformer; a modality without maps (a table) joins there alone.
    The design of this package for the contract of the abstract of Xiao et al., IEEE TMI 2025;44(1):543-555.
    """

    local_learning: bool = True
    """Whether the places of the maps are read; without it the encoders' vectors are all."""
    global_learning: bool = True
    """Whether a class token fuses local and global vectors; without it the local vectors stand side by side."""
    intra: bool = True
    """Whether places attend to places of their own map."""
    inter: bool = True
    """Whether places attend to places of the other modalities; where one modality alone gives maps there is nothing to
    attend to."""
    scales: Annotated[int, Field(ge=0)] = 0
    """How many maps of each encoder are read, from the coarsest; 0: as many as all of them give."""
    places: Annotated[int, Field(ge=1)] = 196
    """A map of more places is averaged down to at most so many; attention takes their square in time."""
    width: Annotated[int, Field(ge=4)] = 256
    """Of places and of the fused vector (without global learning: times the number of modalities)."""
    heads: Annotated[int, Field(ge=1)] = 8
    """Of every attention; they share the width."""
    depth: Annotated[int, Field(ge=1)] = 1
    """Layers of the class token's transformer."""
    positions: Literal["none", "sine", "learned"] = "none"
    """Codes of the place in the picture, added to queries and keys: without them attention knows what stands at a
    place, not where it is."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """In the transformer, after each of its branches."""
    reconstruction: Reconstruction = Reconstruction()
    """What training takes away and rebuilds: `by` none, erase, random or cross; `dropped`, the share of places; the
    weights `rebuild` and `classify`."""

    @model_validator(mode="after")
    def _consistent(self) -> AttentionGuided:
        if self.width % self.heads:
            fitting = -(-self.width // self.heads) * self.heads
            raise ValueError(f"width {self.width} is no multiple of heads {self.heads}; try width = {fitting}")
        if not self.local_learning and not self.global_learning:
            raise ValueError("local_learning and global_learning are both false, and nothing is left to fuse by")
        if not self.local_learning and self.reconstruction.by != "none":
            raise ValueError(
                f'reconstruction by "{self.reconstruction.by}" rebuilds places of maps; it needs local_learning = true'
            )
        if self.reconstruction.by == "erase" and not (self.intra or self.inter):
            raise ValueError('reconstruction by "erase" goes by attention; it needs intra = true or inter = true')
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        return (*(("vector",) if self.global_learning else ()), *(("maps",) if self.local_learning else ()))

    @property
    def map_levels(self) -> tuple[int, ...]:
        return tuple(range(-self.scales, 0))

    @property
    def arity(self) -> tuple[int, int]:
        return (1, 0)

    def objections(self, modalities: Mapping[str, str]) -> tuple[str, ...]:
        """Where no modality can have maps, or one has none and global learning is off."""
        without = sorted(name for name, use in modalities.items() if use in _WITHOUT_MAPS)
        if self.local_learning and len(without) == len(modalities):
            return (
                f"none of {without} can give maps to attend over; take `concat` or `gated`, or local_learning = false",
            )
        if not self.global_learning and without:
            return (f"{without} give no maps and can join only through global_learning = true",)
        return ()

    def lacks(self, given: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        """Maps of one modality or more; of every one where global learning is off."""
        without = sorted(name for name, kinds in given.items() if kinds and "maps" not in kinds)
        if self.local_learning and not self.global_learning and without and len(without) < len(given):
            return (f"the encoders of {without} give no maps, and global_learning is off; mend: {_LEVELS}",)
        return super().lacks(given)

    def build(self, flows: Mapping[str, FlowShape]) -> nn.Module:
        """→ a module whose vector is (batch, `width`), without global learning (batch, `width` x modalities).

        Its `attention`, outside training, is `NAME/intra` and `NAME/inter`: (batch, height, width), how much was looked
        at each place (mean over heads, queries and scales; it sums to one, or is zero where nobody looks). In training
        with reconstruction it adds the loss `reconstruction` and the view `rebuilt`.

        Raises: SpecError if too few encoders give maps, or fewer maps than `scales`.
        """
        self._refuse_unfit(flows)
        from mmfuse_ultrasound.modules.fusion import AttentionGuidedFusion

        return AttentionGuidedFusion(self, flows, self.levels(flows))

    def loss_counts(self, flows: Mapping[str, FlowShape], present: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """`reconstruction`: how many places are taken away of a case."""
        scales = self.levels(flows)
        if self.reconstruction.by == "none" or not scales:
            return {}
        from mmfuse_ultrasound.modules.rebuilding import taken_places

        return {"reconstruction": taken_places(self, flows, scales, present)}

    def levels(self, flows: Mapping[str, FlowShape]) -> int:
        """How many scales are read: `scales`, or as many as all encoders with maps give; 0 without local learning."""
        counts = [len(flow.maps) for flow in flows.values() if flow.maps]
        return (self.scales or min(counts)) if self.local_learning and counts else 0

    def _refuse_unfit(self, flows: Mapping[str, FlowShape]) -> None:
        faults, where = Faults(), "network.fusion"
        without = sorted(name for name, flow in flows.items() if not flow.maps)
        if self.local_learning and len(without) == len(flows):
            found = f"no encoder gives maps: {', '.join(without)}"
            faults.add(where, found, "maps of one modality or more to attend over", _LEVELS)
        elif self.local_learning and not self.global_learning and without:
            found = f"the encoders of {', '.join(without)} give no maps, and global_learning is off"
            faults.add(where, found, "maps of every modality, or global_learning = true", _LEVELS)
        few = [f"{name} {len(flow.maps)}" for name, flow in sorted(flows.items()) if 0 < len(flow.maps) < self.scales]
        if self.local_learning and few:
            fewest = min(len(flow.maps) for flow in flows.values() if flow.maps)
            found = f"scales = {self.scales}, but the encoders give fewer maps: {', '.join(few)}"
            faults.add(where, found, f"at most {fewest} scales", f"scales = {fewest}, or more `levels` on their lines")
        faults.raise_as(SpecError)
