"""npz files: named arrays of numbers and text, read one at a time, within limits and with every checksum."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from mmfuse.errors import MmfuseError, RunError

UNPACKED = 256 * 2**20
"""So many bytes any npz may unpack to …"""
RATIO = 100
"""… and a larger file to so many times its size."""
MEMBERS = 20_000
"""Arrays in a file."""
AXES = 8

_PIECE = 2**20
_KINDS = {"b": "truth values", "i": "whole numbers", "u": "whole numbers", "f": "numbers", "U": "text", "S": "text"}
"""NumPy's kinds of what is read: no objects, dates or records."""
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}

Room = Callable[[tuple[int, ...], np.dtype[Any]], NDArray[Any]]


class Npz:
    """An npz file that is open; `with Npz(path, …) as stored`.

    Raises: `error` naming the file, here and wherever an array is read: for a file that is missing or broken, unpacks
    to more than 256 MiB and a hundred times its size, or holds other than plain arrays of numbers and text.
    """

    def __init__(
        self,
        path: Path,
        *,
        expected: str,
        mend: str = "copy it again",
        error: type[MmfuseError] = RunError,
    ) -> None:
        self.path, self._expected, self._mend, self._error = Path(path), expected, mend, error
        try:
            size = self.path.stat().st_size
            self._file = zipfile.ZipFile(self.path)
        except FileNotFoundError as fault:
            raise self.fault("cannot be read: there is no such file") from fault
        except Exception as fault:  # a broken archive shows itself in many ways
            raise self.fault(f"cannot be read: {_in_words(fault)}") from fault
        try:
            self._members = self._checked(size)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def fault(self, found: str, expected: str = "") -> MmfuseError:
        """Return the error of this file for what was found in it."""
        return self._error(found, expected or self._expected, self._mend, str(self.path))

    def read(
        self, name: str, kinds: str = "biufUS", shape: Sequence[int | None] | None = None, room: Room = np.empty
    ) -> NDArray[Any]:
        """Return an array. `kinds` are the NumPy kinds that it may be of, `shape` its shape where that is known (None
        for any length of an axis), and `room(shape, dtype)` makes the array that it is read into.

        Raises: the error of this file.
        """
        if name not in self._members:
            raise self.fault(f"has no array '{name}'")
        entry = self._members[name]
        try:
            with self._file.open(entry) as stream, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found, fortran, dtype = _header(stream)
                if fault := _fault_of(found, dtype, kinds, shape) or _fault_of_size(entry, stream, found, dtype):
                    raise self.fault(f"'{name}' {fault}")
                array = _filled(stream, found[::-1] if fortran else found, dtype, room)
        except MmfuseError:
            raise
        except Exception as broken:  # in any of the ways of zip, zlib and NumPy
            raise self.fault(f"'{name}' cannot be read: {_in_words(broken)}") from broken
        if fault := _fault_of_content(array):
            raise self.fault(f"'{name}' {fault}")
        native = array.transpose() if fortran else array
        return native.astype(dtype.newbyteorder("="), copy=False)

    def text(self, name: str) -> str:
        """Return the text of an array of one word, without axes."""
        return str(self.read(name, "US", ())[()])

    def _checked(self, size: int) -> dict[str, zipfile.ZipInfo]:
        entries = self._file.infolist()
        if len(entries) > MEMBERS:
            raise self.fault(f"holds {len(entries)} arrays", f"{self._expected}, of {MEMBERS} arrays at most")
        members = {entry.filename.removesuffix(".npy"): entry for entry in entries}
        if len(members) < len(entries):
            raise self.fault("holds two arrays of one name")
        unpacked, most = sum(entry.file_size for entry in entries), max(UNPACKED, RATIO * size)
        if unpacked > most:
            raise self.fault(f"unpacks to {unpacked:,} bytes", f"{self._expected}, of {most:,} bytes at most")
        return members


def _in_words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"is of version {version}")
    return _HEADERS[version](stream)  # type: ignore[no-any-return]  # NumPy leaves it untyped


def _fault_of(shape: tuple[int, ...], dtype: np.dtype[Any], kinds: str, wanted: Sequence[int | None] | None) -> str:
    """What is wrong with an array by its header, in words."""
    if dtype.kind not in kinds or dtype.hasobject or dtype.subdtype is not None:
        return f"holds {_KINDS.get(dtype.kind, str(dtype))}, not {' or '.join(dict.fromkeys(_KINDS[k] for k in kinds))}"
    if dtype.itemsize == 0 or (dtype.kind in "iuf" and dtype.itemsize > 8):
        return f"is of the type {dtype}"
    if len(shape) > AXES or any(length < 0 or length >= 2**48 for length in shape):
        return f"has the shape {shape}"
    if wanted is not None:
        fits = len(shape) == len(wanted) and all(
            w is None or w == found for w, found in zip(wanted, shape, strict=True)
        )
        if not fits:
            return f"has the shape {shape}, not {tuple('any' if w is None else w for w in wanted)}".replace("'", "")
    return ""


def _fault_of_size(entry: zipfile.ZipInfo, stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    count = dtype.itemsize
    for length in shape:
        count *= length
    here = entry.file_size - stream.tell()
    return "" if here == count else f"has {here:,} bytes, not {count:,} as its shape {shape} of {dtype} needs"


def _filled(stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any], room: Room) -> NDArray[Any]:
    """Reads to the end, where the archive compares its checksum."""
    array = room(shape, dtype)
    if array.size:
        whole = memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
        done = 0
        while done < len(whole):
            piece = stream.read(min(_PIECE, len(whole) - done))
            if not piece:
                raise EOFError("it ends too early")
            whole[done : done + len(piece)] = piece
            done += len(piece)
    if stream.read(1):
        raise ValueError("it goes on behind its end")
    return array


def _fault_of_content(array: NDArray[Any]) -> str:
    """Bytes that are no value of their type."""
    if array.dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        return "holds truth values that are neither true nor false"
    if array.dtype.kind == "U" and array.size:
        order = array.dtype.byteorder
        codes = np.ascontiguousarray(array).reshape(-1).view(np.dtype(np.uint32).newbyteorder(order))
        if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any():
            return "holds what is no text"
    return ""
