"""Draws cases from the generative model. Patient p and case i draw from generators named by (seed, p) and (seed, i)
alone, so the first 600 of 700 cases are the 600 cases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmfuse import generator
from mmfuse.builtin.cohort.model import (
    AGES,
    CELLS,
    COLOUR_PRIOR,
    ELEVATION_PRIOR,
    IMAGES,
    LABELS,
    SEX_PRIOR,
    SEXES,
    SHOWN,
    SITE_PRIOR,
    SITES,
    STRUCTURE_PRIOR,
    Model,
    age_prior,
    cell_symbol,
    damage_chance,
    malignant,
)

Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]

LESIONS = (0.5, 0.3, 0.2)
"""Chance that a patient has one, two, three lesions."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """Cases as drawn; every array has one entry a case, values are indices into the lists of `model`."""

    seed: int
    patients: Ints
    truth: dict[str, Ints]
    """By label, the true class."""
    known: dict[str, Bools]
    """By label, whether the table tells it."""
    cells: dict[str, Ints]
    """age, sex, site; one past the last value where the cell is empty."""
    shown: dict[str, dict[str, Ints]]
    """By image modality and attribute, what its picture shows."""
    images: dict[str, Bools]
    """By image modality, whether it is present."""

    def __len__(self) -> int:
        return len(self.patients)

    def present(self) -> dict[str, Bools]:
        """By modality; metadata are present where any cell is filled."""
        sizes = {"age": len(AGES), "sex": len(SEXES), "site": len(SITES)}
        filled = np.any([self.cells[cell] < size for cell, size in sizes.items()], axis=0)
        return {**self.images, "meta": filled}

    def symbols(self) -> dict[str, dict[str, Ints]]:
        """By modality and attribute, the symbol in a label's table; "" is the attribute of whoever shows nothing of
        it."""
        nothing = {"": np.zeros(len(self), dtype=int)}
        cells = cell_symbol(self.cells["age"], self.cells["sex"], self.cells["site"])
        return {**{m: nothing | self.shown[m] for m in IMAGES}, "meta": nothing | {"cells": cells}}


def pick(prior: tuple[float, ...] | NDArray[np.floating], u: float) -> int:
    """The value at `u` in [0, 1) of the cumulated chances."""
    return min(int(np.searchsorted(np.cumsum(prior), u, side="right")), len(prior) - 1)


def show(true: int, classes: int, flip: float, u: float) -> int:
    """The true value, or with chance `flip` another one."""
    if u >= flip:
        return true
    return (true + 1 + min(int(u / flip * (classes - 1)), classes - 2)) % classes


def draw(model: Model, cases: int, seed: int) -> Cohort:
    """The first `cases` cases of the cohort of `seed`."""
    patients = _patients(cases, seed)
    chance, ages = damage_chance(), age_prior()
    rows = []
    person: tuple[int, int] = (0, 0)
    for case, patient in enumerate(patients):
        if case == 0 or patient != patients[case - 1]:
            u = generator(seed, "synthetic", "patient", int(patient)).random(3)
            person = (pick(ages, u[1]), pick(SEX_PRIOR, u[2]))
        rows.append(_case(model, person, chance, generator(seed, "synthetic", "case", case)))
    columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    return Cohort(
        seed=seed,
        patients=patients,
        truth={name: columns[f"truth/{name}"] for name in LABELS},
        known={name: columns[f"known/{name}"] for name in LABELS},
        cells={name: columns[f"cell/{name}"] for name in CELLS},
        shown={m: {a: columns[f"{m}/{a}"] for at, a in SHOWN if at == m} for m in IMAGES},
        images={m: columns[f"image/{m}"] for m in IMAGES},
    )


def _patients(cases: int, seed: int) -> Ints:
    patients: list[int] = []
    patient = 0
    while len(patients) < cases:
        u = generator(seed, "synthetic", "patient", patient).random()
        patients += [patient] * (1 + pick(LESIONS, u))
        patient += 1
    return np.array(patients[:cases])


def _case(
    model: Model, person: tuple[int, int], chance: NDArray[np.floating], rng: np.random.Generator
) -> dict[str, int | bool]:
    """One case; the generator is read in a fixed order, so a change of rates moves no other draw."""
    u = dict(zip(("elevation", "structure", "colour", "site", "sun_damage", "image"), rng.random(6), strict=True))
    age, sex = person
    site = pick(SITE_PRIOR, u["site"])
    elevation, structure = pick(ELEVATION_PRIOR, u["elevation"]), pick(STRUCTURE_PRIOR, u["structure"])
    truth = {
        "diagnosis": int(malignant(elevation, structure)),
        "elevation": elevation,
        "structure": structure,
        "colour": pick(COLOUR_PRIOR, u["colour"]),
        "sun_damage": int(u["sun_damage"] < chance[age, sex, site]),
    }
    factor = truth | {"freckles": truth["sun_damage"]}
    sizes = {name: len(classes) for name, classes in LABELS.items()} | {"freckles": 2}
    row: dict[str, int | bool] = {f"truth/{name}": value for name, value in truth.items()}
    for (modality, attribute), v in zip(SHOWN, rng.random(len(SHOWN)), strict=True):
        row[f"{modality}/{attribute}"] = show(factor[attribute], sizes[attribute], model.flip(modality, attribute), v)
    for name, v in zip(LABELS, rng.random(len(LABELS)), strict=True):
        row[f"known/{name}"] = bool(v >= model.unknown)
    cells = {"age": (age, len(AGES)), "sex": (sex, len(SEXES)), "site": (site, len(SITES))}
    for (name, rate), v in zip(CELLS.items(), rng.random(len(CELLS)), strict=True):
        row[f"cell/{name}"] = cells[name][0] if v >= rate else cells[name][1]
    row["image/clinic"] = not u["image"] < model.absent
    row["image/derm"] = not model.absent <= u["image"] < 2 * model.absent
    return row
