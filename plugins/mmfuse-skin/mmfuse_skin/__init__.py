"""Skin lesions for mmfuse: the adapters of derm7pt and MILK10k, and the recipes in `recipes/`.

Like every plugin it uses only the door of mmfuse.
"""

from __future__ import annotations

from pathlib import Path

from mmfuse import Part, hookimpl
from mmfuse_skin.derm7pt.adapter import Derm7pt
from mmfuse_skin.milk10k.adapter import Milk10k

__all__ = ["Derm7pt", "Milk10k", "mmfuse_parts", "mmfuse_recipes"]


@hookimpl
def mmfuse_parts() -> list[type[Part]]:
    """The adapters."""
    return [Derm7pt, Milk10k]


@hookimpl
def mmfuse_recipes() -> list[Path]:
    """Every TOML file in `recipes/`."""
    return sorted((Path(__file__).parent / "recipes").glob("*.toml"))
