"""A part's knobs in words: type, default, range and docstring.

They are read from the class itself, so that they cannot drift from it.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import types
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import mmfuse

if TYPE_CHECKING:
    from mmfuse import Node

SIGNS = {"ge": "≥ {}", "gt": "> {}", "le": "≤ {}", "lt": "< {}", "multiple_of": "multiple of {}"}
LENGTHS = {"min_length": "at least {} long", "max_length": "at most {} long"}
KINDS: dict[Any, str] = {
    int: "int",
    float: "float",
    bool: "true or false",
    str: "text",
    dict: "table",
    type(None): "nothing",
}


class Knob(NamedTuple):
    """One knob of a part. `default` is None where the knob must be given."""

    name: str
    type: str
    default: Any
    required: bool
    range: str
    about: str


def knobs(part: type[Node]) -> list[Knob]:
    """The knobs of a part, or of any section of a spec, in the order of its definition."""
    about = docstrings(part)
    made = []
    for name, field in part.model_fields.items():
        kind, limits = _kind(field.rebuild_annotation())
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        text = field.description or about.get(name, "")
        made.append(Knob(name, kind, default, field.is_required(), limits, " ".join(text.split())))
    return made


def docstrings(kind: type) -> dict[str, str]:
    """{field: the text below it} of a class and its bases; nothing for a class without source."""
    found: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        if not issubclass(owner, mmfuse.Node) or owner is mmfuse.Node:
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
        except (OSError, SyntaxError):
            continue
        lines = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for line, below in pairwise(lines):
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and isinstance(below, ast.Expr):
                text = below.value.value if isinstance(below.value, ast.Constant) else None
                if isinstance(text, str):
                    found[line.target.id] = inspect.cleandoc(text)
    return found


def _kind(annotation: Any) -> tuple[str, str]:  # noqa: ANN401  # any annotation
    """Words for the type and for its range."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        kind, limits = _kind(inner[0])
        return kind, " and ".join(filter(None, [limits, *map(_limit, inner[1:])]))
    if origin is Literal:
        return " | ".join(repr(word) if word == "" else str(word) for word in inner), ""
    if origin in (Union, types.UnionType):
        kinds = [_kind(option) for option in inner]
        return " or ".join(kind for kind, _ in kinds), ", ".join(limits for _, limits in kinds if limits)
    if origin is tuple:
        return _tuple(inner)
    if origin is dict:
        kind, limits = _kind(inner[1])
        return f"table of {_many(kind)}", limits and f"each {limits}"
    if isinstance(annotation, type) and issubclass(annotation, mmfuse.Part):
        return f"a {annotation.role or 'part'}", ""  # type: ignore[attr-defined]  # the door is untyped
    if isinstance(annotation, type) and issubclass(annotation, mmfuse.Node):
        return "section", ""
    return KINDS.get(annotation, getattr(annotation, "__name__", str(annotation))), ""


def _tuple(inner: tuple[Any, ...]) -> tuple[str, str]:
    if inner[-1] is Ellipsis:
        kind, limits = _kind(inner[0])
        return f"list of {_many(kind)}", limits and f"each {limits}"
    return f"({', '.join(_kind(item)[0] for item in inner)})", ""


def _many(kind: str) -> str:
    """`steps` of `a step`; words that are no parts stay."""
    return kind.removeprefix("a ") + "s" if kind.startswith("a ") or kind == "section" else kind


def _limit(rule: Any) -> str:  # noqa: ANN401  # pydantic's and annotated-types' rules share no base
    """`≥ 1` for a rule of annotated-types or pydantic's Field; empty for others."""
    if isinstance(rule, type) or not dataclasses.is_dataclass(rule):
        parts = [_limit(item) for item in getattr(rule, "metadata", ())]
        return " and ".join(filter(None, parts))
    values = {field.name: getattr(rule, field.name) for field in dataclasses.fields(rule)}
    words = [sign.format(values[name]) for name, sign in (SIGNS | LENGTHS).items() if values.get(name) is not None]
    return " and ".join(words).replace(LENGTHS["min_length"].format(1), "not empty")
