"""Whether what a network says of a case depends on the cases beside it: then a prediction is not the case's own."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmfuse.events import Notice, Watch
from mmfuse.net.batches import Index, NetworkData, read_batch
from mmfuse.net.network import FusionNetwork
from mmfuse.net.views import IDENTITY

TOLERANCE = 1e-3
"""Relative to the largest value; kernels for other batch sizes round otherwise by far less."""

CASES = 7
"""As many are looked at, at most: fewer than a batch."""


def warn_of_neighbours(network: FusionNetwork, data: NetworkData, index: Index, watch: Watch) -> None:
    """Tell `watch` which step says another thing of a case where another case is beside it, in eval mode.

    Statistics of the batch (a batch norm without running ones, a mean over cases) do so. The one of the first cases of
    `index` that has most modalities is looked at among two halves of the others; the network is left in eval mode.
    """
    some = np.asarray(index[:CASES])
    if len(some) < 3:
        return
    network.eval()
    counts = torch.stack([*read_batch(data, some).present.values()]).sum(dim=0)
    looked_at = int(counts.argmax())
    others = np.delete(some, looked_at)
    halves = others[: len(others) // 2], others[len(others) // 2 :]
    first, second = (_said(network, data, np.concatenate([some[[looked_at]], half])) for half in halves)
    for step, given in first.items():
        one, other = given[:1], second[step][:1]
        # NaN: both abstain, as who is present is the same
        moved = float((one - other).nan_to_num().abs().max()) if one.numel() else 0.0
        if moved > TOLERANCE * max(1.0, float(one.nan_to_num().abs().max()) if one.numel() else 1.0):
            found = f"what {step} says of a case moves with the case beside it (by {moved:.2g})"
            why = "it uses statistics of the batch in eval mode, so a prediction depends on what is predicted with it"
            watch(Notice(f"{found}: {why}", "warning"))
            return


def _said(network: FusionNetwork, data: NetworkData, index: Index) -> dict[str, Tensor]:
    """{step: (cases, …)}, in the order of the flow."""
    batch = read_batch(data, index).to(next(network.parameters()).device)
    with torch.inference_mode():
        outputs = network(batch.inputs, batch.present, batch.known_of(IDENTITY))
    told = {f"the encoder of '{m}'": features.vector for m, features in outputs.features.items()}
    told["the fusion"] = outputs.fused.vector
    return told | {f"the head of '{source}'": scores.logits for source, scores in outputs.scores.items()}
