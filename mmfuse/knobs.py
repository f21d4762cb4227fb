"""Frozen knobs: what parts and the sections of a spec have in common.

An unknown knob is refused, a reserved one where its class is made.
"""

from __future__ import annotations

import inspect
import re
from typing import Annotated, Any, ClassVar, Literal, NoReturn, Self, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema, model_validator

from mmfuse.attribution import attribute_facts

RESERVED = ("use", "share", "reads", "features", "learn", "on", "weights", "frozen", "pool")
"""Knobs of the plan's lines; no part may have one of these names."""


class Node(BaseModel):
    """Frozen values that refuse unknown names; the base of parts and of every section of a spec."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=False)
    written: ClassVar[str] = "a table"
    """What it is in TOML, for messages."""
    spelt: ClassVar[dict[str, str]] = {}
    """{another spelling of a knob: the knob}; the node itself takes it for the knob."""


class FrozenDict(dict[Any, Any]):
    """A dict that refuses to be changed: what a knob that is a table becomes."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        """Raises: TypeError."""
        raise TypeError("knobs are frozen: make another part with other knobs")

    def __reduce__(self) -> tuple[type[FrozenDict], tuple[dict[Any, Any]]]:
        return type(self), (dict(self),)

    __setitem__ = __delitem__ = __ior__ = _refuse  # type: ignore[assignment]
    update = setdefault = pop = popitem = clear = _refuse  # type: ignore[assignment]


def _unfit(annotation: Any) -> str:  # noqa: ANN401  # whatever a class names as a type
    """Why a knob cannot be of this type; empty: it can."""
    if annotation is None or annotation is type(None):
        return 'may be None, which TOML has no word for: use "" or 0, and say what it means'
    if (get_origin(annotation) or annotation) in (list, set, bytearray):
        return "can be changed after it was made: use a tuple"
    if get_origin(annotation) is Literal:
        return _unfit(None) if None in get_args(annotation) else ""
    return next((why for inner in get_args(annotation) if (why := _unfit(inner))), "")


def _answers_amiss(kind: type[BaseModel]) -> list[str]:
    """What a class says in a form in which nobody would hear it: a knob where its base has an answer to give (the
    base's would stand), a method where a value is read (it would always be true), or the reverse."""
    found = []
    for name in [*inspect.get_annotations(kind), *vars(kind)]:
        bases = [one for one in kind.__mro__[1:] if issubclass(one, Part) and name in vars(one)]
        if not bases or name.startswith("_"):
            continue
        base = vars(bases[0])[name]
        own = vars(kind).get(name)
        if name in kind.model_fields:
            found.append(
                f"has a knob '{name}', which is no knob but what it says of itself: "
                + (
                    f"leave its type out, `{name} = …`"
                    if not inspect.isfunction(base)
                    else f"write `def {name}(self, …)`"
                )
            )
        elif isinstance(base, property) and inspect.isfunction(own):
            found.append(f"has a method '{name}', which is read as a value: write @property above it")
        elif inspect.isfunction(base) and isinstance(own, property):
            found.append(f"has a property '{name}', which is called: leave @property out")
    return list(dict.fromkeys(found))


class Part(Node):
    """Base of every role. Fields are knobs: numbers, text, booleans, tuples or dicts of those, or parts; never None.

    Lists, sets and None are refused where the class is made; a dict is frozen when the part is.

    A part's name is its class in kebab case, or `name`. `contract` is the number of the role's contract that the part
    was written for. The docstring's first line is the part's line in `mmfuse parts`.
    """

    role: ClassVar[str] = ""
    name: ClassVar[str] = ""
    contract: ClassVar[int] = 1

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401  # pydantic's signature
        super().__pydantic_init_subclass__(**kwargs)
        # A plain value answers what a property asks: pydantic leaves alone what it knows as a variable of the class.
        cls.__class_vars__ = cls.__class_vars__ | {
            name for name, given in vars(cls).items() if isinstance(given, property) and not name.startswith("_")
        }
        if "role" in cls.__dict__:
            return
        if amiss := _answers_amiss(cls):
            raise TypeError(f"{cls.__name__} {'; '.join(amiss)}")
        attribute_facts(cls)
        if "name" not in cls.__dict__:
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", cls.__name__).lower()
        reserved = [knob for knob in cls.model_fields if knob in RESERVED]
        if reserved:
            raise TypeError(
                f"{cls.__name__} has knobs {reserved}, which are reserved for the plan's lines; give them other names"
            )
        for knob, field in cls.model_fields.items():
            why = _unfit(None) if field.default is None else _unfit(field.annotation)
            if why:
                raise TypeError(f"{cls.__name__} has a knob '{knob}' that {why}")

    @model_validator(mode="after")
    def _freeze_tables(self) -> Self:
        for knob in type(self).model_fields:
            if isinstance(value := getattr(self, knob), dict):
                self.__dict__[knob] = FrozenDict(value)
        return self


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
