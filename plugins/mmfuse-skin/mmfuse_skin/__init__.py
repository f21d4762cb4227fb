"""Skin lesions for mmfuse: the adapters of derm7pt and MILK10k, the parts of SM3, and the recipes in `recipes/`.

Like every plugin it uses only the door of mmfuse.
"""

from __future__ import annotations

from pathlib import Path

from mmfuse import Part, hookimpl
from mmfuse_skin.derm7pt.adapter import Derm7pt
from mmfuse_skin.heads import LabelRelation
from mmfuse_skin.milk10k.adapter import Milk10k
from mmfuse_skin.pretexts import CrossModalContrast, PseudoLabels

__all__ = [
    "CrossModalContrast", "Derm7pt", "LabelRelation", "Milk10k", "PseudoLabels", "mmfuse_parts", "mmfuse_recipes",
]  # fmt: skip


@hookimpl
def mmfuse_parts() -> list[type[Part]]:
    """The adapters, the objectives without labels, the head."""
    return [Derm7pt, Milk10k, CrossModalContrast, PseudoLabels, LabelRelation]


@hookimpl
def mmfuse_recipes() -> list[Path]:
    """Every TOML file in `recipes/`."""
    return sorted((Path(__file__).parent / "recipes").glob("*.toml"))
