"""Asking modalities and their readers, which may be a stranger's: what they give is checked, and where their own code
fails the part, the row and the file are named."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmfuse.attribution import attributed, in_short, named_part, passes
from mmfuse.data.contents import content_key
from mmfuse.data.rows import Rows
from mmfuse.errors import Faults, PartError, PartFailedError, TableError
from mmfuse.labels import Ints
from mmfuse.parts import Modality, Reader
from mmfuse.versions import code_digest

Array = NDArray[Any]
Found = tuple[Array, NDArray[np.bool_]]
"""What a reader gives: (n, *shape) values, and which of the n are present."""


def fit_reader(name: str, modality: Modality, rows: Rows) -> Reader:
    """Return what a modality learns from these rows. Raises: PartFailedError where its own code fails."""
    with attributed(modality, "`fit`", f"modalities.{name}"):
        return modality.fit(rows)


def load_reader(name: str, modality: Modality, stem: Path) -> Reader:
    """Return the reader that was stored at `stem`. Raises: RunError if it cannot be read; PartFailedError."""
    with attributed(modality, "`load`", f"modalities.{name}"):
        return modality.load(stem)


def rows_apart(name: str, reader: Reader, rows: Rows) -> tuple[Rows, Ints | None]:
    """Return a row for each of what cases hold several of, and the case of each; the rows as they are, and None, where
    each holds one."""
    with attributed(reader, "`apart`", f"modality {name}"):
        apart = reader.apart(rows)
    return (rows, None) if apart is None else apart


def may_give_files(modality: Modality) -> bool:
    """Return whether a modality's reader may read files; of tables and the like it is known without fitting one."""
    return modality.reader is Reader or modality.reader.files is not Reader.files


def holds_paths(modality: Modality) -> bool:
    """Return whether its cells name files (images, signals, volumes): the words themselves mean nothing then."""
    return modality.is_image or (modality.reader is not Reader and may_give_files(modality))


def gives_files(name: str, reader: Reader, rows: Rows) -> bool:
    """Return whether there is a file behind each of these rows (`rows_apart`), which is read once and kept.

    Raises: TableError as the reader does.
    """
    with attributed(reader, "`files`", f"modality {name}"):
        return bool(reader.files(rows.take(slice(0, 1))))


def flags_of(name: str, reader: Reader, rows: Rows) -> tuple[str, ...]:
    """Return what in each row training never saw. Raises: PartError where there is not one text a row."""
    with attributed(reader, "`flags`", f"modality {name}"):
        flags = tuple(reader.flags(rows))
    if len(flags) != len(rows):
        raise PartError(f"the reader of '{name}' gave {len(flags)} flags for {len(rows)} rows", "one a row")
    return flags


def read_some(name: str, reader: Reader, rows: Rows, index: Ints) -> Found:
    """Return what the reader reads of the rows at `index`, if it is what it promised.

    Where its own code fails on a file that row is named, or counts as absent where the reader says so; where it fails
    on other rows, the first of them is named.

    Raises: TableError naming rows and files; PartError if the reader does not keep its word.
    """
    chosen = rows.take(index)
    try:
        found = reader.read(chosen)
    except Exception as error:
        if passes(error):
            raise
        found = _one_by_one(name, reader, rows, index, error)
    return _checked(name, reader, rows, index, found)


def _one_by_one(name: str, reader: Reader, rows: Rows, index: Ints, error: Exception) -> Found:
    """Return what each row by itself gives, after all of them together failed."""
    values, present = np.zeros((len(index), *reader.shape), reader.dtype), np.zeros(len(index), bool)
    by_file, faults = bool(reader.files(rows.take(index[:1]))), Faults()
    single: Exception | None = None
    for place, row in enumerate(index.tolist()):
        one = rows.take(np.array([row]))
        try:
            values[place : place + 1], present[place : place + 1] = reader.read(one)
        except TableError as refused:
            faults.extend(refused.faults)
        except Exception as failed:
            if passes(failed):
                raise
            single = single or failed
            if not by_file:
                with attributed(reader, "`read`", f"modality {name}, {rows.where(row)}"):
                    raise
            if not reader.skips_unreadable:
                where = f"{rows.where(row)}, file {reader.files(one)[0]}"
                mend = "look at the file, mend or empty the cell, or report it to whoever wrote the modality"
                faults.add(
                    where, f"'{name}' cannot be read: {named_part(reader)}: {in_short(failed, reader)}", mend=mend
                )
    if faults:
        raise TableError(faults) from single
    if single is None:
        found = f"{named_part(reader)} fails on {len(index)} rows together, and on none of them alone: "
        raise PartFailedError(
            found + in_short(error, reader), where=f"modality {name}, {rows.where(int(index[0]))}"
        ) from error
    return values, present


def _checked(name: str, reader: Reader, rows: Rows, index: Ints, found: Found) -> Found:
    values, present = found
    expected = (len(index), *reader.shape)
    if values.shape != expected or values.dtype != np.dtype(reader.dtype) or present.shape != (len(index),):
        raise PartError(
            f"the reader of '{name}' gave {values.dtype} {values.shape} and presence {present.shape}",
            f"{reader.dtype} {expected} and ({len(index)},)",
            "report it to whoever wrote the modality",
        )
    whole = values.dtype.kind != "f" or np.isfinite(values).reshape(len(index), -1).all(axis=1)
    bad = present & ~np.asarray(whole)
    if bad.any():
        raise PartError(
            f"the reader of '{name}' gave numbers that are not finite",
            "finite numbers, or an absent case",
            "report it to whoever wrote the modality",
            rows.where(int(index[np.argmax(bad)])),
        )
    return values, present


def decided_by(reader: Reader) -> str:
    """Return all that decides what a reader makes of a file: what it says itself (its fields, where it says nothing),
    and its code. Empty where it reads no files: what it reads is then known by the values themselves."""
    if type(reader).files is Reader.files:
        return ""
    own = reader.fingerprint() or repr(
        [(field.name, _field_told(getattr(reader, field.name))) for field in fields(reader)]
    )
    kind: type = type(reader)
    return f"{own} {code_digest(kind)}"


def _field_told(value: Any) -> object:  # noqa: ANN401  # whatever a reader has learnt
    return (value.dtype.str, value.shape, content_key(value.tobytes())) if isinstance(value, np.ndarray) else value
