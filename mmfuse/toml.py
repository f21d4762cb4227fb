"""Card and plan as TOML files: reading with all faults at once, writing, and `--set`.

The same trees in Python compare equal.

No inheritance, no interpolation, no programs: to compute, write Python; it builds the same `Spec`.
"""

from __future__ import annotations

import copy
import dataclasses
import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date, time
from pathlib import Path
from typing import Any

import tomli_w

from mmfuse.building import build, tree
from mmfuse.card import Card
from mmfuse.catalog import Catalog
from mmfuse.errors import Faults, SpecError, nearest
from mmfuse.formats.toml_files import BITS, read_toml
from mmfuse.formats.trees import DEEPEST, fault_of
from mmfuse.hooks import hookimpl
from mmfuse.knobs import Node, Part
from mmfuse.naming import label_faults
from mmfuse.spec import Plan, Spec

Source = str | Path | Mapping[str, Any]


def load(
    plan: Source | Plan, card: Source | Card | None = None, *, catalog: Catalog | None = None, sets: Sequence[str] = ()
) -> Spec:
    """A plan (file, recipe's name, or tree) and a card (file or tree) as one `Spec`.

    A section of the plan may override the card's; lines of its [modalities] without a `use` change knobs of the card's
    modalities, or of all of a use. `sets` (`network.encoders.image.model=resnet18`) override both.
    Without `card`, the plan must hold the card's sections itself, as a run's `spec.toml` does.

    Raises: SpecError with every fault of both trees and of their wiring.
    """
    from mmfuse.wiring import wire

    catalog, faults = catalog or Catalog(), Faults()
    raw, places = _merged(plan, card, catalog, sets, faults)
    _refuse_no_card(raw, faults)
    made_card = _sections(Card, {"cases": {"id": ""}, **raw}, catalog, faults)
    made_plan = _sections(Plan, raw, catalog, faults)
    more = Faults()
    if not faults:
        spec = Spec(card=made_card, plan=with_defaults(made_plan, catalog))
        wire(spec, more)
        if not more:
            return spec
    elif raw.get("modalities"):  # without any, every name would be unknown
        wire(Spec.model_construct(card=made_card, plan=made_plan), more)
    told = [f"{fault.where}." for fault in faults]
    faults += [fault for fault in more if not any(where.startswith(f"{fault.where}.") for where in told)]
    raise SpecError(_placed(faults, places))


def _refuse_no_card(raw: Mapping[str, Any], faults: Faults) -> None:
    mend = "add it, or draft a card: `mmfuse describe TABLE`"
    if "cases" not in raw and "modalities" not in raw:
        faults.add("", "no card: nothing says what the table holds", "[cases], [labels] and [modalities]", mend)
    elif "cases" not in raw:
        faults.add("cases", "the card has no [cases]", "the name of the id's column, at least", mend)
    elif not raw.get("modalities"):
        faults.add("modalities", "the card has no inputs", "[modalities], one line or more", mend)


def _sections(kind: type[Card] | type[Plan], raw: Mapping[str, Any], catalog: Catalog, faults: Faults) -> Any:  # noqa: ANN401
    return build(kind, {name: raw[name] for name in kind.model_fields if name in raw}, "", catalog, faults)


def load_card(card: Source, catalog: Catalog | None = None) -> Card:
    """A card alone. Raises: SpecError with all its faults."""
    faults, raw = Faults(), read(card)
    made = build(Card, raw, "", catalog or Catalog(), faults)
    faults += [] if faults else label_faults(made)
    _placed(faults, dict.fromkeys(raw, _file(card))).raise_as(SpecError)
    return made  # type: ignore[no-any-return]


def load_plan(plan: Source, catalog: Catalog | None = None, sets: Sequence[str] = ()) -> Plan:
    """A plan alone, its wiring unchecked. Raises: SpecError with all its faults."""
    catalog, faults = catalog or Catalog(), Faults()
    raw, places = _merged(plan, None, catalog, sets, faults)
    made = _sections(Plan, raw, catalog, faults)
    _placed(faults, places).raise_as(SpecError)
    return with_defaults(made, catalog)


def with_defaults(plan: Plan, catalog: Catalog) -> Plan:
    """The plan with the loss that is meant where none is named."""
    if plan.network == "" or plan.training.loss != "":
        return plan
    loss = catalog.find("loss", "cross-entropy")()
    return plan.model_copy(update={"training": plan.training.model_copy(update={"loss": loss})})


def dump(value: Spec | Card | Plan | Mapping[str, Any]) -> str:
    """TOML text of a spec (both trees' sections), a card or a plan; complete, every knob written."""
    if isinstance(value, Spec):
        return tomli_w.dumps({**tree(value.card), **tree(value.plan)})
    return tomli_w.dumps(tree(value))


