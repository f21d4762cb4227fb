"""What the pictures are made of: smooth noise, blobs with an irregular border, hairs, spots, and the camera's faults.

Coordinates run from -1 to 1 whatever the size, and pixel noise alone is drawn in numbers that depend on it, so a
cohort drawn larger shows the same lesions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Plane = NDArray[np.floating]
"""(size, size), single precision."""
Picture = NDArray[np.floating]
"""(size, size, 3), RGB in [0, 1], single precision."""

_FINE = 3
"""Spots and hairs are drawn this many times larger and then averaged, which smooths their edges."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """A square of `size` pixels with the coordinates of their centres."""

    size: int
    x: Plane
    y: Plane

    @classmethod
    def of(cls, size: int) -> Canvas:
        at = ((np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1).astype(np.float32)
        x, y = np.meshgrid(at, at)
        return cls(size, x, y)

    def smooth(self, rng: np.random.Generator, cells: int) -> Plane:
        """Noise of about unit variance with `cells` bumps across."""
        grid = rng.standard_normal((cells, cells)).astype(np.float32)
        return np.asarray(Image.fromarray(grid).resize((self.size, self.size), Image.Resampling.BICUBIC))

    def spots(self, at: NDArray[np.floating], radius: NDArray[np.floating], strength: NDArray[np.floating]) -> Plane:
        """Discs at (n, 2) places; `strength` in [0, 1]."""
        fine = self.size * _FINE
        image = Image.new("L", (fine, fine))
        pen = ImageDraw.Draw(image)
        centre, reach = (at + 1) / 2 * fine, radius / 2 * fine
        for (x, y), r, s in zip(centre.tolist(), reach.tolist(), strength.tolist(), strict=True):
            pen.ellipse((x - r, y - r, x + r, y + r), fill=round(255 * s))
        return self._averaged(image)

    def hairs(self, rng: np.random.Generator, count: int, width: float) -> Plane:
        """Gently curved lines across the picture."""
        fine = self.size * _FINE
        image = Image.new("L", (fine, fine))
        pen = ImageDraw.Draw(image)
        t = np.linspace(0, 1, 12)[:, None]
        for _ in range(count):
            a, b, c = rng.uniform(-1.2, 1.2, (3, 2))
            path = (1 - t) ** 2 * a + 2 * t * (1 - t) * (0.6 * c + 0.2 * (a + b)) + t**2 * b
            pen.line(
                [tuple(point) for point in ((path + 1) / 2 * fine).tolist()],
                fill=255,
                width=max(1, round(width / 2 * fine)),
            )
        return self._averaged(image)

    def _averaged(self, image: Image.Image) -> Plane:
        small = image.resize((self.size, self.size), Image.Resampling.BOX)
        return np.asarray(small, dtype=np.float32) / 255


@dataclass(frozen=True, eq=False)
class Blob:
    """A roundish patch with an irregular border."""

    centre: NDArray[np.floating]
    radius: float
    axes: NDArray[np.floating]
    turn: float
    bumps: NDArray[np.floating]
    phases: NDArray[np.floating]

    @classmethod
    def drawn(cls, rng: np.random.Generator, radius: float, wander: float, ragged: float) -> Blob:
        """About `radius`, off the centre by up to `wander`, the border wavy by about `ragged` of the radius."""
        stretch = rng.uniform(1.0, 1.35)
        waves = np.arange(2, 9)
        return cls(
            centre=rng.uniform(-wander, wander, 2),
            radius=radius,
            axes=np.array([np.sqrt(stretch), 1 / np.sqrt(stretch)]),
            turn=rng.uniform(0, np.pi),
            bumps=rng.normal(0, ragged, len(waves)) / np.sqrt(waves),
            phases=rng.uniform(0, 2 * np.pi, len(waves)),
        )

    def depth(self, canvas: Canvas, shift: tuple[float, float] = (0.0, 0.0)) -> Plane:
        """1 at the centre, 0 on the border, negative outside; the blob moved by `shift`."""
        dx = canvas.x - np.float32(self.centre[0] + shift[0])
        dy = canvas.y - np.float32(self.centre[1] + shift[1])
        c, s = np.float32(np.cos(self.turn)), np.float32(np.sin(self.turn))
        u = (c * dx + s * dy) / np.float32(self.axes[0])
        v = (c * dy - s * dx) / np.float32(self.axes[1])
        angle = np.arctan2(v, u)
        edge = np.ones_like(angle)
        for wave, (bump, phase) in enumerate(zip(self.bumps, self.phases, strict=True), 2):
            edge += np.float32(bump) * np.cos(wave * angle + np.float32(phase))
        return 1 - np.hypot(u, v) / (np.float32(self.radius) * np.maximum(edge, 0.3))


def soft(depth: Plane, softness: float) -> Plane:
    """Depth → opacity, rising over about `softness` of the radius around the border."""
    return 1 / (1 + np.exp(np.clip(-depth / np.float32(softness), -30, 30)))


def blend(below: Picture, colour: NDArray[np.floating] | Picture, opacity: Plane) -> Picture:
    """`colour` over `below`."""
    return below + opacity[..., None] * (np.asarray(colour, dtype=np.float32) - below)


def photographed(picture: Picture, rng: np.random.Generator, canvas: Canvas, noise: float) -> NDArray[np.uint8]:
    """The camera: a gradient of light, exposure, white balance, and noise of each pixel."""
    slope = rng.normal(0, 0.06, 2).astype(np.float32)
    light = rng.normal(1.0, 0.06) * (1 + slope[0] * canvas.x + slope[1] * canvas.y)
    balance = 1 + rng.normal(0, 0.02, 3)
    grain = rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(noise)
    out = picture * light[..., None] * balance.astype(np.float32) + grain
    return (np.clip(out, 0, 1) * 255 + 0.5).astype(np.uint8)
