"""The roles that a plugin may fill. A part is frozen knobs plus one method that makes the thing that works (law 1).

Nothing here imports torch, pandas, SciPy or scikit-learn; a part imports what it needs inside its method. What the
pipeline knows by itself (shapes, labels, counts) is an argument: nobody writes a size twice.
"""

from __future__ import annotations

from mmfuse.knobs import Part
from mmfuse.parts.inputs import Adapter, Bools, Bytes, Modality, Reader, Step, Tidy
from mmfuse.parts.network import Augmentation, Encoder, FeatureFusion, FlowShape, Head, Loss, Pretext, refuse_set
from mmfuse.parts.outcomes import DecisionFusion, Metric, Rule, SecondStage

ROLES: tuple[type[Part], ...] = (
    Modality, Step, Augmentation, Encoder, FeatureFusion, Head, Loss, Pretext,
    DecisionFusion, SecondStage, Metric, Adapter,
)  # fmt: skip
"""All roles, in the order data flows."""

__all__ = [
    "ROLES", "Adapter", "Augmentation", "Bools", "Bytes", "DecisionFusion", "Encoder", "FeatureFusion", "FlowShape",
    "Head", "Loss", "Metric", "Modality", "Part", "Pretext", "Reader", "Rule", "SecondStage", "Step", "Tidy",
    "refuse_set",
]  # fmt: skip
