"""`predict` and `evaluate`: what a run says about cases, and what it is worth."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import mmfuse
from mmfuse.commands.app import App, Command
from mmfuse.commands.figures import METRICS, NONE, as_tree, show_figures
from mmfuse.commands.further import TOGETHER
from mmfuse.commands.given import (
    FILE,
    card_option,
    device_option,
    export,
    new_cases,
    refuse_idle,
    refuse_input,
    refuse_output,
    tell_notes,
    write_text,
)
from mmfuse.show import as_json

if TYPE_CHECKING:
    from mmfuse import Cases, Metric, Pipeline, Run, ScoreTable, Table

OPENED = "test-opened.jsonl"
"""In a run folder: one line for every time its `test` cases were evaluated."""


@click.command(cls=Command)
@click.argument("run", type=FILE)
@click.argument("cases", type=FILE)
@click.option("--out", required=True, type=FILE, help="The predictions, .csv or .parquet.")
@card_option
@device_option
@click.pass_obj
def predict(app: App, run: Path, cases: Path, out: Path, card: Path | None, device: str) -> None:
    """Predict cases: classes, probabilities, flags.

    One row a case. Labels need not be known. A case with nothing to go by has empty cells, never a number.
    """
    refuse_output(out)
    refuse_input(out, cases)
    pipeline = mmfuse.Pipeline.load(run, catalog=app.catalog, device=device, watch=app.watch)
    table = tell_notes(app, new_cases(cases, card, pipeline.spec.card))
    mmfuse.name_faults(table.card, pipeline.spec.plan.prediction.operating_points).raise_as(mmfuse.SpecError)
    with app.working():
        predictions = prediction_table(pipeline, table)
        export(predictions, out, table.labels.column_names)
    silent = sum(word is None for word in predictions[table.labels.names[0]])
    flagged = sum(word is not None for word in predictions["flags"])
    app.screen.text(f"{out}: {len(table)} cases, {flagged} flagged, {silent} with nothing to go by")
    known = sum("was in training" in (word or "") for word in predictions["flags"])
    if known:
        text = (
            f"{known} of {len(table)} cases, or others of the same id or group, were in training: what is predicted of"
        )
        text += " them flatters the run"
        app.watch(mmfuse.Notice(text, "warning"))


def prediction_table(pipeline: Pipeline, cases: Cases) -> Table:
    """`id`, then for each label its class and `label:class` probabilities, then `flags`.

    A label with an operating point has `label:at` beside: whether the case is called positive there, yes or no.
    """
    scores = pipeline.sources(cases)
    p = scores.probabilities(pipeline.wiring.answer)
    picks = cases.labels.argmax(p)
    called = pipeline.points.calls(pipeline.wiring.answer, p, cases.labels)
    columns: dict[str, Sequence[Any]] = {cases.card.cases.id: cases.ids.tolist()}
    for index, label in enumerate(cases.labels):
        columns[label.name] = [None if pick < 0 else label.classes[pick] for pick in picks[:, index].tolist()]
        part = cases.labels.slices[label.name]
        for name, values in zip(label.classes, p[:, part].T.tolist(), strict=True):
            # six digits say all there is; NaN, which is unequal to itself, becomes an empty cell
            columns[f"{label.name}:{name}"] = [f"{value:.6g}" if value == value else None for value in values]
        if label.name in called:
            columns[f"{label.name}:at"] = called[label.name].tolist()
    columns["flags"] = [flag or None for flag in pipeline.flags(cases)]
    return mmfuse.Table.of(columns)


@click.command(cls=Command)
@click.argument("run", type=FILE)
@click.argument("cases", required=False, type=FILE)
@click.option("--on", type=click.Choice(["valid", "test", "train"]), help="Of the run's own cases.  [default: test]")
@click.option("--json", "json_file", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE",
              help="Also write the figures as JSON; - is stdout instead of tables.")  # fmt: skip
@click.option("--intervals/--no-intervals", "with_intervals", default=True, help="95 % intervals.  [default: on]")
@card_option
@device_option
@click.pass_context
def evaluate(
    context: click.Context,
    run: Path,
    cases: Path | None,
    on: str | None,
    json_file: Path | None,
    with_intervals: bool,
    card: Path | None,
    device: str,
) -> None:
    """Show what a run is worth, on held-out cases.

    Every source × label with 95 % intervals, beside the trivial predictors, on the run's own cases or on new labelled
    CASES. On its own cases the stored scores are enough: no image, no torch, no plan is read.
    """
    app: App = context.obj
    if cases is None:
        refuse_idle(context, "the run's stored scores are read: give CASES", ("card", "device"))
    opened = mmfuse.Run(run)
    tell_remarks(app, opened)
    known = list(opened.remarks)
    if cases is None:
        scores, place = opened.scores, on or "test"
    elif on:
        raise click.UsageError("--on speaks of the run's own cases; new CASES are evaluated whole")
    else:
        (scores, told), place = score(app, opened, run, cases, card, device), "all"
        known += told
    evaluation = mmfuse.evaluate(scores, on=place, metrics=app.catalog.metrics(), points=opened.points)
    if place == "test":
        count_opening(app, run)
    if place in ("test", "all"):
        count_look(app, opened, scores if place == "all" else scores.take(scores.split == "test"))
    made, at = NONE, NONE
    if with_intervals:
        asked = asked_for(app, scores, evaluation, shown_only=json_file is None)
        within = scores.folds if place == "train" else ()
        with app.working():
            made = mmfuse.intervals(scores, on=place, metrics=asked, within=within)
            at = mmfuse.intervals_at(scores, opened.points, on=place)
        evaluation = {**evaluation, "intervals": as_tree(made, at)}
    evaluation = {**evaluation, "provenance": known}
    if json_file is not None and str(json_file) == "-":
        app.screen.json(evaluation)
        return
    if json_file is not None:
        write_text(json_file, as_json(evaluation) + "\n")
    show_figures(app.screen, evaluation, answer_of(opened, list(evaluation["sources"])), made, at)


def asked_for(app: App, scores: ScoreTable, evaluation: dict[str, Any], *, shown_only: bool) -> list[str | Metric]:
    """The metrics that get an interval: those of mmfuse (or of them those in the tables that show intervals), and those
    of plugins that have a meaning here and did not fail.
    """
    names = [*METRICS, *TOGETHER] if shown_only else list(mmfuse.MEASURES)
    own = [name for name in names if mmfuse.MEASURES[name].suits(scores.labels)]
    brought = [metric for name, metric in app.catalog.metrics().items() if name not in mmfuse.MEASURES]
    return [*own, *(m for m in brought if m.name not in evaluation["failed"] and m.suits(scores.labels))]


def answer_of(opened: Run, sources: Sequence[str]) -> str:
    """The source that is the run's answer: its last decision, else the fused head; empty where its plan is lost."""
    try:
        return [*sources[:1], *opened.spec_tree.get("decisions", {})][-1]
    except mmfuse.RunError:
        return ""


