"""`check`: whether a spec can be carried out, what it would do, and whether the table is what its card says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

import mmfuse
from mmfuse.commands.app import App, Command
from mmfuse.commands.flow import flow
from mmfuse.commands.given import FILE, card_of, card_option, holds_card, load_cases, load_spec, sets_option

if TYPE_CHECKING:
    from mmfuse import Cases, Spec, Steps, Wiring
    from mmfuse.show import Screen


@click.command(cls=Command)
@click.argument("spec")
@click.argument("cases", required=False, type=FILE)
@sets_option
@card_option
@click.pass_obj
def check(app: App, spec: str, cases: Path | None, sets: Sequence[str], card: Path | None) -> None:
    """Validate a plan, show its flow, audit a table.

    SPEC is a plan, a recipe's name or a complete spec. It is printed whole, then what it would do and what CASES hold.
    All faults come at once. Without CASES and --card, a plan that holds no card is checked by itself.
    """
    if cases is not None and (card is not None or not holds_card(spec, app.catalog)):
        card = card_of(cases, card)
    if card is None and not holds_card(spec, app.catalog):
        app.screen.text(mmfuse.dump(mmfuse.load_plan(spec, app.catalog, sets)))
        app.screen.text("this plan stands; with CASES or --card its names are checked against what the table holds")
        return
    loaded = load_spec(spec, card, app.catalog, sets)
    wiring = mmfuse.wire(loaded)
    app.screen.text(mmfuse.dump(loaded))
    if cases is None:
        show_plan(app, loaded, wiring)
    else:
        show_cases(app, loaded, wiring, load_cases(cases, loaded.card, (card or cases).parent))


def show_plan(app: App, spec: Spec, wiring: Wiring) -> None:
    """The flow and the networks to be trained, as far as they are known without a table."""
    section = spec.card.split
    has_valid = bool(section.column) or "valid" in section.fractions
    app.screen.tree(flow(spec, wiring, has_valid))
    split = np.array(["train", "valid"] if has_valid else ["train"])
    show_networks(app.screen, mmfuse.Pipeline(spec, catalog=app.catalog).steps(split))
    if section.column:
        app.screen.text(f"(if column '{section.column}' puts cases into valid; with CASES this is looked up)")


def show_networks(screen: Screen, steps: Steps) -> None:
    """How many networks will be trained, and what is learnt after them."""
    screen.text(f"\nnetworks to be trained: {len(steps.networks)} ({', '.join(steps.networks) or 'none'})")
    if steps.stages:
        screen.text(f"then: {', '.join(steps.stages)}")


def show_cases(app: App, spec: Spec, wiring: Wiring, cases: Cases) -> None:
    """The flow, the networks to be trained, and the audit of the table."""
    split = mmfuse.assign(cases, spec.card.split, app.watch)
    app.screen.tree(flow(spec, wiring, has_valid=bool((split == "valid").any())))
    show_networks(app.screen, mmfuse.Pipeline(spec, catalog=app.catalog).steps(split))
