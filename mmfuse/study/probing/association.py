"""Whether a source and a class go together at all: a permutation test of the same figures that answers are made of.

A cross-fitted AUC says how much a source tells, but under no relation it spreads half as wide again as its placements
say (the fits share cases), so its error is no test of 0.5. Here truths are permuted, whole groups among groups of their
size (what stands once in a patient stays once in a patient).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mmfuse.labels import Floats
from mmfuse.seeds import generator
from mmfuse.study.probing.sources import Source

TIMES = 300
"""Permutations of a first look, and of each round of a second one."""
MOST, _WORK = 18_000, 3 * 10**7
"""Permutations of a second look, and permuted truths over all of them: many cases need fewer, as their tails are
smooth."""
_CLEAR = 0.02
_AT_ONCE = 50


def orders(groups: NDArray[np.str_], seed: int, turn: int = 0) -> NDArray[np.int64]:
    """(300, n) positions: permutations that put whole groups in the place of groups of the same size."""
    _, member, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    by_group = np.argsort(member, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    rng = generator(seed, "permutations", turn)
    out = np.empty((TIMES, len(groups)), dtype=np.int64)
    blocks = [by_group[starts[sizes == size][:, None] + np.arange(size)] for size in np.unique(sizes)]
    for row in out:
        for block in blocks:
            row[block] = block[rng.permutation(len(block))]
    return out


def p_of_association(
    source: Source,
    positive: NDArray[np.bool_],
    known: NDArray[np.int64],
    groups: NDArray[np.str_],
    seed: int,
    thorough: bool = True,
    first_orders: NDArray[np.int64] | None = None,
) -> float:
    """Chance of as much association, or more, where there is none; `known` are positions of cases whose truth is.

    A first look fits a gamma distribution with mean, variance and skewness of the permuted statistic (Pearson's type
    III, as in Goeman et al., Bioinformatics 2004). What looks clear in it is counted, if `thorough`, in thousands of
    permutations more: with a rare category of a rare class the fitted tail falls too fast. `first_orders` are those of
    the first look (`orders`), where they are at hand.
    """
    here, truth = source.there[known], positive[known].astype(float)

    def held(truths: Floats) -> Floats:
        mine = truths[here]
        return source.answers.held(known[here], mine - mine.mean(axis=0))

    def drawn(turn: int) -> Floats:
        ready = None if turn else first_orders
        shuffled = orders(groups[known], seed, turn) if ready is None else ready
        parts = [shuffled[start : start + _AT_ONCE] for start in range(0, TIMES, _AT_ONCE)]
        return np.concatenate([held(truth[some].T) for some in parts])

    found = float(held(truth[:, None])[0]) * (1 - 1e-9)
    first = drawn(0)
    as_much, times = int((first >= found).sum()), TIMES
    if first.std() < 1e-12:
        return 1.0
    if as_much > _CLEAR * TIMES:
        return (1 + as_much) / (1 + times)
    for turn in range(1, 1 + min(MOST, _WORK // len(known)) // TIMES if thorough else 1):
        as_much, times = as_much + int((drawn(turn) >= found).sum()), times + TIMES
        if as_much > 10:  # far from clear after all
            break
    counted = (1 + as_much) / (1 + times)
    return counted if as_much else min(counted, _tail(first, found))


def _tail(drawn: Floats, found: float) -> float:
    """Of a gamma distribution with the three moments of what was drawn."""
    from scipy.special import gammaincc

    spread = float(drawn.std())
    skew = max(float((((drawn - drawn.mean()) / spread) ** 3).mean()), 0.05)
    shape = 4 / skew**2
    at = shape + math.sqrt(shape) * (found - float(drawn.mean())) / spread
    return max(float(gammaincc(shape, max(at, 0.0))), 1e-300)
