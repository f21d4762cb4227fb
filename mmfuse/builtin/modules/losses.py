"""What the builtin losses build: a term a cell (source, case, label), averaged in one place (`SourceMean`).

Labels are laid out as (labels, classes of the largest), so that all sources and labels are one computation. It is done
in float32, whatever precision the network runs in; unknown labels and silent sources get a gradient of zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfuse import EffectiveBatch, Labels, Outputs, SpecError, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VIEW = "view/"
"""What stands before the name of a fusion's further view among the losses."""


class Layout(NamedTuple):
    """Columns as (labels, classes): `column` says where each class lies, `is_class` (0 or 1) what is no padding."""

    column: Tensor
    is_class: Tensor


def layout(labels: Labels) -> Layout:
    most = max(len(label.classes) for label in labels)
    column = torch.zeros(len(labels), most, dtype=torch.int64)
    is_class = torch.zeros(len(labels), most)
    for index, part in enumerate(labels.slices.values()):
        size = part.stop - part.start
        column[index, :size] = torch.arange(part.start, part.stop)
        is_class[index, :size] = 1
    return Layout(column, is_class)


def class_weights(labels: Labels, counts: NDArray[np.floating], balanced: bool, largest: float) -> Tensor:
    """(labels, classes) float32: all 1, or if balanced n / (K n_c), 0 for a class without cases.

    At most `largest`, unless that is 0.
    """
    at = layout(labels)
    n = torch.as_tensor(counts, dtype=torch.float64)[at.column] * at.is_class
    known, classes = n.sum(1, keepdim=True), at.is_class.sum(1, keepdim=True)
    weight = torch.where(n > 0, known / (classes * n.clamp(min=1)), 0.0) if balanced else torch.ones_like(n)
    return (weight.clamp(max=largest) if largest else weight).float()


class CrossEntropyTerm(nn.Module):
    """-Σ w_k q_k log p_k, with q the smoothed target: (…, labels, classes) log p and one-hot targets → (…, labels)."""

    weight: Tensor
    spread: Tensor

    def __init__(self, labels: Labels, weight: Tensor, smoothing: float) -> None:
        super().__init__()
        is_class = layout(labels).is_class
        self.smoothing = smoothing
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("spread", smoothing * is_class / is_class.sum(1, keepdim=True), persistent=False)

    def forward(self, log_p: Tensor, true: Tensor) -> Tensor:
        return -(self.weight * ((1 - self.smoothing) * true + self.spread) * log_p).sum(-1)


class FocalTerm(nn.Module):
    """-alpha_t (1 - p_t)^gamma log p_t: (…, labels, classes) log p and one-hot targets → (…, labels)."""

    weight: Tensor

    def __init__(self, weight: Tensor, gamma: float) -> None:
        super().__init__()
        self.register_buffer("weight", weight, persistent=False)
        self.gamma = gamma

    def forward(self, log_p: Tensor, true: Tensor) -> Tensor:
        log_p = (log_p * true).sum(-1)
        # The slope of x^gamma has no value at 0 for gamma < 1, where a case is perfectly right.
        rest = -torch.expm1(log_p).clamp(max=-torch.finfo(log_p.dtype).eps)
        return -(self.weight * true).sum(-1) * rest**self.gamma * log_p


def known_cases(effective: EffectiveBatch, sources: Iterable[str]) -> Tensor:
    """Return how many cases of an effective batch count, (sources, labels): the label is known, the source speaks."""
    known = effective.targets >= 0
    return torch.stack([(known & effective.speaks(source)[:, None]).sum(0) for source in sources])


class SourceMean(nn.Module):
    """The mean over sources of the mean over labels of the mean over known cases of a term."""

    column: Tensor
    is_class: Tensor
    label_weights: Tensor

    def __init__(self, labels: Labels, term: nn.Module, sources: Mapping[str, float]) -> None:
        super().__init__()
        self.term = term
        self.sources = dict(sources)
        at = layout(labels)
        self.register_buffer("column", at.column, persistent=False)
        self.register_buffer("is_class", at.is_class.bool(), persistent=False)
        weights = torch.as_tensor(labels.weights, dtype=torch.float64)
        # Fixed shares: a label counts the same whichever other labels happen to be known in a batch.
        self.register_buffer("label_weights", (weights / weights.sum().clamp(min=1e-12)).float(), persistent=False)

    def forward(self, outputs: Outputs, targets: Tensor, progress: float = 0.0) -> dict[str, Tensor]:
        """{source: share}, beside them {`view/NAME`: share}; the sum is the loss.

        A view weighs as one source does, times its weight a case; every case counts `outputs.weight` times. The means
        are over the known cases of `outputs.effective` where there is one: the terms of its batches then add up.

        Raises: SpecError for a name in `sources` that is no source.
        """
        self._check(outputs)
        total = sum(self.sources.get(source, 1.0) for source in outputs.scores) or 1.0
        logits = {source: scores.logits for source, scores in outputs.scores.items()}
        logits |= {VIEW + view: scores.logits for view, (scores, _) in outputs.views.items()}
        one = torch.ones(len(targets), device=targets.device) * outputs.weight
        weights = [one] * len(outputs.scores) + [weight.float() * one for _, weight in outputs.views.values()]
        counted = None if outputs.effective is None else known_cases(outputs.effective, logits)
        means = self._over_labels(torch.stack(list(logits.values())).float(), targets, torch.stack(weights), counted)
        return {name: mean * (self.sources.get(name, 1.0) / total) for name, mean in zip(logits, means, strict=True)}

    def _over_labels(self, logits: Tensor, targets: Tensor, weight: Tensor, counted: Tensor | None) -> Tensor:
        """(sources, cases, columns) logits, (cases, labels) targets, (sources, cases) weights → (sources,). `counted`
        (sources, labels): by what sums over cases are divided; None: by how many of these cases count."""
        z = logits[..., self.column]
        counts = (targets >= 0) & ~(torch.isnan(z) & self.is_class).any(-1)
        # Replaced before the softmax, not after it: NaN times a gradient of zero would be NaN.
        z = torch.where(counts[..., None], z, 0.0).masked_fill(~self.is_class, -torch.inf)
        log_p = functional.log_softmax(z, dim=-1).masked_fill(~self.is_class, 0.0)
        true = functional.one_hot(targets.clamp(min=0), z.shape[-1]).to(log_p.dtype)
        values = torch.where(counts, self.term(log_p, true) * weight[..., None], 0.0)
        means = values.sum(1) / (counts.sum(1) if counted is None else counted).clamp(min=1)
        return (means * self.label_weights).sum(1)

    def _check(self, outputs: Outputs) -> None:
        unknown = [name for name in self.sources if name not in outputs.scores and not name.startswith(VIEW)]
        if unknown:
            raise SpecError(
                f"the loss weighs {', '.join(map(repr, unknown))}, which the network does not give",
                f"its sources: {', '.join(outputs.scores)}",
                nearest(unknown[0], outputs.scores),
                "training.loss.sources",
            )
