"""Near-copies: the same picture written again, larger, lighter, mirrored or turned. Candidates by a 64-bit hash of its
coarse frequencies, confirmed by comparing the small pictures; without the second look round pictures are all alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmfuse.labels import Floats, Ints
from mmfuse.study.probing.facts import SIDE

HASH = 8
"""Frequencies each way: 64 bits, of which the mean's (the first) always says nothing."""
NEAR = 8
"""Bits that may differ: copies that were compressed, resized or brightened differ in fewer."""
ALIKE = 0.985
"""Least correlation of the small pictures in the candidate's position, of their middles as of the whole."""
TURNS = (
    "as it is", "mirrored left to right", "upside down, mirrored", "turned by 180°",
    "transposed", "turned by 90°", "turned by 270°", "transposed across",
)  # fmt: skip
"""What was done to the one to make the other (turned: clockwise). The bits of its place: columns mirrored, rows
mirrored, both after the axes were exchanged."""

_BLOCK, _PAIRS = 1024, 8192


class Copy(NamedTuple):
    """Two pictures, by position, that are nearly one."""

    one: int
    other: int
    turn: str
    bits: int
    """In how many of 64 bits their hashes differ."""
    correlation: float


def frequencies(small: NDArray[np.uint8]) -> Floats:
    """(n, 32, 32) → (n, 8, 8) lowest frequencies of the cosine transform (type II), the mean's set to 0.

    Source: Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010, §3.2.1.
    """
    k, x = np.arange(HASH)[:, None], np.arange(SIDE)[None, :]
    basis = np.cos(np.pi * k * (2 * x + 1) / (2 * SIDE)).astype(np.float32)
    out = basis @ small.astype(np.float32) @ basis.T
    out[:, 0, 0] = 0
    return np.asarray(out)


def turned(coarse: Floats, turn: int) -> Floats:
    """(n, 8, 8) frequencies of the same pictures in another position: mirroring a picture changes signs, transposing it
    transposes them."""
    sign = (-1.0) ** np.arange(HASH, dtype=np.float32)
    out = coarse.transpose(0, 2, 1) if turn & 4 else coarse
    if turn & 1:
        out = out * sign[None, None, :]
    if turn & 2:
        out = out * sign[None, :, None]
    return out


def signs(coarse: Floats) -> NDArray[np.float32]:
    """(n, 64) of -1 and 1: the hash, as a vector whose products count equal bits."""
    flat = coarse.reshape(len(coarse), -1)
    return np.where(flat > np.median(flat, axis=1, keepdims=True), 1, -1).astype(np.float32)


def position(small: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """(n, 32, 32) pictures in another position."""
    out = small.transpose(0, 2, 1) if turn & 4 else small
    out = out[:, :, ::-1] if turn & 1 else out
    return out[:, ::-1, :] if turn & 2 else out


def near_copies(small: NDArray[np.uint8], split: NDArray[np.str_]) -> list[Copy]:
    """Pairs of pictures (n, 32, 32) of two different splits that are nearly one, each once, in its best position.

    All pairs are compared, a block at a time: products of sign vectors count equal bits, so 10⁴ pictures are a few
    seconds and some ten megabytes.
    """
    if not len(small):
        return []
    coarse, shown = frequencies(small), [_centred(view) for view in _views(small)]
    codes = signs(coarse)
    best: dict[tuple[int, int], Copy] = {}
    for turn, name in enumerate(TURNS):
        made, seen = signs(turned(coarse, turn)), [_centred(view) for view in _views(position(small, turn))]
        for ones, twos, bits in _candidates(made, codes, split):
            alike = np.min([np.einsum("ij,ij->i", a[ones], b[twos]) for a, b in zip(seen, shown, strict=True)], axis=0)
            for at in np.flatnonzero(alike >= ALIKE):
                pair, r = (int(ones[at]), int(twos[at])), float(alike[at])
                if pair not in best or best[pair].correlation < r:
                    best[pair] = Copy(*pair, name, int(bits[at]), r)
    return [best[pair] for pair in sorted(best)]


def _candidates(codes: Floats, others: Floats, split: NDArray[np.str_]) -> Iterator[tuple[Ints, Ints, Ints]]:
    """(one, other, bits) with one < other in two splits and few bits between them, some thousands at a time."""
    n = len(codes)
    for start in range(0, n, _BLOCK):
        for begin in range(start, n, _BLOCK):
            equal = codes[start : start + _BLOCK] @ others[begin : begin + _BLOCK].T
            rows, cols = np.nonzero(equal >= HASH * HASH - 2 * NEAR)
            bits = np.rint((HASH * HASH - equal[rows, cols]) / 2).astype(np.int64)
            ones, twos = rows + start, cols + begin
            wanted = (ones < twos) & (split[ones] != split[twos]) & (split[ones] != "") & (split[twos] != "")
            chosen = np.flatnonzero(wanted)
            for first in range(0, len(chosen), _PAIRS):
                some = chosen[first : first + _PAIRS]
                yield ones[some], twos[some], bits[some]


def _views(small: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The whole and the middle, compared both: a common dark frame makes any two wholes alike."""
    quarter = SIDE // 4
    return small, small[:, quarter:-quarter, quarter:-quarter]


def _centred(view: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, pixels) whose products are correlations; a picture of one grey is like none."""
    flat = view.reshape(len(view), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    size = np.sqrt(np.einsum("ij,ij->i", flat, flat))[:, None]
    return np.asarray(np.where(size > 1e-3, flat / np.where(size > 1e-3, size, 1), 0))
