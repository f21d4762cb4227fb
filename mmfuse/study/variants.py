"""What is compared: plans and their variations, and the simpler answers that each has to beat.

Every variant is a complete spec of its own, derived from the reference by leaving things out, never by another path
of the engine.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mmfuse.catalog import Catalog
from mmfuse.data.table import Table
from mmfuse.errors import SpecError
from mmfuse.parts import DecisionFusion
from mmfuse.spec import AugmentLine, DecisionLine, NetworkSection, Plan, Spec, unanswered
from mmfuse.toml import load, parse_value
from mmfuse.wiring import FUSED, Wiring, wire

Role = Literal["variant", "single", "metadata", "logistic", "control", "outside"]

TABLE = "table"
"""The use of metadata, as plans call it."""

ALONE = " alone"
"""Behind a modality's name: the plan for it by itself."""

LATE = "logistic, late"
"""One logistic regression a modality; their answers are averaged."""

CONCATENATED = "logistic, concatenated"
METADATA = "metadata only"
BESIDE = (METADATA, CONCATENATED, LATE)
"""The names of simpler answers, beside each modality alone."""

WIDE, NARROW = 0.01, 0.1
"""`C` of the logistic regressions: where they read vectors of images, and where they read a table alone."""


@dataclass(frozen=True)
class Variant:
    """Something that is fitted, and what of it is compared."""

    name: str
    role: Role
    spec: Spec
    speakers: Mapping[str, str] = field(default_factory=dict)
    """{name in the comparison: source}; empty: the name speaks by its answer."""
    table: Table | None = None
    """Cases with other cells (a control); None: the cases as they are."""
    seeded: bool = True
    """Whether another seed may give other test scores; else one fit stands for all seeds."""

    @property
    def sources(self) -> dict[str, str]:
        """{name in the comparison: source}."""
        return dict(self.speakers) or {self.name: wire(self.spec).answer}


# ── from the command line ─────────────────────────────────────────────────────────────────────────────────────────────


def varied(
    plans: Sequence[str | Path],
    card: Any,  # noqa: ANN401  # whatever `mmfuse.load` takes
    vary: Sequence[str] = (),
    *,
    catalog: Catalog,
    sets: Sequence[str] = (),
    networks_only: bool = False,
) -> tuple[Variant, ...]:
    """Each plan under every combination of `KEY=[…]`; the first is the reference.

    Raises: SpecError for a text that is no list, a spec that cannot be carried out, or two variants that are one.
    """
    axes = [_axis(text) for text in vary]
    stems = [Path(plan).stem for plan in plans]
    names = [stem if stems.count(stem) == 1 else str(plan) for stem, plan in zip(stems, plans, strict=True)]
    found: dict[str, Variant] = {}
    for name, plan in zip(names, plans, strict=True):
        for chosen in itertools.product(*axes):
            words = [f"{key}={word}" for key, word, _ in chosen]
            spec = load(plan, card, catalog=catalog, sets=[*sets, *words])
            unanswered(spec.plan).raise_as(SpecError)
            told = ", ".join(f"{key.rpartition('.')[2]}={shown}" for key, _, shown in chosen)
            title = f"{name} ({told})" if told else name
            if title in found:
                raise SpecError(f"two variants are called '{title}'", "names that differ", "copy the plan's file")
            found[title] = Variant(title, "variant", network_alone(spec) if networks_only else spec)
    return tuple(found.values())


def _axis(text: str) -> list[tuple[str, str, str]]:
    """(key, value as `--set` takes it, value as it is shown) for each value of `KEY=[…]`."""
    key, _, word = text.partition("=")
    values = parse_value(word.strip())
    if not key.strip() or not isinstance(values, list) or not values:
        raise SpecError(f"--vary {text!r}", "KEY=[VALUE, VALUE …], as in network.fusion=[concat, sum]")
    return [(key.strip(), _as_toml(value), _shown(value)) for value in values]


