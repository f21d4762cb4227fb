"""Sizes, by one blank pass (law 1): nobody writes them twice, and a part that does not keep its contract is named
before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mmfuse.errors import MmfuseError, PartError
from mmfuse.labels import Labels
from mmfuse.net.features import TOKENS, Features, as_features, as_fused, as_scores
from mmfuse.parts import FlowShape, Part


def blank_pass(module: nn.Module, part: Part, where: str, *given: object) -> Any:  # noqa: ANN401  # what the part makes
    """What `module` gives for a blank input, in eval mode."""
    was = module.training
    module.eval()
    try:
        with torch.no_grad():
            return module(*given)
    except MmfuseError:
        raise
    except Exception as error:
        found = f"{part.role} '{part.name}' fails on a blank input: {type(error).__name__}: {error}"
        raise PartError(
            found, "a module that takes what its role's contract says", "mend the part or its knobs", where
        ) from error
    finally:
        module.train(was)


def vector_width(vector: Tensor, part: Part, where: str) -> int:
    """The width of a vector of 2 cases. Raises: PartError for another shape."""
    if vector.dim() != 2 or len(vector) != 2:
        found = f"{part.role} '{part.name}' gives a vector of shape {tuple(vector.shape)} for 2 cases"
        raise PartError(found, "(2, width)", "pool what is left over; maps and tokens have fields of their own", where)
    return vector.shape[1]


def measure_encoder(module: nn.Module, part: Part, shape: tuple[int, ...], where: str) -> FlowShape:
    """What an encoder gives for inputs of this shape. Raises: PartError if that is no `Features`."""
    given = as_features(blank_pass(module, part, where, torch.zeros(2, *shape)))
    width = vector_width(given.vector, part, where)
    tokens = given.tokens
    wrong = [tuple(level.shape) for level in given.maps if level.dim() != 4 or len(level) != 2]
    wrong += [tuple(tokens.shape)] if tokens is not None and (tokens.dim() != 3 or len(tokens) != 2) else []
    if wrong:
        found = f"encoder '{part.name}' gives maps or tokens of shape {wrong} for 2 cases"
        raise PartError(found, "maps (2, channels, height, width), tokens (2, tokens, width)", "mend the part", where)
    maps = tuple((level.shape[1], level.shape[2], level.shape[3]) for level in given.maps)
    return FlowShape(width, maps, None if tokens is None else (tokens.shape[1], tokens.shape[2]))


def check_head(module: nn.Module, part: Part, width: int, labels: Labels) -> None:
    """Raises: PartError unless the head gives a score for each column."""
    logits = as_scores(blank_pass(module, part, "network.head", torch.zeros(2, width))).logits
    if logits.shape != (2, labels.columns):
        found = f"head '{part.name}' gives scores of shape {tuple(logits.shape)} for 2 cases"
        raise PartError(found, f"(2, {labels.columns}): all classes of all labels", "mend the part", "network.head")


def measure_fusion(
    module: nn.Module, part: Part, blank: Mapping[str, Features], reads: Mapping[str, tuple[str, ...]]
) -> int:
    """The width of what a fusion gives for `blank` features of 2 cases.

    Maps and tokens that it does not declare are not there, as with frozen encoders: what would fail only there, after
    hours, fails here. Raises: PartError.
    """
    present = {modality: torch.ones(2, dtype=torch.bool) for modality in blank}
    declared = {modality: _declared(given, reads[modality]) for modality, given in blank.items()}
    fused = as_fused(blank_pass(module, part, "network.fusion", declared, present))
    width = vector_width(fused.vector, part, "network.fusion")
    if not bool(torch.isfinite(fused.vector).all()):
        found = f"fusion '{part.name}' gives numbers that are not finite for blank features"
        expected = "finite numbers from what its `needs` and `map_levels` declare"
        raise PartError(found, expected, "declare every map that is read, or mend the part", "network.fusion")
    return width


def _declared(given: Features, levels: tuple[str, ...]) -> Features:
    maps = [level if f"map{i}" in levels else level[..., :0, :0] for i, level in enumerate(given.maps)]
    return given._replace(maps=tuple(maps), tokens=given.tokens if TOKENS in levels else None)
