"""A network's raw scores for some cases: eval mode, full precision on every device, all test-time views of one
reading."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mmfuse.data.aside import room
from mmfuse.data.words import named
from mmfuse.errors import PartError
from mmfuse.events import Meter, Watch, silent
from mmfuse.net.altering import Alter, altered_batch
from mmfuse.net.batches import Batch, Index, NetworkData, in_order, read_batch
from mmfuse.net.gathering import cases_of_all, share
from mmfuse.net.lessons import broken_cases
from mmfuse.net.network import FusionNetwork
from mmfuse.net.sets import changed_rows
from mmfuse.net.views import IDENTITY, VIEWS
from mmfuse.net.working import answering_batch, answers

Bools = NDArray[np.bool_]
RawScores = dict[str, NDArray[np.float32]]
"""{source: (views, cases, columns)}, NaN where the source abstains."""


def answer(
    network: FusionNetwork,
    data: NetworkData,
    index: Index,
    *,
    views: Sequence[str] = (IDENTITY,),
    batch: int = 64,
    watch: Watch = silent,
    altered: Alter | None = None,
    where: str = "the network",
) -> RawScores:
    """Logits for the cases at `index`, in its order. The network is left in eval mode. Never in half precision: what a
    run predicts should not depend on the device beyond rounding. With `altered`, `data` knows no features. Processes
    that are joined answer for a slice each and get all.

    Raises: PartError, naming `where` and the cases, for scores that are not finite although their source has an input.
    """
    index = index[share(len(index))]
    network.eval()
    device = next(network.parameters()).device
    heavy = data.heavy
    jobs = in_order(index, answering_batch(batch, device, heavy))

    def read(some: Index) -> Batch:
        return read_batch(data, some, views, pin=device.type == "cuda")

    def logits(module: FusionNetwork, given: Batch) -> tuple[RawScores, Bools]:
        on_device, found = given.to(device), blank_scores(module.sources, len(views), len(given), module.columns)
        if altered is not None:
            on_device = altered_batch(on_device, data.ids, altered)
        broken = torch.zeros(len(given), dtype=torch.bool, device=device)
        for i, view in enumerate(views):
            images = {m: changed_rows(on_device.inputs[m], VIEWS[view]) for m in data.images if m in on_device.inputs}
            inputs = {**on_device.inputs, **images}
            outputs = module(inputs, on_device.present, on_device.known_of(view))
            for source, scores in outputs.scores.items():
                found[source][i] = scores.logits.cpu().numpy()
            broken |= broken_cases(outputs)
        return found, broken.cpu().numpy()

    broken = np.zeros(len(index), bool)
    out, done = blank_scores(network.sources, len(views), len(index), network.columns), 0
    meter = Meter(watch, "predicting", len(index))
    for job, (found, unsound) in zip(jobs, answers(network, read, logits, jobs, device, heavy), strict=True):
        broken[done : done + len(job)] = unsound
        for source, scores in found.items():
            out[source][:, done : done + len(job)] = scores
        done += len(job)
        meter.add(len(job))
    if broken.any():
        found_there = f"scores that are not finite (NaN or infinite) of cases {named(data.ids[index[broken]])}"
        mend = "look at the inputs of these cases for numbers out of all range; if there are none, train it again"
        raise PartError(found_there, "finite scores where an input is present", mend, where)
    return {source: cases_of_all(scores, 1) for source, scores in out.items()}


def blank_scores(sources: Sequence[str], views: int, cases: int, columns: int) -> RawScores:
    """Scores of which nothing is said yet."""
    return {source: room((views, cases, columns), np.float32, np.nan) for source in sources}
