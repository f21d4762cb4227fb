"""`adapt`, `describe` and `check`: from a released folder or a table to cases and a card that can be trusted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import mmfuse
from mmfuse.commands.app import App, Command
from mmfuse.commands.given import FILE, refuse_idle, refuse_output, write_text

if TYPE_CHECKING:
    from mmfuse import Adapter, Catalog, Tidy


@click.command(cls=Command)
@click.argument("name")
@click.argument("release", type=FILE)
@click.option(
    "--out", required=True, type=FILE, metavar="CASES", help="The table, .csv or .parquet; its card is beside."
)
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="A knob of the adapter. Repeatable.")
@click.option("--force", is_flag=True, help="Overwrite a table and a card that are there.")
@click.pass_obj
def adapt(app: App, name: str, release: Path, out: Path, sets: Sequence[str], force: bool) -> None:
    """Turn a released dataset into cases and their card.

    The adapter NAME reads the folder RELEASE; CASES.csv and CASES.toml are written.
    """
    app.interrupted = f"interrupted; {out} was not written"
    refuse_output(out)
    card_path = out.with_suffix(".toml")
    for path in (out, card_path):
        if path.exists() and not force:
            raise mmfuse.TableError("exists already", "a new file", "another --out, or --force to overwrite", str(path))
    with app.working():
        chosen = adapter(name, sets, app.catalog)
        with mmfuse.attributed(chosen, "`tidy`", str(release)):
            tidy = chosen.tidy(release)
        cases = write_tidy(tidy, release, out, app.catalog)
    for note in tidy.notes:
        app.watch(mmfuse.Notice(note))
    app.screen.text(
        f"{out}: {len(cases)} cases, {len(cases.card.labels)} labels, {len(cases.card.modalities)} modalities"
    )
    app.screen.text(f"{card_path}: the card")
    source = cases.card.source
    for word, text in (("licence", source.licence), ("cite", source.cite)):
        if text:
            app.screen.text(f"{word}: {text}")


def adapter(name: str, sets: Sequence[str], catalog: Catalog) -> Adapter:
    """An adapter with the knobs that `sets` give.

    Raises: SpecError with all faults.
    """
    raw: dict[str, Any] = {"use": name}
    for text in sets:
        mmfuse.set_value(raw, text)
    faults = mmfuse.Faults()
    made = mmfuse.build(mmfuse.Adapter, raw, "", catalog, faults)
    faults.raise_as(mmfuse.SpecError)
    return made


def write_tidy(tidy: Tidy, release: Path, out: Path, catalog: Catalog) -> mmfuse.Cases:
    """Writes table and card, after checking that one can be read by the other. Gives the cases.

    The card's root, relative to the release, becomes relative to the card where the release lies below it.
    """
    section = tidy.card["cases"]
    root = (release / section.get("root", ".")).resolve()
    here = out.parent.resolve()
    near = Path(os.path.relpath(root, here)).as_posix() if root.is_relative_to(here) else str(root)
    card = {**tidy.card, "cases": {**section, "root": near}}
    cases = mmfuse.Cases(tidy.table, mmfuse.load_card(card, catalog), here)
    with mmfuse.whole_file(out.with_suffix(".toml")) as scratch:  # the card only together with its table
        scratch.write_text(mmfuse.dump(card), encoding="utf-8")
        tidy.table.write(out)
    return cases


@click.command(cls=Command)
@click.argument("table", type=FILE)
@click.option("--label", "labels", multiple=True, metavar="COLUMN", help="A column to be predicted. Repeatable.")
@click.option("--group", default="", metavar="COLUMN", help="What is kept whole in every split: the patient.")
@click.option("--id", "case_id", default="", metavar="COLUMN", help="The unique id of a case.")
@click.option("--out", type=FILE, metavar="CARD", help="Write the card here, best beside the table.  [default: stdout]")
@click.option("--force", is_flag=True, help="Overwrite a card that is there.")
@click.pass_context
def describe(
    context: click.Context,
    table: Path,
    labels: tuple[str, ...],
    group: str,
    case_id: str,
    out: Path | None,
    force: bool,
) -> None:
    """Draft a card for any table.

    It shows what was inferred; read it before you train.
    """
    app: App = context.obj
    if out is None:
        refuse_idle(context, "the card goes to stdout: give --out", {"force"})
    else:
        if out.exists() and not force:
            raise mmfuse.SpecError("exists already", "a new file", "another --out, or --force to overwrite", str(out))
        mmfuse.refuse_unwritable(out)
    card, notes = mmfuse.describe(mmfuse.read_table(table), labels, group, case_id)
    for note in notes:
        app.watch(mmfuse.Notice(note))
    text = mmfuse.dump(card)
    if out is None:
        app.screen.text(text)
    else:
        write_text(out, text)
        app.screen.text(f"{out}: a draft; read it, then `mmfuse check PLAN {table}`")