def _as_toml(value: Any) -> str:  # noqa: ANN401  # any TOML value
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(name)} = {_as_toml(inner)}" for name, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_as_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _shown(value: Any) -> str:  # noqa: ANN401  # any TOML value
    if isinstance(value, Mapping):
        rest = [f"{name} {_shown(inner)}" for name, inner in value.items() if name != "use"]
        return " ".join([str(value.get("use", "")), *rest]).strip()
    return "+".join(map(_shown, value)) if isinstance(value, list) else str(value)


# ── less of a spec ────────────────────────────────────────────────────────────────────────────────────────────────────


def network_alone(spec: Spec) -> Spec:
    """The spec without its decisions. Raises: SpecError where no network answers."""
    if not wire(spec).sources:
        raise SpecError("no network answers in this plan", "a network with a head", "leave out --networks-only")
    return spec.model_copy(update={"plan": spec.plan.model_copy(update={"decisions": {}})})


def restricted(spec: Spec, keep: Collection[str]) -> Spec:
    """The spec with the same knobs for fewer modalities, and only what its answer rests on.

    Where one modality is left its side head is `fused`; a decision of which too little is left gives way to what it
    would have read.

    Raises: SpecError where nothing is left, or a part needs more modalities.
    """
    wiring = wire(spec)
    modalities = {name: modality for name, modality in spec.card.modalities.items() if name in keep}
    encoded = [name for name in wiring.encoders if name in keep]
    network = _network(spec.plan, wiring, encoded)
    kept, answer = _decisions(wiring, encoded, keep, has_head=bool(wiring.sources))
    best = tuple(dict.fromkeys(name if name in encoded and len(encoded) > 1 else FUSED for name in wiring.best_sources))
    training = spec.plan.training
    update = {
        "network": network,
        "augment": _augment(spec.plan, wiring, encoded),
        "training": training.model_copy(
            update={"best": training.best.model_copy(update={"sources": best or (FUSED,)})}
        ),
        "decisions": _resting_on(kept, answer),
    }
    card = spec.card.model_copy(update={"modalities": modalities})
    less = spec.model_copy(update={"card": card, "plan": spec.plan.model_copy(update=update)})
    wire(less)
    return less


def _network(plan: Plan, wiring: Wiring, encoded: Sequence[str]) -> NetworkSection | Literal[""]:
    if plan.network == "" or not encoded:
        return ""
    lines = {name for modality, (name, _) in wiring.encoders.items() if modality in encoded}
    left = {name: line for name, line in plan.network.encoders.items() if name in lines}
    fusion = plan.network.fusion if len(encoded) > 1 else ""
    return plan.network.model_copy(update={"encoders": left, "fusion": fusion})


def _augment(plan: Plan, wiring: Wiring, encoded: Sequence[str]) -> dict[str, AugmentLine]:
    left = {}
    for name, (line, modalities) in zip(plan.augment, wiring.augment, strict=True):
        on = tuple(modality for modality in modalities if modality in encoded)
        if on:
            left[name] = line.model_copy(update={"on": on})
    return left


def _decisions(
    wiring: Wiring, encoded: Sequence[str], keep: Collection[str], has_head: bool
) -> tuple[dict[str, DecisionLine], str]:
    """The decisions that are left, and the source that now stands for the answer."""
    fused = (FUSED,) if encoded and has_head else ()
    standing: dict[str, tuple[str, ...]] = {FUSED: fused}
    for name in wiring.sources[1:]:
        standing[name] = () if name not in encoded else (name,) if len(encoded) > 1 else fused
    kept: dict[str, DecisionLine] = {}
    for decision in wiring.decisions:
        reads = tuple(dict.fromkeys(source for read in decision.reads for source in standing[read]))
        features = tuple(name for name in decision.features if name in keep)
        part = decision.line.part
        least = part.arity[0] if isinstance(part, DecisionFusion) else 0
        if len(reads) < least or not (reads or features):
            standing[decision.name] = reads
            continue
        standing[decision.name] = (decision.name,)
        kept[decision.name] = decision.line.model_copy(update={"reads": reads, "features": features})
    answer = standing[wiring.answer]
    if len(answer) != 1:
        raise SpecError(f"nothing in this plan answers from {', '.join(keep)} alone", "a head, or a second stage")
    return kept, answer[0]


