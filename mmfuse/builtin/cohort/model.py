"""What the synthetic cohort is made of: factors, how often each modality shows them wrongly, and the labels' tables
of probability.

Nature draws a factor; a modality *shows* it, flipped with a known chance, and the drawn picture follows what is
shown. All is discrete, so for every label the joint probability of its class and of everything shown about it is a
table, from which `observer` sums exactly. The tables of different labels need not be joined: what bears on one label
is independent of what bears on another, `diagnosis` excepted, which holds in its own table all that it depends on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmfuse import Label, Labels

Floats = NDArray[np.floating]

MODALITIES = ("clinic", "derm", "meta")
IMAGES = ("clinic", "derm")

ELEVATION = ("flat", "raised")
STRUCTURE = ("homogeneous", "network", "globules")
COLOUR = ("brown", "blue")
DAMAGE = ("absent", "present")
DIAGNOSIS = ("benign", "malignant")
LABELS = {
    "diagnosis": DIAGNOSIS,
    "elevation": ELEVATION,
    "structure": STRUCTURE,
    "colour": COLOUR,
    "sun_damage": DAMAGE,
}

AGES = tuple(range(20, 90))
SEXES = ("female", "male")
SITES = ("face", "arm", "trunk", "leg")

ELEVATION_PRIOR = (0.5, 0.5)
STRUCTURE_PRIOR = (0.2, 0.3, 0.5)
COLOUR_PRIOR = (0.65, 0.35)
SEX_PRIOR = (0.5, 0.5)
SITE_PRIOR = (0.25, 0.2, 0.35, 0.2)
SITE_EXPOSURE = (1.5, 0.5, -1.5, -0.5)
MALE_EXPOSURE = 0.5

SHOWN = {
    ("clinic", "elevation"): 0.03,
    ("clinic", "colour"): 0.14,
    ("clinic", "freckles"): 0.30,
    ("derm", "structure"): 0.05,
    ("derm", "colour"): 0.12,
}
"""What each image shows, and the chance that it shows another value than the true one. Freckled skin around the
lesion shows sun damage."""

CELLS = {"age": 0.06, "sex": 0.03, "site": 0.05}
"""Chance that a cell of the metadata is empty."""


def age_prior() -> Floats:
    """(ages,) chance of each age: a broad hump about 55."""
    weight = np.exp(-0.5 * ((np.array(AGES) - 55.0) / 17.0) ** 2)
    return weight / weight.sum()


def damage_chance() -> Floats:
    """(ages, sexes, sites) chance of sun damage: logistic in age, sex and site."""
    age = (np.array(AGES, dtype=float) - 60.0) / 6.0
    logit = age[:, None, None] + MALE_EXPOSURE * (np.arange(2) - 0.5)[:, None] + np.array(SITE_EXPOSURE)
    return 1.0 / (1.0 + np.exp(-logit))


def channel(classes: int, flip: float) -> Floats:
    """(true, shown) chances: shown as it is with 1 - flip, else any other value alike."""
    return np.eye(classes) * (1 - flip) + (1 - np.eye(classes)) * flip / (classes - 1)


@dataclass(frozen=True)
class Question:
    """One label: its joint table, and which shown attribute of each modality bears on it ("" none)."""

    joint: Floats
    """(classes, clinic symbols, derm symbols, meta symbols), sums to one; everything present. Empty metadata cells
    are symbols too."""
    reads: dict[str, str]


@dataclass(frozen=True)
class Model:
    """The generative model. `noise` multiplies every chance of showing a factor wrongly; `absent` is the chance that
    the clinical image is absent, and as much that the dermoscopic one is, never both; `unknown` the chance that a
    label's cell is empty."""

    noise: float = 1.0
    absent: float = 0.08
    unknown: float = 0.05

    def flip(self, modality: str, attribute: str) -> float:
        return SHOWN[modality, attribute] * self.noise

    @property
    def labels(self) -> Labels:
        return Labels([Label(name, classes) for name, classes in LABELS.items()])

    def questions(self) -> dict[str, Question]:
        """The table of each label."""
        elevation = np.array(ELEVATION_PRIOR)[:, None] * channel(2, self.flip("clinic", "elevation"))
        structure = np.array(STRUCTURE_PRIOR)[:, None] * channel(3, self.flip("derm", "structure"))
        diagnosis = np.zeros((2, 2, 3, 1))
        for raised in range(2):
            for kind in range(3):
                diagnosis[malignant(raised, kind), :, :, 0] += np.outer(elevation[raised], structure[kind])
        colour = np.einsum(
            "y,yc,yd->ycd",
            np.array(COLOUR_PRIOR),
            channel(2, self.flip("clinic", "colour")),
            channel(2, self.flip("derm", "colour")),
        )
        return {
            "diagnosis": Question(diagnosis, {"clinic": "elevation", "derm": "structure", "meta": ""}),
            "elevation": Question(elevation[:, :, None, None], {"clinic": "elevation", "derm": "", "meta": ""}),
            "structure": Question(structure[:, None, :, None], {"clinic": "", "derm": "structure", "meta": ""}),
            "colour": Question(colour[..., None], {"clinic": "colour", "derm": "colour", "meta": ""}),
            "sun_damage": Question(self._damage(), {"clinic": "freckles", "derm": "", "meta": "cells"}),
        }

    def _damage(self) -> Floats:
        people = np.einsum("a,s,p->asp", age_prior(), np.array(SEX_PRIOR), np.array(SITE_PRIOR))
        chance = damage_chance()
        table = np.stack([people * (1 - chance), people * chance])
        for axis, rate in enumerate(CELLS.values(), 1):
            table = np.concatenate([table * (1 - rate), table.sum(axis, keepdims=True) * rate], axis)
        freckles = channel(2, self.flip("clinic", "freckles"))
        return np.einsum("ym,yc->ycm", table.reshape(2, -1), freckles)[:, :, None, :]


def malignant(elevation: NDArray[np.integer] | int, structure: NDArray[np.integer] | int) -> NDArray[np.integer]:
    """1 where exactly one of raised and globules holds: neither image alone says anything about it."""
    return np.logical_xor(np.asarray(elevation) == 1, np.asarray(structure) == 2).astype(int)


def cell_symbol(age: NDArray[np.integer], sex: NDArray[np.integer], site: NDArray[np.integer]) -> NDArray[np.integer]:
    """Metadata cells (index of the value, or one past the last where empty) → the meta symbol of `sun_damage`."""
    return (age * (len(SEXES) + 1) + sex) * (len(SITES) + 1) + site
