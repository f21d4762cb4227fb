"""Reads embeddings made elsewhere as (width,) float32, from columns of the table or a file of vectors by case id."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmfuse import Npz, Reader, Table, TableError, nearest, open_parquet
from mmfuse.builtin.readers.table import FARTHEST, refuse_far, scaled, scaling

if TYPE_CHECKING:
    from mmfuse import Rows

Floats = NDArray[np.float64]
IDS, WIDTH = 5_000_000, 100_000
"""So many vectors at most in a file, of so many numbers."""


def is_pattern(name: str) -> bool:
    """Whether it stands for several columns."""
    return any(sign in name for sign in "*?[")


@dataclasses.dataclass(frozen=True, eq=False)
class VectorReader(Reader):
    """Where the vectors are, and what each number is scaled by (mean 0 and factor 1 where it is not)."""

    columns: tuple[str, ...]
    """Of the table, or of a .parquet file."""
    file: str
    ids: str
    vectors: str
    mean: Floats
    factor: Floats

    def __post_init__(self) -> None:
        if self.mean.ndim != 1 or self.mean.shape != self.factor.shape:
            raise ValueError(f"means {self.mean.shape} and factors {self.factor.shape}")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.factor).all()):
            raise ValueError("means or factors that are not finite")

    @classmethod
    def learn(cls, rows: Rows, patterns: Iterable[str], file: str, ids: str, vectors: str, scale: bool) -> VectorReader:
        """Finds the columns and, with `scale`, learns from the rows that have all their numbers."""
        known = rows.columns if not file else _parquet_columns(rows.path(file)) if file.endswith(".parquet") else ()
        columns = _expanded(patterns, known, file or "the table")
        values, present = _vectors(rows, columns, file, ids, vectors)
        width = values.shape[1]
        mean, factor = scaling(values[present]) if scale else (np.zeros(width), np.ones(width))
        return cls(columns=columns, file=file, ids=ids, vectors=vectors, mean=mean, factor=factor)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.mean.shape

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each number."""
        return self.columns or tuple(f"{self.vectors}[{i}]" for i in range(len(self.mean)))

    def read(self, rows: Rows) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        values, present = _vectors(rows, self.columns, self.file, self.ids, self.vectors)
        if values.shape[1:] != self.shape:
            raise TableError(
                f"vectors have {values.shape[1]} numbers", f"{self.shape[0]}, as in training",
                "make them with the same encoder", str(rows.root / self.file),
            )  # fmt: skip
        near = scaled(values, self.mean, self.factor)
        farthest = np.where(self.factor == 1, np.finfo(np.float32).max, FARTHEST)  # 1: not scaled
        refuse_far(values, present[:, None] & (np.abs(near) > farthest), self.names, rows)
        return np.where(present[:, None], near, 0).astype(np.float32), present


def _expanded(patterns: Iterable[str], known: tuple[str, ...], where: str) -> tuple[str, ...]:
    columns: list[str] = []
    for pattern in patterns:
        found = [name for name in known if fnmatch.fnmatchcase(name, pattern)] if is_pattern(pattern) else [pattern]
        if not found:
            raise TableError(
                f"no column is like '{pattern}'", "one or more", nearest(pattern.strip("*?"), known), where
            )
        columns += [name for name in found if name not in columns]
    return tuple(columns)


def _vectors(
    rows: Rows, columns: tuple[str, ...], file: str, ids: str, vectors: str
) -> tuple[Floats, NDArray[np.bool_]]:
    """(n, width) and which rows have all their numbers."""
    if not file:
        values = np.stack([rows.numbers(name) for name in columns], axis=1)
        return values, np.isfinite(values).all(axis=1)
    path = rows.path(file)
    keys, stored = _FILES[path.suffix.lower()](path, ids, vectors, columns)
    _refuse_infinite(path, stored, keys)
    place: dict[str, int] = {key: i for i, key in enumerate(keys)}
    if len(place) < len(keys):
        raise TableError(
            f"{len(keys) - len(place)} ids stand there twice", "one vector an id", "drop the others", str(path)
        )
    index = np.array([place.get(str(name), -1) for name in rows.ids], dtype=np.int64)
    if len(index) and (index < 0).all():
        raise TableError(
            f"none of the {len(index)} cases is in it: it has ids like {', '.join(keys[:3])}",
            f"ids like {', '.join(map(str, rows.ids[:3]))}",
            "name the array or column of case ids as `ids`",
            str(path),
        )
    values = np.full((len(index), stored.shape[1]), np.nan)
    values[index >= 0] = stored[index[index >= 0]]
    return values, np.isfinite(values).all(axis=1)


