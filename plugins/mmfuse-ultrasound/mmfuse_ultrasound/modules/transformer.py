"""Attention-guided global learning: a class token that reads the modalities' vectors through pre-norm layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmfuse_ultrasound.modules.attention import attend


class Layer(nn.Module):
    """x + A(LN x), then x + MLP(LN x) (pre-norm, as Xiong et al., 2020, arXiv 2002.04745)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.asked = nn.Linear(width, 2 * width, bias=False)
        self.queries, self.mix = nn.Linear(width, width, bias=False), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, others: Tensor, seen: Tensor) -> Tensor:
        """`x` (batch, queries, width) reads `others` (batch, keys, width), of which `seen` (batch, keys) are there."""
        keys, values = self.asked(self.before(others)).chunk(2, dim=-1)
        found = attend(self.queries(self.before(x)), keys, values, self.heads, seen)
        x = x + self.dropout(self.mix(found))
        return x + self.dropout(self.narrow(nn.functional.gelu(self.widen(self.between(x)))))


class ClassToken(nn.Module):
    """(batch, tokens, width), of which some are there → (batch, width), what the class token is at the end.

    It starts from the mean of those that are there: before anything is learnt, the fusion is a sound one.
    """

    def __init__(self, width: int, heads: int, depth: int, dropout: float) -> None:
        super().__init__()
        self.token = nn.Parameter(0.02 * torch.randn(width))
        self.layers = nn.ModuleList(Layer(width, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, there: Tensor) -> Tensor:
        heard = torch.where(there[..., None], tokens, 0.0).sum(dim=1) / there.sum(dim=1, keepdim=True).clamp(min=1)
        x = torch.cat([(self.token + heard)[:, None].to(tokens.dtype), tokens], dim=1)
        seen = torch.cat([torch.ones_like(there[:, :1]), there], dim=1)
        *layers, last = self.layers
        for layer in layers:
            x = layer(x, x, seen)
        return self.norm(last(x[:, :1], x, seen)[:, 0])
