"""Which keys of a plan do nothing for a job: who sets such a key believes something that is not so, and is told.

Only keys that are set by hand (`--set`) are judged: a plan's file may serve several jobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from mmfuse.errors import Faults
from mmfuse.spec import PretextLine, Spec, TrainingSection
from mmfuse.wiring import Wiring, wire

Job = Literal["train", "compare", "pretrain", "embed"]

_LENGTHS = ("epochs", "batch", "lr")
"""What a step of pretraining may have of its own."""


def without_effect(specs: Sequence[Spec], sets: Sequence[str], jobs: Sequence[Job]) -> Faults:
    """Return the keys among `sets` (`KEY=VALUE`) that do nothing in any of these specs, for any of these jobs."""
    faults = Faults()
    wanted = [
        (spec, job) for spec in specs for job in jobs if job != "pretrain" or spec.plan.pretexts or len(jobs) == 1
    ]
    judged = [(spec, wire(spec), job) for spec, job in wanted]
    for text in sets:
        key = ".".join(step.strip() for step in text.partition("=")[0].split("."))
        reasons = [_reason(key, spec, wiring, job) for spec, wiring, job in judged]
        if reasons and all(reasons):
            why = "; ".join(dict.fromkeys(reasons))
            steps = next((spec.plan.pretexts for spec, _, job in judged if job == "pretrain"), {})
            own = key.removeprefix("training.")
            mend = f"--set pretexts.{next(iter(steps))}.{own}=…" if steps and own in _LENGTHS else "leave it out"
            faults.add(f"--set {key}", f"has no effect: {why}", "a key that does something here", mend)
    return faults


def _reason(key: str, spec: Spec, wiring: Wiring, job: Job) -> str:
    """Why a key does nothing; empty: it does something."""
    for idle, why in _idle(spec, wiring, job):
        if key == idle or key.startswith(f"{idle}."):
            return why
    return ""


def _idle(spec: Spec, wiring: Wiring, job: Job) -> Iterable[tuple[str, str]]:
    """(key or section, why it does nothing), the general ones first."""
    if job != "pretrain":
        yield "pretexts", "`mmfuse pretrain` alone reads it"
    if job == "embed":
        for key in ("augment", "decisions", "split", "network.fusion", "network.head", "network.side_heads",
                    "network.weights"):  # fmt: skip
            yield key, "only encoders run, at their first weights, and read every case"
    if job == "pretrain":
        yield "decisions", "pretraining makes no predictions"
    if job in ("pretrain", "embed"):
        for key in ("prediction.views", "prediction.operating_points"):
            yield key, "nothing is predicted"
    yield from _idle_network(spec, wiring)
    yield from _idle_training(spec, wiring, job)
    yield from _idle_knobs(spec, wiring)
    yield from _idle_lines(spec, wiring, job)
    yield from _idle_split(spec, job)


def _idle_network(spec: Spec, wiring: Wiring) -> Iterable[tuple[str, str]]:
    if not wiring.encoders:
        for key in ("augment", "prediction.views", "prediction.batch"):
            yield key, "the plan has no network"
    if not any(spec.card.modalities[modality].is_image for modality in wiring.encoders):
        yield "prediction.views", "no image is encoded"
    if len(wiring.encoders) == 1:
        yield "network.side_heads", "one modality alone is encoded"
    if spec.plan.network != "":
        used = {word for word, _ in wiring.encoders.values()}
        for word in spec.plan.network.encoders:
            if word not in used:
                yield f"network.encoders.{word}", "no modality of the card is read by this line"


def _training(why: str, keys: Iterable[str]) -> Iterable[tuple[str, str]]:
    return ((f"training.{key}", why) for key in keys)


def _idle_training(spec: Spec, wiring: Wiring, job: Job) -> Iterable[tuple[str, str]]:
    every = set(TrainingSection.model_fields)
    if job == "embed":
        yield from _training("nothing learns", every - {"frozen_precision", "cache_limit"})
    elif not wiring.encoders:
        yield from _training("the plan has no network", every - {"folds"})
    elif job == "pretrain":
        labels = "loss", "best", "patience", "folds", "serve", "sampling"
        yield from _training("pretraining reads no label and keeps the last epoch", labels)
        yield from _training("pretraining does not use it", ("frozen_precision", "feature_views", "shard"))
        for key in _LENGTHS:
            if spec.plan.pretexts and all(_has(line, key) for line in spec.plan.pretexts.values()):
                yield f"training.{key}", f"each step of [pretexts] has `{key}` of its own"
    else:
        yield "training.transductive", "`mmfuse pretrain` alone reads it"
        if not wiring.sources:
            kept = {"frozen_precision", "cache_limit", "folds"}
            yield from _training("the network has no head: nothing learns", every - kept)


def _idle_knobs(spec: Spec, wiring: Wiring) -> Iterable[tuple[str, str]]:
    """Knobs of training that another knob, or the encoders, leave without work."""
    section = spec.plan.training
    if not section.best.metric:
        yield from _training("no metric chooses the epoch: training.best.metric is empty", ("patience", "best.sources"))
    if section.average != "ema":
        yield "training.ema_decay", "training.average is not 'ema'"
    if section.average != "swa":
        yield "training.swa_share", "training.average is not 'swa'"
    if section.schedule == "constant" and not section.warmup:
        yield "training.schedule_by", "the rate is constant"
    if len(wiring.encoders) == 1:
        yield "training.modality_dropout", "one modality alone is encoded, and one is always kept"
    frozen = {modality for modality, (_, line) in wiring.encoders.items() if line.frozen is True}
    images = {modality for modality in wiring.encoders if spec.card.modalities[modality].is_image}
    if not frozen:
        yield from _training("no encoder is frozen", ("cache_limit",))
    if not frozen & images:
        yield from _training("no encoder of images is frozen", ("frozen_precision", "feature_views"))
    if not images - frozen:
        yield "training.compile", "no encoder of images learns"


def _has(line: PretextLine, key: str) -> bool:
    return bool(dict(line)[key])


def _idle_lines(spec: Spec, wiring: Wiring, job: Job) -> Iterable[tuple[str, str]]:
    """Lines whose part never comes to work."""
    still = {modality for modality, (_, line) in wiring.encoders.items() if line.frozen is True}
    draws = spec.plan.training.feature_views > 1 and job != "pretrain"
    for name, (_, modalities) in zip(spec.plan.augment, wiring.augment, strict=True):
        encoded = [modality for modality in modalities if modality in wiring.encoders]
        if not encoded:
            yield f"augment.{name}", "no image that it names is encoded"
        elif still.issuperset(encoded) and not draws:
            yield f"augment.{name}", "the encoders of its images are frozen and read each once (training.feature_views)"
    for word, line in wiring.encoders.values():
        if line.frozen is True and line.pool != "attention":
            yield f"network.encoders.{word}.lr", "the encoder is frozen"
            yield f"network.encoders.{word}.layer_decay", "the encoder is frozen"


def _idle_split(spec: Spec, job: Job) -> Iterable[tuple[str, str]]:
    split = spec.card.split
    drawn = split.labelled < 1 or job == "compare"  # the share that is learnt from, and outer folds
    if split.column:
        for key in ("fractions", "stratify", "by", "leave_out", "values", *(() if drawn else ("seed",))):
            yield f"split.{key}", f"the column '{split.column}' decides alone"
    elif split.by:
        yield "split.stratify", f"cases are cut by the dates of '{split.by}'"
    if not split.leave_out:
        yield "split.values", "no column is left out (split.leave_out)"
