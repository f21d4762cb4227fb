"""`pretrain`: a network learns without labels, and is kept as a run that other plans start from."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click

import mmfuse
from mmfuse.commands.app import App, JointCommand
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
from mmfuse.commands.learning import where
from mmfuse.show import Screen, duration


@click.command(cls=JointCommand)
@click.argument("plan")
@click.argument("cases", type=FILE)
@click.option("--out", required=True, type=FILE, help="The run folder; it must not exist.")
@sets_option
@card_option
@device_option
@click.option("--seed", type=int, help="The one number that all randomness comes from.  [default: the plan's, else 0]")
@click.option("--resume", is_flag=True, help="Go on where an interrupted pretraining of this run stopped.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and stop.")
@click.pass_obj
def pretrain(
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
    """Learn without labels; write a run of weights.

    PLAN is a file or a recipe's name, with [pretexts]. All cases but `test` are read, and no label. Then:
    --set network.encoders.image.weights=RUN, RUN#modality, or --set network.weights=RUN for all that fits.
    """
    if not dry_run:
        take(app, out)
    mmfuse.refuse_existing(out)
    card = card_of(cases, card)
    sets = [*sets, *([] if seed is None else [f"seed={seed}"])]
    spec = load_spec(app, plan, card, sets, "pretrain")
    table = load_cases(cases, spec.card, card.parent, labelled=False)
    tell_notes(app, table)
    pretraining = mmfuse.Pretraining(spec, catalog=app.catalog, device=device, watch=app.watch)
    pretraining.watch.fit = mmfuse.FitName(run=out.name)
    split = mmfuse.assign(table, spec.card.split, app.watch)
    if not app.is_quiet or dry_run:
        show_steps(app.screen, spec, len(pretraining.reads(split)), len(table), device)
    if dry_run:
        mmfuse.start_faults(spec, table, pretraining.reads(split)).raise_as(mmfuse.SpecError)
        app.screen.text(f"\ndry run: nothing was learnt, {out} was not written")
        return
    began = time.perf_counter()
    about = identity_of(app, spec, table, split, device)
    with app.working(), kept_work(app, out, about, resume) as work:
        pretraining.fit(table, split, work=work)
        if mmfuse.launched()[0]:
            return
        pretraining.save(out)
    app.screen.text(f"\n{out}: written after {duration(time.perf_counter() - began)}")
    word = next(iter(spec.plan.network.encoders), "image") if spec.plan.network != "" else "image"
    app.screen.text(f"next:  mmfuse train PLAN CASES --out RUN --set network.encoders.{word}.weights={out}")


def show_steps(screen: Screen, spec: mmfuse.Spec, read: int, cases: int, device: str) -> None:
    """Each step of pretraining, and from how many cases it learns."""
    screen.text(f"reads {read} of {cases} cases, without labels; where: {where(device)}")
    rows = []
    for name, line in spec.plan.pretexts.items():
        training = spec.plan.training
        learns = "fusion and heads" if line.hold_encoders else "all that is not frozen"
        rows.append(
            (name, line.part.name, line.epochs or training.epochs, line.batch or training.batch,
             f"{line.lr or training.lr:g}", learns)
        )  # fmt: skip
    screen.table(("step", "objective", "epochs", "batch", "lr", "learns"), rows)
