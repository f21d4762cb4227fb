"""Deletion: how the probability of a class falls as the places of a map are taken from the picture, the highest first,
against the same number of random places.

Source: Petsiuk, Das, Saenko, "RISE", BMVC 2018, section 4.2 (the deletion game); random places are our control: a map
that is no better than they are says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from mmfuse.errors import SpecError, nearest
from mmfuse.explaining.attributing import AT_ONCE, blurred
from mmfuse.labels import Floats
from mmfuse.seeds import generator

TAKEN: Mapping[str, Callable[[Tensor], Tensor]] = {"blur": blurred, "black": torch.zeros_like}
"""What stands where a place was taken."""

PLACES = 14
"""Places along each side of the picture: small maps are coarser than that, and single pixels are no places."""

STEPS = 10
"""Of the curve, evenly from nothing to everything taken."""

DRAWS = 8
"""Random orders."""


@dataclass(frozen=True, eq=False)
class Deletion:
    """One curve and its control."""

    share: Floats
    """(points,) of the places that are taken, 0 to 1."""
    p: Floats
    """(points,) probability, the map's highest places first."""
    random: Floats
    """(draws, points) the same in random orders."""
    how: str
    about: str = ""

    @property
    def area(self) -> float:
        """Between the mean random curve and the map's, in [-1, 1]: above 0, the map's places matter more than others
        do."""
        return float(_area(self.random.mean(axis=0) - self.p, self.share))

    @property
    def beaten(self) -> float:
        """Share of the random orders whose curve lies higher in the mean: 1 where the map beats them all."""
        return float(np.mean(_area(self.random, self.share) > _area(self.p, self.share)))


def _area(values: Floats, at: Floats) -> Floats:
    """(…, points) → (…,) by trapezia."""
    return np.asarray(((values[..., 1:] + values[..., :-1]) / 2 * np.diff(at)).sum(axis=-1))


@dataclass(frozen=True, eq=False)
class Control:
    """What every map over one picture is compared with: made once."""

    size: tuple[int, int]
    """Places along each side."""
    ends: Floats
    """(2,) probability of the picture as it is, and of nothing of it."""
    random: Floats
    """(draws, points)"""


def control(p: Callable[[Tensor], Floats], image: Tensor, *, how: str, seed: int) -> Control:
    """Random orders of the places of `image` (1, 3, height, width); `p` gives (copies,) probabilities of pictures
    (copies, 3, height, width).

    Raises: SpecError for another word than `blur` or `black`.
    """
    if how not in TAKEN:
        raise SpecError(
            f"places cannot be taken by '{how}'", f"one of {', '.join(TAKEN)}", nearest(how, TAKEN), "deletion"
        )
    size = (min(PLACES, image.shape[-2]), min(PLACES, image.shape[-1]))
    rng, blank = generator(seed, "deletion"), TAKEN[how](image)
    ends = p(torch.cat([image, blank]))  # the same for every order
    orders = [rng.permutation(size[0] * size[1]) for _ in range(DRAWS)]
    return Control(size, ends, np.stack([_curve(p, image, blank, order, size, ends) for order in orders]))


def deletion(
    p: Callable[[Tensor], Floats], image: Tensor, shown: Floats, beside: Control, *, how: str, seed: int
) -> Deletion:
    """The curve of a map `shown` (height, width) over `image`, beside its control."""
    order = _highest_first(shown, beside.size, generator(seed, "ties"))
    curve = _curve(p, image, TAKEN[how](image), order, beside.size, beside.ends)
    return Deletion(_shares(), curve, beside.random, how)


def _shares() -> Floats:
    return np.linspace(0, 1, STEPS + 1)


def _highest_first(shown: Floats, size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.integer]:
    """Places by the mean of the stretched map in each; equal ones in a random order, so that a flat map is random."""
    stretched = stretch(shown, (size[0] * 8, size[1] * 8))
    means = stretched.reshape(size[0], 8, size[1], 8).mean(axis=(1, 3)).ravel()
    return np.lexsort((rng.random(len(means)), -np.round(means / max(np.abs(means).max(), 1e-30), 9)))


def stretch(shown: Floats, size: tuple[int, int]) -> Floats:
    """A map stretched bilinearly to (height, width)."""
    given = torch.from_numpy(np.ascontiguousarray(shown, dtype=np.float64))[None, None]
    return np.asarray(interpolate(given, size=size, mode="bilinear", align_corners=False)[0, 0].numpy())


def _curve(
    p: Callable[[Tensor], Floats],
    image: Tensor,
    blank: Tensor,
    order: NDArray[np.integer],
    size: tuple[int, int],
    ends: Floats,
) -> Floats:
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    counts = np.rint(_shares()[1:-1] * len(order)).astype(int)
    taken = torch.from_numpy((rank[None] < counts[:, None]).reshape(-1, 1, *size)).to(image)
    masks = interpolate(taken, size=image.shape[-2:], mode="nearest").bool()
    found = [p(torch.where(mask, blank, image)) for mask in masks.split(AT_ONCE)]
    return np.concatenate([ends[:1], *found, ends[1:]])
