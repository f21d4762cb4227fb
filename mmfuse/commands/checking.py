"""`check`: whether a spec can be carried out, what it would do, and whether the table is what its card says."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

import mmfuse
from mmfuse.commands.app import App, Command
from mmfuse.commands.flow import flow
from mmfuse.commands.given import (
    FILE,
    card_of,
    card_option,
    holds_card,
    load_cases,
    load_spec,
    refuse_idle,
    sets_option,
)
from mmfuse.commands.listing import json_option
from mmfuse.show import Screen

if TYPE_CHECKING:
    from mmfuse import Cases, Finding, Plan, Spec, Steps

LEVELS = {"info": "what the table holds", "warning": "look at these", "error": "mend these first"}
"""Headings of an audit, the gravest last, where the eye is."""


@click.command(cls=Command)
@click.argument("spec")
@click.argument("cases", required=False, type=FILE)
@sets_option
@card_option
@click.option("--files/--no-files", default=True, show_default=True, help="Decode and compare every image.")
@click.option("--probe", "probes", is_flag=True, help="Ask what labels could be read from in full, images included.")
@json_option
@click.pass_context
def check(
    context: click.Context,
    spec: str,
    cases: Path | None,
    sets: Sequence[str],
    card: Path | None,
    files: bool,
    probes: bool,
    wants_json: bool,
) -> None:
    """Validate a plan, show its flow, audit a table.

    SPEC is a plan, a recipe's name or a complete spec. It is printed whole, then what it would do and what CASES hold.
    All faults come at once. Without CASES and --card, a plan that holds no card is checked by itself.
    """
    if probes and cases is None:
        raise click.UsageError("--probe asks a table: name CASES")
    if cases is None:
        refuse_idle(context, "no table is looked at: name CASES", ("files",))
    app: App = context.obj
    complete = holds_card(spec, app.catalog)
    if cases is not None and not (complete and card is None):
        card = card_of(cases, card)
    if card is None and not complete:
        _check_plan(app, spec, sets, wants_json)
        return
    loaded = load_spec(app, spec, card, sets, "train", "pretrain")
    told: dict[str, Any] = {"spec": tomllib.loads(mmfuse.dump(loaded))}
    if cases is None:
        section, findings = loaded.card.split, _silent(loaded.plan) + _nowhere(loaded.plan)
        has_valid = bool(section.column) or "valid" in section.fractions
        split = np.array(["train", "valid"] if has_valid else ["train"])
    else:
        table = load_cases(cases, loaded.card, (card or cases).parent)
        split = mmfuse.assign(table, loaded.card.split, app.watch)
        with app.working():
            findings = mmfuse.audit(table, split, files=files, watch=app.watch) + mmfuse.resolution(table, split)
            findings += mmfuse.cautions(loaded, table, split) + _sets(loaded, table)
            findings += _silent(loaded.plan) + as_findings(mmfuse.stage_faults(loaded.plan))
            if mmfuse.starts_from_somewhere(loaded.plan):
                more = as_findings(mmfuse.start_faults(loaded, table, np.flatnonzero(split == "train")))
                findings += [one for one in more if one not in findings]
            findings += as_findings(mmfuse.seen_faults(loaded, table, split, app.watch))
            findings += mmfuse.probe(table, split, files=files, quick=not probes, watch=app.watch)
    steps = mmfuse.Pipeline(loaded, catalog=app.catalog).steps(split)
    told |= {"networks": steps.networks, "stages": steps.stages, "findings": [vars(one) for one in findings]}
    if wants_json:
        app.screen.json(told)
    else:
        app.screen.text(mmfuse.dump(loaded))
        show_plan(app.screen, loaded, steps, has_valid=bool((split == "valid").any()))
        show_findings(app.screen, findings)
    if any(one.level == "error" for one in findings):
        raise SystemExit(1)


def _sets(spec: Spec, cases: Cases) -> list[Finding]:
    """What keeps the network from reading cells of several images, which only the table tells of."""
    faults, rows = mmfuse.Faults(), cases.rows()
    for modality in mmfuse.wire(spec).encoders:
        part = spec.card.modalities[modality]
        with mmfuse.attributed(part, "`fit` or `apart`", f"modalities.{modality}"):
            several = spec.plan.network != "" and part.is_image and part.fit(rows).apart(rows) is not None
        if several:
            mmfuse.refuse_set(spec.plan.network.fusion, modality, faults)  # type: ignore[union-attr]  # a network
    return as_findings(faults)


def as_findings(faults: mmfuse.Faults) -> list[Finding]:
    """Refusals as errors of an audit."""
    return [mmfuse.Finding("error", fault.where, fault.found, fault.mend) for fault in faults]


def _silent(plan: Plan) -> list[Finding]:
    """A plan that answers nothing; one of pretexts may be for `pretrain` alone."""
    return [] if plan.pretexts else as_findings(mmfuse.unanswered(plan))


def _nowhere(plan: Plan) -> list[Finding]:
    """What can be said of first weights and second stages without cases."""
    weights = as_findings(mmfuse.plan_faults(plan)) if mmfuse.starts_from_somewhere(plan) else []
    return weights + as_findings(mmfuse.stage_faults(plan))


def _check_plan(app: App, plan: str, sets: Sequence[str], wants_json: bool) -> None:
    loaded = mmfuse.load_plan(plan, app.catalog, sets)
    text, findings = mmfuse.dump(loaded), _silent(loaded) + _nowhere(loaded)
    if wants_json:
        app.screen.json({"plan": tomllib.loads(text), "findings": [vars(one) for one in findings]})
    else:
        app.screen.text(text)
        show_findings(app.screen, findings)
    if findings:
        raise SystemExit(1)
    if not wants_json:
        app.screen.text("this plan stands; with CASES or --card its names are checked against what the table holds")


def show_plan(screen: Screen, spec: Spec, steps: Steps, has_valid: bool) -> None:
    """The flow as a tree, how many networks will be trained, and what is learnt after them."""
    screen.tree(flow(spec, mmfuse.wire(spec), has_valid))
    screen.text(f"\nnetworks to be trained: {len(steps.networks)} ({', '.join(steps.networks) or 'none'})")
    if steps.stages:
        screen.text(f"then: {', '.join(steps.stages)}")


def show_findings(screen: Screen, findings: Sequence[Finding]) -> None:
    """An audit, the gravest last."""
    for level, heading in LEVELS.items():
        of_level = [one for one in findings if one.level == level]
        if of_level:
            screen.heading(f"{heading} ({len(of_level)} {level}{'s' if level != 'info' else ''})")
            screen.text("\n".join(f"{number}. {one}" for number, one in enumerate(of_level, 1)))
