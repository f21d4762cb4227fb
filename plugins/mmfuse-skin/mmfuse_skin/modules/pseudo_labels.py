"""Cluster numbers as labels: refreshed before each epoch, learnt by the network's own head.

What is kept from epoch to epoch is who is in which cluster; where its centre lies now follows from the cases.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfuse import Labels, Outputs, SpecError
from mmfuse_skin.modules.clustering import clustered

if TYPE_CHECKING:
    from mmfuse_skin.pretexts import PseudoLabels

FUSED = "fused"
ONE_POINT = 0.999
"""Length of the mean of all unit vectors above which they are as good as one."""


class Clusters(nn.Module):
    """Who is in which cluster, a clustering a label; and the head's cross-entropy against it."""

    assigned: Tensor
    seed: Tensor

    def __init__(self, knobs: PseudoLabels, labels: Labels, cases: int) -> None:
        super().__init__()
        self.knobs, self.labels = knobs, labels
        self.register_buffer("assigned", torch.full((cases, len(labels)), -1))
        self.register_buffer("seed", torch.randint(2**31, ()))  # the engine seeds what is built

    @torch.no_grad()
    def begin_epoch(self, epoch: int, embed: Callable[[Callable[[Outputs], Tensor]], Tensor]) -> tuple[str, ...]:
        """Clusters all cases anew; tells of every label whose clusters say little.

        Raises: SpecError where the network has no head on the fused vector.
        """
        vectors = functional.normalize(embed(label_vectors).float(), dim=2)
        told = []
        for number, label in enumerate(self.labels):
            # A head that makes no vectors a label leaves one for all.
            own = vectors[:, min(number, vectors.shape[1] - 1)]
            before = self.assigned[:, number]
            started = bool((before >= 0).all())
            generator = torch.Generator().manual_seed(int(self.seed) + number)
            made = clustered(
                own, len(label.classes), before if started else None, generator, self.knobs.iterations,
                self.knobs.epsilon if self.knobs.balanced else 0.0,
            )  # fmt: skip
            self.assigned[:, number] = made
            told += self._remarks(label.name, own, torch.bincount(made, minlength=len(label.classes)))
        return tuple(told)

    def _remarks(self, label: str, vectors: Tensor, sizes: Tensor) -> list[str]:
        """What is wrong with a label's clusters."""
        share, told = float(sizes.max() / sizes.sum()), []
        if share > self.knobs.told_above:
            found = f"one of {len(sizes)} clusters takes {share:.1%} of the cases (evenness {evenness(sizes):.2f})"
            told.append(f"{found}, label '{label}': it has collapsed; mend: balanced = true")
        if float(vectors.mean(dim=0).norm()) > ONE_POINT:
            mend = "a lower rate, or an objective for the encoders before it"
            told.append(f"the vectors of label '{label}' are as good as one: clusters mean nothing; mend: {mend}")
        return told

    def forward(
        self, draws: Sequence[Outputs], position: Tensor, gather: Callable[[Tensor], Tensor]
    ) -> dict[str, Tensor]:
        """{`clusters LABEL`: cross-entropy of the head's logits against the case's cluster, over the number of
        labels}."""
        logits = gather(torch.stack([outputs.scores[FUSED].logits for outputs in draws], dim=1)).flatten(0, 1)
        numbers = self.assigned[gather(position)].repeat_interleave(len(draws), dim=0)
        heard = ~logits.isnan().any(dim=1)
        known, numbers = logits[heard].float() / self.knobs.temperature, numbers[heard]
        if not len(known):
            return {f"clusters {label.name}": known.sum() for label in self.labels}
        return {
            f"clusters {name}": functional.cross_entropy(known[:, columns], numbers[:, number]) / len(self.labels)
            for number, (name, columns) in enumerate(self.labels.slices.items())
        }


def label_vectors(outputs: Outputs) -> Tensor:
    """(batch, labels or 1, width) what is clustered of each case. Raises: SpecError without a head."""
    if FUSED not in outputs.scores:
        found, mend = "pseudo-labels train the head, and the network has none", 'head = "label-relation"'
        raise SpecError(found, "a head on the fused vector", mend, "network.head")
    tokens = outputs.scores[FUSED].tokens
    return outputs.fused.vector[:, None] if tokens is None else tokens


def evenness(sizes: Tensor) -> float:
    """Entropy of the shares over its largest: 1 where all are equal, 0 where one has all."""
    shares = sizes[sizes > 0].double() / sizes.sum()
    return float(-(shares * shares.log()).sum()) / math.log(len(sizes))
