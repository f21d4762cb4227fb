"""Draws what a modality shows of a case: `clinic`, the lesion from afar on its skin, and `derm`, the same close up
under the dermatoscope.

Only the shown attributes tell the pictures of different classes apart; place, shape, skin, light and hair are drawn
alike for all.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mmfuse.builtin.cohort.canvas import Blob, Canvas, Picture, Plane, blend, photographed, soft

Floats = NDArray[np.floating]

_LIGHT_SKIN, _DARK_SKIN = np.array([0.93, 0.77, 0.68]), np.array([0.66, 0.47, 0.37])
_PIGMENT = (np.array([0.47, 0.28, 0.17]), np.array([0.33, 0.37, 0.46]))
"""Colour of a brown and of a blue lesion."""


def skin_tone(rng: np.random.Generator) -> float:
    """0 light … 1 dark; a patient has one."""
    return float(rng.beta(1.2, 2.0))


def clinic(rng: np.random.Generator, canvas: Canvas, tone: float, shown: Mapping[str, int]) -> NDArray[np.uint8]:
    """(size, size, 3) uint8: the lesion from afar. A raised one is shaded, shines and casts a shadow; freckles lie on
    the skin around."""
    blob = Blob.drawn(rng, rng.uniform(0.34, 0.46), 0.20, 0.06)
    depth = blob.depth(canvas) + np.float32(0.05) * canvas.smooth(rng, 12)
    lesion = soft(depth, 0.06)
    picture = _skin(rng, canvas, tone)
    picture = _freckled(rng, canvas, picture, (28, 44) if shown["freckles"] else (0, 4))
    towards = rng.uniform(0, 2 * np.pi)
    light = np.array([np.cos(towards), np.sin(towards)])
    if shown["elevation"]:
        picture = _shadow(canvas, picture, blob, light)
    picture = blend(
        picture, _pigment(rng, canvas, shown["colour"], depth), lesion * np.float32(rng.uniform(0.82, 0.95))
    )
    if shown["elevation"]:
        picture = _dome(canvas, picture, blob, light, lesion)
    picture = _hairy(rng, canvas, picture, int(rng.integers(0, 4)), 0.018)
    return photographed(picture, rng, canvas, 0.015)


def derm(rng: np.random.Generator, canvas: Canvas, tone: float, shown: Mapping[str, int]) -> NDArray[np.uint8]:
    """(size, size, 3) uint8: the lesion close up. Its structure is a homogeneous blotch, a network of lines, or
    globules."""
    blob = Blob.drawn(rng, rng.uniform(0.78, 0.98), 0.10, 0.06)
    depth = blob.depth(canvas) + np.float32(0.07) * canvas.smooth(rng, 9)
    lesion = soft(depth, 0.10)
    picture = _skin(rng, canvas, 0.7 * tone)
    picture = blend(
        picture, _pigment(rng, canvas, shown["colour"], depth, 0.30), lesion * np.float32(rng.uniform(0.72, 0.88))
    )
    pattern = (_homogeneous, _network, _globules)[shown["structure"]](rng, canvas)
    picture = picture * (1 - np.float32(0.62) * (pattern * lesion)[..., None])
    picture = _hairy(rng, canvas, picture, int(rng.integers(0, 3)), 0.035)
    picture = _vignette(rng, canvas, picture)
    return photographed(picture, rng, canvas, 0.015)


def _skin(rng: np.random.Generator, canvas: Canvas, tone: float) -> Picture:
    base = _LIGHT_SKIN + tone * (_DARK_SKIN - _LIGHT_SKIN) + rng.normal(0, 0.012, 3)
    mottle = 0.025 * canvas.smooth(rng, 5) + 0.02 * canvas.smooth(rng, 24)
    redness = 0.015 * canvas.smooth(rng, 6)
    picture = base.astype(np.float32) * (1 + mottle[..., None])
    picture[..., 1:] -= redness[..., None]
    return picture.astype(np.float32)


def _pigment(rng: np.random.Generator, canvas: Canvas, colour: int, depth: Plane, lift: float = 0.0) -> Picture:
    """The lesion's colour, darker inwards and mottled; `lift` brightens it so that structures stand out."""
    base = _PIGMENT[colour] * (1 + lift) * rng.normal(1.0, 0.07) + rng.normal(0, 0.015, 3)
    shade = 1.12 - 0.25 * np.clip(depth, 0, 1) + 0.07 * canvas.smooth(rng, 7)
    return base.astype(np.float32) * shade[..., None].astype(np.float32)


