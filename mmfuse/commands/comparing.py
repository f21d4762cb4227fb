"""`compare`: several plans on the same cases, beside simpler answers and controls; and how a study looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

import mmfuse
from mmfuse.commands.app import App, Command
from mmfuse.commands.given import (
    FILE,
    card_of,
    card_option,
    device_option,
    refuse_idle,
    sets_option,
    tell_shadowed,
    was_given,
)
from mmfuse.commands.keeping import take
from mmfuse.commands.standing import HEADLINES, show_study, write_tables
from mmfuse.commands.transferring import (
    TRANSFER,
    Asked,
    Tables,
    compare_tables,
    pairs,
    show_transfer,
    tables_options,
)

if TYPE_CHECKING:
    from mmfuse import Card
    from mmfuse.show import Screen

TABLES = (".csv", ".tsv", ".txt", ".parquet", ".xlsx")
"""What a table of cases ends with; no plan does."""


@click.command(cls=Command)
@click.argument("words", nargs=-1, metavar="[PLAN]... CASES")
@click.option("--out", required=True, type=FILE, metavar="STUDY", help="The study's folder; what stands there is used.")
@click.option("--vary", multiple=True, metavar="KEY=[…]", help="Each plan with each of these values. Repeatable.")
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Fits of each variant.")
@click.option("--folds", type=click.IntRange(min=2), help="Outer folds, drawn outside `test`.  [default: the split]")
@click.option("--refold", type=click.Choice(["outside-test", "all"]), default="outside-test", show_default=True,
              help="What outer folds are drawn from; `all` takes the test cases too.")  # fmt: skip
@click.option("--metric", default="macro-auc", show_default=True, help="What is compared.")
@click.option(
    "--select", default="", metavar="METRIC", help="Choose one variant by it; the headline is its test result."
)
@click.option("--select-on", type=click.Choice(["auto", "valid", "inner"]), default="auto", show_default=True,
              help="Where it is chosen: `valid`, inner folds of `train`; auto: `valid` if there is one.")  # fmt: skip
@click.option("--inner", type=click.IntRange(min=0), default=3, show_default=True,
              help="Inner folds of `train`, where something is chosen on them; 0: none.")  # fmt: skip
@click.option("--delta", type=float, default=0.02, show_default=True, help="The largest difference that is none.")
@click.option("--with", "outside", multiple=True, metavar="NAME=FILE", help="Predictions made elsewhere. Repeatable.")
@click.option("--networks-only", is_flag=True, help="Leave out the plans' decisions and second stages.")
@click.option("--baselines/--no-baselines", default=True, help="Simpler answers beside.  [default: yes]")
@click.option("--controls/--no-controls", default=True, help="What else explains a gain, beside.  [default: yes]")
@tables_options
@click.option("--on", default="", metavar="ray[:ADDRESS]", help="Fit as tasks of Ray, many at once: on this machine, or"
              " on the cluster at ADDRESS.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would be fitted, look at first weights, and stop.")
@click.option("--show", is_flag=True, help="Show the study as it stands; nothing is fitted.")
@sets_option
@card_option
@device_option
@click.pass_context
def compare(
    context: click.Context,
    words: tuple[str, ...],
    out: Path,
    vary: tuple[str, ...],
    seeds: int,
    folds: int | None,
    refold: str,
    metric: str,
    select: str,
    select_on: str,
    inner: int,
    delta: float,
    outside: tuple[str, ...],
    networks_only: bool,
    baselines: bool,
    controls: bool,
    train: Path | None,
    test: Path | None,
    tables: tuple[str, ...],
    test_on: Literal["all", "test"] | None,
    local_ids: bool,
    on: str,
    dry_run: bool,
    show: bool,
    sets: Sequence[str],
    card: Path | None,
    device: str,
) -> None:
    """Compare plans, and say what the data allow to be said.

    The first PLAN is the reference. All variants get the same cases and splits; beside them stand each modality alone,
    metadata only, logistic regressions on the same frozen features, and controls. What is in STUDY already is not
    fitted again. Without a PLAN, predictions given by --with are compared. With --train and --test plans learn on one
    table and are tested on another; with --tables each is carried out on each.
    """
    app: App = context.obj
    asked = Asked(words, vary, tuple(sets), networks_only, device, on)
    given = Tables(train, test, tables, test_on, local_ids)
    _refuse_idle(context, words)
    if show:
        _show(app, asked, given, out, metric if was_given(context, "metric") else "")
        return
    design = mmfuse.Design(
        seeds=seeds, folds=folds or 0, refold=refold, baselines=baselines, controls=controls, metric=metric,
        select=select, select_on=select_on, inner=inner, delta=delta,
    )  # fmt: skip
    mmfuse.check_metric(metric, app.catalog)
    mmfuse.check_metric(design.chooses_by, app.catalog)
    if dry_run:
        _dry_run(app, asked, given, out, design, pairs("--with", outside), card)
        return
    _begin(app, out)
    if given.asked:
        _refuse_beside(words, given, outside, card)
        done = compare_tables(app, asked, given, out, design)
    else:
        done = _one_table(app, asked, given, out, design, pairs("--with", outside), card)
    if not done:
        context.exit(1)


def _show(app: App, asked: Asked, given: Tables, out: Path, metric: str) -> None:
    """What stands in a folder, of one table or of several; nothing is fitted."""
    if asked.plans or given.asked:
        raise click.UsageError("--show takes no plans and no cases: it shows what stands in --out")
    if (out / TRANSFER).is_file():
        show_transfer(app, mmfuse.Transfer.load(out), metric)
        return
    study = mmfuse.Study.load(out)
    show_study(app.screen, study, mmfuse.judge(study, metric, catalog=app.catalog))


def _refuse_beside(words: Sequence[str], given: Tables, outside: Sequence[str], card: Path | None) -> None:
    """Raises: UsageError for what does not go with several tables."""
    if not words:
        raise click.UsageError("nothing to compare: give a PLAN")
    tables = [word for word in words if Path(word).suffix.lower() in TABLES]
    if tables:
        raise click.UsageError(f"{tables[0]} stands among the plans: tables are given by options here")
    if given.tables and (given.train or given.test):
        raise click.UsageError("give --tables or --train and --test")
    if outside:
        raise click.UsageError("--with speaks of one table: compare it there, with CASES behind the plans")
    if card:
        raise click.UsageError("--card belongs to one table: with several each has its card beside it")


def _one_table(
    app: App,
    asked: Asked,
    given: Tables,
    out: Path,
    design: mmfuse.Design,
    outside: Mapping[str, Path],
    card: Path | None,
) -> bool:
    """Plans and what else speaks, on one table; whether nothing failed."""
    if given.on or given.local_ids:
        raise click.UsageError("--test-on and --local-ids speak of another table: give --test or --tables")
    if not asked.plans:
        raise click.UsageError("give CASES, and the plans before it")
    if len(asked.plans) == 1 and not outside:
        raise click.UsageError("nothing to compare: give a PLAN before CASES, or --with NAME=FILE")
    if (out / TRANSFER).is_file():
        raise mmfuse.RunError("is a comparison over several tables", "a study of one", "another --out", str(out))
    study = run(app, asked, out, design, outside, card)
    judgement = mmfuse.judge(study, catalog=app.catalog)
    show_study(app.screen, study, judgement)
    write_tables(out, judgement)
    files = ["study.json", "comparison.csv", "differences.csv", *([HEADLINES] if judgement.headlines else [])]
    app.screen.text(f"\n{out}: {', '.join(files)}; again: mmfuse compare --out {out} --show")
    return not study.failed


def _dry_run(
    app: App,
    asked: Asked,
    given: Tables,
    out: Path,
    design: mmfuse.Design,
    outside: Mapping[str, Path],
    card: Path | None,
) -> None:
    """What would be fitted. Raises: SpecError where first weights of a plan are nowhere."""
    if given.asked:
        raise click.UsageError("--dry-run speaks of one table: try each table with CASES behind the plans")
    named, table, known, root = read(app, asked, card)
    plan = mmfuse.plan_comparison(
        named, table, known, root, out, design, outside=outside, catalog=app.catalog, watch=app.watch
    )
    show_comparison(app.screen, plan)
    faults, split = mmfuse.Faults(), mmfuse.assign(plan.cases, known.split)
    for line in plan.lines:
        if line.role == "variant" and line.spec is not None and mmfuse.starts_from_somewhere(line.spec.plan):
            more = mmfuse.start_faults(line.spec, plan.cases, line.learns)
            more += [] if design.folds else mmfuse.seen_faults(line.spec, plan.cases, split, app.watch)
            faults += [one for one in more if one not in faults]
    faults.raise_as(mmfuse.SpecError)
    app.screen.text(f"\ndry run: nothing was fitted, {out} was not written")


def show_comparison(screen: Screen, plan: mmfuse.ComparisonPlan) -> None:
    """Each line of a comparison, and how much is left to be fitted."""
    rows = [(line.name, line.role, line.networks, line.fits, line.standing) for line in plan.lines]
    screen.table(("", "role", "networks a fit", "fits", "stand already"), rows)
    left = sum((line.fits - line.standing) * line.networks for line in plan.lines)
    fits = sum(line.fits - line.standing for line in plan.lines)
    screen.text(f"\nto be fitted: {fits} fits, {left} networks")
    for note in plan.notes:
        screen.text(note)


def read(app: App, asked: Asked, card: Path | None) -> tuple[Sequence[mmfuse.Variant], mmfuse.Table, Card, Path]:
    """The variants that were named, the table (the last of the words), its card, and the folder of paths."""
    if not asked.plans:
        raise click.UsageError("give CASES, and the plans before it")
    table = Path(asked.plans[-1])
    card_file = card_of(table, card)
    named = mmfuse.varied(
        asked.plans[:-1], card_file, asked.vary, catalog=app.catalog, sets=asked.sets,
        networks_only=asked.networks_only,
    )  # fmt: skip
    for variant in named:
        tell_shadowed(app, variant.spec)
    sets = [*asked.sets, *asked.vary]
    mmfuse.without_effect([variant.spec for variant in named], sets, ["compare"]).raise_as(mmfuse.SpecError)
    known = named[0].spec.card if named else mmfuse.load_card(card_file, app.catalog)
    return named, mmfuse.read_table(table, known.cases.missing), known, card_file.parent


def run(
    app: App, asked: Asked, out: Path, design: mmfuse.Design, outside: Mapping[str, Path], card: Path | None
) -> mmfuse.Study:
    """Reads what was named and carries the comparison out; the last of the words is the table."""
    named, table, known, root = read(app, asked, card)
    if design.refold == "all" and design.folds:
        app.screen.text("outer folds are drawn from all cases, `test` included: it is no longer held out")
    with app.working(), asked.workers(app) as workers:
        return mmfuse.compare(
            named, table, known, root, out, design,
            outside=outside, catalog=app.catalog, device=asked.device, watch=app.watch, workers=workers,
        )  # fmt: skip


def _begin(app: App, out: Path) -> None:
    take(app, out)
    app.interrupted = f"interrupted; what was fitted is kept in {out}: the same command goes on from there"


def _refuse_idle(context: click.Context, words: Sequence[str]) -> None:
    """Raises: UsageError for options that do nothing beside the others."""
    given, every = context.params, {param.name or "" for param in context.command.params}
    several = given["train"] or given["test"] or given["tables"]
    if given["show"]:
        refuse_idle(
            context, "--show fits nothing", every - {"words", "out", "show", "metric", "train", "test", "tables"}
        )
        return
    if len(words) == 1 and not several:
        idle = {"vary", "sets", "seeds", "networks_only", "baselines", "controls", "inner", "on", "device"}
        refuse_idle(context, "no PLAN is fitted", idle)
    if not given["folds"]:
        refuse_idle(context, "no outer folds are drawn: give --folds", {"refold"})
    if not given["select"] and not given["baselines"]:
        refuse_idle(context, "nothing is chosen on inner folds", {"inner"})
