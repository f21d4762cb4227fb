"""Contrast within and across modalities: projectors, and NT-Xent over the cases that are there.

Features and masks are joined over all processes before they are projected: the tensors that travel are full and of
equal shapes whoever is absent, and batch norm sees what one process would see, so several give the loss and the
gradient of one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmfuse import Outputs

if TYPE_CHECKING:
    from mmfuse_skin.pretexts import CrossModalContrast

PAIRINGS = {
    "same-view": ((0, 0), (1, 1)),
    "crossed": ((0, 1), (1, 0)),
    "all": ((0, 0), (1, 1), (0, 1), (1, 0)),
}
"""Which draws of the one modality meet which of the other."""
Gather = Callable[[Tensor], Tensor]


def projector(width: int, hidden: Sequence[int], out: int) -> nn.Sequential:
    """Linear layers without bias, each with batch norm; ReLU between, and no weights in the last norm (SM3, v32)."""
    layers: list[nn.Module] = []
    for wide in hidden:
        layers += [nn.Linear(width, wide, bias=False), nn.BatchNorm1d(wide), nn.ReLU()]
        width = wide
    return nn.Sequential(*layers, nn.Linear(width, out, bias=False), nn.BatchNorm1d(out, affine=False))


def nt_xent(one: Tensor, other: Tensor, temperature: float) -> Tensor:
    """The mean over 2n anchors of -log softmax of the partner's cosine among those of all 2n - 1 others.

    `one`, `other` (n, width), row i of the one being the partner of row i of the other; n = 0 gives 0. Chen et al.
    2020, eq. 1.
    """
    if not len(one):
        return one.sum() + other.sum()
    # Cosines over a small temperature would be coarse in half precision.
    with torch.autocast(one.device.type, enabled=False):
        z = functional.normalize(torch.cat([one, other]).float(), dim=1)
        alike = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
        places = torch.arange(len(z), device=z.device)
        return functional.cross_entropy(alike, places.roll(len(one)))


class Contrast(nn.Module):
    """Two draws' outputs → a loss for each modality and for each pair of them."""

    def __init__(self, knobs: CrossModalContrast, widths: Mapping[str, int]) -> None:
        super().__init__()
        self.knobs, self.modalities = knobs, tuple(sorted(widths))
        self.pairs = tuple(combinations(self.modalities, 2)) if knobs.across else ()
        inner = self.modalities if knobs.within else ()
        outer = self.modalities if self.pairs else ()
        # By place: torch takes no dots in a module's name.
        self.inner = nn.ModuleList(projector(widths[name], knobs.hidden, knobs.width) for name in inner)
        self.outer = nn.ModuleList(projector(widths[name], knobs.hidden, knobs.width) for name in outer)

    def begin_epoch(self, epoch: int, embed: object) -> tuple[str, ...]:
        """It looks at batches alone."""
        return ()

    def forward(self, draws: Sequence[Outputs], position: Tensor, gather: Gather) -> dict[str, Tensor]:
        """{`within M`, `across M N`: weighted NT-Xent}; 0 where fewer than two cases of the batch could be told
        apart."""
        features, present = {}, {}
        for name in self.modalities:
            features[name] = gather(torch.stack([outputs.features[name].vector for outputs in draws], dim=1))
            there = draws[0].present[name].to(features[name].device)
            present[name] = gather(there.to(features[name].dtype)) > 0
        losses, temperature = {}, self.knobs.temperature
        for name, module in zip(self.modalities, self.inner, strict=False):
            z = projected(module, features[name][present[name]])
            losses[f"within {name}"] = self.knobs.within * nt_xent(z[:, 0], z[:, 1], temperature)
        outer = {
            name: projected(module, features[name][present[name]])
            for name, module in zip(self.modalities, self.outer, strict=False)
        }
        for one, other in self.pairs:
            first = outer[one][present[other][present[one]]]
            second = outer[other][present[one][present[other]]]
            terms = [nt_xent(first[:, i], second[:, j], temperature) for i, j in PAIRINGS[self.knobs.pairing]]
            losses[f"across {one} {other}"] = self.knobs.across * torch.stack(terms).mean()
        return losses


def projected(module: nn.Module, features: Tensor) -> Tensor:
    """(n, draws, width) → (n, draws, out), all rows through batch norm together; zeros for one case alone, which has
    nothing to be told apart from."""
    rows = features.flatten(0, 1)
    if len(features) < 2:
        # Every weight stays in the graph, with a gradient of zero: processes wait for the same ones.
        idle = torch.stack([weight.sum() for weight in module.parameters()]).sum() * 0
        out = [weight for weight in module.parameters() if weight.dim() == 2][-1].shape[0]
        return (rows.sum() * 0 + idle).expand(*features.shape[:2], out)
    made: Tensor = module(rows)
    return made.unflatten(0, features.shape[:2])
