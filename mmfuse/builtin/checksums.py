"""Checksums of image files: a flipped bit is found where the format can tell, before pixels are believed.

PNG holds a CRC for each chunk (ISO/IEC 15948, 5.3), a deflated strip or tile of a TIFF the Adler-32 of what it unpacks
to (RFC 1950). JPEG, BMP, WebP and other TIFFs hold none.
"""

from __future__ import annotations

import zlib
from typing import IO

from PIL import TiffImagePlugin

_PIECE = 2**20
_DEFLATE = (8, 32946)
_COMPRESSION, _BITS, _SAMPLES, _PLANAR = 259, 258, 277, 284
_STRIPS, _STRIP_SIZES, _ROWS = 273, 279, 278
_TILES, _TILE_SIZES, _TILE_WIDTH, _TILE_LENGTH = 324, 325, 322, 323
_WIDTH, _LENGTH = 256, 257


class DamagedError(ValueError):
    """A file that contradicts its own checksum."""


def verify_png(file: IO[bytes]) -> None:
    """Read all chunks up to the last and compare their checksums.

    Raises: DamagedError naming the chunk.
    """
    file.seek(8)
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise DamagedError("it ends before its last chunk")
        kind, left = head[4:], int.from_bytes(head[:4], "big")
        found = zlib.crc32(kind)
        while left:
            piece = file.read(min(left, _PIECE))
            if not piece:
                raise DamagedError("it ends within a chunk")
            found = zlib.crc32(piece, found)
            left -= len(piece)
        if file.read(4) != found.to_bytes(4, "big"):
            raise DamagedError(f"the checksum of its chunk {kind.decode('latin-1')!a} is wrong")
        if kind == b"IEND":
            return


def verify_tiff(image: TiffImagePlugin.TiffImageFile, file: IO[bytes]) -> None:
    """Unpack each deflated strip or tile of the first page as far as its checksum; other compressions have none.

    Raises: DamagedError naming the piece.
    """
    tags = image.tag_v2
    if tags.get(_COMPRESSION, 1) not in _DEFLATE:
        return
    tiled = _TILES in tags
    offsets, sizes = (tags.get(tag, ()) for tag in ((_TILES, _TILE_SIZES) if tiled else (_STRIPS, _STRIP_SIZES)))
    sizes = sizes or (-1,) * len(offsets)  # then to the file's end
    expected = _unpacked(tags, tiled)
    for number, (offset, size) in enumerate(zip(offsets, sizes, strict=True), 1):
        file.seek(offset)
        if not _is_whole(file.read(size), 2 * expected + _PIECE):
            raise DamagedError(f"the checksum of its piece {number} of {len(offsets)} is wrong")


def _is_whole(packed: bytes, most: int) -> bool:
    """Whether this unpacks to its end, and to what its checksum says; to no more than `most` bytes."""
    unpacking = zlib.decompressobj()
    try:
        while not unpacking.eof and most > 0:
            piece = unpacking.decompress(packed, _PIECE)
            most -= len(piece)
            if not piece and not unpacking.unconsumed_tail:
                break
            packed = unpacking.unconsumed_tail
    except zlib.error:
        return False
    return unpacking.eof


def _unpacked(tags: TiffImagePlugin.ImageFileDirectory_v2, tiled: bool) -> int:
    """Bytes that a strip or tile unpacks to."""
    wide, high = (_TILE_WIDTH, _TILE_LENGTH) if tiled else (_WIDTH, _ROWS)
    width = int(tags[wide])
    rows = int(tags[high]) if tiled else min(int(tags.get(_ROWS, tags[_LENGTH])), int(tags[_LENGTH]))
    bits = [int(depth) for depth in tags.get(_BITS, (1,))]
    samples = int(tags.get(_SAMPLES, len(bits)))
    per_pixel = max(bits) * (1 if tags.get(_PLANAR, 1) == 2 else samples)
    return -(-width * per_pixel // 8) * rows
