"""Trees of plain values (as TOML gives them) → the frozen values of a spec, and back.

All faults are gathered in one pass. Parts are looked up in the catalog by `use`, at any depth; a line's own knobs and
its part's stand in one table.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from mmfuse.card import LabelLine
from mmfuse.catalog import Catalog
from mmfuse.errors import Faults, MmfuseError, nearest
from mmfuse.knobs import RESERVED, Node, Part
from mmfuse.spec import Line


class Broken:
    """Stands where a part could not be built, so that the rest can be looked at; its fault is already written down."""

    columns: tuple[str, ...] = ()
    is_image = True
    several = False
    needs = ("vector",)
    arity = (1, 0)
    gives: tuple[str, ...] = ()

    def __init__(self, name: str = "") -> None:
        self.name = name

    def objections(self, modalities: Mapping[str, str]) -> tuple[str, ...]:
        return ()

    def lacks(self, given: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        return ()


def build(kind: Any, raw: Any, where: str, catalog: Catalog, faults: Faults) -> Any:  # noqa: ANN401  # of any kind
    """`raw` as a value of the annotated `kind`. What is already built passes through.

    Where something is wrong, the fault is added and the best that can be made is returned, `Broken` standing for parts;
    such a value is only good for finding more faults.
    """
    if get_origin(kind) is Annotated:
        return build(get_args(kind)[0], raw, where, catalog, faults)
    roles = _part_kinds(kind)
    if roles:
        is_word = isinstance(raw, str) and raw in _literals(kind)
        return raw if isinstance(raw, Part) or is_word else _build_part(roles, raw, where, catalog, faults)
    nodes = [option for option in _options(kind) if isinstance(option, type) and issubclass(option, Node)]
    if nodes[:1] == [LabelLine] and isinstance(raw, list | tuple):  # its classes are short for a label
        raw = {"classes": raw}
    if nodes and (isinstance(raw, Mapping) or len(nodes) == len(_options(kind))):
        return _build_node(nodes[0], raw, where, catalog, faults)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is dict and isinstance(raw, Mapping):
        return {name: build(inner[1], value, f"{where}.{name}", catalog, faults) for name, value in raw.items()}
    if origin is tuple and isinstance(raw, list | tuple) and _holds_parts(inner[0]):
        return tuple(build(inner[0], item, f"{where}[{i}]", catalog, faults) for i, item in enumerate(raw))
    return raw


def _options(kind: Any) -> tuple[Any, ...]:  # noqa: ANN401
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _literals(kind: Any) -> list[str]:  # noqa: ANN401
    """The words that may stand instead of a part; the empty one leaves it out."""
    return [word for option in _options(kind) if get_origin(option) is Literal for word in get_args(option)]


def _part_kinds(kind: Any) -> list[type[Part]]:  # noqa: ANN401
    return [option for option in _options(kind) if isinstance(option, type) and issubclass(option, Part)]


def _holds_parts(kind: Any) -> bool:  # noqa: ANN401
    return any(isinstance(option, type) and issubclass(option, Node) for option in _options(kind))


def _build_part(roles: list[type[Part]], raw: Any, where: str, catalog: Catalog, faults: Faults) -> Any:  # noqa: ANN401
    knobs = {"use": raw} if isinstance(raw, str) else raw
    words = " or ".join(role.role for role in roles)
    if not isinstance(knobs, Mapping) or not isinstance(knobs.get("use"), str):
        faults.add(where, f"no `use` in {raw!r}", f'the name of a {words}, as in use = "NAME"')
        return Broken()
    name = knobs["use"]
    role = catalog.knows(name, [role.role for role in roles])
    if not role:
        known = [entry.name for entry in catalog.entries if entry.role in {role.role for role in roles}]
        faults.add(where, f"no {words} is called '{name}'", mend=nearest(name, known) + catalog.failures)
        return Broken(next(iter(difflib.get_close_matches(name, known, n=1)), name))  # so that its `use` is not missed
    try:
        part = catalog.find(role, name)
    except MmfuseError as error:
        faults.extend(dataclasses.replace(fault, where=where) for fault in error.faults)
        return Broken(name)
    return _build_node(part, {knob: value for knob, value in knobs.items() if knob != "use"}, where, catalog, faults)


def _build_node(node: type[Node], raw: Any, where: str, catalog: Catalog, faults: Faults) -> Any:  # noqa: ANN401
    if isinstance(raw, Node):
        return raw
    before = len(faults)
    if issubclass(node, Line):
        raw = _split_line(node, raw, where, faults)
    if not isinstance(raw, Mapping):
        faults.add(where, f"found {raw!r}", node.written)
        return Broken() if issubclass(node, Part) else node.model_construct(**_empty(node))
    values: dict[str, Any] = {}
    broken: dict[str, Any] = {}
    for name, value in raw.items():
        inside = where if name == "part" else f"{where}.{name}" if where else name
        if name in node.spelt:
            values[name] = value
            continue
        if name not in node.model_fields:
            owner = f" of {node.role} '{node.name}'" if issubclass(node, Part) else ""
            faults.add(inside, f"no knob is called '{name}'{owner}", mend=nearest(name, node.model_fields))
            continue
        count = len(faults)
        built = build(node.model_fields[name].rebuild_annotation(), value, inside, catalog, faults)
        (values if len(faults) == count else broken)[name] = built
    made = _validated(node, values, broken, where, faults)
    if len(faults) == before:
        return made
    if issubclass(node, Part):
        return Broken(node.name)
    sound = {name: _settled(node, name, value) for name, value in values.items()}
    return node.model_construct(**{**_empty(node), **sound, **broken})


def _settled(node: type[Node], name: str, value: Any) -> Any:  # noqa: ANN401
    """A sound value beside unsound ones as it would stand in the node (`reads = "fused"` is a list of one)."""
    try:
        return TypeAdapter(node.model_fields[name].rebuild_annotation()).validate_python(value)
    except ValidationError:
        return value


def _validated(
    node: type[Node], values: dict[str, Any], broken: Mapping[str, Any], where: str, faults: Faults
) -> Node | None:
    """The node of `values`, or None: each refusal is added to `faults`, and its value taken out of `values`."""
    try:
        return node(**values)
    except ValidationError as error:
        told: dict[str, list[tuple[str, str]]] = {}
        for problem in error.errors():
            if not problem["loc"] or problem["loc"][0] not in broken:
                path = _path(values, problem["loc"])
                told.setdefault(".".join([where, *path] if where else path), []).append(_found(problem))
        for name in {str(problem["loc"][0]) for problem in error.errors() if problem["loc"]}:
            values.pop(name, None)
        for place, problems in told.items():  # several where a value fits none of the kinds that a knob may have
            found, expected = (dict.fromkeys(filter(None, words)) for words in zip(*problems, strict=True))
            faults.add(place, "; or ".join(found), " or ".join(expected))
        return None
    except Exception as error:  # a part's own check of its knobs, on values that its author did not think of
        owner = f" of {node.role} '{node.name}'" if issubclass(node, Part) else ""
        text = f"these values break the check{owner}: {type(error).__name__}: {error}"
        faults.add(where, text, node.written, "other values; and report it to whoever wrote the part")
        return None


def _path(value: Any, steps: tuple[str | int, ...]) -> list[str]:  # noqa: ANN401
    """The steps that are keys of what was given; pydantic puts the names of the kinds it tried between them."""
    path = []
    for number, step in enumerate(steps):
        inside = isinstance(value, Mapping) and step in value
        inside |= isinstance(value, list | tuple) and isinstance(step, int) and step < len(value)
        if inside:
            value = value[step]
        if inside or (number == len(steps) - 1 and isinstance(value, Mapping)):
            path.append(str(step))
    return path


_KINDS = {
    "a valid integer": "a whole number",
    "a valid dictionary": "a table",
    "a valid tuple": "a list",
    "a valid string": "text",
    "a valid boolean": "true or false",
}
"""What pydantic expects, in TOML's words."""


