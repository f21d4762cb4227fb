"""Both eyes for mmfuse: steps on fundus photographs, a ResNet with attention, pair fusions, a softmax over diseases,
and the recipes in `recipes/`.

Like every plugin it uses only the door of mmfuse.
"""

from __future__ import annotations

from pathlib import Path

from mmfuse import Part, hookimpl
from mmfuse_fundus.encoders import AttentionResnet
from mmfuse_fundus.fusions import ConcatConv, SpatialCorrelation, SymmetricPair
from mmfuse_fundus.heads import SoftmaxOverLabels
from mmfuse_fundus.losses import CategoricalOverLabels
from mmfuse_fundus.metrics import OdirAuc, OdirF1, OdirKappa, OdirOfficial
from mmfuse_fundus.odir5k.adapter import Odir5k
from mmfuse_fundus.steps import BenGraham, Clahe, DiscCrop

__all__ = [
    "AttentionResnet", "BenGraham", "CategoricalOverLabels", "Clahe", "ConcatConv", "DiscCrop", "Odir5k", "OdirAuc",
    "OdirF1", "OdirKappa", "OdirOfficial", "SoftmaxOverLabels", "SpatialCorrelation", "SymmetricPair", "mmfuse_parts",
    "mmfuse_recipes",
]  # fmt: skip


@hookimpl
def mmfuse_parts() -> list[type[Part]]:
    """Every part of the plugin."""
    return [
        DiscCrop, Clahe, BenGraham, AttentionResnet, ConcatConv, SymmetricPair, SpatialCorrelation, SoftmaxOverLabels,
        CategoricalOverLabels, Odir5k, OdirOfficial, OdirKappa, OdirF1, OdirAuc,
    ]  # fmt: skip


@hookimpl
def mmfuse_recipes() -> list[Path]:
    """Every TOML file in `recipes/`."""
    return sorted((Path(__file__).parent / "recipes").glob("*.toml"))
