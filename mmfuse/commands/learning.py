"""`train` and `demo`: a plan is carried out on cases, and what came of it is shown."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

import mmfuse
from mmfuse.commands.app import App, JointCommand
from mmfuse.commands.figures import show_figures
from mmfuse.commands.flow import flow
from mmfuse.commands.given import (
    FILE,
    card_of,
    card_option,
    device_option,
    load_cases,
    load_spec,
    sets_option,
    tell_notes,
)
from mmfuse.commands.keeping import identity_of, kept_work, take
from mmfuse.show import Screen, duration

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmfuse import Cases, Pipeline


@click.command(cls=JointCommand)
@click.argument("plan")
@click.argument("cases", type=FILE)
@click.option("--out", required=True, type=FILE, help="The run folder; it must not exist.")
@sets_option
@card_option
@device_option
@click.option("--seed", type=int, help="The one number that all randomness comes from.  [default: the plan's, else 0]")
@click.option("--resume", is_flag=True, help="Go on where an interrupted training of this run stopped.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and what it would cost, and stop.")
@click.pass_obj
def train(
    app: App,
    plan: str,
    cases: Path,
    out: Path,
    sets: Sequence[str],
    card: Path | None,
    device: str,
    seed: int | None,
    resume: bool,
    dry_run: bool,
) -> None:
    """Carry out a plan on cases; write a run.

    PLAN is a file or a recipe's name. What it will cost, and where, is told first; then every network, decision and
    second stage is fitted; at the end stand the figures on `valid`.
    """
    if not dry_run:
        take(app, out)
    mmfuse.refuse_existing(out)
    card = card_of(cases, card)
    sets = [*sets, *([] if seed is None else [f"seed={seed}"])]
    spec = load_spec(app, plan, card, sets, "train")
    mmfuse.unanswered(spec.plan).raise_as(mmfuse.SpecError)
    table = load_cases(cases, spec.card, card.parent)
    tell_notes(app, table)
    for found in mmfuse.number_labels(spec.card.labels):
        app.watch(mmfuse.Notice(f"{found.where} {found.text}; {found.mend}", "warning"))
    pipeline = mmfuse.Pipeline(spec, catalog=app.catalog, device=device, watch=app.watch)
    pipeline.watch.fit = mmfuse.FitName(run=out.name)
    split = mmfuse.assign(table, spec.card.split, app.watch)
    if not app.is_quiet or dry_run:
        show_cost(app.screen, pipeline, table, split, device)
    mmfuse.stage_faults(spec.plan).raise_as(mmfuse.SpecError)
    if dry_run:
        mmfuse.start_faults(spec, table, np.flatnonzero(split == "train")).raise_as(mmfuse.SpecError)
        mmfuse.seen_faults(spec, table, split, app.watch).raise_as(mmfuse.SpecError)
        app.screen.text(f"\ndry run: nothing was trained, {out} was not written")
        return
    began = time.perf_counter()
    about = identity_of(app, pipeline.spec, table, split, device)
    with app.working(), kept_work(app, out, about, resume) as work:
        pipeline.fit(table, split, work=work)
        if mmfuse.launched()[0]:
            return
        pipeline.save(out)
    show_outcome(app.screen, pipeline)
    app.screen.text(f"\n{out}: written after {duration(time.perf_counter() - began)}")
    app.screen.text(f"next:  mmfuse evaluate {out}    mmfuse predict {out} CASES --out FILE")


def show_cost(screen: Screen, pipeline: Pipeline, cases: Cases, split: NDArray, device: str) -> None:
    """What fitting will do: the flow, how many networks, epochs and cases, and on which device."""
    steps = pipeline.steps(split)
    sizes = {name: int((split == name).sum()) for name in ("train", "valid", "test")}
    outside = len(cases) - sum(sizes.values())
    counts = ", ".join(f"{count} {name}" for name, count in sizes.items())
    screen.tree(flow(pipeline.spec, pipeline.wiring, has_valid=sizes["valid"] > 0))
    screen.text(f"\ncases: {len(cases)} ({counts}{f', {outside} in no split' if outside else ''})")
    epochs = pipeline.spec.plan.training.epochs
    if steps.networks:
        work = epochs * sum(_learning_cases(pipeline, cases, split, steps.networks))
        screen.text(f"networks to be trained: {len(steps.networks)} ({', '.join(steps.networks)})")
        screen.text(f"cost: {epochs} epochs at most, each of up to {sizes['train']} cases: {work:,} passes of one case")
    else:
        screen.text("networks to be trained: none")
    if steps.stages:
        screen.text(f"then: {', '.join(steps.stages)}")
    if pipeline.wiring.encoders:
        screen.text(f"where: {where(device)}")


def _learning_cases(pipeline: Pipeline, cases: Cases, split: NDArray, networks: Sequence[str]) -> list[int]:
    """How many training cases each network learns from: all of them, or all but its fold's."""
    folds, train = pipeline.spec.plan.training.folds, split == "train"
    count = int(train.sum())
    if isinstance(folds, mmfuse.FoldColumn):
        held_out = [int((train & (cases.table[folds.column] == value)).sum()) for value in folds.predict]
        names = [f"fold {number}" for number in range(1, len(held_out) + 1)]
        by_fold = dict(zip(names, held_out, strict=True))
    else:
        by_fold = {name: round(count / folds) for name in networks if name != "network"}
    return [count - by_fold.get(name, 0) for name in networks]


def where(word: str) -> str:
    """The device, and why it was chosen."""
    device = str(mmfuse.choose_device(word))
    if word != "auto":
        return f"{device}, as asked for by --device"
    return f"{device}, the CUDA device that torch found" if device != "cpu" else "cpu, as torch found no CUDA device"


def show_outcome(screen: Screen, pipeline: Pipeline) -> None:
    """Figures on `valid`; where there is none, on `train` out of fold, if anything speaks about it."""
    scores = pipeline.scores
    if scores is None:
        return
    on = "valid" if (scores.split == "valid").any() else "train"
    evaluation = mmfuse.evaluate(scores, on=on, metrics=pipeline.catalog.metrics(), points=pipeline.points)
    if on == "train":
        screen.text("\nno `valid` cases: out-of-fold figures on `train` instead")
    show_figures(screen, evaluation, pipeline.wiring.answer)
    for remark in pipeline.remarks:
        screen.text(f"to be known: {remark}")
