"""Labels as tokens: each projects the fused vector for itself, attends to the others, and answers.

Written out, not torch's own layer, because that one does not give its attention away; with the same weights it gives
the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mmfuse import Labels, Scores

if TYPE_CHECKING:
    from mmfuse_skin.heads import LabelRelation


class Relation(nn.Module):
    """(batch, width) → `Scores` with tokens, and in eval mode attention between labels."""

    def __init__(self, knobs: LabelRelation, width: int, labels: Labels) -> None:
        super().__init__()
        self.projectors = nn.ModuleList(nn.Linear(width, knobs.width) for _ in labels)
        first = 0.02 * torch.randn(len(labels), knobs.width) if knobs.label_embedding else None
        self.register_parameter("embedding", None if first is None else nn.Parameter(first))
        self.attention = nn.MultiheadAttention(knobs.width, knobs.attention_heads, knobs.dropout, batch_first=True)
        self.after_attention, self.after_ffn = nn.LayerNorm(knobs.width), nn.LayerNorm(knobs.width)
        self.dropout = nn.Dropout(knobs.dropout)
        self.ffn = nn.Sequential(
            nn.Linear(knobs.width, knobs.ffn), nn.ReLU(), nn.Dropout(knobs.dropout), nn.Linear(knobs.ffn, knobs.width)
        )
        self.classifiers = nn.ModuleList(nn.Linear(knobs.width, len(label.classes)) for label in labels)

    def forward(self, vector: Tensor) -> Scores:
        x = torch.stack([projector(vector) for projector in self.projectors], dim=1)
        if self.embedding is not None:
            x = x + self.embedding
        looked, weights = self.attention(x, x, x, need_weights=not self.training)
        x = self.after_attention(x + self.dropout(looked))
        x = self.after_ffn(x + self.dropout(self.ffn(x)))
        logits = [classifier(x[:, number]) for number, classifier in enumerate(self.classifiers)]
        return Scores(torch.cat(logits, dim=1), x, {} if weights is None else {"labels": weights})
