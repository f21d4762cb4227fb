"""TIFF files made byte by byte (TIFF 6.0), in ways that Pillow does not write."""

from __future__ import annotations

import struct
import zlib

import numpy as np


def tiff(
    path, array, *, planar=1, packed=False, order="<", rows=0, tile=(), extra=(), sign=1, photometric=None, turn=1
):
    """Writes (height, width, channels) of uint8 or uint16; `rows` a strip, or `tile` (height, width)."""
    height, width, channels = array.shape
    bits = 8 * array.dtype.itemsize
    array = array.astype(array.dtype.newbyteorder(order))
    high, wide = tile or (rows or height, width)
    pieces = []
    for part in [array[..., i : i + 1] for i in range(channels)] if planar == 2 else [array]:
        for top in range(0, height, high):
            for left in range(0, width, wide):
                piece = part[top : top + high, left : left + wide]
                if tile:
                    full = np.zeros((high, wide, piece.shape[2]), piece.dtype)
                    full[: piece.shape[0], : piece.shape[1]] = piece
                    piece = full
                pieces.append(piece.tobytes())
    pieces = [zlib.compress(piece) if packed else piece for piece in pieces]
    places = [8 + sum(map(len, pieces[:i])) for i in range(len(pieces))]
    tags = {
        256: ("I", [width]), 257: ("I", [height]), 258: ("H", [bits] * channels), 259: ("H", [8 if packed else 1]),
        262: ("H", [(2 if channels >= 3 else 1) if photometric is None else photometric]), 274: ("H", [turn]),
        277: ("H", [channels]), 284: ("H", [planar]), 339: ("H", [sign] * channels),
    }  # fmt: skip
    if extra:
        tags[338] = ("H", list(extra))
    sizes = [len(piece) for piece in pieces]
    if tile:
        tags |= {322: ("I", [wide]), 323: ("I", [high]), 324: ("I", places), 325: ("I", sizes)}
    else:
        tags |= {273: ("I", places), 278: ("I", [high]), 279: ("I", sizes)}
    body = b"".join(pieces)
    start = 8 + len(body) + len(body) % 2
    entries, behind = b"", b""
    after = start + 2 + 12 * len(tags) + 4
    for number, (kind, values) in sorted(tags.items()):
        data = struct.pack(f"{order}{len(values)}{kind}", *values)
        if len(data) > 4:
            data, behind = struct.pack(f"{order}I", after + len(behind)), behind + data + bytes(len(data) % 2)
        entries += struct.pack(f"{order}HHI", number, {"H": 3, "I": 4}[kind], len(values)) + data.ljust(4, b"\0")
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", start)
    directory = struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + behind
    path.write_bytes(head + body + bytes(len(body) % 2) + directory)
    return path
