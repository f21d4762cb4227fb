"""What flows through the network. Nothing is pooled away that a fusion may want; a bare tensor counts as the first
field.

What an encoder gives is named by level (`vector`, `map0` … from fine to coarse, `tokens`), so that levels can be kept,
read and filled one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mmfuse.parts import FeatureFusion, FlowShape

VECTOR, TOKENS = "vector", "tokens"
ALIKE = torch.ones(())


class Features(NamedTuple):
    """What an encoder gives."""

    vector: Float[Tensor, "batch width"]
    maps: tuple[Float[Tensor, "batch channels height width"], ...] = ()
    """Fine → coarse."""
    tokens: Float[Tensor, "batch tokens width"] | None = None
    """ViT patches; one a column of a table."""
    attention: dict[str, Tensor] = {}  # noqa: RUF012  # never written to
    """{kind: (batch, height, width)}, non-negative: where it looked, as a map over its picture; the engine calls it
    `modality/kind`. Without gradients, in eval mode. See `docs/explain.md`."""


class Fused(NamedTuple):
    """What a fusion gives."""

    vector: Float[Tensor, "batch width"]
    views: dict[str, tuple[Float[Tensor, "batch width"], Float[Tensor, "batch"]]] = {}  # noqa: RUF012, F821, UP037
    """More vectors the head answers from in training, each with a weight a case."""
    losses: dict[str, Float[Tensor, ""]] = {}  # noqa: RUF012
    """Named, added to the training loss."""
    attention: dict[str, Tensor] = {}  # noqa: RUF012
    """{`modality/kind`: (batch, height, width)}, a map over the picture of an image modality; under any other key a
    matrix (batch, rows, columns)."""


class Scores(NamedTuple):
    """What a head gives."""

    logits: Float[Tensor, "batch columns"]
    tokens: Float[Tensor, "batch labels width"] | None = None
    attention: dict[str, Tensor] = {}  # noqa: RUF012
    """{kind: (batch, rows, columns)}; the engine calls it `SOURCE head/kind`."""


class EffectiveBatch(NamedTuple):
    """All cases of the batches whose gradients one step adds up (`training.accumulate`), as training shows them."""

    targets: Int[Tensor, "cases labels"]
    """-1 where unknown."""
    present: dict[str, Bool[Tensor, "cases"]]  # noqa: F821, UP037
    """{modality: who has it, after modality dropout}."""
    weight: Float[Tensor, "*cases"] = ALIKE
    """How much each case counts in a loss; one number: all alike."""

    def speaks(self, source: str) -> Bool[Tensor, "cases"]:  # noqa: F821, UP037
        """Return in which cases a source does not abstain: a side head where its modality is present, `fused` and the
        views of a fusion where anything is."""
        return self.present[source] if source in self.present else torch.stack([*self.present.values()]).any(dim=0)


class Outputs(NamedTuple):
    """What the whole network gives, and what a loss may read."""

    scores: dict[str, Scores]
    """By source: `fused`, and each modality with a side head. Logits are NaN where a source abstains."""
    views: dict[str, tuple[Scores, Float[Tensor, "batch"]]]  # noqa: F821, UP037
    """The head's answers from `Fused.views`, with a weight a case; in training only."""
    features: dict[str, Features]
    """Of a frozen encoder only what the fusion reads, and the vector."""
    fused: Fused
    present: dict[str, Bool[Tensor, "batch"]]  # noqa: F821, UP037
    weight: Float[Tensor, "*batch"] = ALIKE
    """How much each case counts in a loss; one number: all alike."""
    effective: EffectiveBatch | None = None
    """Of several batches that make one step, all their cases: what a loss that `accumulates` counts in its means. None:
    this batch is the whole."""


def as_features(given: Features | Tensor) -> Features:
    return given if isinstance(given, Features) else Features(given)


def as_fused(given: Fused | Tensor) -> Fused:
    return given if isinstance(given, Fused) else Fused(given)


def as_scores(given: Scores | Tensor) -> Scores:
    return given if isinstance(given, Scores) else Scores(given)


# ── levels ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def level_shapes(flow: FlowShape) -> dict[str, tuple[int, ...]]:
    """{level: shape of one case} of all that an encoder gives."""
    shapes: dict[str, tuple[int, ...]] = {VECTOR: (flow.width,)}
    shapes |= {f"map{i}": shape for i, shape in enumerate(flow.maps)}
    return shapes if flow.tokens is None else {**shapes, TOKENS: flow.tokens}


def levels_read(fusion: FeatureFusion | str, flow: FlowShape) -> tuple[str, ...]:
    """The levels that are read of one modality: the vector always (side heads and second stages read it), and what the
    fusion declares of what there is."""
    if isinstance(fusion, str):
        return (VECTOR,)
    count, read = len(flow.maps), {VECTOR}
    if "maps" in fusion.needs:
        named = fusion.map_levels or range(count)
        read |= {f"map{level % count}" for level in named if -count <= level < count}
    if TOKENS in fusion.needs:
        read.add(TOKENS)
    return tuple(level for level in level_shapes(flow) if level in read)


def levels_of(given: Features) -> dict[str, Tensor]:
    """{level: tensor} of what is there; a map without places is not."""
    levels = {VECTOR: given.vector, **{f"map{i}": level for i, level in enumerate(given.maps) if level.shape[-1]}}
    return levels if given.tokens is None else {**levels, TOKENS: given.tokens}


def of_levels(levels: Mapping[str, Tensor], flow: FlowShape, attention: Mapping[str, Tensor]) -> Features:
    """The features with these levels. A map that is not among them keeps its place, and has no places:
    (batch, channels, 0, 0)."""
    vector = levels[VECTOR]
    maps = [levels.get(f"map{i}", vector.new_empty(len(vector), shape[0], 0, 0)) for i, shape in enumerate(flow.maps)]
    return Features(vector, tuple(maps), levels.get(TOKENS), dict(attention))


def as_kept(given: Features, levels: tuple[str, ...], flow: FlowShape) -> Features:
    """What a cache that keeps `levels` would give back: maps and tokens rounded to float16 (and held within its range),
    the rest left away. So a frozen encoder that runs gives the same as one that ran before."""
    found = levels_of(given)
    kept = {
        level: found[level] if level == VECTOR else to_half(found[level]).to(given.vector.dtype) for level in levels
    }
    return of_levels(kept, flow, given.attention)


def to_half(tensor: Tensor) -> Tensor:
    """Float16; what is beyond its range becomes its largest number."""
    most = torch.finfo(torch.float16).max
    return tensor.clamp(-most, most).to(torch.float16)


def nothing_of(tensors: Iterable[Tensor]) -> Tensor:
    """Zero, with a gradient (of zero) for all of them."""
    return torch.stack([0 * tensor.float().sum() for tensor in tensors]).sum()
