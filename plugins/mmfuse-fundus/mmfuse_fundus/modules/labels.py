"""A softmax over labels: the head that gives it as columns [log(1 - p), log p], and the loss that it learns by.

Both are done in float32 and in logarithms: p is never rounded to 0 or 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfuse import Labels, Outputs, Scores
from mmfuse_fundus.counting import positive_classes, positive_columns

ACTIVATIONS = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}
VIEW = "view/"
"""What stands before the name of a fusion's further view among the losses."""


class SharedSoftmax(nn.Module):
    """Layers, one logit a label, a softmax over labels: (batch, width) → `Scores` of (batch, columns)."""

    positive: Tensor
    negative: Tensor
    itself: Tensor

    def __init__(self, width: int, widths: Sequence[int], labels: Labels, activation: str, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for out in widths:
            layers += [nn.Linear(width, out), ACTIVATIONS[activation](), nn.Dropout(dropout)]
            width = out
        self.layers, self.classifier = nn.Sequential(*layers), nn.Linear(width, len(labels))
        positive = torch.as_tensor(positive_columns(labels))
        starts = torch.tensor([part.start for part in labels.slices.values()])
        self.columns = labels.columns
        self.register_buffer("positive", positive, persistent=False)
        self.register_buffer("negative", 2 * starts + 1 - positive, persistent=False)
        self.register_buffer("itself", torch.eye(len(labels), dtype=torch.bool), persistent=False)

    def forward(self, vector: Tensor) -> Scores:
        z = self.classifier(self.layers(vector)).float()
        total = z.logsumexp(dim=1, keepdim=True)
        # 1 - p is the share of all others, summed without itself: exact where p is near 1.
        others = z[:, None, :].masked_fill(self.itself, -torch.inf).logsumexp(dim=2)
        logits = z.new_empty(len(z), self.columns)
        logits = logits.index_copy(1, self.positive, z - total).index_copy(1, self.negative, others - total)
        return Scores(logits)


class Categorical(nn.Module):
    """Cross-entropy of a softmax over labels, mean over cases with a positive label, then over sources."""

    column: Tensor
    positive: Tensor
    weight: Tensor

    def __init__(self, labels: Labels, first: bool) -> None:
        super().__init__()
        self.first = first
        starts = torch.tensor([part.start for part in labels.slices.values()])
        weight = torch.as_tensor(labels.weights, dtype=torch.float32)
        self.register_buffer("column", torch.stack([starts, starts + 1], dim=1), persistent=False)
        self.register_buffer("positive", torch.as_tensor(positive_classes(labels)), persistent=False)
        self.register_buffer("weight", weight / weight.mean().clamp(min=1e-12), persistent=False)

    def forward(self, outputs: Outputs, targets: Tensor, progress: float = 0.0) -> dict[str, Tensor]:
        """{source: share}, beside them {`view/NAME`: share}; a view weighs as one source does, times its weight a
        case."""
        shares = self._shares(targets)
        known = targets >= 0
        number = max(len(outputs.scores), 1)
        one = torch.ones(len(targets), device=targets.device)
        terms = {source: (scores.logits, one) for source, scores in outputs.scores.items()}
        terms |= {VIEW + view: (scores.logits, weight.float()) for view, (scores, weight) in outputs.views.items()}
        return {
            name: self._total(*term, shares, known) / self._taught(outputs, name, term[0], shares) / number
            for name, term in terms.items()
        }

    def _taught(self, outputs: Outputs, source: str, logits: Tensor, shares: Tensor) -> Tensor:
        """How many cases teach a source, at least 1: of this batch, or of all batches of its step."""
        if outputs.effective is None:
            counts = ~logits.isnan().any(dim=1) & shares.any(dim=1)
        else:
            counts = outputs.effective.speaks(source) & self._shares(outputs.effective.targets).any(dim=1)
        return counts.sum().clamp(min=1)

    def _shares(self, targets: Tensor) -> Tensor:
        """(cases, labels) what each label's positive class is to have of the one softmax; zeros where none is
        positive."""
        true = (targets == self.positive).float()
        if self.first:
            true = true * (true.cumsum(dim=1) == 1)
        return true / true.sum(dim=1, keepdim=True).clamp(min=1)

    def _total(self, logits: Tensor, weight: Tensor, shares: Tensor, known: Tensor) -> Tensor:
        """(cases, columns) logits, NaN where the source abstains, (cases,) weights → the sum over cases."""
        counts = ~logits.isnan().any(dim=1) & shares.any(dim=1)
        # Replaced before the softmax, not after it: NaN times a gradient of zero would be NaN.
        z = torch.where(counts[:, None], logits.float(), 0.0)[:, self.column]
        log_p = functional.log_softmax(z, dim=2).gather(2, self.positive.expand(len(z), -1)[..., None])[..., 0]
        # Of the softmax head this takes nothing away: over all labels its p sums to one already.
        total = log_p.masked_fill(~known, -torch.inf)
        total = torch.where(counts[:, None], total, 0.0).logsumexp(dim=1, keepdim=True)
        values = -(self.weight * shares * (log_p - total)).sum(dim=1)
        return torch.where(counts, values * weight, 0.0).sum()