def score(
    app: App, opened: Run, run: Path, cases: Path, card: Path | None, device: str
) -> tuple[ScoreTable, list[str]]:
    """Scores of new labelled cases, beside the classes' shares where the run was trained; and what is to be known."""
    pipeline = mmfuse.Pipeline.load(run, catalog=app.catalog, device=device, watch=app.watch)
    table = tell_notes(app, new_cases(cases, card, pipeline.spec.card, labelled=True))
    told = tell_learnt(app, pipeline, table)
    with app.working():
        return dataclasses.replace(pipeline.sources(table), prior=opened.scores.prior), told


def tell_remarks(app: App, opened: Run) -> None:
    """Warns of what is to be known of every figure of a run."""
    for remark in opened.remarks:
        app.watch(mmfuse.Notice(remark, "warning"))


def tell_learnt(app: App, pipeline: Pipeline, cases: Cases) -> list[str]:
    """Warns where a run has learnt from some of the cases, or of their groups, and says the same."""
    known = str(pipeline.recognized(cases))
    told = [f"{known}; the figures flatter it"] if known else []
    for text in told:
        app.watch(mmfuse.Notice(text, "warning"))
    return told


def count_look(app: App, opened: Run, test: ScoreTable) -> None:
    """Counts this look at these test cases on this machine, and says how many there were, by how many specs."""
    try:
        spec = mmfuse.spec_digest(opened.spec_tree)
    except mmfuse.RunError:
        spec = str(opened.folder)  # its plan is lost: it counts as one of its own
    app.watch(mmfuse.Notice(f"{mmfuse.Ledger().add(test, spec)} on this machine"))


def count_opening(app: App, run: Path) -> None:
    """Writes down that `test` was looked at, and says how often it was."""
    file = run / OPENED
    try:
        times = len(file.read_text(encoding="utf-8").splitlines()) + 1 if file.is_file() else 1
        moment = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"time": moment, "opened": times}) + "\n")
    except OSError as error:
        app.watch(mmfuse.Notice(f"{file}: this opening of `test` could not be counted: {error.strerror}", "warning"))
        return
    words = "the first time" if times == 1 else f"time {times}"
    app.watch(mmfuse.Notice(f"`test` of this run is opened, {words}"))
