"""Ultrasound for mmfuse: attention-guided fusion with feature reconstruction, and the recipes in `recipes/`.

Like every plugin it uses only the door of mmfuse.
"""

from __future__ import annotations

from pathlib import Path

from mmfuse import Part, hookimpl
from mmfuse_ultrasound.fusions import AttentionGuided

__all__ = ["AttentionGuided", "mmfuse_parts", "mmfuse_recipes"]


@hookimpl
def mmfuse_parts() -> list[type[Part]]:
    """The fusion."""
    return [AttentionGuided]


@hookimpl
def mmfuse_recipes() -> list[Path]:
    """Every TOML file in `recipes/`."""
    return sorted((Path(__file__).parent / "recipes").glob("*.toml"))
