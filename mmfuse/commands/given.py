"""What commands are given: a plan or recipe, a table of cases, and the card beside it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

import mmfuse

if TYPE_CHECKING:
    from mmfuse import Card, Cases, Catalog, Spec, Table
    from mmfuse.commands.app import App
    from mmfuse.effects import Job

FILE = click.Path(path_type=Path)
"""A path; messages of mmfuse say more about a missing file than click would."""

sets_option = click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="A knob of card or plan, as in training.epochs=5. Repeatable.",
)
card_option = click.option("--card", type=FILE, help="The card.  [default: beside the table, cases.csv → cases.toml]")
device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "cpu", "cuda"]),
    help="Where networks run.",
)


def card_of(table: Path, card: Path | None) -> Path:
    """The card of a table: as given, else the file of the same stem beside it.

    Raises: TableError if there is no such table; SpecError if there is no card.
    """
    if not table.is_file():
        mmfuse.read_table(table)  # says what is wrong with it
    path = card or table.with_suffix(".toml")
    if not path.is_file():
        mend = f"`mmfuse describe {table} --out {path}` drafts one; or give --card FILE"
        where = f"{path} (--card)" if card else f"{path}, beside {table.name}"
        raise mmfuse.SpecError("no card: no such file", "a TOML file that says what the table holds", mend, where)
    return path


def load_spec(app: App, plan: str, card: Path | None, sets: Sequence[str], *jobs: Job) -> Spec:
    """A plan (file or recipe's name) and a card as one spec. Names that another part would have are told.

    Raises: SpecError also for keys of `sets` that do nothing for any of the `jobs`.
    """
    spec = mmfuse.load(plan, card, catalog=app.catalog, sets=sets)
    tell_shadowed(app, spec)
    mmfuse.without_effect([spec], sets, jobs).raise_as(mmfuse.SpecError)
    return spec


def tell_shadowed(app: App, spec: Spec) -> None:
    """Warns of names in a spec that are mmfuse's own, and that a part of a plugin has as well."""
    for text in app.catalog.shadowed(mmfuse.parts_in(spec)):
        app.watch(mmfuse.Notice(text, "warning"))


def load_cases(table: Path, card: Card, folder: Path, *, labelled: bool = True) -> Cases:
    """The cases of a table; the card's root is relative to `folder`."""
    return mmfuse.Cases(mmfuse.read_table(table, card.cases.missing), card, folder, labelled=labelled)


def tell_notes(app: App, cases: Cases) -> Cases:
    """Tell what reading inferred of the cases; they come back as they are."""
    for note in cases.notes:
        app.watch(mmfuse.Notice(note))
    return cases


def holds_card(plan: str, catalog: Catalog) -> bool:
    """Whether a plan has the card's sections in itself, as a run's `spec.toml` does."""
    recipe = catalog.recipes.get(plan)
    path = recipe.path if recipe and not Path(plan).is_file() else Path(plan)
    try:
        return "cases" in mmfuse.read_toml(path)
    except mmfuse.SpecError:
        return False  # whoever reads the plan itself says what is wrong with it


def new_cases(table: Path, card: Path | None, known: Card, *, labelled: bool = False) -> Cases:
    """Cases for a run, read by the run's own card.

    Where a card stands beside them, or is given, its [cases] section (id, root, missing …) is taken, and the words that
    its [columns] map are added to the run's; labels and modalities stay those that the run has learnt.
    """
    path = card or table.with_suffix(".toml")
    if card is not None or path.is_file():
        path = card_of(table, card)
        given = mmfuse.read_toml(path)
        beside = mmfuse.load_card({"cases": given.get("cases", {}), "columns": given.get("columns", {})})
        lines = dict(known.columns)
        for name, theirs in beside.columns.items():
            line = lines.get(name, mmfuse.ColumnLine())
            added = {word: line.values.get(meant, meant) for word, meant in theirs.values.items()}
            lines[name] = line.model_copy(update={"values": {**line.values, **added}})
        known = known.model_copy(update={"cases": beside.cases, "columns": lines})
    return load_cases(table, known, path.parent, labelled=labelled)


def refuse_idle(context: click.Context, why: str, names: Collection[str]) -> None:
    """Raises: UsageError where one of these options was given, which do nothing here."""
    params = [param for param in context.command.params if param.name in names]
    given = [param for param in params if was_given(context, param.name or "")]
    if given:
        raise click.UsageError(f"{', '.join(param.opts[0] for param in given)}: has no effect, {why}")


def was_given(context: click.Context, name: str) -> bool:
    """Whether an option stands on the command line."""
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    with mmfuse.whole_file(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def export(table: Table, out: Path, numeric: Iterable[str] = (), about: Mapping[str, str] | None = None) -> None:
    """Writes a table for people: in CSV no cell is a formula, unless MMFUSE_FORMULAS=keep. `about` is a Parquet file's
    metadata."""
    numeric = frozenset(numeric)
    (safe(table, numeric) if out.suffix.lower() == ".csv" else table).write(out, numeric, about)


def safe(table: Table, numeric: Iterable[str] = ()) -> Table:
    """A table whose cells no spreadsheet takes for formulas, unless MMFUSE_FORMULAS=keep."""
    return table if os.environ.get("MMFUSE_FORMULAS") == "keep" else mmfuse.guarded(table, numeric)


def refuse_output(out: Path, suffixes: Sequence[str] = (".csv", ".parquet")) -> None:
    """Raises: TableError or RunError before any work is done, where the output could not be written at its end."""
    if out.suffix.lower() not in suffixes:
        found = f"cannot write '{out.suffix}'" if out.suffix else "has no suffix"
        raise mmfuse.TableError(found, f"one of {', '.join(suffixes)}", "give the file such a name", str(out))
    if out.is_dir():
        raise mmfuse.TableError("is a folder", "a file", "another --out", str(out))
    mmfuse.refuse_unwritable(out)


def refuse_input(out: Path, *inputs: Path) -> None:
    """Raises: TableError where an output would overwrite what is read."""
    for path in inputs:
        if out.resolve() == path.resolve():
            raise mmfuse.TableError("is read here and would be overwritten", "another file", "another --out", str(out))
