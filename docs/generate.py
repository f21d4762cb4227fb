"""Writes the pages that are made from the code: `parts.md` (every section, part and recipe) and `api.md`.

    python docs/generate.py

A test fails when a page and the code differ.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pkgutil
import re
import textwrap
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path

import mmfuse
import mmfuse.testing
from mmfuse.commands.knobs import Knob, knobs
from mmfuse.testing.kit import Given

HERE = Path(__file__).parent
MADE = "<!-- Made from the code by `python docs/generate.py`. -->"
CARD = {
    "[cases]": "CasesSection",
    "[labels] NAME": "LabelLine",
    "[columns] NAME": "ColumnLine",
    "[split]": "SplitSection",
    "[source]": "SourceSection",
}
PLAN = {
    "[augment.NAME]": "AugmentLine",
    "[network]": "NetworkSection",
    "[network] encoders.NAME": "EncoderLine",
    "[training]": "TrainingSection",
    "[training] best": "BestEpoch",
    "[training] folds, as a section": "FoldColumn",
    "[prediction]": "PredictionSection",
    "[decisions.NAME]": "DecisionLine",
}
BESIDE = {"AugmentLine": "augmentation", "EncoderLine": "encoder", "DecisionLine": "decision or stage"}
"""Lines that hold a part beside their own knobs."""
TITLES = {
    "modality": "Modalities",
    "step": "Steps",
    "augmentation": "Augmentations",
    "encoder": "Encoders",
    "fusion": "Fusions",
    "head": "Heads",
    "loss": "Losses",
    "pretext": "Pretexts",
    "decision": "Decisions",
    "stage": "Second stages",
    "metric": "Metrics",
    "adapter": "Adapters",
}


# ── parts.md ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def parts_page() -> str:
    """Sections of card and plan, then every part and recipe that comes with mmfuse and its plugins."""
    catalog = mmfuse.Catalog()
    recipes = [recipe for recipe in catalog.recipes.values() if recipe.origin.startswith("mmfuse")]
    lines = ["# Parts and sections", "", MADE, ""]
    lines += ["Every section of [card and plan](card-and-plan.md), every part that comes with mmfuse and its plugins,"]
    lines += ["and every knob with its default. `mmfuse parts NAME` shows the same of any part that is installed.", ""]
    lines += ["* [Sections of the card](#sections-of-the-card)", "* [Sections of the plan](#sections-of-the-plan)"]
    sections: list[str] = []
    for role in mmfuse.ROLES:
        entries = [entry for entry in catalog.entries if entry.role == role.role and entry.origin.startswith("mmfuse")]
        title = TITLES[role.role]
        names = ", ".join(f"`{entry.name}`" for entry in entries) or "none comes with mmfuse yet"
        lines.append(f"* [{title}](#{title.lower().replace(' ', '-')}): {names}")
        sections += [f"## {title}", "", f"Role `{role.__name__}`: {paragraph(role)}", ""]
        for entry in entries:
            sections += [f"### `{entry.name}` ({entry.role})", "", *doc_of(entry.part)]
            sections += [] if entry.origin == "mmfuse" else [f"From `{entry.origin}`.", ""]
            sections += table_of(knobs(entry.part))
    lines += ["* [Recipes](#recipes): " + ", ".join(f"`{recipe.name}`" for recipe in recipes), ""]
    lines += ["## Sections of the card", "", *sections_of(CARD)]
    lines += ["### `[modalities]` NAME", "", "`use` and the knobs of one of the [modalities](#modalities).", ""]
    lines += [
        "## Sections of the plan",
        "",
        "Above all sections may stand `seed` (0): all randomness comes from it.",
        "",
    ]
    lines += [
        *sections_of(PLAN),
        *sections,
        "## Recipes",
        "",
        "Plans that plugins ship: `mmfuse recipes NAME` prints one.",
    ]
    lines += ["", *(f"* `{recipe.name}` ({recipe.origin}): {recipe.about}" for recipe in recipes)]
    return "\n".join(lines).rstrip() + "\n"


def sections_of(named: Mapping[str, str]) -> list[str]:
    lines: list[str] = []
    for section, name in named.items():
        node = getattr(mmfuse, name)
        lines += [f"### `{section}`", "", *doc_of(node)]
        if name in BESIDE:
            lines += [f"Beside these stand `use`, the name of the {BESIDE[name]}, and its own knobs.", ""]
        lines += table_of([knob for knob in knobs(node) if knob.name != "part"])
    return lines


def table_of(listed: list[Knob]) -> list[str]:
    rows = [
        f"| `{knob.name}` | {cell(', '.join(filter(None, (knob.type, knob.range))))} "
        f"| {'must be given' if knob.required else cell(f'`{toml(knob.default)}`')} | {cell(knob.about)} |"
        for knob in listed
    ]
    return ["| knob | type | default | what it does |", "|---|---|---|---|", *rows, ""] if rows else ["No knobs.", ""]


def toml(value: object) -> str:
    """A default as a plan would hold it."""
    if isinstance(value, mmfuse.Node):
        return toml(dict(value))
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {toml(item)}" for name, item in value.items()) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


# ── api.md ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def api_page() -> str:
    """Every public name: what it is, how it is called, and what its methods do."""
    lines = [
        "# Python API",
        "",
        MADE,
        "",
        "Everything is at the door: `from mmfuse import NAME`, loaded when it is first",
    ]
    lines += ["asked for. The conformance kit is `mmfuse.testing`. Shapes, units and what each raises stand in the"]
    lines += ["docstrings: `help(mmfuse.Pipeline)`.", ""]
    for home, names in mmfuse._DOOR.items():
        module = importlib.import_module(home)
        about = sentence(inspect.getdoc(module) or "")
        lines += [f"## {home.removeprefix('mmfuse.')}", "", about, "", "| name | what it is |", "|---|---|"]
        below = constants(module)
        for name in names:
            lines += rows_of(name, getattr(mmfuse, name), below.get(name, ""))
        lines.append("")
    lines += [
        "## testing",
        "",
        sentence(inspect.getdoc(mmfuse.testing) or ""),
        "",
        "| name | what it is |",
        "|---|---|",
    ]
    for name in ("check", "checks", "Refusal"):
        lines += rows_of(name, getattr(mmfuse.testing, name), "")
    lines += ["", "Keywords of `check` and `checks`:", "", "| keyword | what it says |", "|---|---|"]
    lines += [row.replace("`.", "`", 1) for row in fields_of(Given)]
    return "\n".join(lines).rstrip() + "\n"


def rows_of(name: str, value: object, below: str) -> list[str]:
    """A row for a name and, for a class, one for each of its own public methods and properties."""
    if not inspect.isclass(value):
        called = signature(value) if inspect.isroutine(value) else ""
        return [f"| `{name}{called}` | {cell(below or paragraph(value))} |"]
    knobby = issubclass(value, mmfuse.Node)
    called = "" if knobby or issubclass(value, Exception | list) else signature(value)
    rows = [f"| **`{name}{called}`** | {cell(paragraph(value))} |"]
    rows += [] if knobby and not issubclass(value, mmfuse.Part) else fields_of(value)
    for method, raw in vars(value).items():
        plain = raw.__func__ if isinstance(raw, classmethod | staticmethod) else raw
        if method.startswith("_") or not (inspect.isroutine(plain) or isinstance(plain, property)):
            continue
        called = "" if isinstance(plain, property) else signature(plain, bound=True)
        rows.append(f"| `.{method}{called}` | {cell(paragraph(plain))} |")
    return rows


def fields_of(value: type) -> list[str]:
    """A row for each field or class attribute of a record or role that has a text of its own, with its type; those
    whose name says it all share a row."""
    rows, plain = [], []
    body = ast.parse(textwrap.dedent(inspect.getsource(value))).body[0].body  # type: ignore[attr-defined]
    for line, below in pairwise([*body, ast.Pass()]):
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.target.id[0] != "_":
            kind = ast.unparse(line.annotation).strip("'\"")
            fixed = re.fullmatch(r"ClassVar\[(.*)\]", kind)
            default = f" = {ast.unparse(line.value)}" if line.value is not None and fixed else ""
            word = f"`.{line.target.id}: {(fixed[1] if fixed else kind).replace('|', 'or')}{default}`"
            text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
            if text:
                rows.append(f"| {word} | {cell(' '.join(str(text).split()))} |")
            elif line.target.id not in ("role", "name", "contract"):
                plain.append(word)
    return ([f"| {', '.join(plain)} | as named |"] if plain else []) + rows


def signature(value: object, bound: bool = False) -> str:
    """Names and defaults of what a callable takes; types are in `help`."""
    try:
        given = list(inspect.signature(value).parameters.values())[bound:]  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ""
    short = [one.replace(annotation=inspect.Parameter.empty, default=worded(one.default)) for one in given]
    return str(inspect.Signature(short))


class Word:
    """A default that is shown by a word of its own."""

    def __init__(self, word: str) -> None:
        self.word = word

    def __repr__(self) -> str:
        return self.word


def worded(default: object) -> object:
    """A default that reads well: functions by name, factories and arrays as dots, all else as it is."""
    if default is inspect.Parameter.empty or isinstance(default, str | int | float | tuple | None):
        return default
    return Word(getattr(default, "__name__", "…") if inspect.isroutine(default) else "…")


def constants(module: object) -> dict[str, str]:
    """{name: the text below it} of a module's constants; of a package, those of its own modules too."""
    found: dict[str, str] = {}
    for inner in pkgutil.iter_modules(getattr(module, "__path__", ())):
        found |= constants(importlib.import_module(f"{module.__name__}.{inner.name}"))  # type: ignore[attr-defined]
    body = ast.parse(inspect.getsource(module)).body  # type: ignore[arg-type]
    for line, below in pairwise(body):
        named = (
            line.targets if isinstance(line, ast.Assign) else [line.target] if isinstance(line, ast.AnnAssign) else []
        )
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            found.update({n.id: " ".join(below.value.value.split()) for n in named if isinstance(n, ast.Name)})
    return found


# ── text ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def doc_of(kind: type) -> Iterable[str]:
    return [inspect.cleandoc(kind.__doc__ or ""), ""]


def paragraph(value: object) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(value) or "").partition("\n\n")[0].split())


def sentence(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())


def cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    (HERE / "parts.md").write_text(parts_page(), encoding="utf-8")
    (HERE / "api.md").write_text(api_page(), encoding="utf-8")
