"""Networks fitted to cases, and honest scores of those cases (law 2): each training case is spoken about by a network
that did not see it, every other one by the network of all training cases, or by the folds' networks together."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.aside import aside
from mmfuse.data.folds import given_folds
from mmfuse.data.splits import given_split
from mmfuse.data.weighing import case_weights
from mmfuse.errors import RunError, SpecError
from mmfuse.events import Notice, StepEnded, StepStarted, Watch, silent
from mmfuse.formats.npz_files import Npz
from mmfuse.labels import Ints
from mmfuse.learnt import save_arrays
from mmfuse.metrics import METRICS
from mmfuse.net.answering import RawScores, blank_scores
from mmfuse.net.assembling import Assembler, augmented, fit_readers, known_once
from mmfuse.net.batch_independence import warn_of_neighbours
from mmfuse.net.devices import choose_device, frozen_precision, ready
from mmfuse.net.fitted import FittedNetwork, Member, mean_scores, views_of
from mmfuse.net.gathering import done_already, joined, part
from mmfuse.net.network import FusionNetwork
from mmfuse.net.training import Trained, train_network
from mmfuse.net.weights import start_weights
from mmfuse.spec import Spec
from mmfuse.wiring import FUSED, Wiring
from mmfuse.work import Work

if TYPE_CHECKING:
    import torch

    from mmfuse.data.cases import Cases

Index = NDArray[np.integer]

CHECKPOINT, SPOKEN = "checkpoint.safetensors", "scores.npz"
"""In a network's folder of the work: where its training stands, and, once it is done, what it said."""


@dataclass(frozen=True)
class _Job:
    """One network to be trained."""

    name: str
    learns: Index
    speaks: Index
    """The training cases that it speaks about out of fold."""
    serves: bool
    """Whether it speaks about cases outside `train`, now and later."""


def fit_network(
    spec: Spec,
    wiring: Wiring,
    cases: Cases,
    split: NDArray[np.object_],
    folds: Ints | None,
    *,
    device: str = "auto",
    watch: Watch = silent,
    work: Work | None = None,
) -> tuple[FittedNetwork, RawScores]:
    """Trains every network that is needed; returns those that serve, and {source: (views, n, columns)} raw logits of
    `cases`.

    `split` (n,) of `train`, `valid`, `test` or empty. `folds` (n,): training case i with folds[i] = f ≥ 0 is spoken
    about by the network of all training cases whose fold is not f; where it is -1, or `folds` is None, training cases
    get NaN. Readers are fitted for each network on its own training cases. Valid cases choose the best epoch of every
    network; `test` is only predicted. Networks that are done in `work` are read there, and what is half done goes on.
    Processes that are joined part when the networks stand.

    Raises: SpecError where parts do not fit, nothing learns or a loss is not finite; TableError for cells that cannot
    be read, and a split or folds that tear a group.
    """
    where, split = choose_device(device), given_split(split, cases)
    jobs = _jobs(spec, wiring, split, None if folds is None else given_folds(folds, cases, split))
    done = done_already(work, [job.name for job in jobs])
    inputs = Assembler(spec, wiring, cases, watch)
    others, valid = aside(np.flatnonzero(split != "train")), aside(np.flatnonzero(split == "valid"))
    served, beside = list[RawScores](), list[RawScores]()
    fitted = FittedNetwork(spec, wiring, {})
    scores: RawScores = {}
    _tell_unaugmented(spec, wiring, watch)
    for number, job in enumerate(jobs, 1):
        watch(StepStarted(job.name, number, len(jobs)))
        began = time.perf_counter()
        speaking = aside(np.concatenate([job.speaks, others if job.serves else valid]))
        if work is not None and job.name in done:
            member, given = _read_done(work, job, spec, wiring, device)
        else:
            checkpoint = None if work is None else work.step(job.name) / CHECKPOINT
            member = _fit_member(spec, wiring, cases, inputs, job, valid, where, watch, checkpoint)
            given = fitted.speak(member, inputs, speaking, watch)
            if work is not None and joined()[0] == 0:
                _write_done(work, job, spec, wiring, member, given)
        if not scores:
            views = len(views_of(spec, wiring, member.readers))
            scores = blank_scores(wiring.sources, views, len(cases), cases.labels.columns)
        for source, array in given.items():
            scores[source][:, job.speaks] = array[:, : len(job.speaks)]
        rest = {source: array[:, len(job.speaks) :] for source, array in given.items()}
        (served if job.serves else beside).append(rest)
        if job.serves:
            fitted.members[job.name] = member
        watch(StepEnded(job.name, time.perf_counter() - began))
    part()
    for source, array in mean_scores(served, cases.labels).items():
        scores[source][:, others] = array
    if beside and len(valid) and FUSED in scores:
        watch(Notice(_drift(scores[FUSED][:, valid], mean_scores(beside, cases.labels)[FUSED], cases, valid)))
    return fitted, scores


