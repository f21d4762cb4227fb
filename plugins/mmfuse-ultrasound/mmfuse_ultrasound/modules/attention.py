"""Attention: torch's fused kernel for what flows, and a separate softmax without gradients for what is looked at.

The kernel never holds a matrix of queries by keys; the pictures hold one head's at a time.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional


def split(given: Tensor, heads: int) -> Tensor:
    """(batch, places, width) → (batch, heads, places, width / heads)."""
    batch, places, width = given.shape
    return given.view(batch, places, heads, width // heads).transpose(1, 2)


def attend(queries: Tensor, keys: Tensor, values: Tensor, heads: int, seen: Tensor | None = None) -> Tensor:
    """softmax(Q Kᵀ / √d) V, head by head: (batch, queries, width).

    `seen` (batch, keys) says which keys may be looked at (None: all); a case that may look at none gets zero.
    """
    mask = None
    if seen is not None:
        mask = (seen | ~seen.any(dim=1, keepdim=True))[:, None, None]
    parts = (split(each, heads) for each in (queries, keys, values))
    found = functional.scaled_dot_product_attention(*parts, attn_mask=mask).transpose(1, 2).flatten(2)
    return found if seen is None else torch.where(seen.any(dim=1)[:, None, None], found, 0.0)


def rows(queries: Tensor, keys: Tensor, heads: int, seen: Tensor | None = None) -> Iterator[Tensor]:
    """The softmax rows that `attend` mixes values by, a head at a time: (batch, queries, keys) float32.

    Each row sums to one over the keys that may be seen; where there are none, all are zero.
    """
    for one, other in zip(split(queries, heads).unbind(1), split(keys, heads).unbind(1), strict=True):
        logits = (one.float() @ other.float().transpose(1, 2)) * one.shape[-1] ** -0.5
        if seen is None:
            yield torch.softmax(logits, dim=-1)
        else:
            anyone = seen.any(dim=1)[:, None, None]
            shown = logits.masked_fill(~(seen[:, None] | ~anyone), -torch.inf)
            yield torch.where(anyone, torch.softmax(shown, dim=-1), 0.0)


@torch.no_grad()
def looked_at(queries: Tensor, keys: Tensor, heads: int, seen: Tensor | None = None) -> Tensor:
    """(batch, keys): the mean over heads and queries of the softmax rows. It sums to one, or is all zero."""
    total = torch.zeros(keys.shape[:2], device=keys.device)
    for one in rows(queries, keys, heads, seen):
        total += one.mean(dim=1)
    return total / heads


def shares(saliency: Tensor) -> Tensor:
    """(batch, places) ≥ 0 → the same, summing to one in each case; zero where it was zero."""
    return saliency / saliency.sum(dim=1, keepdim=True).clamp(min=torch.finfo(saliency.dtype).tiny)
