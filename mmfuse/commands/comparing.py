"""`compare`: several plans on the same cases, beside simpler answers and controls; and how a study looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

import mmfuse
from mmfuse.commands.app import App, Command
from mmfuse.commands.given import FILE, card_of, card_option, device_option, sets_option
from mmfuse.commands.standing import show_study, write_tables


@click.command(cls=Command)
@click.argument("words", nargs=-1, metavar="[PLAN]... CASES")
@click.option("--out", required=True, type=FILE, metavar="STUDY", help="The study's folder; what stands there is used.")
@click.option("--vary", multiple=True, metavar="KEY=[…]", help="Each plan with each of these values. Repeatable.")
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Fits of each variant.")
@click.option("--folds", type=click.IntRange(min=2), help="Outer folds, drawn outside `test`.  [default: the split]")
@click.option("--refold", type=click.Choice(["outside-test", "all"]), default="outside-test", show_default=True,
              help="What outer folds are drawn from; `all` takes the test cases too.")  # fmt: skip
@click.option("--metric", default="macro-auc", show_default=True, help="What is compared.")
@click.option("--select", default="", metavar="METRIC", help="Choose one variant on `valid`; the headline is its test.")
@click.option("--delta", type=float, default=0.02, show_default=True, help="The largest difference that is none.")
@click.option("--with", "outside", multiple=True, metavar="NAME=FILE", help="Predictions made elsewhere. Repeatable.")
@click.option("--networks-only", is_flag=True, help="Leave out the plans' decisions and second stages.")
@click.option("--baselines/--no-baselines", default=True, help="Simpler answers beside.  [default: yes]")
@click.option("--controls/--no-controls", default=True, help="What else explains a gain, beside.  [default: yes]")
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
    delta: float,
    outside: tuple[str, ...],
    networks_only: bool,
    baselines: bool,
    controls: bool,
    show: bool,
    sets: Sequence[str],
    card: Path | None,
    device: str,
) -> None:
    """Compare plans, and say what the data allow to be said.

    The first PLAN is the reference. All variants get the same cases and splits; beside them stand each modality alone,
    metadata only, logistic regressions on the same frozen features, and controls. What is in STUDY already is not
    fitted again. Without a PLAN, predictions given by --with are compared.
    """
    app: App = context.obj
    if show:
        if words:
            raise click.UsageError("--show takes no plans and no cases: it shows what stands in --out")
        study = mmfuse.Study.load(out)
        chosen = metric if _given(context, "metric") else study.design.metric
        show_study(app.screen, study, mmfuse.judge(study, chosen))
        return
    if not words:
        raise click.UsageError("give CASES, and the plans before it")
    *plans, table = words
    if not plans and not outside:
        raise click.UsageError("nothing to compare: give a PLAN before CASES, or --with NAME=FILE")
    design = mmfuse.Design(
        seeds=seeds, folds=folds or 0, refold=refold, baselines=baselines, controls=controls, metric=metric,
        select=select, delta=delta,
    )  # fmt: skip
    mmfuse.check_metric(metric)
    mmfuse.check_metric(design.chooses_by)
    app.interrupted = f"interrupted; what was fitted is kept in {out}: the same command goes on from there"
    study = run(app, plans, Path(table), out, design, vary, _named(outside), networks_only, sets, card, device)
    judgement = mmfuse.judge(study)
    show_study(app.screen, study, judgement)
    write_tables(out, judgement)
    app.screen.text(f"\n{out}: study.json, comparison.csv, differences.csv; again: mmfuse compare --out {out} --show")
    if study.failed:
        context.exit(1)


def run(
    app: App,
    plans: Sequence[str],
    table: Path,
    out: Path,
    design: mmfuse.Design,
    vary: Sequence[str],
    outside: Mapping[str, Path],
    networks_only: bool,
    sets: Sequence[str],
    card: Path | None,
    device: str,
) -> mmfuse.Study:
    """Reads what was named and carries the comparison out."""
    card_file = card_of(table, card)
    named = mmfuse.varied(plans, card_file, vary, catalog=app.catalog, sets=sets, networks_only=networks_only)
    known = named[0].spec.card if named else mmfuse.load_card(card_file, app.catalog)
    if design.refold == "all" and design.folds:
        app.screen.text("outer folds are drawn from all cases, `test` included: it is no longer held out")
    with app.working():
        return mmfuse.compare(
            named, mmfuse.read_table(table, known.cases.missing), known, card_file.parent, out, design,
            outside=outside, catalog=app.catalog, device=device, watch=app.watch,
        )  # fmt: skip


def _named(words: Sequence[str]) -> dict[str, Path]:
    """{name: file} of `NAME=FILE` words."""
    found: dict[str, Path] = {}
    for word in words:
        name, equals, file = word.partition("=")
        if not equals or not name.strip() or not file.strip():
            raise click.UsageError(f"--with {word!r}: expected NAME=FILE, as in dermatologists=readers.csv")
        if name.strip() in found:
            raise click.UsageError(f"--with {name.strip()} is given twice")
        found[name.strip()] = Path(file.strip())
    return found


def _given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