def _jobs(spec: Spec, wiring: Wiring, split: NDArray, folds: Ints | None) -> list[_Job]:
    train = aside(np.flatnonzero(split == "train"))
    nobody = train[:0]
    if not len(train):
        raise SpecError("no case is `train`", "training cases", "look at [split]", "split")
    fold = np.full(len(split), -1) if folds is None else np.asarray(folds)
    numbers = np.unique(fold[train][fold[train] >= 0]) if wiring.sources else nobody
    by_folds = spec.plan.training.serve == "folds" and len(numbers) > 0
    jobs = [] if by_folds else [_Job("network", train, nobody, True)]
    for number in numbers.tolist():
        mine = fold[train] == number
        if mine.all():
            raise SpecError(
                f"fold {number + 1} holds every training case",
                "two or more folds",
                "look at training.folds",
                "training",
            )
        jobs.append(_Job(f"fold {number + 1}", train[~mine], train[mine], by_folds))
    return jobs


def _fit_member(
    spec: Spec,
    wiring: Wiring,
    cases: Cases,
    inputs: Assembler,
    job: _Job,
    valid: Index,
    device: torch.device,
    watch: Watch,
    checkpoint: Path | None,
) -> Member:
    readers = fit_readers(spec, wiring, cases, job.learns)
    shapes = {modality: reader.shape for modality, reader in readers.items()}
    views = views_of(spec, wiring, readers)
    network = FusionNetwork(spec, wiring, shapes, cases.labels, job.name)
    start_weights(network, spec, wiring, watch)
    ready(network, device)
    network.frozen_precision = frozen_precision(spec.plan.training.frozen_precision, device)
    trained = Trained(0, 0, float("nan"), frozenset())
    if wiring.sources:
        data = inputs.data(network, readers, views, np.concatenate([job.learns, job.speaks]))
        trained = train_network(
            network,
            data,
            job.learns,
            valid,
            spec=spec,
            wiring=wiring,
            labels=cases.labels,
            device=device,
            watch=watch,
            name=job.name,
            checkpoint=checkpoint,
            weights=case_weights(cases),
        )
        if joined()[1] == 1 and job.name in ("network", "fold 1"):  # networks of one plan are alike
            warn_of_neighbours(network, data, job.learns, watch)
    return Member(network, readers, trained, tuple(cases.labels.counts(cases.targets[job.learns]).tolist()))


def _write_done(work: Work, job: _Job, spec: Spec, wiring: Wiring, member: Member, given: RawScores) -> None:
    place = work.step(job.name)
    try:
        FittedNetwork(spec, wiring, {job.name: member}).save(place)
        save_arrays(place / SPOKEN, given)
        work.done(job.name, beside=(CHECKPOINT,))
    except OSError as error:
        found = f"cannot be written: {error.strerror or error}"
        raise RunError(found, "room for what is done", "free space; then --resume goes on", str(place)) from error
    (place / CHECKPOINT).unlink(missing_ok=True)


def _read_done(work: Work, job: _Job, spec: Spec, wiring: Wiring, device: str) -> tuple[Member, RawScores]:
    place = work.found(job.name)
    member = FittedNetwork.load(place, spec, wiring, device).members[job.name]
    mend = f"remove {place}: this network is then trained anew"
    with Npz(place / SPOKEN, expected="scores of the network", mend=mend) as file:
        return member, {source: file.read(source, "f", (None, None, None)) for source in file}


def _drift(served: NDArray, beside: NDArray, cases: Cases, valid: Index) -> str:
    """How the network that serves differs from those whose out-of-fold scores stages learn from, on the same `valid`
    cases."""
    labels = cases.labels
    p, q = (labels.softmax(array.astype(np.float64)).mean(axis=0) for array in (served, beside))
    apart = np.nanmean(np.abs(p - q))
    losses = [np.nanmean(METRICS["log-loss"](given, cases.targets[valid], labels, None)) for given in (p, q)]
    sure = [np.nanmean([given[:, part].max(axis=1) for part in labels.slices.values()]) for given in (p, q)]
    return (
        f"served and out-of-fold networks on {len(valid)} valid cases: probabilities differ by {apart:.3f} on average; "
        f"log loss {losses[0]:.3f} served, {losses[1]:.3f} out of fold; "
        f"mean top probability {sure[0]:.2f} and {sure[1]:.2f}"
    )


def _tell_unaugmented(spec: Spec, wiring: Wiring, watch: Watch) -> None:
    still = sorted(m for m in augmented(wiring) if m in wiring.encoders and known_once(wiring, m))
    views = spec.plan.training.feature_views
    if still and views > 1:
        words = f"as it is and under {views - 1} fixed augmented draws; each epoch reads one of these {views} of a case"
        watch(Notice(f"{', '.join(still)}: encoded once by a frozen encoder, {words}"))
    elif still:
        mend = "training.feature_views = 4 would keep four views of each image"
        watch(Notice(f"{', '.join(still)}: encoded once by a frozen encoder, so not augmented; {mend}"))
