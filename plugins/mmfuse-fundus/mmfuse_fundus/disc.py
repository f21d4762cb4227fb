"""Where the bright disc lies in a fundus photograph: found by its contrast with the dark corners, at low resolution.

Nothing is assumed about its size or place; where no disc stands out (a picture without dark corners, an eye from
outside, a black picture) none is found, and the steps leave such a picture alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

LOOKED_AT = 256
"""Longest side, in pixels, of the copy in which the disc is looked for."""
CORNER = 0.04
"""Share of a side that a corner's patch takes."""
LEAST_CONTRAST = 6.0
"""Grey levels between corner and disc; below it nothing stands out."""
MOST_GROUND = 0.6
"""Share of the disc's brightness that the corner may have: a ground brighter than that is none."""
RISE = 0.12
"""Share of that contrast from which on a place belongs to the disc: its rim is much darker than its middle."""
LEAST_RISE = 2.5
"""The same in grey levels: more than the noise of a smoothed dark background."""
LEAST_AREA = 0.03
"""Share of the picture that a disc takes at least."""
LEAST_FILL = 0.6
"""Share of its box that it fills: a whole disc 0.785, one that is cut more, a vessel or a ruler less."""
LEAST_CHORD = 0.1
"""Rows and columns with less than this share of the longest are not counted: notches and flares on the rim."""
CUT_CHORD = 0.25
"""A disc that meets the picture's edge with so much of its longest chord goes on beyond it."""


class Span(NamedTuple):
    """From the first to behind the last row (or column) of a disc, and whether the picture cuts it at either end."""

    start: int
    stop: int
    cut_before: bool = False
    cut_after: bool = False

    @property
    def length(self) -> int:
        return self.stop - self.start

    def grown(self, side: int, end: int) -> tuple[int, int]:
        """Start and stop of a span of `side` in a picture of 0 … `end`: a cut disc is completed where it is cut.

        Otherwise the span grows on both sides, and within the picture as long as there is room.
        """
        lacking = side - self.length
        if self.cut_before != self.cut_after:
            start = self.start - lacking if self.cut_before else self.start
        else:
            start = self.start - lacking // 2
            start = min(max(start, 0), end - side) if side <= end else start
        return start, start + side


class Disc(NamedTuple):
    """Its bounding box in whole pixels."""

    rows: Span
    columns: Span

    @property
    def side(self) -> int:
        """The longer side, in pixels: a disc may be cut at the shorter one."""
        return max(self.rows.length, self.columns.length)

    @property
    def radius(self) -> float:
        """In pixels."""
        return self.side / 2


def find_disc(image: Pixels) -> Disc | None:
    """The disc in a (height, width, 3) picture; None where none stands out."""
    import cv2

    height, width = image.shape[:2]
    scale = min(1.0, LOOKED_AT / max(height, width))
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    # The brightest colour of each place: a dark fundus is still red.
    grey = cv2.resize(image.max(axis=2), small, interpolation=cv2.INTER_AREA)
    grey = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.0)
    dark, bright = _darkest_corner(grey), float(np.percentile(grey, 98))
    if bright - dark < LEAST_CONTRAST or dark > MOST_GROUND * bright:
        return None
    mask = (grey > dark + max(LEAST_RISE, RISE * (bright - dark))).astype(np.uint8)
    count, names, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    if count < 2:
        return None
    whole = names == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    rows, columns = _span(whole.sum(axis=1)), _span(whole.sum(axis=0))
    area = int(whole[rows.start : rows.stop, columns.start : columns.stop].sum())
    if area < max(LEAST_AREA * whole.size, LEAST_FILL * rows.length * columns.length) or area == whole.size:
        return None
    return Disc(_scaled(rows, height / small[1], height), _scaled(columns, width / small[0], width))


def _darkest_corner(grey: NDArray[np.float32]) -> float:
    """The median of the darkest corner: a disc may cover the others."""
    high, wide = (max(2, round(side * CORNER)) for side in grey.shape)
    corners = (grey[:high, :wide], grey[:high, -wide:], grey[-high:, :wide], grey[-high:, -wide:])
    return float(min(np.median(corner) for corner in corners))


def _span(chords: NDArray[np.int64]) -> Span:
    """What the disc really takes of the rows (or columns) whose chords these are."""
    longest = chords.max()
    taken = np.flatnonzero(chords >= LEAST_CHORD * longest)
    cut = chords[[0, -1]] >= CUT_CHORD * longest
    return Span(int(taken[0]), int(taken[-1]) + 1, bool(cut[0]), bool(cut[1]))


def _scaled(span: Span, factor: float, end: int) -> Span:
    return span._replace(start=int(span.start * factor), stop=min(end, round(span.stop * factor)))
