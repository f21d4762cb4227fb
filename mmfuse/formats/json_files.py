"""JSON from files: of a stated shape, of limited size and depth, every name once."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mmfuse.errors import MmfuseError, RunError
from mmfuse.formats.trees import fault_of

LARGEST = 64 * 2**20
"""Bytes of a JSON file."""


def read_json(
    path: Path,
    shape: Any = Any,  # noqa: ANN401  # a type, or an annotation
    *,
    expected: str,
    mend: str = "copy it again",
    error: type[MmfuseError] = RunError,
    newest: int | None = None,
    largest: int = LARGEST,
) -> Any:  # noqa: ANN401
    """Return what a JSON file holds, as an annotated `shape` (`dict[str, str]`, a TypedDict …), nothing converted.

    A file is read up to `largest` bytes and 64 levels deep, and no name may stand twice in an object. Where `newest` is
    given, the file's own `format` is compared with it first.

    Raises: `error` naming the file, for one that is missing, is no JSON, or holds something else.
    """
    try:
        size = path.stat().st_size
        if size > largest:
            raise error(f"has {size:,} bytes", f"{expected}, of {largest:,} bytes at most", mend, str(path))
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as fault:
        raise error("cannot be read: there is no such file", expected, mend, str(path)) from fault
    except OSError as fault:
        raise error(f"cannot be read: {fault.strerror or fault}", expected, mend, str(path)) from fault
    except ValueError as fault:  # of a path, or of its bytes
        raise error(f"cannot be read: {fault}", expected, mend, str(path)) from fault
    return parse_json(text, shape, where=str(path), expected=expected, mend=mend, error=error, newest=newest)


def parse_json(
    text: str,
    shape: Any = Any,  # noqa: ANN401  # a type, or an annotation
    *,
    where: str,
    expected: str,
    mend: str = "copy it again",
    error: type[MmfuseError] = RunError,
    newest: int | None = None,
) -> Any:  # noqa: ANN401
    """Return what JSON text holds, as `read_json` does."""
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise error("cannot be read: it is nested too deep", expected, mend, where) from None
    except ValueError as fault:
        raise error(f"cannot be read: it is no JSON: {fault}", expected, mend, where) from fault
    if fault_text := fault_of(value):
        raise error(f"cannot be read: it {fault_text}", expected, mend, where)
    stated = value.get("format") if newest is not None and isinstance(value, dict) else None
    if newest is not None and isinstance(stated, int) and stated > newest:
        raise error(f"is of format {stated}", f"format {newest} or older", "update mmfuse", where)
    try:
        return _adapter(shape).validate_python(value, strict=True)
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        found = f"{place}: {first['msg']}" if place else first["msg"]
        raise error(f"cannot be read: {found[:300]}", expected, mend, where) from fault


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands twice")
    return told


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:  # noqa: ANN401
    return TypeAdapter(shape)
