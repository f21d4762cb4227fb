"""Frozen knobs: what parts and the sections of a spec have in common.

An unknown knob is refused, a reserved one where its class is made.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema, model_validator

RESERVED = ("use", "share", "reads", "features", "learn", "on", "weights", "frozen", "pool")
"""Knobs of the plan's lines; no part may have one of these names."""


class Node(BaseModel):
    """Frozen values that refuse unknown names; the base of parts and of every section of a spec."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=False)
    written: ClassVar[str] = "a table"
    """What it is in TOML, for messages."""
    spelt: ClassVar[dict[str, str]] = {}
    """{another spelling of a knob: the knob}; the node itself takes it for the knob."""


class Part(Node):
    """Base of every role. Fields are knobs: numbers, text, booleans, tuples or dicts of those, or parts; never None.

    A part's name is its class in kebab case, or `name`. `contract` is the number of the role's contract that the part
    was written for. The docstring's first line is the part's line in `mmfuse parts`.
    """

    role: ClassVar[str] = ""
    name: ClassVar[str] = ""
    contract: ClassVar[int] = 1

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401  # pydantic's signature
        super().__pydantic_init_subclass__(**kwargs)
        if "role" in cls.__dict__:
            return
        if "name" not in cls.__dict__:
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", cls.__name__).lower()
        reserved = [knob for knob in cls.model_fields if knob in RESERVED]
        if reserved:
            raise TypeError(
                f"{cls.__name__} has knobs {reserved}, which are reserved for the plan's lines; give them other names"
            )


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
