"""`stress`: what a run's answer suffers when its images are spoilt, by named and seeded corruptions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

import mmfuse
from mmfuse.commands.app import App, Command
from mmfuse.commands.given import FILE, card_option, device_option, new_cases, tell_notes, write_text
from mmfuse.commands.using import count_look, count_opening, tell_learnt, tell_remarks
from mmfuse.show import Cell, Screen, as_json

if TYPE_CHECKING:
    from mmfuse import Cases, Difference, Event, Interval, Pipeline, Run, ScoreTable, Stressed

METRICS = {"accuracy": "accuracy", "macro-auc": "macro AUC", "entropy": "entropy", "calibration-error": "calib. error"}
"""What is shown of each corruption, and the words above the columns."""


@click.command(cls=Command)
@click.argument("run", type=FILE)
@click.argument("cases", type=FILE)
@click.option("--on", type=click.Choice(["test", "valid", "all"]), default="test", show_default=True,
              help="Which of the CASES: those of the run's own split, or all, for new ones.")  # fmt: skip
@click.option("--modality", "modalities", multiple=True, help="An image modality.  [default: each]  Repeatable.")
@click.option("--corruption", "corruptions", multiple=True, metavar="NAME", help="[default: each]  Repeatable.")
@click.option("--source", default="", help="Whose scores.  [default: the run's answer]")
@click.option("--label", default="", help="Of one label.  [default: the mean over the labels]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of what the corruptions draw.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE",
              help="Also write the figures as JSON; - is stdout instead of tables.")  # fmt: skip
@click.option("--list", "listing", is_flag=True, is_eager=True, expose_value=False, help="Show the corruptions.",
              callback=lambda context, _, asked: show_corruptions(context) if asked else None)  # fmt: skip
@card_option
@device_option
@click.pass_obj
def stress(
    app: App,
    run: Path,
    cases: Path,
    on: str,
    modalities: Sequence[str],
    corruptions: Sequence[str],
    source: str,
    label: str,
    seed: int,
    json_file: Path | None,
    card: Path | None,
    device: str,
) -> None:
    """Spoil a run's images and show what its answer suffers.

    Each image modality × corruption × severity, on held-out cases: accuracy, macro AUC, entropy and calibration error,
    each with its paired difference from the same network on clean images. CASES is read again: images are needed.
    """
    opened = mmfuse.Run(run)
    tell_remarks(app, opened)
    pipeline = mmfuse.Pipeline.load(run, catalog=app.catalog, device=device, watch=once(app.watch))
    if label and label not in pipeline.spec.card.labels:
        known = [*pipeline.spec.card.labels]
        expected = f"one of {', '.join(known)}"
        raise mmfuse.SpecError(f"no label is called '{label}'", expected, mmfuse.nearest(label, known), "--label")
    shown = {name: mmfuse.CORRUPTIONS[name] for name in named_corruptions(corruptions)}
    table = tell_notes(app, new_cases(cases, card, pipeline.spec.card, labelled=True))
    chosen = held_out(app, opened, pipeline, table, cases, on)
    with app.working():
        found = mmfuse.stress(pipeline, chosen, shown, source=source, modalities=modalities, seed=seed, watch=app.watch)
    if on == "test":
        count_opening(app, run)
    if on in ("test", "all"):
        count_look(app, opened, found.table)
    tree = as_tree(found, on, label, seed) | {"provenance": list(opened.remarks)}
    if json_file is not None and str(json_file) == "-":
        app.screen.json(tree)
        return
    if json_file is not None:
        write_text(json_file, as_json(tree) + "\n")
    show_stress(app.screen, found, on, label)


def named_corruptions(names: Sequence[str]) -> list[str]:
    """The corruptions that are named, in the order in which they are shown; all where none is.

    Raises: SpecError with each unknown name.
    """
    known, faults = [*mmfuse.CORRUPTIONS], mmfuse.Faults()
    expected = f"one of {', '.join(known)}"
    for name in names:
        if name not in known:
            faults.add("--corruption", f"no corruption is called '{name}'", expected, mmfuse.nearest(name, known))
    faults.raise_as(mmfuse.SpecError)
    return [name for name in known if name in names] if names else known


def once(watch: Callable[[Event], None]) -> Callable[[Event], None]:
    """The watcher, told each notice once and no progress: the network predicts some forty times."""
    told: set[str] = set()

    def tell(event: Event) -> None:
        if isinstance(event, mmfuse.Notice) and event.text not in told:
            told.add(event.text)
            watch(event)

    return tell


def held_out(app: App, opened: Run, pipeline: Pipeline, cases: Cases, path: Path, on: str) -> Cases:
    """Of the cases those of the run's `test` or `valid`; or all, with a warning where the run learnt from some.

    Raises: TableError where none of them is there.
    """
    stored: ScoreTable = opened.scores
    if on == "all":
        tell_learnt(app, pipeline, cases)
        return cases
    wanted = set(stored.ids[stored.split == on].tolist())
    index = np.flatnonzero([case in wanted for case in cases.ids.tolist()])
    if not len(index):
        found = f"none of its {len(cases)} cases is among the {len(wanted)} `{on}` cases of the run"
        raise mmfuse.TableError(found, "the table that the run was trained on", "or --on all, for new cases", str(path))
    if len(index) < len(wanted):
        text = f"{len(wanted) - len(index)} of the run's {len(wanted)} `{on}` cases are not in {path}"
        app.watch(mmfuse.Notice(text, "warning"))
    chosen = cases.take(index)
    if on == "test":  # `valid` has been learnt from as it is
        tell_learnt(app, pipeline, chosen)
    return chosen


def show_corruptions(context: click.Context) -> None:
    """The corruptions, what each does, and its levels."""
    rows = [
        (name, one.about, ", ".join(f"{level:g}" for level in one.levels)) for name, one in mmfuse.CORRUPTIONS.items()
    ]
    Screen().table(("corruption", "what it does", "levels"), rows)
    context.exit(0)


def show_stress(screen: Screen, found: Stressed, on: str, label: str) -> None:
    """A table a modality: the figures on clean images, then under each corruption with their differences."""
    where = "all cases given" if on == "all" else f"`{on}`"
    screen.heading(f"stress of '{found.source}' on {where}: {len(found.table)} cases")
    screen.text(f"label: {label}" if label else "mean over the labels" if len(found.table.labels) > 1 else "")
    titles = [word for name in METRICS.values() for word in (name, "− clean (95 %)")]
    modalities = dict.fromkeys(trial.modality for trial in found.trials)
    for modality in modalities:
        screen.text(f"\n{modality}")
        clean: list[Cell] = ["clean", None, len(found.table)]
        for metric in METRICS:
            clean += [_figure(found.clean(metric, label)), ""]
        rows: list[list[Cell]] = [clean]
        for trial in found.trials:
            if trial.modality == modality:
                told = [found.suffered(trial, metric, label) for metric in METRICS]
                cells = [cell for one in told for cell in (_figure(one.figure), _gap(one.difference))]
                rows.append([trial.corruption, trial.severity, told[0].difference.cases, *cells])
        screen.table(("corruption", "severity", "cases", *titles), rows)
    screen.text(
        f"\ndifferences are of the same cases; intervals over {found.clean('accuracy', label).covers}; of "
        f"{len(found.trials)} corruptions, unadjusted: one interval in 20 misses by chance alone"
    )
    screen.text(
        "a smaller entropy is more certain, not better: where accuracy falls and entropy does not rise, the answer is "
        "wrong with confidence"
    )


def _figure(one: Interval) -> str:
    return "–" if math.isnan(one.value) else f"{one.value:.3f}"


def _gap(one: Difference) -> str:
    if math.isnan(one.value):
        return "–"
    span = "" if math.isnan(one.low) else f" ({one.low:+.2f}…{one.high:+.2f})"
    return f"{one.value:+.3f}{span}"


def as_tree(found: Stressed, on: str, label: str, seed: int) -> dict[str, Any]:
    """All figures as JSON can hold them."""
    trials = []
    for trial in found.trials:
        told = {metric: found.suffered(trial, metric, label) for metric in METRICS}
        trials.append({
            **trial._asdict(),
            "figures": {metric: dataclasses.asdict(one.figure) for metric, one in told.items()},
            "differences": {metric: dataclasses.asdict(one.difference) for metric, one in told.items()},
        })  # fmt: skip
    clean = {metric: dataclasses.asdict(found.clean(metric, label)) for metric in METRICS}
    about = {"on": on, "cases": len(found.table), "source": found.source, "label": label, "seed": seed}
    return {**about, "corruptions": {name: one.about for name, one in mmfuse.CORRUPTIONS.items()},
            "clean": clean, "trials": trials}  # fmt: skip
