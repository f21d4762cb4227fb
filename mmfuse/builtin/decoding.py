"""Image files → RGB, resizing, and from there to arrays. The one place that knows Pillow.

Only the five formats are opened, nothing is decoded above the pixel limit, and a file that ends early is an error. Of
several frames or pages the first is taken; colour profiles are not applied; what is transparent is laid on black.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    ExifTags,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

Pixels = NDArray[np.uint8]

FORMATS = tuple(
    plugin.format
    for plugin in (
        BmpImagePlugin.BmpImageFile,
        JpegImagePlugin.JpegImageFile,
        PngImagePlugin.PngImageFile,
        TiffImagePlugin.TiffImageFile,
        WebPImagePlugin.WebPImageFile,
    )
)
_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "area": Image.Resampling.BOX,
}
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each orientation that a camera noted (EXIF 2.32, tag 0x0112)."""
_SAFE = 2 * (Image.MAX_IMAGE_PIXELS or 0)
"""What Pillow opens at most."""
_TIFF_DEPTH, _TIFF_PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0


class UnreadableError(Exception):
    """A file that gives no image."""

    def __init__(self, found: str, expected: str = "", mend: str = "") -> None:
        super().__init__(found)
        self.expected = expected or "a whole image: JPEG, PNG, TIFF, BMP or WebP, 8 or 16 bit"
        self.mend = mend


def decode(path: Path, max_pixels: int, draft_side: int = 0) -> Image.Image:
    """The image, RGB and upright.

    Where `draft_side` is not 0, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as each side keeps that
    many pixels: much faster, and the same to within a grey level once it is resized.

    Raises: UnreadableError, whatever it is that is wrong with the file.
    """
    try:
        if not path.is_file():  # a device or a pipe may have no end
            found = "is a folder" if path.is_dir() else "is no regular file" if path.exists() else "no such file"
            raise UnreadableError(found, mend="" if path.exists() else _similar(path))
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise UnreadableError(
                    f"{image.width} × {image.height} pixels",
                    f"at most {max_pixels}",
                    "make the image smaller, or raise `max_pixels`",
                )
            if draft_side:
                image.draft(None, (draft_side, draft_side))  # type: ignore[arg-type]  # None keeps the colours
            image.load()
            turn = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
            coloured = _as_rgb(image)
            return coloured if turn is None else coloured.transpose(turn)
    except UnreadableError:
        raise
    except UnidentifiedImageError:
        raise UnreadableError("its content is of none of the formats that are read") from None
    except Image.DecompressionBombError:
        raise UnreadableError(f"more than {_SAFE} pixels", f"at most {max_pixels}", "make the image smaller") from None
    except Exception as error:  # Pillow raises whatever a broken file makes it trip over
        raise UnreadableError(f"cannot be read as an image ({_reason(error, path)})") from error


def resized(image: Image.Image, height: int, width: int, aspect: str, resize: str) -> Image.Image:
    """The image at this size, antialiased; `aspect` is `stretch`, `pad` (with black) or `crop`."""
    wide, high = image.size
    if (high, wide) == (height, width):
        return image
    resample = _FILTERS[resize]
    if aspect == "crop":
        scale = max(height / high, width / wide)
        left, top = (wide - width / scale) / 2, (high - height / scale) / 2
        box = (max(left, 0), max(top, 0), min(wide - left, wide), min(high - top, high))
        return image.resize((width, height), resample, box)
    if aspect == "pad":
        scale = min(height / high, width / wide)
        inner = (min(max(round(wide * scale), 1), width), min(max(round(high * scale), 1), height))
        canvas = Image.new("RGB", (width, height))
        canvas.paste(image.resize(inner, resample), ((width - inner[0]) // 2, (height - inner[1]) // 2))
        return canvas
    return image.resize((width, height), resample)


def pixels_of(image: Image.Image) -> Pixels:
    """(height, width, 3)."""
    return np.asarray(image)


def image_of(pixels: Pixels) -> Image.Image:
    """Of (height, width, 3)."""
    return Image.fromarray(np.ascontiguousarray(pixels))


def fill_planes(planes: Pixels, image: Image.Image) -> None:
    """Writes the image into (3, height, width)."""
    for plane, band in zip(planes, image.split(), strict=True):
        plane[:] = np.asarray(band)


def _as_rgb(image: Image.Image) -> Image.Image:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        depths = set(image.tag_v2.get(_TIFF_DEPTH, (1,)))
        if not depths <= {1, 2, 4, 8, 16}:
            raise UnreadableError(
                f"{max(depths)} bits a channel", "8 or 16 bits", "save it with 8 or 16 bits a channel"
            )
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return _from_16_bits(image)
    if image.mode in ("I", "F"):
        raise UnreadableError("32 bits a channel", "8 or 16 bits", "scale them to 16 bits and save again")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba).convert("RGB")
    return image.convert("RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    grey = np.asarray(image).astype(np.uint32)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = 65535 - grey  # Pillow does so for 8 bits only
    # 257 takes 65535 to 255: every level keeps its place, none is clipped.
    return Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")


def _reason(error: Exception, path: Path) -> str:
    text = " ".join(str(error).replace(str(path), "file").split())
    return text[:200] or type(error).__name__


def _similar(path: Path) -> str:
    """The mend where a file is missing: one of the same name but for case or suffix, if the folder has one."""
    try:
        near = sorted(other.name for other in path.parent.iterdir() if other.stem.lower() == path.stem.lower())
    except OSError:
        return f"there is no folder {path.parent}; set `root` in [cases]"
    return f"the folder has {', '.join(near[:3])}" if near else ""
