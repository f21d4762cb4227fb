"""What else could explain a gain: the reference with cells or slots changed so that the tempting explanation is all
that is left. Each control is an ordinary variant over a changed table or card.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mmfuse.catalog import Catalog
from mmfuse.data.cases import Cases
from mmfuse.errors import SpecError
from mmfuse.parts import Modality
from mmfuse.seeds import generator
from mmfuse.spec import Plan, Spec
from mmfuse.study.variants import Variant, logistic, of_decisions, restricted
from mmfuse.wiring import wire

PRESENCE = "presence"
"""The modality of the presence control."""

NAMES = ("presence alone", "frame of the images")
"""Of controls that speak of no one modality."""

MASKED = 0.8
"""Share of each side that is masked, so that only an image's frame is left."""

_PLAIN = 1.0
"""`C` of the logistic regression on a handful of indicators."""


def names_of(modality: str) -> tuple[str, str]:
    """Return the names of the controls that speak of a modality: in all slots, and shuffled."""
    return f"{modality} in all slots", f"{modality} shuffled"


def in_all_slots(reference: Variant, best: str) -> Variant:
    """The best single modality in the slots of all modalities of its use; slots of another use are left out.

    What it gains over the single modality is capacity and ensembling, not the other modality.

    Raises: SpecError where there is no other slot.
    """
    spec, seen = reference.spec, _seen(reference)
    use = spec.card.modalities[best].name
    slots = [name for name in seen if spec.card.modalities[name].name == use]
    if len(slots) < 2:
        raise SpecError(f"'{best}' is the only {use} that the plan reads", "another slot that it could fill")
    less = restricted(spec, slots)
    return Variant(names_of(best)[0], "control", _with(less, dict.fromkeys(slots, spec.card.modalities[best])))


def shuffled(reference: Variant, modality: str, cases: Cases, split: NDArray[np.object_]) -> Variant:
    """A modality's cells exchanged between the cases of each split: it is there, and says nothing about the case.

    Raises: SpecError where its cells cannot be exchanged by themselves.
    """
    parts = reference.spec.card.modalities
    columns = parts[modality].columns
    others = {column for name in _seen(reference) if name != modality for column in parts[name].columns}
    if not columns or set(columns) & others:
        found = "shares columns with another" if columns else "names no columns of the table"
        raise SpecError(f"modality '{modality}' {found}", "columns of its own")
    order = np.arange(len(cases))
    rng = generator(0, "shuffled", modality)
    for word in np.unique(np.asarray(split).astype(str)):
        index = np.flatnonzero(split == word)
        order[index] = rng.permutation(index)
    table = cases.table.with_columns({column: cases.table[column][order] for column in columns})
    return Variant(names_of(modality)[1], "control", reference.spec, table=table)


def presence(reference: Variant, cases: Cases, split: NDArray[np.object_], catalog: Catalog) -> Variant:
    """Nothing but which cells are empty, by logistic regression.

    Raises: SpecError where every training case has the same cells.
    """
    train = split == "train"
    columns = {}
    for name in _seen(reference):
        for column in reference.spec.card.modalities[name].columns:
            empty = np.array([cell is None for cell in cases.table[column]])
            if empty[train].any() and not empty[train].all():
                columns[f"{PRESENCE}:{column}"] = np.where(empty, "empty", "there").tolist()
    if not columns:
        raise SpecError("all training cases have the same cells", "cells that are empty in some")
    part = catalog.find("modality", "table")(categorical=tuple(columns))  # type: ignore[call-arg]  # its knob
    card = reference.spec.card
    card = card.model_copy(update={"modalities": {PRESENCE: part}})
    line = logistic(catalog, [PRESENCE], _PLAIN)
    spec = of_decisions(Spec(card=card, plan=_bare(reference)), {"logistic": line})
    return Variant(NAMES[0], "control", spec, table=cases.table.with_columns(columns), seeded=False)


def frame(reference: Variant, catalog: Catalog) -> Variant:
    """The images with their middle masked: rulers, borders, devices. Other modalities are left out.

    Raises: SpecError where there is no image, or one whose kind takes no steps.
    """
    spec = reference.spec
    images = [name for name in _seen(reference) if spec.card.modalities[name].is_image]
    if not images:
        raise SpecError("the plan reads no image", "images")
    mask = catalog.find("step", "centre-mask")(fraction=MASKED)  # type: ignore[call-arg]  # its knob
    masked = {}
    for name in images:
        part = spec.card.modalities[name]
        steps = dict(part).get("steps")
        if not isinstance(steps, tuple):
            raise SpecError(f"modality '{name}' ({part.name}) takes no steps", "a list of `steps`")
        masked[name] = part.model_copy(update={"steps": (*steps, mask)})
    return Variant(NAMES[1], "control", _with(restricted(spec, images), masked))


def all_but_slots(
    reference: Variant, cases: Cases, split: NDArray[np.object_], catalog: Catalog
) -> list[tuple[str, Callable[[], Variant]]]:
    """(name, maker) of the controls that need no result of others; a maker may refuse."""
    seen = _seen(reference)
    makers: list[tuple[str, Callable[[], Variant]]] = []
    if len(seen) > 1:
        makers += [(f"{name} shuffled", partial(shuffled, reference, name, cases, split)) for name in seen]
    makers.append(("presence alone", partial(presence, reference, cases, split, catalog)))
    if any(reference.spec.card.modalities[name].is_image for name in seen):
        makers.append(("frame of the images", partial(frame, reference, catalog)))
    return makers


def _seen(reference: Variant) -> tuple[str, ...]:
    wiring = wire(reference.spec)
    return wiring.sees(wiring.answer)


def _with(spec: Spec, modalities: dict[str, Modality]) -> Spec:
    card = spec.card.model_copy(update={"modalities": {**spec.card.modalities, **modalities}})
    changed = spec.model_copy(update={"card": card})
    wire(changed)
    return changed


def _bare(reference: Variant) -> Plan:
    return reference.spec.plan.model_copy(update={"network": "", "augment": {}, "decisions": {}})
