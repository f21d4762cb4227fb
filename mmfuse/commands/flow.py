"""The flow of a spec as a tree: encoders → fusion → heads → decisions, what each reads and where it learns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mmfuse
from mmfuse.show import Branch

if TYPE_CHECKING:
    from mmfuse import EncoderLine, NetworkSection, Part, Spec, Wiring


def in_words(part: Part) -> str:
    """`timm(model=resnet50)`: a part's name and the knobs that are not at their default."""
    changed = []
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if field.is_required() or value != field.get_default(call_default_factory=True):
            changed.append(f"{name}={_value(value)}")
    return f"{part.name}({', '.join(changed)})" if changed else part.name


def _value(value: object) -> str:
    if isinstance(value, mmfuse.Part):
        return in_words(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return str(value)


def flow(spec: Spec, wiring: Wiring, has_valid: bool) -> Branch:
    """What flows through a spec. `has_valid`: whether there are `valid` cases, which settles where decisions learn."""
    card = spec.card
    whole = f", each {card.cases.group} whole" if card.cases.group else ""
    labels = ", ".join(f"{name} ({len(line.classes)} classes)" for name, line in card.labels.items())
    branches = [Branch(f"labels: {labels or 'none'}")]
    branches += _modalities(spec, wiring)
    if spec.plan.network != "":
        branches += _network(spec, spec.plan.network, wiring, has_valid)
    branches += _decisions(wiring, has_valid)
    if wiring.all_sources:
        branches.append(Branch(f"answer: {wiring.answer}"))
    positive = {label.name: card.labels[label.name].positive or label.positive for label in card.label_set}
    for name, rule in spec.plan.prediction.operating_points.items():
        place = "fitted on valid" if has_valid else "not fitted, as there is no valid"
        branches.append(Branch(f"{name} is called {positive[name]} at {rule}, {place}"))
    return Branch(f"{card.cases.case_is} by {card.cases.id}{whole}", tuple(branches))


def _modalities(spec: Spec, wiring: Wiring) -> list[Branch]:
    made = []
    for name, modality in spec.card.modalities.items():
        if name in wiring.encoders:
            line_name, line = wiring.encoders[name]
            fate = f" → {in_words(line.part)}, {_learning(line)}"
            if line.share:
                tied = [
                    other for other, (theirs, _) in wiring.encoders.items() if theirs == line_name and other != name
                ]
                fate += f", one module with {', '.join(tied)}" if tied else ""
        else:
            readers = [decision.name for decision in wiring.decisions if name in decision.features]
            fate = f" → read by {', '.join(readers)}" if readers else " → not used"
        made.append(Branch(f"{name}: {in_words(modality)}{fate}"))
    return made


def _learning(line: EncoderLine) -> str:
    # a part that does not say how to start has no weights of its own
    has_none = line.weights == "pretrained" and type(line.part).start is mmfuse.Encoder.start
    start = "from new weights" if has_none or line.weights == "none" else f"from {line.weights} weights"
    if line.frozen is True:
        return f"frozen, {start}"
    held = f", held fixed: {', '.join(line.frozen)}" if line.frozen else ""
    return f"trained {start}{held}"


def _network(spec: Spec, network: NetworkSection, wiring: Wiring, has_valid: bool) -> list[Branch]:
    plan = spec.plan
    made = []
    for name, (line, modalities) in zip(plan.augment, wiring.augment, strict=True):
        tied = ", one draw for all" if len(modalities) > 1 else ""
        still = [m for m in modalities if m in wiring.encoders and wiring.encoders[m][1].frozen is True]
        views = plan.training.feature_views
        kept = f"{views} views kept of each image" if views > 1 else "not augmented"
        frozen = f" (frozen {', '.join(still)}: {kept})" if still else ""
        told = f"{in_words(line.part)} on {', '.join(modalities) or 'nothing'}{tied}{frozen}"
        made.append(Branch(f"augment {name}: {told}"))
    if network.fusion != "" and len(wiring.encoders) > 1:
        needs = ", ".join(network.fusion.needs)
        made.append(Branch(f"fusion: {in_words(network.fusion)} of {', '.join(wiring.encoders)}, reads {needs}"))
    if network.head != "":
        made.append(Branch(f"head: {in_words(network.head)} → {wiring.sources[0]}"))
        if wiring.sources[1:]:
            made.append(Branch(f"side heads: → {', '.join(wiring.sources[1:])}"))
        made.append(Branch(_training(spec, wiring, has_valid)))
    return [Branch("network", tuple(made))]


def _training(spec: Spec, wiring: Wiring, has_valid: bool) -> str:
    training = spec.plan.training
    loss = in_words(training.loss) if training.loss != "" else "cross-entropy"
    words = f"learns on train: {loss}, {training.epochs} epochs"
    if has_valid and training.best.metric:
        metric = training.best.metric if isinstance(training.best.metric, str) else training.best.metric.name
        words += f", keeps the epoch with the best {metric} of {', '.join(wiring.best_sources)} on valid"
    else:
        words += ", keeps the last"
    return words


def _decisions(wiring: Wiring, has_valid: bool) -> list[Branch]:
    made = []
    for decision in wiring.decisions:
        kind = "second stage" if decision.is_stage else "decision"
        reads = ", ".join([*decision.reads, *(f"features of {name}" for name in decision.features)])
        place = decision.learns_on(has_valid)
        honest = " (out of fold)" if place == "train" else ""
        if decision.line.learn == "valid-reused":
            honest = " (reused: figures on valid are optimistic)"
        made.append(
            Branch(
                f"{decision.name}: {kind} {in_words(decision.line.part)}",
                (Branch(f"reads {reads or 'nothing'}"), Branch(f"learns on {place}{honest}")),
            )
        )
    return made
