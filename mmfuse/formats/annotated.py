"""Whether stored values are of the kinds that a class's annotations say."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

_KINDS = ((np.bool_, "b"), (np.integer, "iu"), (np.floating, "fiu"), (np.str_, "U"), (np.bytes_, "S"))
"""Families of an annotated array, and the NumPy kinds that stand for them."""


def annotations_of(cls: type) -> dict[str, Any]:
    """Return {field: annotation} of a class; empty where its annotations name what cannot be found."""
    try:
        return get_type_hints(cls)
    except (NameError, TypeError, AttributeError):
        return {}


def fits(value: Any, kind: Any) -> bool:  # noqa: ANN401  # any value, any annotation
    """Return whether a value of text, numbers, tuples, dicts or an array is of the annotated kind. What else is
    annotated (parts, protocols …) is left to its class."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    if kind is np.ndarray or origin is np.ndarray:
        return isinstance(value, np.ndarray) and _is_of(value, inner)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind in (str, bool):
        return isinstance(value, kind)
    if origin is tuple:
        return isinstance(value, tuple) and _all_fit(value, inner)
    if origin is dict:
        return isinstance(value, Mapping) and all(fits(item, inner[1]) for item in value.values())
    return True


def _all_fit(values: tuple[Any, ...], kinds: tuple[Any, ...]) -> bool:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return all(fits(value, kinds[0]) for value in values)
    return len(values) == len(kinds) and all(map(fits, values, kinds))


def _is_of(array: np.ndarray, inner: tuple[Any, ...]) -> bool:
    """`inner` are the shape's and the type's annotations: `NDArray[np.float64]` is `ndarray[..., dtype[float64]]`."""
    asked = get_args(inner[1]) if len(inner) == 2 else ()
    if not asked or not isinstance(asked[0], type):
        return True
    wanted = [kinds for family, kinds in _KINDS if issubclass(asked[0], family)]
    return not wanted or array.dtype.kind in wanted[0]
