"""What sections share: lists of words, names that may stand without brackets, and lines, which hold a part and the
engine's own knobs beside it (`knobs.RESERVED`).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema, model_validator

from mmfuse.knobs import Node, Part


def as_word(given: Any) -> Any:  # noqa: ANN401  # whatever the user wrote
    """Whole numbers and truth values are words too: `classes = [0, 1]`, `missing = [-99]`."""
    return str(given).lower() if isinstance(given, bool | int) else given


Words = tuple[Annotated[str, BeforeValidator(as_word)], ...]


def _words(given: Any) -> Any:  # noqa: ANN401
    return (given,) if isinstance(given, str) else given


_SHAPES = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}

Names = Annotated[Words, BeforeValidator(_words), WithJsonSchema(_SHAPES)]
"""Modalities, uses or sources; a single name may stand without brackets."""


class Line(Node):
    """A part and the engine's knobs beside it; in TOML they stand in one table.

    Where a line is expected, a bare part will do.
    """

    part: Part

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, given: Any) -> Any:  # noqa: ANN401  # whatever the user wrote
        return {"part": given} if isinstance(given, Part) else given
