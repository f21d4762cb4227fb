"""The plan's names resolved against the card, before anything is built: group words expanded, every name checked.

A modality's `use` stands for all modalities of that use that have no line of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from mmfuse.attribution import attributed
from mmfuse.errors import Faults, SpecError, nearest
from mmfuse.metrics import read_rule
from mmfuse.naming import FUSED, TRIVIAL, label_faults, name_faults, source_faults
from mmfuse.parts import DecisionFusion, Metric, Modality, SecondStage, refuse_set
from mmfuse.spec import AugmentLine, DecisionLine, EncoderLine, Spec


class WiredDecision(NamedTuple):
    """A decision or second stage with its names resolved."""

    name: str
    line: DecisionLine
    reads: tuple[str, ...]
    features: tuple[str, ...]

    @property
    def is_stage(self) -> bool:
        return isinstance(self.line.part, SecondStage)

    def learns_on(self, has_valid: bool) -> Literal["train", "valid"]:
        """The set it learns on, given whether there are `valid` cases."""
        learn = self.line.learn
        if learn == "auto":
            return "valid" if has_valid and not self.is_stage else "train"
        return "train" if learn == "train" or not has_valid else "valid"


class Wiring(NamedTuple):
    """All names of a spec, resolved."""

    encoders: dict[str, tuple[str, EncoderLine]]
    """{modality: (the line's name, its line)}, in the card's order."""
    augment: tuple[tuple[AugmentLine, tuple[str, ...]], ...]
    sources: tuple[str, ...]
    """What the network gives: `fused`, then the modalities with side heads; nothing without a head."""
    best_sources: tuple[str, ...]
    decisions: tuple[WiredDecision, ...]

    @property
    def answer(self) -> str:
        """The source that is the pipeline's answer: the last decision, else `fused`."""
        return self.decisions[-1].name if self.decisions else FUSED

    @property
    def inputs(self) -> tuple[str, ...]:
        """The modalities that anything reads."""
        featured = [modality for decision in self.decisions for modality in decision.features]
        return tuple(dict.fromkeys([*self.encoders, *featured]))

    @property
    def all_sources(self) -> tuple[str, ...]:
        """The network's sources, then the decisions."""
        return (*self.sources, *(decision.name for decision in self.decisions))

    def sees(self, source: str) -> tuple[str, ...]:
        """The modalities that a source's answers rest on, by way of all that it reads."""
        found = {source} & set(self.encoders) if source != FUSED else set(self.encoders)
        for decision in self.decisions:
            if decision.name == source:
                found = {*decision.features, *(name for read in decision.reads for name in self.sees(read))}
        return tuple(sorted(found))

    def needs_folds(self, has_valid: bool) -> bool:
        """Whether anything learns from the network's scores of training cases."""
        speaks_of_network = set(self.sources)
        needed = False
        for decision in self.decisions:
            touches = bool(speaks_of_network & set(decision.reads))
            needed |= touches and decision.learns_on(has_valid) == "train"
            if touches:
                speaks_of_network.add(decision.name)
        return needed


def wire(spec: Spec, faults: Faults | None = None) -> Wiring:
    """Resolves a spec's names.

    Raises: SpecError with all faults, unless `faults` is given to gather them.
    """
    gathered = Faults() if faults is None else faults
    uses = {name: modality.name for name, modality in spec.card.modalities.items()}
    _check_card(spec, uses, gathered)
    encoders = _encoders(spec, uses, gathered)
    network = spec.plan.network
    has_head = network != "" and network.head != ""
    sources = (
        (FUSED, *(encoders if network.side_heads and len(encoders) > 1 else ())) if has_head and network != "" else ()
    )
    _check_network(spec, uses, encoders, gathered)
    wiring = Wiring(
        encoders,
        tuple(
            (line, _modalities(line.on, uses, f"augment.{name}.on", gathered))
            for name, line in spec.plan.augment.items()
        ),
        sources,
        _best_sources(spec, sources, uses, encoders, gathered),
        _decisions(spec, sources, uses, encoders, gathered),
    )
    _check_operating_points(spec, gathered)
    for name, (line, modalities) in zip(spec.plan.augment, wiring.augment, strict=True):
        for modality in modalities:
            if not spec.card.modalities[modality].is_image:
                gathered.add(
                    f"augment.{name}.on", f"'{modality}' is no image", f"images, which '{line.part.name}' changes"
                )
    if faults is None:
        gathered.raise_as(SpecError)
    return wiring


def _check_operating_points(spec: Spec, faults: Faults) -> None:
    for label, text in spec.plan.prediction.operating_points.items():
        where = f"prediction.operating_points.{label}"
        if label not in spec.card.labels:
            faults.add(where, f"no label is called '{label}'", mend=nearest(label, spec.card.labels))
        try:
            read_rule(text)
        except SpecError as error:
            faults += [replace(fault, where=where) for fault in error.faults]


def _check_card(spec: Spec, uses: dict[str, str], faults: Faults) -> None:
    card = spec.card
    faults += label_faults(card)
    faults += name_faults(card, spec.plan.prediction.operating_points)
    label_columns = {line.column or name: name for name, line in card.labels.items()}
    for name, modality in card.modalities.items():
        if name in {*uses.values(), FUSED, *TRIVIAL}:
            faults.add(
                f"modalities.{name}",
                f"a modality is called '{name}', which is a group word or a source",
                mend="give it another name",
            )
        with attributed(modality, "`columns`", f"modalities.{name}"):
            columns = modality.columns
        for column in columns:
            if column in label_columns:
                faults.add(
                    f"modalities.{name}",
                    f"column '{column}' is the label '{label_columns[column]}'",
                    mend="an input cannot hold the answer",
                )
            elif column in card.columns and card.columns[column].marked:
                known = card.columns[column].known
                mend = f"leave it out, or allow it by name: [columns] {column} = {{ known = …, allow = true }}"
                faults.add(
                    f"modalities.{name}",
                    f"column '{column}' is known {known}",
                    "what is known before the diagnosis",
                    mend,
                )


def _encoders(spec: Spec, uses: dict[str, str], faults: Faults) -> dict[str, tuple[str, EncoderLine]]:
    if spec.plan.network == "":
        return {}
    lines = spec.plan.network.encoders
    for name in lines:
        if name not in uses and name not in uses.values():
            faults.add(
                f"network.encoders.{name}",
                f"no modality and no use is called '{name}'",
                mend=nearest(name, [*uses, *set(uses.values())]),
            )
    chosen = {}
    for modality, use in uses.items():
        line = modality if modality in lines else use
        if line in lines:
            chosen[modality] = (line, lines[line])
    if not chosen and not faults:
        faults.add("network.encoders", "no modality of the card is encoded", f"one of {list(uses)}")
    return chosen


def _check_network(
    spec: Spec, uses: dict[str, str], encoders: dict[str, tuple[str, EncoderLine]], faults: Faults
) -> None:
    network = spec.plan.network
    if network == "":
        if not spec.plan.decisions:
            faults.add(
                "network",
                "neither a network nor a decision",
                "something that predicts",
                "add [network] or [decisions.NAME]",
            )
        return
    if network.fusion == "":
        if len(encoders) > 1 and network.head != "":
            faults.add(
                "network.fusion",
                f"{len(encoders)} modalities are encoded and nothing fuses them",
                mend='fusion = "concat"',
            )
    elif len(encoders) > 1:
        least, most = network.fusion.arity
        if len(encoders) < least or (most and len(encoders) > most):
            found = f"{len(encoders)} encoded modalities: {list(encoders)}"
            faults.add("network.fusion", found, f"{_count(least, most)} for '{network.fusion.name}'")
        with attributed(network.fusion, "`objections` or `lacks`", "network.fusion"):
            objections = network.fusion.objections({name: uses[name] for name in encoders})
            lacks = network.fusion.lacks({name: line.part.gives for name, (_, line) in encoders.items()})
        for objection in objections or lacks:
            faults.add("network.fusion", objection)
    for name in encoders:
        if spec.card.modalities[name].several:
            refuse_set(network.fusion, name, faults)
    if network.head != "" and not spec.card.labels:
        faults.add("network.head", "the card has no labels", "labels for the head to answer", "add [labels]")


def _count(least: int, most: int) -> str:
    return f"{least}" if least == most else f"{least} to {most}" if most else f"{least} or more"


def _best_sources(
    spec: Spec, sources: Sequence[str], uses: dict[str, str], encoders: Mapping[str, object], faults: Faults
) -> tuple[str, ...]:
    if not sources:
        return ()
    best = spec.plan.training.best
    if isinstance(best.metric, Metric) and not faults:
        with attributed(best.metric, "`suits`", "training.best.metric"):
            suits = best.metric.suits(spec.card.label_set)
        if not suits:
            faults.add(
                "training.best.metric", f"'{best.metric.name}' has no meaning for these labels", "another metric"
            )
    if isinstance(best.metric, Metric) and math.isnan(best.metric.ideal):
        faults.add("training.best.metric", f"no '{best.metric.name}' is better than another", "another metric")
    return _sources(best.sources, sources, uses, encoders, "training.best.sources", faults)


def _decisions(
    spec: Spec,
    sources: Sequence[str],
    uses: dict[str, str],
    encoders: dict[str, tuple[str, EncoderLine]],
    faults: Faults,
) -> tuple[WiredDecision, ...]:
    above = list(sources)
    wired = []
    for name, line in spec.plan.decisions.items():
        where = f"decisions.{name}"
        if name in above or name in uses or name in uses.values():
            faults.add(where, f"'{name}' is already a source, a modality or a use", mend="give it another name")
        faults += source_faults(name, where)
        reads = _sources(line.reads, above, uses, encoders, f"{where}.reads", faults)
        named = bool(line.reads) or any(word in uses or word in uses.values() for word in line.features)
        features = _modalities(line.features, uses, f"{where}.features", faults, may_be_empty=named)
        decision = WiredDecision(name, line, reads, features)
        if isinstance(line.part, DecisionFusion) and line.features:
            faults.add(
                f"{where}.features",
                f"decision '{line.part.name}' reads no features",
                "a second stage (svm, logistic, …)",
            )
        if not line.reads and not line.features:
            faults.add(where, "reads nothing", "`reads` of sources above, or `features`")
        if isinstance(line.part, DecisionFusion) and reads:
            least, most = line.part.arity
            if len(reads) < least or (most and len(reads) > most):
                found = f"{len(reads)} sources: {list(reads)}"
                expected = f"{_count(least, most)} for '{line.part.name}'"
                faults.add(f"{where}.reads", found, expected, "put a `mean` before it")
        if decision.is_stage and line.learn in ("valid", "valid-reused"):
            faults.add(f"{where}.learn", f"a second stage learns on '{line.learn}'", "train", "leave `learn` out")
        for modality in features:
            encoded = encoders.get(modality)
            given = spec.card.modalities[modality]
            if isinstance(given, Modality) and given.is_image and (encoded is None or encoded[1].learns):
                how = "whose encoder learns (so does pool = 'attention')" if encoded else "that no encoder reads"
                faults.add(
                    f"{where}.features",
                    f"'{modality}' is an image {how}",
                    "tables, vectors, or images with a frozen encoder",
                    "frozen = true and pool = 'mean' or 'max', or read its side head",
                )
        above.append(name)
        wired.append(decision)
    return tuple(wired)


def _modalities(
    words: Sequence[str], uses: dict[str, str], where: str, faults: Faults, may_be_empty: bool = False
) -> tuple[str, ...]:
    """Modalities that `words` name; a use stands for all of its modalities.

    A builtin use that no modality of this card has stands for none where that is harmless (a recipe's
    `features = ["table"]` on a card without tables).
    """
    found: dict[str, None] = {}
    for word in words:
        if word in uses:
            found[word] = None
        elif word in uses.values():
            found.update({name: None for name, use in uses.items() if use == word})
        elif not (may_be_empty and word in _USES):
            faults.add(
                where, f"no modality and no use is called '{word}'", mend=nearest(word, [*uses, *set(uses.values())])
            )
    return tuple(found)


_USES = ("image", "table", "vector")


def _sources(
    words: Sequence[str],
    known: Sequence[str],
    uses: dict[str, str],
    encoders: Mapping[str, object],
    where: str,
    faults: Faults,
) -> tuple[str, ...]:
    """Sources that `words` name; a use stands for the side heads of its modalities. Where one modality alone is encoded
    there are no side heads: beside `fused`, which is its own, its name and use stand for nothing more."""
    found: dict[str, None] = {}
    for word in words:
        group = [name for name, use in uses.items() if use == word and name in known]
        if word in known:
            found[word] = None
        elif group:
            found.update(dict.fromkeys(group))
        elif len(encoders) == 1 and FUSED in words and word in {*encoders, *(uses[name] for name in encoders)}:
            continue
        elif word in uses.values() or (word in uses and FUSED in known):
            faults.add(
                where,
                f"'{word}' has no side head",
                "sources above: " + ", ".join(known),
                "side_heads = true, and two or more encoded modalities",
            )
        else:
            faults.add(where, f"no source above is called '{word}'", mend=nearest(word, known))
    return tuple(found)
