"""Facts of an image file that are not what it shows: its form, its size, its light, its border; and a picture of it so
small that copies are found by it. Each file is decoded once, in threads, no larger than needed.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.contents import content_key
from mmfuse.data.rows import resolve, split_paths
from mmfuse.data.workers import in_threads
from mmfuse.events import Progress, Watch
from mmfuse.labels import Floats

if TYPE_CHECKING:
    from PIL import Image

    from mmfuse.data.cases import Cases

SIDE = 32
"""Of the small grey picture that copies are found by."""
_LOOK, _TILES = 64, 8
_FLAT, _DARK, _WHITE = 0.03, 0.08, 0.95
"""A row or column is a margin where its light (0 … 1) deviates by less than the first and is dark or white; evenly
coloured skin is none."""
_STRIDE = 64


class Facts(NamedTuple):
    """Of one file."""

    form: str
    """Format, colours, width × height, EXIF, JPEG's quantisation: how it was written."""
    size: float
    """Logarithm of bytes."""
    light: tuple[float, float]
    """Mean and standard deviation of brightness, 0 … 1."""
    margins: tuple[float, ...]
    """Share of the picture that is a black or white margin, from each of the four sides."""
    border: NDArray[np.float32]
    """Brightness, contrast and colour of the 28 tiles along the border, and their extremes."""
    inside: NDArray[np.float32]
    """The same of the 36 tiles inside."""
    small: NDArray[np.uint8]
    """(32, 32) grey."""
    content: str
    """Key of the bytes."""


class Seen(NamedTuple):
    """An image modality's column of the table."""

    modality: str
    column: str
    facts: list[Facts | None]
    """One a case, of several images in a cell the first; None where there is none, or it cannot be read."""


def look(cases: Cases, watch: Watch) -> list[Seen]:
    """The facts of every image, by modality and column."""
    columns = [
        (name, column)
        for name, modality in cases.card.modalities.items()
        if modality.is_image
        for column in modality.columns
    ]
    files = {
        pair: [None if cell is None else _first(cell, cases.root) for cell in cells]
        for pair in columns
        for cells in [cases.table[pair[1]]]
    }
    paths = sorted({path for some in files.values() for path in some if path is not None})
    known: dict[Path | None, Facts | None] = {None: None}
    for done, (path, facts) in enumerate(zip(paths, in_threads(facts_of, paths), strict=True), 1):
        known[path] = facts
        if done % _STRIDE == 0 or done == len(paths):
            watch(Progress("looking at image files", done, len(paths)))
    return [Seen(*pair, [known[path] for path in some]) for pair, some in files.items()]


def _first(cell: str, root: Path) -> Path:
    return resolve(next(iter(split_paths(cell, root)), ""), root)


def facts_of(path: Path) -> Facts | None:
    """The facts of one file; None where it cannot be read, which the audit names."""
    from PIL import Image

    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            written = (image.format, image.mode, f"{image.width}×{image.height}")
            exif = "with EXIF" if image.getexif() else "no EXIF"
            tables = getattr(image, "quantization", None) or {}  # JPEG alone has them
            quality = sum(sum(table) for table in tables.values())
            image.draft("RGB", (2 * _LOOK, 2 * _LOOK))
            colour = _colour(image)
            # Not by boxes, which are lopsided at odd scales: mirroring and shrinking have to commute.
            seen = np.asarray(colour.resize((_LOOK, _LOOK), Image.Resampling.BILINEAR), dtype=np.float32) / 255
            small = np.asarray(colour.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    except Exception:  # decoders raise many kinds
        return None
    light = seen @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    border, inside = _zones(seen, light)
    form = " ".join([*map(str, written), exif, f"quantisation {quality}" if quality else ""]).strip()
    return Facts(
        form,
        math.log(len(data)),
        (float(light.mean()), float(light.std())),
        _margins(light),
        border,
        inside,
        small,
        content_key(data),
    )


def _colour(image: Image.Image) -> Image.Image:
    """In RGB; more than 8 bits are scaled by the brightest, since Pillow would cut them off."""
    from PIL import Image as Made

    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        values = np.asarray(image, dtype=np.float64)
        values = np.clip(values / max(float(values.max()), 1e-9), 0, 1) * 255
        return Made.fromarray(values.astype(np.uint8)).convert("RGB")
    return image.convert("RGB")


def _margins(light: Floats) -> tuple[float, ...]:
    """How deep the margin is from top, bottom, left, right; a picture that is all margin has none."""
    out = []
    for turned in (light, light[::-1], light.T, light.T[::-1]):
        mean = turned.mean(axis=1)
        shown = np.flatnonzero((turned.std(axis=1) > _FLAT) | ((mean > _DARK) & (mean < _WHITE)))
        out.append(float(shown[0]) / len(turned) if len(shown) else 0.0)
    return tuple(out)


def _zones(seen: Floats, light: Floats) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Figures of the tiles along the border, and of those inside."""
    step = _LOOK // _TILES
    tiles = light.reshape(_TILES, step, _TILES, step).transpose(0, 2, 1, 3).reshape(_TILES, _TILES, -1)
    colours = seen.reshape(_TILES, step, _TILES, step, 3).mean(axis=(1, 3))
    chroma = colours.max(axis=-1) - colours.min(axis=-1)
    figures = np.stack([tiles.mean(axis=-1), tiles.std(axis=-1), chroma, colours[..., 2] - colours[..., 0]])
    edge = np.ones((_TILES, _TILES), dtype=bool)
    edge[1:-1, 1:-1] = False

    def of(zone: NDArray[np.bool_]) -> NDArray[np.float32]:
        mine = figures[:, zone]
        return np.concatenate([mine.ravel(), mine.min(axis=1), mine.max(axis=1), mine.mean(axis=1)]).astype(np.float32)

    return of(edge), of(~edge)