def _resting_on(decisions: Mapping[str, DecisionLine], answer: str) -> dict[str, DecisionLine]:
    """Those that the answer rests on; it is the last of them."""
    needed = {answer}
    for name in reversed(tuple(decisions)):
        if name in needed:
            needed.update(decisions[name].reads)
    return {name: line for name, line in decisions.items() if name in needed}


# ── beside a plan ─────────────────────────────────────────────────────────────────────────────────────────────────────


def singles(reference: Variant) -> list[Variant]:
    """The reference's plan for each of its modalities alone, with the same knobs."""
    wiring = wire(reference.spec)
    names = wiring.sees(wiring.answer)
    if len(names) < 2:
        return []
    return [Variant(f"{name}{ALONE}", "single", restricted(reference.spec, {name})) for name in names]


def metadata(reference: Variant, catalog: Catalog) -> list[Variant]:
    """A logistic regression on all tables of the card, whether the reference reads them or not."""
    tables = [name for name, line in reference.spec.card.modalities.items() if line.name == TABLE]
    if not tables:
        return []
    line = logistic(catalog, tables, NARROW)
    return [Variant(METADATA, "metadata", of_decisions(reference.spec, {"logistic": line}), seeded=False)]


def logistics(reference: Variant, catalog: Catalog) -> list[Variant]:
    """Logistic regressions on what the reference reads, its frozen features included: one of everything, and one a
    modality whose answers are averaged (late).

    Nothing where an encoder learns: then there are no features that all could share.
    """
    spec, wiring = reference.spec, wire(reference.spec)
    names = wiring.sees(wiring.answer)
    frozen = [name for name in names if name in wiring.encoders and wiring.encoders[name][1].frozen is True]
    if any(spec.card.modalities[name].is_image and name not in frozen for name in names):
        return []
    wide = {name: WIDE if name in frozen or not spec.card.modalities[name].columns else NARROW for name in names}
    decisions = {f"logistic-{name}": logistic(catalog, [name], wide[name]) for name in names} if len(names) > 1 else {}
    speakers = {}
    if decisions:
        part = catalog.find("decision", "mean")()
        decisions["late"] = DecisionLine(part=part, reads=tuple(decisions))
        speakers[LATE] = "late"
    decisions["concatenated"] = logistic(catalog, names, min(wide.values()))
    speakers[CONCATENATED] = "concatenated"
    return [Variant("logistic", "logistic", of_decisions(spec, decisions, frozen), speakers, seeded=False)]


def logistic(catalog: Catalog, features: Sequence[str], penalty: float) -> DecisionLine:
    """A logistic regression on `features`. Raises: SpecError where no plugin brings one."""
    part = catalog.find("stage", "logistic")(C=penalty)  # type: ignore[call-arg]  # its knob
    return DecisionLine(part=part, features=tuple(features))


def of_decisions(spec: Spec, decisions: Mapping[str, DecisionLine], frozen: Sequence[str] = ()) -> Spec:
    """A spec of decisions alone, over the vectors of the frozen encoders where some are named."""
    network = _network(spec.plan, wire(spec), frozen) if frozen else ""
    if network != "":
        network = network.model_copy(update={"fusion": "", "head": "", "side_heads": False})
    plan = spec.plan.model_copy(update={"network": network, "augment": {}, "decisions": dict(decisions)})
    made = spec.model_copy(update={"plan": plan})
    wire(made)
    return made
