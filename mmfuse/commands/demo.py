"""`demo`: the main job on the embedded cohort, whose best possible answers are known."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

import mmfuse
from mmfuse.commands.app import App, Command
from mmfuse.commands.figures import METRICS, show_figures
from mmfuse.commands.given import FILE, device_option
from mmfuse.commands.keeping import take
from mmfuse.commands.learning import show_cost
from mmfuse.commands.preparing import adapter, write_tidy
from mmfuse.show import Cell, duration

if TYPE_CHECKING:
    from mmfuse import Pipeline, ScoreTable

SYNERGY = "diagnosis"
"""The label of the cohort that only the two images together answer."""


@click.command(cls=Command)
@click.option("--out", type=FILE, help="Keep the run here, and the cohort in OUT-cohort.  [default: keep nothing]")
@click.option("--cases", "count", type=click.IntRange(min=60), default=600, show_default=True, help="Lesions to draw.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the cohort and the training."
)
@device_option
@click.pass_obj
def demo(app: App, out: Path | None, count: int, seed: int, device: str) -> None:
    """Do the main job on cases with a known answer.

    It draws a cohort (two image modalities and metadata), trains the recipe `demo`, and evaluates on held-out cases
    beside an ideal observer.
    """
    began = time.perf_counter()
    if out is not None:
        take(app, out)
        mmfuse.refuse_existing(out)
        app.interrupted = f"interrupted; {out} was not written"
    with _cohort_folder() if out is None else nullcontext(f"{out}-cohort") as folder:
        release, table = Path(folder), Path(folder) / "cases.csv"
        with app.working():
            drawn = adapter("synthetic", [f"cases={count}", f"seed={seed}", "size=64"], app.catalog).tidy(release)
            write_tidy(drawn, release, table, app.catalog)
        app.screen.text(f"drawn: {count} lesions, each from afar (clinic), close up (derm), with metadata (meta)")
        spec = mmfuse.load("demo", table.with_suffix(".toml"), catalog=app.catalog, sets=[f"seed={seed}"])
        cases = mmfuse.Cases.load(table, spec.card)
        pipeline = mmfuse.Pipeline(spec, catalog=app.catalog, device=device, watch=app.watch)
        pipeline.watch.fit = mmfuse.FitName(run="" if out is None else out.name)
        split = mmfuse.assign(cases, spec.card.split)
        show_cost(app.screen, pipeline, cases, split, device)
        with app.working():
            pipeline.fit(cases, split)
            if out is not None:
                pipeline.save(out)
        assert pipeline.scores is not None
        ideal = ideal_observer(pipeline.scores, release / "truth.csv")
    evaluation, best = mmfuse.evaluate(pipeline.scores, on="test"), mmfuse.evaluate(ideal, on="test")
    made = mmfuse.intervals(pipeline.scores, on="test", metrics=METRICS)
    show_figures(app.screen, evaluation, pipeline.wiring.answer, made)
    show_beside_ideal(app, pipeline, evaluation, best)
    app.screen.text(f"\nall in {duration(time.perf_counter() - began)}")
    if out is not None:
        app.screen.text(f"kept: {out} (the run), {release} (the cohort)")
        app.screen.text(f"next: mmfuse predict {out} {table} --out predictions.csv")


def _cohort_folder() -> AbstractContextManager[Path]:
    """A folder that is gone at the end, or, where this process is killed, with the next demo."""
    return mmfuse.scratch_folder(Path(tempfile.gettempdir()) / "mmfuse-demo")


def ideal_observer(scores: ScoreTable, truth: Path) -> ScoreTable:
    """What an observer who knows how the cohort was made says about each case, by subset of modalities.

    The rule is the one that is best for balanced accuracy: the class whose probability most exceeds its prior.
    """
    told = mmfuse.read_table(truth)
    row = {case: index for index, case in enumerate(told["lesion_id"])}
    index = np.array([row[case] for case in scores.ids.tolist()])
    columns = scores.labels.column_names
    subsets = dict.fromkeys(name.split(":")[1] for name in told.names if name.startswith("ideal:"))
    sources = {}
    for subset in subsets:
        p = np.stack([told.numbers(f"ideal:{subset}:{column}")[index] for column in columns], axis=1)
        sources[subset] = (np.log(np.maximum(p, 1e-12)) - np.log(scores.prior))[None]
    return dataclasses.replace(scores, sources=sources)


def show_beside_ideal(app: App, pipeline: Pipeline, evaluation: dict[str, Any], best: dict[str, Any]) -> None:
    """Balanced accuracy of every source beside what is possible with the modalities it sees."""
    rows: list[tuple[Cell, ...]] = []
    for label in evaluation["counts"]:
        for source, figures in evaluation["sources"].items():
            sees = "+".join(pipeline.wiring.sees(source))
            possible = best["sources"][sees][label]["balanced-accuracy"]
            rows.append((label, source, sees, figures[label]["balanced-accuracy"], possible))
    app.screen.heading("balanced accuracy beside the ideal observer of the same modalities")
    app.screen.table(("label", "source", "sees", "reached", "ideal"), rows)
    app.screen.text("On few cases chance may lift a source above the ideal; over many cohorts none stays there.")
    scores = pipeline.scores
    assert scores is not None
    app.screen.text(f"\n{SYNERGY}, which only the images together answer, balanced accuracy:")
    for name in pipeline.wiring.encoders:
        gap = mmfuse.paired_difference(scores, "fused", name, metric="balanced-accuracy", label=SYNERGY)
        app.screen.text(f"fused minus {name} alone: {gap}, of {gap.groups} patients")
