"""The JSON Schema takes good specs and refuses bad ones; a small validator of the words that it uses is in here."""

import json
import tomllib

import pytest
from specs import CARD, PLAN, tree

import mmfuse
from mmfuse.hooks import hookimpl
from mmfuse.json_schema import schema
from mmfuse.parts import Encoder

CATALOG = mmfuse.Catalog()
SCHEMA = schema(CATALOG)
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}
KNOWN = {
    "$schema", "$defs", "$ref", "title", "description", "default", "type", "properties", "additionalProperties",
    "required", "anyOf", "enum", "const", "items", "prefixItems", "minItems", "maxItems", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "minLength", "propertyNames",
}  # fmt: skip


def fits(value, rules):
    """Whether a value keeps a schema, for the words that `KNOWN` has."""
    assert set(rules) <= KNOWN, set(rules) - KNOWN
    if "$ref" in rules:
        return fits(value, SCHEMA["$defs"][rules["$ref"].removeprefix("#/$defs/")])
    if "anyOf" in rules and not any(fits(value, option) for option in rules["anyOf"]):
        return False
    if ("enum" in rules and value not in rules["enum"]) or ("const" in rules and value != rules["const"]):
        return False
    kind = rules.get("type")
    if kind and (not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return False
    return _table_fits(value, rules) and _list_fits(value, rules) and _number_fits(value, rules)


def _table_fits(value, rules):
    if not isinstance(value, dict):
        return True
    inner, rest = rules.get("properties", {}), rules.get("additionalProperties", True)
    if any(name not in value for name in rules.get("required", ())):
        return False
    if not all(fits(name, rules.get("propertyNames", {})) for name in value):
        return False
    beside = [item for name, item in value.items() if name not in inner]
    if rest is False and beside:
        return False
    if isinstance(rest, dict) and not all(fits(item, rest) for item in beside):
        return False
    return all(fits(item, inner[name]) for name, item in value.items() if name in inner)


def _list_fits(value, rules):
    if not isinstance(value, list):
        return True
    if not rules.get("minItems", 0) <= len(value) <= rules.get("maxItems", len(value)):
        return False
    first = rules.get("prefixItems", [])
    pairs = zip(value, [*first, *[rules.get("items", {})] * len(value)], strict=False)
    return all(fits(item, rule) for item, rule in pairs)


def _number_fits(value, rules):
    if isinstance(value, str):
        return len(value) >= rules.get("minLength", 0)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    low, high = rules.get("minimum", value), rules.get("maximum", value)
    above = "exclusiveMinimum" not in rules or value > rules["exclusiveMinimum"]
    below = "exclusiveMaximum" not in rules or value < rules["exclusiveMaximum"]
    return low <= value <= high and above and below


def whole():
    return {**tomllib.loads(CARD), **tomllib.loads(PLAN)}


def test_it_is_json_of_the_newest_draft():
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA["$schema"].endswith("2020-12/schema")
    assert set(SCHEMA["properties"]) == set(mmfuse.Spec.sections)


def test_good_specs_fit():
    assert fits(whole(), SCHEMA)
    assert fits(tree(), SCHEMA)
    written = tomllib.loads(mmfuse.dump(mmfuse.load(whole(), catalog=CATALOG)))
    assert fits(written, SCHEMA)


@pytest.mark.parametrize("name", CATALOG.recipes)
def test_recipes_fit(name):
    plan = tomllib.loads(CATALOG.recipes[name].path.read_text(encoding="utf-8"))
    lacking = {line["use"] for line in plan.get("decisions", {}).values()} - {*CATALOG.names("decision", "stage")}
    if lacking:
        pytest.skip(f"{lacking} not installed")
    assert fits({**whole(), **plan}, SCHEMA)


def test_short_forms_fit():
    raw = whole()
    raw["labels"]["streaks"] = ["absent", "present"]
    raw["decisions"]["scheme1"]["reads"] = "fused"
    raw["augment"]["geometry"]["on"] = "image"
    raw["network"]["encoders"]["meta"] = "mlp"
    raw["network"]["head"] = ""
    assert fits(raw, SCHEMA)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("nonsense",), 1),
        (("training", "epochs"), 0),
        (("training", "epoch"), 3),
        (("training", "optimiser"), "adamm"),
        (("training", "folds"), 1),
        (("training", "folds"), {"column": "x"}),
        (("labels", "diagnosis"), "bcc"),
        (("labels", "diagnosis"), {"column": "x"}),
        (("modalities", "clinic"), {"use": "image"}),
        (("modalities", "clinic"), {"use": "imgae", "column": "c"}),
        (("modalities", "derm", "steps"), [{"use": "no-such-step"}]),
        (("network", "encoders", "image"), {"use": "timm", "modle": "x"}),
        (("network", "encoders", "image"), {"use": "timm", "frozen": 3}),
        (("network", "encoders", "image"), "no-such-encoder"),
        (("network", "fusion"), "mlp"),
        (("decisions", "final"), {"use": "linear"}),
        (("decisions", "final", "learn"), "test"),
        (("augment", "geometry"), {"use": "geometry"}),
        (("cases",), {}),
        (("split", "fractions"), {"trian": 0.5}),
    ],
)
def test_bad_specs_do_not_fit(place, value):
    raw = whole()
    *way, last = place
    node = raw
    for step in way:
        node = node[step]
    node[last] = value
    assert not fits(raw, SCHEMA)


def test_a_plugin_s_parts_are_in_it_with_their_sentence():
    class Mine(Encoder):
        """My encoder.

        More.
        """

        depth: int

    class Brings:
        @hookimpl
        def mmfuse_parts(self):
            return [Mine]

    made = schema(mmfuse.Catalog(Brings(), installed=False))
    part = made["$defs"]["encoder.mine"]
    assert part["description"] == "My encoder."
    assert part["required"] == ["use", "depth"]
    assert part["additionalProperties"] is False
