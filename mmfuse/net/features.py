"""What flows through the network. Nothing is pooled away that a fusion may want; a bare tensor counts as the first
field."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor


class Features(NamedTuple):
    """What an encoder gives."""

    vector: Float[Tensor, "batch width"]
    maps: tuple[Float[Tensor, "batch channels height width"], ...] = ()
    """Fine → coarse."""
    tokens: Float[Tensor, "batch tokens width"] | None = None
    """ViT patches; one a column of a table."""
    attention: dict[str, Tensor] = {}  # noqa: RUF012  # never written to
    """For pictures, keyed `modality/kind`."""


class Fused(NamedTuple):
    """What a fusion gives."""

    vector: Float[Tensor, "batch width"]
    views: dict[str, tuple[Float[Tensor, "batch width"], Float[Tensor, "batch"]]] = {}  # noqa: RUF012, F821, UP037
    """More vectors the head answers from in training, each with a weight a case."""
    losses: dict[str, Float[Tensor, ""]] = {}  # noqa: RUF012
    """Named, added to the training loss."""
    attention: dict[str, Tensor] = {}  # noqa: RUF012


class Scores(NamedTuple):
    """What a head gives."""

    logits: Float[Tensor, "batch columns"]
    tokens: Float[Tensor, "batch labels width"] | None = None
    attention: dict[str, Tensor] = {}  # noqa: RUF012


class Outputs(NamedTuple):
    """What the whole network gives, and what a loss may read."""

    scores: dict[str, Scores]
    """By source: `fused`, and each modality with a side head. Logits are NaN where a source abstains."""
    views: dict[str, tuple[Scores, Float[Tensor, "batch"]]]  # noqa: F821, UP037
    """The head's answers from `Fused.views`, with a weight a case; in training only."""
    features: dict[str, Features]
    fused: Fused
    present: dict[str, Bool[Tensor, "batch"]]  # noqa: F821, UP037


def as_features(given: Features | Tensor) -> Features:
    return given if isinstance(given, Features) else Features(given)


def as_fused(given: Fused | Tensor) -> Fused:
    return given if isinstance(given, Fused) else Fused(given)


def as_scores(given: Scores | Tensor) -> Scores:
    return given if isinstance(given, Scores) else Scores(given)
