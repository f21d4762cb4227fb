"""Writes the pages that are made from the code: `parts.md` (every part, recipe knob and plan section) and `api.md`.

    python docs/generate.py

A test fails when a page and the code differ.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import mmfuse
from mmfuse.commands.knobs import knobs

HERE = Path(__file__).parent
SECTIONS = {
    "cases": "CasesSection",
    "labels.NAME": "LabelLine",
    "columns.NAME": "ColumnLine",
    "split": "SplitSection",
    "source": "SourceSection",
    "augment.NAME": "AugmentLine",
    "network": "NetworkSection",
    "network.encoders.NAME": "EncoderLine",
    "training": "TrainingSection",
    "training.best": "BestEpoch",
    "prediction": "PredictionSection",
    "decisions.NAME": "DecisionLine",
}


def cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def table_of(node: type) -> list[str]:
    rows = [
        f"| `{knob.name}` | {cell(knob.type)} | {'**required**' if knob.required else cell(f'`{knob.default!r}`')} "
        f"| {cell(knob.range)} | {cell(knob.about)} |"
        for knob in knobs(node)
        if knob.name != "part"
    ]
    return ["| knob | type | default | range | what it does |", "|---|---|---|---|---|", *rows, ""] if rows else []


def parts_page() -> str:
    """Sections of card and plan, then every part that comes with mmfuse and its plugins."""
    lines = ["# Parts and sections", "", "Made by `python docs/generate.py` from the code.", "", "## Sections", ""]
    for section, name in SECTIONS.items():
        node = getattr(mmfuse, name)
        lines += [f"### `[{section}]`", "", (node.__doc__ or "").strip(), "", *table_of(node)]
    catalog = mmfuse.Catalog()
    for role in mmfuse.ROLES:
        entries = [entry for entry in catalog.entries if entry.role == role.role and entry.origin.startswith("mmfuse")]
        lines += [f"## {role.role}", "", (role.__doc__ or "").strip(), ""]
        for entry in entries:
            about = inspect.cleandoc(entry.part.__doc__ or "")
            lines += [f"### `{entry.name}`", "", f"From {entry.origin}.", "", about, "", *table_of(entry.part)]
    lines += ["## Recipes", ""]
    lines += [f"* `{recipe.name}` ({recipe.origin}): {recipe.about}" for recipe in catalog.recipes.values()]
    return "\n".join(lines).rstrip() + "\n"


def api_page() -> str:
    """Every public name with its first line."""
    lines = [
        "# Python API",
        "",
        "Everything is at the door: `from mmfuse import NAME`. Made by `python docs/generate.py`.",
        "",
    ]
    lines += ["| name | what it is |", "|---|---|"]
    for name in sorted(mmfuse.__all__):
        value = getattr(mmfuse, name)
        documented = inspect.isclass(value) or callable(value)
        about = (inspect.getdoc(value) or "").partition("\n\n")[0] if documented else ""
        lines.append(f"| `{name}` | {cell(about)} |")
    lines += ["", "## Conformance kit", "", "`mmfuse.testing`: " + (inspect.getdoc(mmfuse.testing.check) or ""), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    import mmfuse.testing

    (HERE / "parts.md").write_text(parts_page(), encoding="utf-8")
    (HERE / "api.md").write_text(api_page(), encoding="utf-8")
