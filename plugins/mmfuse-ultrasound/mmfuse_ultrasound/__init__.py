"""Ultrasound for mmfuse: attention-guided fusion with feature reconstruction, steps on ultrasound images, the adapters
of BUS-BRA and BrEaST, and the recipes in `recipes/`.

Like every plugin it uses only the door of mmfuse.
"""

from __future__ import annotations

from pathlib import Path

from mmfuse import Part, hookimpl
from mmfuse_ultrasound.breast_usg.adapter import BreastUsg
from mmfuse_ultrasound.busbra.adapter import Busbra
from mmfuse_ultrasound.fusions import AttentionGuided
from mmfuse_ultrasound.steps import SpeckleContrast, UltrasoundCrop

__all__ = [
    "AttentionGuided", "BreastUsg", "Busbra", "SpeckleContrast", "UltrasoundCrop", "mmfuse_parts", "mmfuse_recipes",
]  # fmt: skip


@hookimpl
def mmfuse_parts() -> list[type[Part]]:
    """Steps, the fusion, and the adapters."""
    return [UltrasoundCrop, SpeckleContrast, AttentionGuided, Busbra, BreastUsg]


@hookimpl
def mmfuse_recipes() -> list[Path]:
    """Every TOML file in `recipes/`."""
    return sorted((Path(__file__).parent / "recipes").glob("*.toml"))
