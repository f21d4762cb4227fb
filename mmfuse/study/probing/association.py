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
_AT_ONCE = 50


def orders(groups: NDArray[np.str_], seed: int) -> NDArray[np.int64]:
    """(300, n) positions: permutations that put whole groups in the place of groups of the same size."""
    _, member, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    by_group = np.argsort(member, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    rng = generator(seed, "permutations")
    out = np.empty((TIMES, len(groups)), dtype=np.int64)
    blocks = [by_group[starts[sizes == size][:, None] + np.arange(size)] for size in np.unique(sizes)]
    for row in out:
        for block in blocks:
            row[block] = block[rng.permutation(len(block))]
    return out


def p_of_association(
    source: Source, positive: NDArray[np.bool_], known: NDArray[np.int64], shuffled: NDArray[np.int64]
) -> float:
    """Chance of as much association, or more, where there is none; `known` are positions of the cases whose truth is,
    `shuffled` their `orders`.

    The tail is that of the gamma distribution with mean, variance and skewness of the permuted statistic (Pearson's
    type III, as in Goeman et al., Bioinformatics 2004), which reaches where 300 permutations do not; in the middle they
    are counted.
    """
    from scipy.special import gammaincc

    here = source.there[known]
    truth = positive[known].astype(float)

    def held(truths: Floats) -> Floats:
        mine = truths[here]
        return source.answers.held(known[here], mine - mine.mean(axis=0))

    found = float(held(truth[:, None])[0])
    parts = [shuffled[start : start + _AT_ONCE] for start in range(0, len(shuffled), _AT_ONCE)]
    drawn = np.concatenate([held(truth[some].T) for some in parts])
    spread = float(drawn.std())
    if spread < 1e-12:
        return 1.0
    counted = (1 + float((drawn >= found * (1 - 1e-9)).sum())) / (len(drawn) + 1)
    skew = max(float((((drawn - drawn.mean()) / spread) ** 3).mean()), 0.05)
    shape = 4 / skew**2
    tail = float(gammaincc(shape, max(shape + math.sqrt(shape) * (found - drawn.mean()) / spread, 0.0)))
    return counted if counted > 0.02 else max(tail, 1e-300)