def _merged(
    plan: Source | Plan, card: Source | Card | None, catalog: Catalog, sets: Sequence[str], faults: Faults
) -> tuple[dict[str, Any], dict[str, str]]:
    """The raw sections of card and plan, the plan's over the card's, then `sets`; and where each section or key that is
    set comes from, for messages.
    """
    under = {} if card is None else tree(card) if isinstance(card, Card) else read(card)
    over = tree(plan) if isinstance(plan, Plan) else read(plan, catalog)
    raw = {**copy.deepcopy(under), **copy.deepcopy(over)}
    places = {**dict.fromkeys([*Card.model_fields, *under], _file(card)), **dict.fromkeys(over, _file(plan, catalog))}
    if _are_knobs(over.get("modalities")) and under.get("modalities"):
        raw["modalities"], places["modalities"] = copy.deepcopy(under["modalities"]), _file(card)
        changed = _overlay(raw, over["modalities"], faults)
        places |= dict.fromkeys([".".join(path) for path in changed], _file(plan, catalog))
    before = copy.deepcopy(raw)
    paths: list[list[str]] = []
    for text in sets:
        try:
            paths += set_value(raw, text)
        except SpecError as error:
            faults.extend(error.faults)
    for path in paths:
        _refuse_new_line(before, raw, path, faults)
        there: Any = before
        for end, step in enumerate(path, 1):
            there = there.get(step) if isinstance(there, Mapping) else None
            if there is None or end == len(path):
                places[".".join(path[:end])] = _SET
    for name in [name for name in raw if name not in Spec.sections]:
        faults.add(name, f"no section is called '{name}'", mend=nearest(name, Spec.sections))
    return raw, places


_SET = "--set"


def _are_knobs(lines: Any) -> bool:  # noqa: ANN401  # whatever the user wrote
    """Whether a plan's [modalities] only changes knobs of the card's: no line has a part of its own."""
    return isinstance(lines, Mapping) and bool(lines) and not any("use" in _opened(line) for line in lines.values())


def _overlay(raw: dict[str, Any], lines: Mapping[str, Any], faults: Faults) -> list[list[str]]:
    """Changes knobs of modalities; a use stands for all its modalities. Gives the steps to each knob."""
    paths = []
    for name, knobs in lines.items():
        for knob, value in knobs.items():
            spread = _spread(raw, ["modalities", name, knob])
            if spread[0][1] not in raw["modalities"]:
                known = {*raw["modalities"], *(_opened(line).get("use", "") for line in raw["modalities"].values())}
                expected = "a modality of the card, or a use (a modality of its own needs its `use` as well)"
                faults.add(f"modalities.{name}", f"there is no modality '{name}'", expected, nearest(name, known))
                break
            _put(raw, spread, value)
            paths += spread
    return paths


def _put(raw: dict[str, Any], paths: Sequence[Sequence[str]], value: Any) -> None:  # noqa: ANN401  # any TOML value
    for path in paths:
        node = raw
        for step in path[:-1]:
            node[step] = _opened(node.get(step, {}))
            node = node[step]
        node[path[-1]] = copy.deepcopy(value)


def _file(source: object, catalog: Catalog | None = None) -> str:
    """What a fault in a source names as its place; empty for a tree built in Python."""
    if not isinstance(source, str | Path):
        return ""
    is_recipe = catalog is not None and not Path(source).is_file() and str(source) in catalog.recipes
    return f"recipe {source}" if is_recipe else str(source)


def _placed(faults: Faults, places: Mapping[str, str]) -> Faults:
    """The faults, each with the file or `--set` that it comes from before its key."""
    placed = Faults()
    for fault in faults:
        steps = fault.where.split(".")
        keys = [".".join(steps[:end]) for end in range(len(steps), 0, -1)]
        place = next((places[key] for key in keys if key in places), "")
        between = " " if place == _SET else ", "
        placed.append(dataclasses.replace(fault, where=f"{place}{between}{fault.where}") if place else fault)
    return placed


_LINES = (("modalities",), ("augment",), ("network", "encoders"), ("pretexts",), ("decisions",))
"""Where lines stand, each with a part."""


def _refuse_new_line(before: dict[str, Any], raw: dict[str, Any], path: list[str], faults: Faults) -> None:
    """A knob that is set in a line that is not there is a slip of the pen, unless the line's part is set as well."""
    section = next((steps for steps in _LINES if tuple(path[: len(steps)]) == steps and len(path) > len(steps) + 1), ())
    old, new, name = before, raw, path[len(section)]
    for step in section:
        old, new = _opened(old.get(step, {})), new.get(step, {})
    if not section or name in old or "use" in new.get(name, {"use": ""}):
        return
    del new[name]
    known = {*old, *(_opened(line).get("use", "") for line in old.values() if section == ("modalities",))}
    mend = f"{nearest(name, known)}; a line of its own needs its `use` as well"
    faults.add(
        f"--set {'.'.join(path)}", f"there is no line [{'.'.join([*section, name])}]", "a line that is there", mend
    )


