"""What a file is that is none of the images that are read, by its first bytes: named, with what to do."""

from __future__ import annotations

from typing import NamedTuple

LONGEST = 512
"""Bytes of a file's beginning that tell."""


class Kind(NamedTuple):
    """What a file is, and the mend."""

    found: str
    mend: str


_SCAN = "write its slices as 16-bit PNG or TIFF, scaled to the full range, or bring a modality that reads it"
_PICTURE = "save it as PNG, TIFF or JPEG"
_FETCH = "fetch the file itself"

_DICOM = Kind("is a DICOM file", _SCAN)
_NIFTI = Kind("is a NIfTI file", _SCAN)
_TIFF = Kind(
    "is a TIFF whose pixels are of a kind that is not read (its bits, channels or compression)",
    "save it with 8 or 16 bits, as grey or RGB",
)
_HEIF = Kind("is a HEIC or AVIF image", _PICTURE)

_STARTS = (
    (b"\x89PNG\r\n\x1a\n", Kind("is a PNG whose header is broken", "fetch or export it again")),
    (b"\xff\xd8\xff", Kind("is a JPEG whose header is broken", "fetch or export it again")),
    (b"II*\0", _TIFF),
    (b"MM\0*", _TIFF),
    (b"II+\0", _TIFF),
    (b"MM\0+", _TIFF),
    (b"GIF8", Kind("is a GIF", _PICTURE)),
    (b"\0\0\0\x0cjP  ", Kind("is a JPEG 2000 image", _PICTURE)),
    (b"\xff\x4f\xff\x51", Kind("is a JPEG 2000 image", _PICTURE)),
    (b"\x93NUMPY", Kind("is a NumPy array", _PICTURE)),
    (b"%PDF", Kind("is a PDF", "export its pages as PNG")),
    (b"PK\x03\x04", Kind("is a ZIP archive", "unpack it")),
    (b"\x1f\x8b", Kind("is packed with gzip", "unpack it")),
    (b"version https://git-lfs", Kind("is a pointer of Git LFS, not the image", f"{_FETCH}: git lfs pull")),
    (b"ObjectType = Image", Kind("is a MetaImage file", _SCAN)),
    (b"NRRD", Kind("is an NRRD file", _SCAN)),
)


def kind_of(start: bytes, name: str) -> Kind | None:
    """Return what a file is, by its first bytes (LONGEST at most) and its name; None where nothing is known."""
    if start[128:132] == b"DICM":
        return _DICOM
    if start[344:348] in (b"n+1\0", b"ni1\0") or start[4:8] == b"n+2\0" or name.lower().endswith((".nii", ".nii.gz")):
        return _NIFTI
    if start[4:8] == b"ftyp" and start[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"avif"):
        return _HEIF
    for sign, kind in _STARTS:
        if start.startswith(sign):
            return kind
    words = start.lstrip().lower()
    if words.startswith((b"<!doctype", b"<html")):
        return Kind("is a web page, as a failed download leaves it", _FETCH)
    if words.startswith((b"<svg", b"<?xml")):
        return Kind("is XML", _PICTURE)
    if start[8:9] == b"\0" and start[2:4] == b"\0\0" and name.lower().endswith(".dcm"):
        return _DICOM  # without its preamble, as some archives send it
    return None if start else Kind("is empty", _FETCH)
