"""The JSON Schema of a whole spec (card + plan in one file), for editors.

Each place of a part offers every part of its role.
"""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter

from mmfuse.card import Card, LabelLine
from mmfuse.catalog import Catalog
from mmfuse.knobs import Node, Part
from mmfuse.parts import Modality
from mmfuse.spec import Line, Plan, Words

Tree = dict[str, Any]


def schema(catalog: Catalog | None = None) -> Tree:
    """JSON Schema (draft 2020-12) of a spec file with the parts of `catalog`."""
    catalog = catalog or Catalog()
    definitions: Tree = {}
    for entry in catalog.entries:
        definitions[f"{entry.role}.{entry.name}"] = _part(entry.part, catalog)
    sections = {**_node(Card, catalog)["properties"], **_node(Plan, catalog)["properties"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mmfuse spec",
        "type": "object",
        "properties": sections,
        "additionalProperties": False,
        "$defs": definitions,
    }


def _part(part: type[Part], catalog: Catalog) -> Tree:
    made = _node(part, catalog)
    made["properties"] = {"use": {"const": part.name}, **made["properties"]}
    made["required"] = ["use", *made.get("required", [])]
    made["description"] = (part.__doc__ or "").strip().partition("\n")[0]
    return made


def _node(node: type[Node], catalog: Catalog) -> Tree:
    properties: Tree = {}
    required = []
    for name, field in node.model_fields.items():
        properties[name] = _kind(field.rebuild_annotation(), catalog)
        if field.description:
            properties[name]["description"] = field.description
        if field.is_required() and name not in node.spelt.values():
            required.append(name)
    properties |= {spelling: properties[name] for spelling, name in node.spelt.items()}
    either = {"anyOf": [{"required": [name]} for pair in node.spelt.items() for name in pair]} if node.spelt else {}
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": required} if required else {}),
        **either,
    }


def _kind(kind: Any, catalog: Catalog) -> Tree:  # noqa: ANN401  # any annotation
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated and not _holds_node(inner[0]):
        return TypeAdapter(kind).json_schema()
    if origin is Annotated:
        return _kind(inner[0], catalog)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_kind(option, catalog) for option in inner]}
    if isinstance(kind, type) and issubclass(kind, Line):
        return _line(kind, catalog)
    if isinstance(kind, type) and issubclass(kind, Part):
        names = catalog.names(kind.role)
        return {"anyOf": [{"enum": list(names)}, *({"$ref": f"#/$defs/{kind.role}.{name}"} for name in names)]}
    if kind is LabelLine:
        return {"anyOf": [_kind(Words, catalog), _node(kind, catalog)]}
    if isinstance(kind, type) and issubclass(kind, Node):
        return _node(kind, catalog)
    if origin is dict and inner[1] is Modality:  # a plan's line without `use` changes knobs of the card's modalities
        options = _kind(Modality, catalog)["anyOf"]
        changed = {"type": "object", "properties": {"use": {"enum": []}}}
        return {"type": "object", "additionalProperties": {"anyOf": [*options, changed]}}
    if origin is dict and _holds_node(inner[1]):
        return {"type": "object", "additionalProperties": _kind(inner[1], catalog)}
    if origin is tuple and _holds_node(inner[0]):
        return {"type": "array", "items": _kind(inner[0], catalog)}
    return TypeAdapter(kind).json_schema()


def _line(line: type[Line], catalog: Catalog) -> Tree:
    """The engine's knobs and a part's in one table."""
    own = {
        name: _kind(field.rebuild_annotation(), catalog) for name, field in line.model_fields.items() if name != "part"
    }
    required = [name for name, field in line.model_fields.items() if field.is_required() and name != "part"]
    kinds = line.model_fields["part"].annotation
    options: list[Tree] = []
    for role in get_args(kinds) or (kinds,):
        for entry in catalog.entries:
            if entry.role == role.role:
                part = _part(entry.part, catalog)
                part["properties"].update(own)
                part["required"] = [*part["required"], *required]
                options.append(part)
    names = [option["properties"]["use"]["const"] for option in options]
    return {"anyOf": options if required else [{"enum": names}, *options]}


def _holds_node(kind: Any) -> bool:  # noqa: ANN401
    if isinstance(kind, type) and issubclass(kind, Node):
        return True
    return get_origin(kind) is not Literal and any(_holds_node(option) for option in get_args(kind))
