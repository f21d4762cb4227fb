"""Image files → RGB, resizing, and from there to arrays. The one place that knows Pillow.

Only the five formats are opened, nothing is decoded above the pixel limit, and a file that ends early, or contradicts a
checksum of its own, is an error. Of several frames or pages the first is taken; colour profiles are not applied; what
is transparent is laid on black. What is odd, and yet an image, is a remark.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

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
    features,
)
from PIL import __version__ as pillow_version

from mmfuse.builtin import tiff
from mmfuse.builtin.checksums import verify_png, verify_tiff
from mmfuse.builtin.signatures import LONGEST, kind_of

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
_WITHOUT_REMARKS = (b"\xff\xd8", b"BM")
"""How JPEG and BMP begin."""
_FEW_BITS = (8, 12, 14)
"""Of 16, as scanners have them; with 14 an image is at most a quarter as bright as it could be."""


def libraries() -> list[str]:
    """Return the versions of Pillow and of the libraries that decode for it; a system may bring its own of these."""
    codecs = {name: features.version(name) for name in ("jpg", "zlib", "libtiff", "webp")}
    return [f"pillow {pillow_version}", *(f"{name} {version or ''}" for name, version in codecs.items())]


class UnreadableError(Exception):
    """A file that gives no image."""

    def __init__(self, found: str, expected: str = "", mend: str = "") -> None:
        super().__init__(found)
        self.expected = expected or "a whole image: JPEG, PNG, TIFF, BMP or WebP, 8 or 16 bit"
        self.mend = mend


def decode(path: Path, max_pixels: int, draft_side: int = 0) -> Image.Image:
    """The image, RGB and upright.

    Where `draft_side` is not 0, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as each side keeps that
    many pixels: much faster. The decoder then averages blocks of pixels, which a filter would weigh otherwise. Where
    each side keeps twice what it is resized to, photographs differ by less than half a grey level in the mean and by
    up to 13 at sharp edges, pure noise by 1 and 8; under the filter `area` noise differs by 24 and more.

    Raises: UnreadableError, whatever it is that is wrong with the file.
    """
    with _opened(path, max_pixels, draft_side) as image:
        turn = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
        coloured = _as_rgb(image)
        return coloured if turn is None else coloured.transpose(turn)


def remarks(path: Path, max_pixels: int) -> tuple[tuple[str, str], ...]:
    """(what is odd, the mend) of a file that can be read: several pages or frames, few of its 16 bits used. Pixels are
    decoded of 16-bit images alone.

    Raises: UnreadableError, whatever it is that is wrong with the file.
    """
    with path.open("rb") as file:
        if file.read(2) in _WITHOUT_REMARKS:
            return ()
    with _undecoded(path, max_pixels) as image:
        pages, is_deep = _pages(image), _is_deep(image, path)
    found = []
    if is_deep:
        with _opened(path, max_pixels) as image:
            bits = _bits_used(image)
        if bits and (few := next((n for n in _FEW_BITS if bits <= n), 0)):
            how = f"use no more than {few} of their 16 bits (values up to {2**few - 1:,} of 65,535)"
            odd = f"{how} and are read {'dark' if few == max(_FEW_BITS) else 'nearly black'}"
            found.append((odd, "scale the values to the full range of 16 bits and save the images again"))
    if pages > 1:
        found.append(("hold several pages or frames, of which the first is read", "save each as a file of its own"))
    return tuple(found)


@contextmanager
def _opened(path: Path, max_pixels: int, draft_side: int = 0) -> Iterator[Image.Image]:
    """The image with its pixels as they are stored, verified."""
    with _undecoded(path, max_pixels) as image:
        if draft_side:
            image.draft(None, (draft_side, draft_side))  # type: ignore[arg-type]  # None keeps the colours
        with path.open("rb") as file:
            loaded = _loaded(image, file)
        yield loaded


@contextmanager
def _undecoded(path: Path, max_pixels: int) -> Iterator[Image.Image]:
    """The image as its header tells it. Turns whatever is raised meanwhile over the file into an UnreadableError."""
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
            yield image
    except UnreadableError:
        raise
    except UnidentifiedImageError:
        with path.open("rb") as file:
            kind = kind_of(file.read(LONGEST), path.name)
        mend = "" if kind is None else f"it {kind.found}: {kind.mend}"
        raise UnreadableError("its content is of none of the formats that are read", mend=mend) from None
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


def _loaded(image: Image.Image, file: IO[bytes]) -> Image.Image:
    """The pixels as they are stored, once the file's own checksums are seen to be right."""
    if image.format == "PNG":
        verify_png(file)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        if odd := tiff.odd_numbers(image):
            raise UnreadableError(*odd)
        verify_tiff(image, file)
        if tiff.mend_planes(image):
            picture, turn = tiff.planes(image, file), _UPRIGHT.get(tiff.orientation(image))
            return picture if turn is None else picture.transpose(turn)
    image.load()
    return image


def _is_deep(image: Image.Image, path: Path) -> bool:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return 16 in image.tag_v2.get(tiff.DEPTH, (1,))
    return isinstance(image, PngImagePlugin.PngImageFile) and _png_depth(path) == 16


def _bits_used(image: Image.Image) -> int:
    """How many of the 16 bits of its channels an image uses; 0 where it shows nothing."""
    pixels = np.asarray(image)
    if pixels.dtype == np.uint8:  # the high bytes, alpha left out
        high = int(pixels[..., :3].max(initial=0)).bit_length()
        return high + 8 if high else 0
    return int(pixels.max(initial=0)).bit_length()


def _png_depth(path: Path) -> int:
    with path.open("rb") as file:
        return file.read(25)[24]


def _pages(image: Image.Image) -> int:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return tiff.pages(image)
    if isinstance(image, PngImagePlugin.PngImageFile | WebPImagePlugin.WebPImageFile):
        return int(image.n_frames)
    return 1


def _as_rgb(image: Image.Image) -> Image.Image:
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
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(tiff.PHOTOMETRIC) == tiff.WHITE_IS_ZERO:
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
