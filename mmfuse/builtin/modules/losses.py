"""What the builtin losses build: a term a label, averaged over cases, labels and sources in one place (`SourceMean`).

Everything is computed in float32, whatever precision the network runs in; unknown labels and silent sources get a
gradient of zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfuse import Labels, Outputs, SpecError, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VIEW = "view/"
"""What stands before the name of a fusion's further view among the losses."""


def class_weights(labels: Labels, counts: NDArray[np.floating], balanced: bool, largest: float) -> list[Tensor]:
    """(classes,) float32 a label: all 1, or if balanced n / (K n_c), 0 for a class without cases.

    At most `largest`, unless that is 0.
    """
    weights = []
    for part in labels.slices.values():
        n = torch.as_tensor(counts[part], dtype=torch.float64)
        weight = torch.where(n > 0, n.sum() / (len(n) * n.clamp(min=1)), 0.0) if balanced else torch.ones_like(n)
        weights.append((weight.clamp(max=largest) if largest else weight).float())
    return weights


class CrossEntropyTerm(nn.Module):
    """Weighted, smoothed cross-entropy: (cases, classes) logits and (cases,) classes → (cases,)."""

    weight: Tensor

    def __init__(self, weight: Tensor, smoothing: float) -> None:
        super().__init__()
        self.register_buffer("weight", weight, persistent=False)
        self.smoothing = smoothing

    def forward(self, logits: Tensor, classes: Tensor) -> Tensor:
        return functional.cross_entropy(logits, classes, self.weight, reduction="none", label_smoothing=self.smoothing)


class FocalTerm(nn.Module):
    """-alpha_t (1 - p_t)^gamma log p_t: (cases, classes) logits and (cases,) classes → (cases,)."""

    weight: Tensor

    def __init__(self, weight: Tensor, gamma: float) -> None:
        super().__init__()
        self.register_buffer("weight", weight, persistent=False)
        self.gamma = gamma

    def forward(self, logits: Tensor, classes: Tensor) -> Tensor:
        log_p = functional.log_softmax(logits, dim=1).gather(1, classes[:, None])[:, 0]
        # The slope of x^gamma has no value at 0 for gamma < 1, where a case is perfectly right.
        rest = -torch.expm1(log_p).clamp(max=-torch.finfo(log_p.dtype).eps)
        return -self.weight[classes] * rest**self.gamma * log_p


class SourceMean(nn.Module):
    """The mean over sources of the mean over labels of the mean over known cases of a term a label."""

    label_weights: Tensor

    def __init__(self, labels: Labels, terms: Sequence[nn.Module], sources: Mapping[str, float]) -> None:
        super().__init__()
        self.terms = nn.ModuleList(terms)
        self.slices = tuple(labels.slices.values())
        weights = torch.as_tensor(labels.weights, dtype=torch.float64)
        # Fixed shares: a label counts the same whichever other labels happen to be known in a batch.
        self.register_buffer("label_weights", (weights / weights.sum().clamp(min=1e-12)).float(), persistent=False)
        self.sources = dict(sources)

    def forward(self, outputs: Outputs, targets: Tensor, progress: float = 0.0) -> dict[str, Tensor]:
        """{source: share}, beside them {`view/NAME`: share}; the sum is the loss.

        A view weighs as one source does, times its weight a case.

        Raises: SpecError for a name in `sources` that is no source.
        """
        self._check(outputs)
        total = sum(self.sources.get(source, 1.0) for source in outputs.scores) or 1.0
        shares = {
            source: self._over_labels(scores.logits, targets) * (self.sources.get(source, 1.0) / total)
            for source, scores in outputs.scores.items()
        }
        for view, (scores, case_weight) in outputs.views.items():
            share = self.sources.get(VIEW + view, 1.0) / total
            shares[VIEW + view] = self._over_labels(scores.logits, targets, case_weight) * share
        return shares

    def _over_labels(self, logits: Tensor, targets: Tensor, case_weight: Tensor | None = None) -> Tensor:
        logits = logits.float()
        means = []
        for index, (part, term) in enumerate(zip(self.slices, self.terms, strict=True)):
            classes = targets[:, index]
            counts = (classes >= 0) & ~torch.isnan(logits[:, part]).any(dim=1)
            # Replaced before the term, not after: NaN times a gradient of zero would be NaN.
            values = term(torch.where(counts[:, None], logits[:, part], 0.0), classes.clamp(min=0))
            if case_weight is not None:
                values = values * torch.where(counts, case_weight.float(), 0.0)
            means.append(torch.where(counts, values, 0.0).sum() / counts.sum().clamp(min=1))
        return (torch.stack(means) * self.label_weights).sum()

    def _check(self, outputs: Outputs) -> None:
        unknown = [name for name in self.sources if name not in outputs.scores and not name.startswith(VIEW)]
        if unknown:
            raise SpecError(
                f"the loss weighs {', '.join(map(repr, unknown))}, which the network does not give",
                f"its sources: {', '.join(outputs.scores)}",
                nearest(unknown[0], outputs.scores),
                "training.loss.sources",
            )
