"""A network's raw scores for some cases: eval mode, full precision on every device, all test-time views of one
reading."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mmfuse.events import Progress, Watch, silent
from mmfuse.net.batches import Index, NetworkData, in_order, read_ahead, read_batch
from mmfuse.net.network import FusionNetwork
from mmfuse.net.views import IDENTITY, VIEWS

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
) -> RawScores:
    """Logits for the cases at `index`, in its order. The network is left in eval mode. Never in half precision: what a
    run predicts should not depend on the device beyond rounding."""
    network.eval()
    device = next(network.parameters()).device
    scores = blank_scores(network.sources, len(views), len(index), network.columns)
    done = 0
    jobs = in_order(index, batch)
    with torch.inference_mode():
        for given in read_ahead(lambda some: read_batch(data, some, views, pin=device.type == "cuda"), jobs):
            on_device = given.to(device)
            for i, view in enumerate(views):
                inputs = {m: VIEWS[view](t) if m in data.images else t for m, t in on_device.inputs.items()}
                outputs = network(inputs, on_device.present, on_device.vectors_of(view))
                for source, given_scores in outputs.scores.items():
                    scores[source][i, done : done + len(given)] = given_scores.logits.float().cpu().numpy()
            done += len(given)
            watch(Progress("predicting", done, len(index)))
    return scores


def blank_scores(sources: Sequence[str], views: int, cases: int, columns: int) -> RawScores:
    """Scores of which nothing is said yet."""
    return {source: np.full((views, cases, columns), np.nan, np.float32) for source in sources}
