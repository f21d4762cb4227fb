"""What Pillow does not do with TIFF files: numbers that are no levels of grey are refused by name, channels of 16 bits
that are stored apart (PlanarConfiguration 2) are put together, pages are counted.

Tags are those of TIFF 6.0.
"""

from __future__ import annotations

from typing import IO, Any

import numpy as np
from PIL import Image, TiffImagePlugin

DEPTH, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0
_SUBFILE, _SMALLER_OR_MASK = 254, 0b101
_WIDTH, _LENGTH, _SAMPLES, _ROWS = 256, 257, 277, 278
_COMPRESSION, _FILL_ORDER, _ORIENTATION = 259, 266, 274
_STRIPS, _TILE_WIDTH, _TILE_LENGTH, _TILES = 273, 322, 323, 324
_PLANAR, _APART = 284, 2
_EXTRA, _PREMULTIPLIED = 338, (1,)
_FORMAT, _NUMBERS = 339, {2: "signed integers", 3: "floating point", 5: "complex integers", 6: "complex numbers"}

Tiff = TiffImagePlugin.TiffImageFile


def odd_numbers(image: Tiff) -> tuple[str, str, str] | None:
    """What was found, what is expected and the mend, where numbers are no unsigned integers of up to 16 bits."""
    depths = set(image.tag_v2.get(DEPTH, (1,)))
    if not depths <= {1, 2, 4, 8, 16}:
        return f"{max(depths)} bits a channel", "8 or 16 bits", "scale them to 16 bits and save again"
    signs = sorted({_NUMBERS[sign] for sign in image.tag_v2.get(_FORMAT, (1,)) if sign in _NUMBERS})
    if signs:
        mend = "shift and scale them to the range of unsigned 16 bits and save again"
        return f"{max(depths)} bits a channel, {' and '.join(signs)}", "unsigned integers of 8 or 16 bits", mend
    return None


def mend_planes(image: Tiff) -> bool:
    """Whether channels are stored apart and not packed: Pillow reads 16 bits of them as if they were 8, and not every
    fourth channel. One channel alone is never apart, whatever the file says."""
    tags = image.tag_v2
    if tags.get(_PLANAR, 1) != _APART or image.use_load_libtiff:
        return False
    if tags.get(_SAMPLES, 1) == 1:
        tags[_PLANAR] = 1
        image._setup()
        return False
    return set(tags.get(DEPTH, (1,))) <= {8, 16}


def planes(image: Tiff, file: IO[bytes]) -> Image.Image:
    """The picture in the image's own mode, high bytes as Pillow takes them elsewhere, as it is stored (not upright).

    Raises: ValueError if the file ends early or stores it in another way.
    """
    tags = image.tag_v2
    width, height = int(tags[_WIDTH]), int(tags[_LENGTH])
    tiled = _TILES in tags
    wide = int(tags[_TILE_WIDTH]) if tiled else width
    high = int(tags[_TILE_LENGTH]) if tiled else min(int(tags.get(_ROWS, height)), height)
    offsets = tags[_TILES] if tiled else tags[_STRIPS]
    across, down = -(-width // wide), -(-height // high)
    bands = len(image.getbands())
    kind = "u1" if max(tags[DEPTH]) == 8 else "<u2" if tags.prefix == b"II" else ">u2"
    if tags.get(_FILL_ORDER, 1) != 1 or len(offsets) < bands * across * down:
        raise ValueError("its planes are stored in an unusual way")
    out = np.zeros((bands, height, width), np.uint8)
    for number, offset in enumerate(offsets[: bands * across * down]):
        band, place = divmod(number, across * down)
        top, left = (place // across) * high, (place % across) * wide
        rows = high if tiled else min(high, height - top)
        piece = _piece(file, offset, (rows, wide), kind)
        out[band, top : top + rows, left : left + wide] = piece[: height - top, : width - left]
    mode = "RGBa" if tags.get(_EXTRA, ()) == _PREMULTIPLIED else image.mode
    return Image.merge(mode, [Image.fromarray(plane) for plane in out]).convert(image.mode)


def _piece(file: IO[bytes], offset: int, shape: tuple[int, int], kind: str) -> Any:  # noqa: ANN401  # an array
    file.seek(offset)
    size = shape[0] * shape[1] * np.dtype(kind).itemsize
    data = file.read(size)
    if len(data) < size:
        raise ValueError("it ends within a plane")
    values = np.frombuffer(data, kind).reshape(shape)
    return values if kind == "u1" else (values >> 8).astype(np.uint8)


def orientation(image: Tiff) -> int:
    """As it is stored; Pillow forgets it when it has turned what it loads."""
    return int(image.tag_v2.get(_ORIENTATION, 1))


def pages(image: Tiff) -> int:
    """How many pages there are, smaller copies of one and masks left out."""
    count = 0
    for number in range(image.n_frames):
        image.seek(number)
        count += not int(image.tag_v2.get(_SUBFILE, 0)) & _SMALLER_OR_MASK
    return max(count, 1)