def read(source: Source, catalog: Catalog | None = None) -> dict[str, Any]:
    """The tree of a TOML file, or of a recipe by name where a catalog is given.

    Raises: SpecError naming file and line.
    """
    if isinstance(source, Mapping):
        if found := fault_of(source, BITS):
            raise SpecError(found, "a plan or a card")
        return dict(source)
    path = Path(source)
    if catalog is not None and not path.suffix and not path.is_file():
        recipes = catalog.recipes
        if str(source) not in recipes:
            raise SpecError(
                f"no plan file and no recipe is called '{source}'",
                "a TOML file or a recipe",
                nearest(str(source), recipes) + catalog.failures,
            )
        path = recipes[str(source)].path
    return read_toml(path)


def set_value(raw: dict[str, Any], text: str) -> list[list[str]]:
    """Applies one `a.b.c=value` to a tree; bare words are text. Gives the steps to each value that was set.

    Below `modalities`, a use stands for all its modalities.

    Raises: SpecError if the text is no `key=value`.
    """
    key, equals, word = unicodedata.normalize("NFC", text).partition("=")
    steps = [step.strip() for step in key.split(".")]
    if not equals or not all(steps):
        found = "has no `=`" if not equals else "has an empty key"
        raise SpecError(found, "KEY=VALUE, as in network.encoders.image.model=resnet18", where=f"{_SET} {text}")
    value, short = parse_value(word.strip()), f"{_SET} {text[:80]}"
    if found := f"has {len(steps)} steps" if len(steps) > DEEPEST else fault_of(value, BITS):
        raise SpecError(found, f"up to {DEEPEST} levels", where=short)
    paths = _spread(raw, steps)
    _put(raw, paths, value)
    return paths


def _opened(inner: Any) -> dict[str, Any]:  # noqa: ANN401  # whatever stands there
    """The table that something short stands for: a part's name, a label's classes, a value built in Python."""
    if isinstance(inner, Node):
        return dict(tree(inner))
    if isinstance(inner, str) and inner:
        return {"use": inner}
    if isinstance(inner, list | tuple):
        return {"classes": inner}
    return dict(inner) if isinstance(inner, Mapping) else {}


_BARE = re.compile(r"""("[^"]*"|'[^']*')|(?<![\w.+-])([A-Za-z_][\w./+-]*+)(?!\s*=)""")
_WORDS = ("true", "false", "inf", "nan")
"""TOML's own."""


def parse_value(word: str) -> Any:  # noqa: ANN401  # any TOML value
    """A TOML value; what is none is text as it stands, and so are bare words in a list or table. Dates are text."""
    quoted = _BARE.sub(lambda found: found[0] if found[1] or found[2] in _WORDS else f'"{found[0]}"', word)
    for text in (word, quoted) if word[:1] in ("[", "{") else (word,):
        try:
            value = tomllib.loads(f"x = {text}")
        except RecursionError:
            raise SpecError(f"is nested deeper than {DEEPEST} levels", "a value", where=word[:80]) from None
        except ValueError:
            continue
        if value.keys() == {"x"} and not isinstance(value["x"], date | time):
            return value["x"]
    return word


def _spread(raw: Mapping[str, Any], steps: list[str]) -> list[list[str]]:
    modalities = raw.get("modalities", {})
    if steps[0] != "modalities" or len(steps) < 3 or steps[1] in modalities:
        return [steps]
    if not isinstance(modalities, Mapping):
        return [steps]
    uses = {name: _opened(knobs).get("use") for name, knobs in modalities.items()}
    named = [name for name, use in uses.items() if use == steps[1]]
    return [["modalities", name, *steps[2:]] for name in named] or [steps]


def again(part: Part) -> Part:
    """The part written as TOML and read again, with the parts inside it.

    Raises: SpecError, TypeError or ValueError if its knobs are not what TOML has.
    """
    text = tomli_w.dumps({"part": tree(part)})
    faults = Faults()
    made = build(
        type(part), tomllib.loads(text)["part"], "", Catalog(_Bringing(part), installed=False, builtin=False), faults
    )
    faults.raise_as(SpecError)
    return made  # type: ignore[no-any-return]


class _Bringing:
    """A plugin of one part and the parts inside it."""

    def __init__(self, part: Part) -> None:
        self.part = part

    @hookimpl
    def mmfuse_parts(self) -> list[type[Part]]:
        return list(dict.fromkeys(type(inner) for inner in _inside(self.part)))


def _inside(value: Any) -> list[Part]:  # noqa: ANN401  # whatever a knob holds
    if isinstance(value, Part):
        return [value, *(part for _, knob in value for part in _inside(knob))]
    if isinstance(value, Mapping):
        return [part for item in value.values() for part in _inside(item)]
    return [part for item in value for part in _inside(item)] if isinstance(value, list | tuple) else []