def _ids(keys: Sequence[Any], path: Path) -> list[str]:
    """Ids as the cells of a table would read: bytes as text, 1.0 as 1."""
    return [key or "" for key in Table.of({"ids": keys}, (), str(path))["ids"]]


def _from_npz(path: Path, ids: str, vectors: str, columns: tuple[str, ...]) -> tuple[list[str], NDArray[Any]]:
    expected, mend = "numbers by case id, as .npz or .parquet", "save the vectors again; arrays of objects are not read"
    with Npz(path, expected=expected, mend=mend, error=TableError) as arrays:
        for name in (ids, vectors):
            if name not in arrays:
                mend = f"name them by `ids` and `vectors`: {nearest(name, arrays)}"
                raise TableError(f"no array '{name}'", "an array of case ids and one of vectors", mend, str(path))
        keys, stored = arrays.read(ids, "USiuf"), arrays.read(vectors, "fiu")
        if keys.ndim != 1 or stored.ndim != 2 or len(keys) != len(stored):
            found = f"'{ids}' is {keys.dtype} {keys.shape}, '{vectors}' is {stored.dtype} {stored.shape}"
            raise TableError(found, "(cases,) ids and (cases, width) numbers", "save the arrays so", str(path))
        _refuse_large(path, *stored.shape)
    return _ids(keys.tolist(), path), stored


def _refuse_large(path: Path, ids: int, width: int) -> None:
    if ids > IDS or width > WIDTH:
        found, expected = f"holds {ids:,} vectors of {width:,} numbers", f"{IDS:,} of {WIDTH:,} at most"
        raise TableError(found, expected, "keep the cases of the table alone", str(path))


def _refuse_infinite(path: Path, stored: NDArray[Any], keys: list[str]) -> None:
    """NaN says that a case has none; infinity says that something went wrong."""
    infinite = np.flatnonzero(np.isinf(stored).any(axis=1)).tolist()
    if infinite:
        more = f" and {len(infinite) - 1} more" if len(infinite) > 1 else ""
        found = f"the vector of '{keys[infinite[0]]}'{more} holds infinity"
        raise TableError(found, "finite numbers; NaN where a case has none", "make the vectors again", str(path))


def _from_parquet(path: Path, ids: str, vectors: str, columns: tuple[str, ...]) -> tuple[list[str], NDArray[Any]]:
    from pyarrow import ArrowException

    known = _parquet_columns(path)
    wanted = (ids, *(columns or (vectors,)))
    for name in wanted:
        if name not in known:
            raise TableError(
                f"no column '{name}'", "a column of case ids and one of vectors", nearest(name, known), str(path)
            )
    try:
        file = open_parquet(path)
        _refuse_large(path, file.metadata.num_rows, len(columns))
        table = file.read(columns=list(dict.fromkeys(wanted)))
        keys = _ids(table.column(ids).to_pylist(), path)
        if columns:
            stored = np.stack([np.array(table.column(name).to_pylist(), dtype=np.float64) for name in columns], axis=1)
        else:
            cells = table.column(vectors).to_pylist()
            width = max((len(cell) for cell in cells if cell is not None), default=0)
            stored = np.array([[np.nan] * width if cell is None else cell for cell in cells], dtype=np.float64)
    except (OSError, ArrowException, ValueError, TypeError, OverflowError) as error:
        raise _unreadable(path, error) from error
    if not keys:
        raise TableError("holds no rows", "a row a case", "save the vectors again", str(path))
    return keys, stored.reshape(len(keys), -1)


def _parquet_columns(path: Path) -> tuple[str, ...]:
    from pyarrow import ArrowException

    try:
        return tuple(open_parquet(path).schema_arrow.names)
    except (OSError, ArrowException, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> TableError:
    found = "there is no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
    return TableError(
        found,
        "numbers by case id, as .npz or .parquet",
        "save the vectors again; arrays of objects are not read",
        str(path),
    )


_FILES = {".npz": _from_npz, ".parquet": _from_parquet}