def _freckled(rng: np.random.Generator, canvas: Canvas, picture: Picture, count: tuple[int, int]) -> Picture:
    n = int(rng.integers(*count))
    spots = canvas.spots(rng.uniform(-1, 1, (n, 2)), rng.uniform(0.03, 0.07, n), rng.uniform(0.45, 0.9, n))
    return blend(picture, picture * np.array([0.68, 0.52, 0.42], dtype=np.float32), spots)


def _shadow(canvas: Canvas, picture: Picture, blob: Blob, light: Floats) -> Picture:
    away = -0.55 * blob.radius * light
    cast = soft(blob.depth(canvas, (float(away[0]), float(away[1]))), 0.12)
    return picture * (1 - np.float32(0.62) * cast[..., None])


def _dome(canvas: Canvas, picture: Picture, blob: Blob, light: Floats, lesion: Plane) -> Picture:
    dx, dy = (canvas.x - np.float32(blob.centre[0])), (canvas.y - np.float32(blob.centre[1]))
    along = (dx * np.float32(light[0]) + dy * np.float32(light[1])) / np.float32(blob.radius)
    picture = picture * (1 + np.float32(0.55) * (np.clip(along, -1, 1) * lesion)[..., None])
    spot = blob.centre + 0.45 * blob.radius * light
    near = (canvas.x - np.float32(spot[0])) ** 2 + (canvas.y - np.float32(spot[1])) ** 2
    shine = np.exp(-near / np.float32((0.34 * blob.radius) ** 2)) * lesion
    return blend(picture, np.array([1.0, 0.97, 0.94]), np.float32(0.85) * shine)


def _homogeneous(rng: np.random.Generator, canvas: Canvas) -> Plane:
    return (0.22 + 0.06 * np.clip(canvas.smooth(rng, 6), -2, 2)).astype(np.float32)


def _network(rng: np.random.Generator, canvas: Canvas) -> Plane:
    """Lines of a warped honeycomb: the sum of three waves at 60° is highest in its holes."""
    pitch, turn = rng.uniform(0.24, 0.30), rng.uniform(0, np.pi)
    x, y = (at + np.float32(0.03) * canvas.smooth(rng, 5) for at in (canvas.x, canvas.y))
    waves = np.zeros_like(x)
    for third in range(3):
        angle = turn + third * np.pi / 3
        step = np.float32(2 * np.pi / pitch)
        waves += np.cos(
            step * (np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y) + np.float32(rng.uniform(-0.3, 0.3))
        )
    return soft(-(waves + 0.45), 0.25)


def _globules(rng: np.random.Generator, canvas: Canvas) -> Plane:
    """Round dark dots, strewn on a jittered lattice so that they seldom touch."""
    pitch = rng.uniform(0.27, 0.36)
    ticks = np.arange(-1.2, 1.2, pitch)
    at = (
        np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
        + rng.uniform(-0.25, 0.25, (len(ticks) ** 2, 2)) * pitch
    )
    turn = rng.uniform(0, np.pi)
    at = at @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    kept = rng.random(len(at)) < 0.85
    spots = canvas.spots(at, rng.uniform(0.055, 0.105, len(at)), kept * rng.uniform(0.75, 1.0, len(at)))
    return np.maximum(spots, np.float32(0.05))


def _hairy(rng: np.random.Generator, canvas: Canvas, picture: Picture, count: int, width: float) -> Picture:
    return blend(picture, np.array([0.20, 0.14, 0.11]), np.float32(0.8) * canvas.hairs(rng, count, width))


def _vignette(rng: np.random.Generator, canvas: Canvas, picture: Picture) -> Picture:
    """The round field of the dermatoscope; in some pictures its dark corners show."""
    reach = rng.uniform(1.15, 1.6)
    return picture * soft(np.float32(reach) - np.hypot(canvas.x, canvas.y), 0.04)[..., None]