def _found(problem: ErrorDetails) -> tuple[str, str]:
    """What was found and what was expected."""
    if problem["type"] == "missing":
        return "is missing", ""
    text, value = problem["msg"].removeprefix("Value error, "), f"found {problem['input']!r}"
    _, stated, expected = text.partition("Input should be ")
    if stated:
        plain = re.split(", (?:unable|got)| or instance of", expected)[0]
        return value, _KINDS.get(plain, plain.replace("a valid ", "a "))
    # what a part says of all its knobs together needs no copy of them
    return (text if isinstance(problem["input"], Mapping) else f"{text}, {value}"), ""


def _empty(node: type[Node]) -> dict[str, Any]:
    """What stands for a required value that is missing, so that the rest can be looked at."""
    blank: dict[Any, Any] = {str: "", dict: {}, tuple: ()}
    required = {name: field.annotation for name, field in node.model_fields.items() if field.is_required()}
    return {
        name: Broken() if _part_kinds(kind) else blank.get(get_origin(kind) or kind, ())
        for name, kind in required.items()
    }


def _split_line(line: type[Line], raw: Any, where: str, faults: Faults) -> Any:  # noqa: ANN401
    """One table → the engine's knobs and the part's."""
    if isinstance(raw, str):
        raw = {"use": raw}
    if not isinstance(raw, Mapping):
        return raw
    if "part" in raw and isinstance(raw["part"], Part):
        return raw
    own = {name: value for name, value in raw.items() if name in line.model_fields and name != "part"}
    misplaced = [name for name in raw if name in RESERVED and name != "use" and name not in own]
    for name in misplaced:
        faults.add(
            f"{where}.{name}",
            f"`{name}` says nothing here",
            f"knobs of this line: {sorted(set(line.model_fields) - {'part'})}",
        )
    knobs = {name: value for name, value in raw.items() if name not in own and name not in misplaced}
    return {**own, "part": knobs}


def tree(value: Any) -> Any:  # noqa: ANN401  # whatever stands in a spec
    """Frozen values → plain tables, lists and words, complete: every knob is written but those left empty."""
    if isinstance(value, Line):
        own = {name: tree(getattr(value, name)) for name in type(value).model_fields if name != "part"}
        return {**tree(value.part), **own}
    if isinstance(value, Node):
        fields = type(value).model_fields
        knobs = {name: tree(getattr(value, name)) for name in fields}
        knobs = {name: knob for name, knob in knobs.items() if not (knob == "" and fields[name].default == "")}
        return {"use": value.name, **knobs} if isinstance(value, Part) else knobs
    if isinstance(value, Mapping):
        return {str(name): tree(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [tree(item) for item in value]
    return value
