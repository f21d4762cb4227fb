"""`compare` over several tables: what it is given, and how each pair of tables, and what changes between them, looks.

Figures and verdicts come from the studies of the pairs; each of them can be shown by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, NamedTuple

import click

import mmfuse
from mmfuse.commands.app import App
from mmfuse.commands.given import FILE, card_of, export
from mmfuse.commands.standing import MEANT, said, show_study, write_tables
from mmfuse.show import Cell, as_json

TRANSFER = "transfer.json"
SINGLE = ("variant", "single", "metadata", "logistic")
"""The roles that the matrix shows; controls stand in the studies."""


class Asked(NamedTuple):
    """What is compared, as the command line has it."""

    plans: tuple[str, ...]
    vary: tuple[str, ...]
    sets: tuple[str, ...]
    networks_only: bool
    device: str
    on: str = ""
    """Who fits: nobody else, or `WORD` or `WORD:ADDRESS` of workers."""

    @contextmanager
    def workers(self, app: App) -> Iterator[mmfuse.Workers | None]:
        """Those that `--on` names, for as long as this lasts. Raises: click.UsageError for a word that is none."""
        word, _, address = self.on.partition(":")
        if not word:
            yield None
            return
        if word not in mmfuse.WORKERS:
            known = ", ".join(mmfuse.WORKERS)
            raise click.UsageError(f"--on {self.on}: no workers are called '{word}'; known: {known}")
        with mmfuse.WORKERS[word](address, files=app.files, device=self.device).at_work() as workers:
            yield workers


class Tables(NamedTuple):
    """The tables that are named by options."""

    train: Path | None
    test: Path | None
    tables: tuple[str, ...]
    on: Literal["all", "test"] | None
    local_ids: bool

    @property
    def asked(self) -> bool:
        return bool(self.train or self.test or self.tables)


def tables_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options by which `compare` is given several tables."""
    for option in reversed(
        (
            click.option("--train", type=FILE, metavar="CASES", help="The table that is learnt on; with --test."),
            click.option("--test", type=FILE, metavar="CASES", help="Another table of the same labels and modalities,"
                         " that is tested on."),
            click.option("--tables", multiple=True, metavar="NAME=CASES", help="Each plan within each of these tables,"
                         " and across those that are alike. Repeatable."),
            click.option("--test-on", type=click.Choice(["all", "test"]), help="Cases of another table that are tested"
                         " on.  [default: all; with --tables: test]"),
            click.option("--local-ids", is_flag=True, help="Equal ids and groups in two tables are a coincidence."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def compare_tables(app: App, asked: Asked, given: Tables, out: Path, design: mmfuse.Design) -> bool:
    """Carries the comparison out and shows it; whether all could be done."""
    if (out / "study.json").is_file():
        mend = "another --out"
        raise mmfuse.RunError("is a study of one table", "a new folder, or one of several tables", mend, str(out))
    with app.working(), asked.workers(app) as workers:
        if given.tables:
            domains = [_domain(app, asked, name, path) for name, path in pairs("--tables", given.tables).items()]
            result = mmfuse.across(
                domains, out, design, on=given.on or "test", local_ids=given.local_ids,
                catalog=app.catalog, device=asked.device, watch=app.watch, workers=workers,
            )  # fmt: skip
        else:
            if not given.train or not given.test:
                raise click.UsageError("--train and --test go together: a table to learn on and one to test on")
            names = given.train.stem, given.test.stem
            names = ("train", "test") if names[0] == names[1] else names
            train, test = (
                _domain(app, asked, name, path, strict=True)
                for name, path in zip(names, (given.train, given.test), strict=True)
            )
            result = mmfuse.transfer(
                train, test, out, design, on=given.on or "all", local_ids=given.local_ids,
                catalog=app.catalog, device=asked.device, watch=app.watch, workers=workers,
            )  # fmt: skip
    return show_transfer(app, result)


def _domain(app: App, asked: Asked, name: str, path: Path, *, strict: bool = False) -> mmfuse.Domain:
    """A table with the plans on its card. A plan that does not suit it is kept with the reason, unless it has to."""
    card_file = card_of(path, None)
    variants: list[mmfuse.Variant] = []
    refused: dict[str, str] = {}
    stems = [Path(plan).stem for plan in asked.plans]
    for stem, plan in zip(stems, asked.plans, strict=True):
        if stems.count(stem) > 1:
            raise mmfuse.SpecError(f"two plans are called '{stem}'", "names that differ", "copy the plan's file")
        try:
            variants += mmfuse.varied(
                [plan], card_file, asked.vary, catalog=app.catalog, sets=asked.sets, networks_only=asked.networks_only
            )
        except mmfuse.SpecError as error:
            if strict:
                raise
            refused[stem] = str(error)
    card = variants[0].spec.card if variants else mmfuse.load_card(card_file, app.catalog)
    table = mmfuse.read_table(path, card.cases.missing)
    return mmfuse.Domain(name, tuple(variants), table, card, card_file.parent, refused)


def pairs(option: str, words: Sequence[str]) -> dict[str, Path]:
    """{name: file} of `NAME=FILE` words."""
    found: dict[str, Path] = {}
    for word in words:
        name, equals, file = word.partition("=")
        if not equals or not name.strip() or not file.strip():
            raise click.UsageError(f"{option} {word!r}: expected NAME=FILE, as in mine=mine.csv")
        if name.strip() in found:
            raise click.UsageError(f"{option} {name.strip()} is given twice")
        found[name.strip()] = Path(file.strip())
    return found


# ── how it looks ──────────────────────────────────────────────────────────────────────────────────────────────────────


def show_transfer(app: App, result: mmfuse.Transfer, metric: str = "") -> bool:
    """The matrix, differences within each pair, and what changes between pairs; written too. Whether nothing failed.

    Of two tables, of which one is tested on, that study is shown whole.
    """
    judged = {pair: mmfuse.judge(result.study(pair), metric, catalog=app.catalog) for pair in result.standing}
    shifts = mmfuse.shifts(result, judged)
    crossed = [pair for pair in judged if pair.train != pair.test]
    if len(crossed) == 1 and len(result.cells) <= 2:
        app.screen.text(f"learnt on {crossed[0].train}, tested on {crossed[0].test}\n")
        show_study(app.screen, result.study(crossed[0]), judged[crossed[0]])
    else:
        _show_matrix(app, judged)
        _show_differences(app, result, judged)
    _show_shifts(app, shifts)
    _show_mix(app, result, crossed)
    sentences = _sentences(result)
    if sentences:
        app.screen.text("\n" + "\n".join(sentences))
    _write(result, judged, shifts)
    words = "transfer.json, matrix.csv, differences.csv, shifts.csv, matrix.json"
    app.screen.text(f"\n{result.folder}: {words}; again: mmfuse compare --out {result.folder} --show")
    return not any("failed" in sentence for sentence in sentences)


def _show_matrix(app: App, judged: Mapping[mmfuse.Crossing, mmfuse.Judgement]) -> None:
    metric = next(iter(judged.values())).metric
    app.screen.heading(f"{metric} on test cases, 95 % (learnt on → tested on; no arrow: on its own test cases)")
    names = dict.fromkeys((line.name, line.role) for one in judged.values() for line in one.lines
                          if line.role in SINGLE)  # fmt: skip
    rows: list[list[Cell]] = []
    for name, role in sorted(names, key=lambda pair: SINGLE.index(pair[1])):
        cells: list[Cell] = []
        for one in judged.values():
            line = next((line for line in one.lines if (line.name, line.label) == (name, "")), None)
            cells.append("–" if line is None else f"{line.figures[metric]:.3f} ({_span(line.interval)})")
        rows.append([name, role, *cells])
    rows.append(["cases", "", *(str(one.cases) for one in judged.values())])
    app.screen.table(["", "role", *(pair.title for pair in judged)], rows)


def _show_differences(app: App, result: mmfuse.Transfer, judged: Mapping[mmfuse.Crossing, mmfuse.Judgement]) -> None:
    rows: list[list[Cell]] = []
    for pair, one in judged.items():
        for contest in one.contests:
            if contest.in_family and not contest.label:
                value = f"{contest.difference.value:+.3f}"
                told: list[Cell] = [contest.one, contest.other, value, _span(contest.difference), contest.p_holm]
                rows.append([pair.title, *told, said(contest)])
    if rows:
        app.screen.heading("differences on the same cases; p after Holm, within each pair of tables")
        app.screen.table(["", "", "minus", "is", "95 %", "p", "verdict"], rows)
    heads = [(pair.title, each.sentence) for pair, one in judged.items() for each in one.headlines if not each.label]
    if heads:
        app.screen.heading("does fusion help? against every single modality, within each pair of tables")
        app.screen.text("\n".join(f"{title}: {sentence}" for title, sentence in heads))


def _show_shifts(app: App, shifts: Sequence[mmfuse.Shift]) -> None:
    rows: list[list[Cell]] = [
        [shift.away.title, shift.name, shift.here, shift.there, f"{shift.difference.value:+.3f}",
         _span(shift.difference), shift.word]
        for shift in shifts if not shift.label and shift.role in SINGLE
    ]  # fmt: skip
    if rows:
        app.screen.heading("there less here: the same networks on other cases (not paired; exploratory)")
        app.screen.table(["", "", "here", "there", "is", "95 %", "verdict"], rows)


def _show_mix(app: App, result: mmfuse.Transfer, crossed: Sequence[mmfuse.Crossing]) -> None:
    """Shares of classes on both sides: they differ before anything is predicted."""
    rows: list[list[Cell]] = []
    told: list[str] = []
    for pair in crossed:
        home = next((one for one in result.standing if one.train == one.test == pair.train), None)
        if home is None:
            continue
        here, there = (_shares(result.study(one)) for one in (home, pair))
        apart = mmfuse.counted_apart(*(result.study(one).tables()[0] for one in (home, pair)))
        told += [f"{pair.title}: {apart}"] if apart else []
        rows += [[pair.title, name, f"{here[name]:.1%}", f"{there[name]:.1%}"] for name in here]
    if rows:
        app.screen.heading("shares of classes among the test cases")
        app.screen.table(["", "", "here", "there"], rows)
    if told:
        app.screen.text("\n" + "\n".join(told))


def _shares(study: mmfuse.Study) -> dict[str, float]:
    table = study.tables()[0]
    prior = table.labels.prior(table.targets[table.split == "test"])
    return dict(zip(table.labels.column_names, prior.tolist(), strict=True))


def _sentences(result: mmfuse.Transfer) -> list[str]:
    told = list(result.notes)
    of_home = {(pair.train, note) for pair in result.standing if pair.train == pair.test
               for note in result.study(pair).notes}  # fmt: skip
    for pair in result.cells:
        if pair.failure:
            told.append(f"failed: {pair.title}: {pair.failure}")
            continue
        study = result.study(pair)
        is_home = pair.train == pair.test
        told += [f"{pair.title}: {note}" for note in study.notes if is_home or (pair.train, note) not in of_home]
        told += [f"failed: {pair.title}: {speaker.name}: {speaker.failure}" for speaker in study.failed]
    return list(dict.fromkeys(told))


# ── what is kept ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _write(
    result: mmfuse.Transfer, judged: Mapping[mmfuse.Crossing, mmfuse.Judgement], shifts: Sequence[mmfuse.Shift]
) -> None:
    """The tables of every pair below one another, and all of it as JSON."""
    for pair, one in judged.items():
        write_tables(result.folder / pair.folder, one)
    for source, target in (("comparison.csv", "matrix.csv"), ("differences.csv", "differences.csv")):
        parts = [(pair, mmfuse.read_table(result.folder / pair.folder / source)) for pair in judged]
        names = dict.fromkeys(name for _, part in parts for name in part.names)
        columns: dict[str, list[object]] = {
            "learnt on": [pair.train for pair, part in parts for _ in range(len(part))],
            "tested on": [pair.test for pair, part in parts for _ in range(len(part))],
        }
        for name in names:
            cells = [part[name] if name in part else [None] * len(part) for _, part in parts]
            columns[name] = [cell for column in cells for cell in column]
        export(mmfuse.Table.of(columns), result.folder / target)
    export(mmfuse.Table.of(_columns(shifts)), result.folder / "shifts.csv")
    about = {
        "metric": next(iter(judged.values())).metric,
        "pairs": [{"learnt on": pair.train, "tested on": pair.test, **asdict(one)} for pair, one in judged.items()],
        "shifts": [asdict(shift) for shift in shifts],
    }
    with mmfuse.whole_file(result.folder / "matrix.json") as scratch:
        scratch.write_text(as_json(about), encoding="utf-8")


def _columns(shifts: Sequence[mmfuse.Shift]) -> dict[str, list[object]]:
    return {
        "learnt on": [shift.away.train for shift in shifts],
        "tested on": [shift.away.test for shift in shifts],
        "name": [shift.name for shift in shifts],
        "role": [shift.role for shift in shifts],
        "label": [shift.label or MEANT for shift in shifts],
        "metric": [shift.difference.metric for shift in shifts],
        "here": [_number(shift.here) for shift in shifts],
        "there": [_number(shift.there) for shift in shifts],
        "difference": [_number(shift.difference.value) for shift in shifts],
        "low": [_number(shift.difference.low) for shift in shifts],
        "high": [_number(shift.difference.high) for shift in shifts],
        "verdict": [shift.word for shift in shifts],
        "covers": [shift.difference.covers for shift in shifts],
    }


def _span(found: mmfuse.Interval | mmfuse.Difference | None) -> str:
    if found is None or math.isnan(found.low):
        return "–"
    sign = "+" if isinstance(found, mmfuse.Difference) else ""
    return f"{found.low:{sign}.3f} … {found.high:{sign}.3f}"


def _number(value: float) -> str | None:
    return None if math.isnan(value) else f"{value:.6g}"
