"""Card and plan: two trees of frozen values, equal to two TOML files. Nothing derived is written in them; nothing is
inherited or computed.

A line of a section holds one part (`use` and its knobs) and the engine's own knobs beside it (`parts.RESERVED`).
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

from mmfuse.knobs import Node
from mmfuse.spec.card import Card, CasesSection, ColumnLine, LabelLine, SourceSection, SplitSection
from mmfuse.spec.plan import AugmentLine, DecisionLine, EncoderLine, NetworkSection, Plan, PredictionSection, View
from mmfuse.spec.training import BestEpoch, Epochs, FoldColumn, PretextLine, TrainingSection
from mmfuse.spec.words import Line, Names, Words

__all__ = [
    "AugmentLine", "BestEpoch", "Card", "CasesSection", "ColumnLine", "DecisionLine", "EncoderLine", "Epochs",
    "FoldColumn", "LabelLine", "Line", "Names", "NetworkSection", "Plan", "PredictionSection", "PretextLine",
    "SourceSection", "Spec", "SplitSection", "TrainingSection", "View", "Words",
]  # fmt: skip


class Spec(Node):
    """Card + plan: complete, nothing derived in it."""

    card: Card
    plan: Plan = Plan()

    sections: ClassVar[Words] = (*Card.model_fields, *Plan.model_fields)

    @classmethod
    def load(cls, plan: Any, card: Any = None, **options: Any) -> Self:  # noqa: ANN401  # what `mmfuse.load` takes
        """Reads a plan (file, recipe's name or tree) and a card; the same as `mmfuse.load`."""
        import mmfuse

        return mmfuse.load(plan, card, **options)  # type: ignore[no-any-return]
