"""What encoders, fusion and heads say of their attention, gathered from one pass: maps over pictures, and matrices.

The contract stands in `net/features.py`. A value (batch, height, width) under a key that begins with an image modality
is a map over its picture; any other (batch, rows, columns) is a matrix; (batch, columns) is one of a single row.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from torch import Tensor

from mmfuse.errors import PartError
from mmfuse.explaining.subjects import Subject
from mmfuse.labels import Floats
from mmfuse.wiring import FUSED

Maps = dict[str, dict[str, Floats]]
"""{modality: {kind: (height, width)}}"""


def looked(
    subjects: Sequence[Subject], images: Collection[str], source: str, reads: Collection[str]
) -> tuple[Maps, dict[str, Floats]]:
    """(maps, {key: matrix}) of what a source looks at in one case, the mean over networks. `reads` are the modalities
    that the source reads and the case has: nothing is told of others.

    Raises: PartError naming the key of a value that does not keep the contract's shape or sign.
    """
    found = [_attention(subject, source) for subject in subjects]
    maps: Maps = {}
    matrices: dict[str, Floats] = {}
    for key in found[0]:
        modality, _, kind = key.partition("/")
        modality, kind = _whole(key, subjects[0].present) or (modality, kind)
        if modality in subjects[0].present and modality not in reads:
            continue
        values = [_checked(key, by[key], modality in images) for by in found]
        mean: Floats = np.mean(values, axis=0)
        if modality in images:
            maps.setdefault(modality, {})[kind] = mean
        else:
            matrices[key] = mean
    return maps, matrices


def _whole(key: str, modalities: Collection[str]) -> tuple[str, str] | None:
    """The longest modality that the key begins with, and the rest: names of modalities may hold a slash."""
    names = [name for name in modalities if key.startswith(name + "/")]
    return (longest, key[len(longest) + 1 :]) if (longest := max(names, key=len, default="")) else None


def _attention(subject: Subject, source: str) -> dict[str, Tensor]:
    """Of encoders and the source's head; of the fusion, if the source answers from it."""
    outputs = subject.outputs()
    found = {f"{m}/{kind}": t for m, features in outputs.features.items() for kind, t in features.attention.items()}
    found.update(outputs.fused.attention if source == FUSED else {})
    found.update({f"{source} head/{kind}": tensor for kind, tensor in outputs.scores[source].attention.items()})
    return found


def _checked(key: str, tensor: Tensor, is_map: bool) -> Floats:
    value = np.asarray(tensor.detach().double().cpu().numpy())
    if value.ndim == 2 and not is_map:
        value = value[:, None]
    if value.ndim != 3 or len(value) != 1 or 0 in value.shape:
        expected = "(batch, height, width)" if is_map else "(batch, rows, columns)"
        raise PartError(f"has shape {tuple(tensor.shape)} for a batch of 1", expected, where=f"attention '{key}'")
    if not np.isfinite(value).all() or (is_map and value.min() < 0):
        raise PartError(
            f"holds {value.min():.3g} … {value.max():.3g}",
            "finite, and in maps nothing below zero",
            where=f"attention '{key}'",
        )
    return np.asarray(value[0])
