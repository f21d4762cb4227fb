"""The header of a safetensors file, looked at before any tensor is: sizes, places, names and types."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from mmfuse.errors import MmfuseError, RunError
from mmfuse.formats.json_files import parse_json

LARGEST_HEADER = 64 * 2**20
"""Bytes of the header."""
TENSORS = 200_000
AXES = 16
SIZES = {"BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4, "U32": 4, "F32": 4,
         "I64": 8, "U64": 8, "F64": 8, "F8_E4M3": 1, "F8_E5M2": 1}  # fmt: skip
"""Bytes of a number of each type that is read."""
METADATA = "__metadata__"


class TensorHead(NamedTuple):
    """What the header says of a tensor."""

    dtype: str
    shape: tuple[int, ...]


def check_safetensors(
    path: Path, *, expected: str, mend: str = "copy it again", error: type[MmfuseError] = RunError
) -> dict[str, TensorHead]:
    """Return {name: type and shape} of the tensors of a file, once its header is sound: tensors lie one behind the
    other without gap or overlap and fill the file to its end.

    Raises: `error` naming the file.
    """
    where = str(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(LARGEST_HEADER, size - 8):
                raise error(f"cannot be read: it has a header of {length:,} bytes", expected, mend, where)
            text = file.read(length).decode()
    except FileNotFoundError as fault:
        raise error("cannot be read: there is no such file", expected, mend, where) from fault
    except (OSError, ValueError, struct.error) as fault:
        raise error(f"cannot be read: {fault}", expected, mend, where) from fault
    header = parse_json(text, dict[str, dict[str, Any]], where=where, expected=expected, mend=mend, error=error)
    header.pop(METADATA, None)
    found = "holds too many tensors" if len(header) > TENSORS else _fault_of(header, size - 8 - length)
    if found:
        raise error(f"cannot be read: {found}", expected, mend, where)
    return {name: TensorHead(told["dtype"], tuple(told["shape"])) for name, told in header.items()}


def _fault_of(header: dict[str, dict[str, Any]], size: int) -> str:
    places = []
    for name, told in header.items():
        dtype, shape, place = told.get("dtype"), told.get("shape"), told.get("data_offsets")
        if not isinstance(dtype, str) or dtype not in SIZES:
            return f"tensor '{name}' is of the type {dtype!r}"
        if not _are_counts(shape) or len(shape) > AXES:
            return f"tensor '{name}' has the shape {shape!r}"
        if not _are_counts(place) or len(place) != 2 or place[1] - place[0] != SIZES[dtype] * math.prod(shape):
            return f"tensor '{name}' of {dtype} {shape} lies at {place!r}"
        places.append((place[0], place[1], name))
    end = 0
    for start, stop, name in sorted(places):
        if start != end:
            return f"tensor '{name}' begins at {start}, not at {end} where the one before it ends"
        end = stop
    return "" if end == size else f"its tensors have {end:,} bytes, and {size:,} are there"


def _are_counts(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**62 for item in value)
