"""Several images of a case: what one batch holds of them, and how the vectors of one case become one.

Each image passes the encoder by itself; a case that has none is absent (law 3), and one that has a single image gets
what its encoder gave, untouched. Maps and tokens are not pooled: places of different photographs have nothing in
common.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from mmfuse.net.features import VECTOR, Features, of_levels
from mmfuse.net.presence import Present
from mmfuse.parts import FlowShape


@dataclass(frozen=True)
class Several:
    """Images of the cases of a batch."""

    rows: Tensor
    """(images, …)"""
    of: Tensor
    """(images,) on the CPU: of which case of the batch each is, ascending."""

    @property
    def shape(self) -> tuple[int, ...]:
        """-1 stands for any number of images."""
        return (-1, *self.rows.shape[1:])


Given = Tensor | Several
"""Of one image a case (or none), or of several."""


def case_of(given: Given) -> Tensor | slice:
    """An index of cases that gives each row what its case has."""
    return given.of if isinstance(given, Several) else slice(None)


def changed_rows(given: Given, change: Callable[[Tensor], Tensor]) -> Given:
    """The same after a change of its rows, of one image or more a case."""
    return Several(change(given.rows), given.of) if isinstance(given, Several) else change(given)


def gathered(given: Given, who: Present) -> tuple[Tensor, Tensor | None]:
    """What there is of the present cases, row by row, and which of them each row belongs to (None: one each)."""
    if isinstance(given, Tensor):
        return who.gather(given), None
    there = who.given.to(given.of.device)
    kept = there[given.of].nonzero()[:, 0]
    rows = given.rows if len(kept) == len(given.rows) else given.rows[kept.to(given.rows.device)]
    return rows, (there.cumsum(0) - 1)[given.of[kept]]


def pooled(features: Features, of: Tensor | None, who: Present, pool: nn.Module, flow: FlowShape) -> Features:
    """Features row by row → those of the present cases, each of which has one row or more."""
    if of is None or len(of) == who.count:
        return features
    counts = torch.bincount(of, minlength=who.count)
    vectors = pad_sequence(features.vector.split(counts.tolist()), batch_first=True)
    there = (torch.arange(vectors.shape[1]) < counts[:, None]).to(vectors.device)
    return of_levels({VECTOR: pool(vectors, there)}, flow, {})


class Mean(nn.Module):
    """(cases, places, width) vectors, (cases, places) which are there → (cases, width); so do all pools."""

    def forward(self, vectors: Tensor, there: Tensor) -> Tensor:
        return vectors.sum(dim=1) / there.sum(dim=1, keepdim=True)


class Largest(nn.Module):
    """Of each number the largest."""

    def forward(self, vectors: Tensor, there: Tensor) -> Tensor:
        return vectors.masked_fill(~there[..., None], -torch.inf).amax(dim=1)


class Attention(nn.Module):
    """A weighted mean whose weights are learnt: softmax over a case's images of w · tanh(V h). It starts as the mean.

    Source: Ilse, Tomczak, Welling, "Attention-based deep multiple instance learning", ICML 2018, eqs. 7-8, with 128
    hidden units as there.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.weight = nn.Linear(width, 128, bias=False), nn.Linear(128, 1, bias=False)
        nn.init.zeros_(self.weight.weight)

    def forward(self, vectors: Tensor, there: Tensor) -> Tensor:
        scores = self.weight(torch.tanh(self.hidden(vectors))).float().masked_fill(~there[..., None], -torch.inf)
        return (scores.softmax(dim=1).to(vectors.dtype) * vectors).sum(dim=1)


POOLS: Mapping[str, Callable[[int], nn.Module]] = {"mean": lambda _: Mean(), "max": lambda _: Largest(),
                                                   "attention": Attention}  # fmt: skip
"""By the word on an encoder's line; what they make is for vectors of the given width."""
