"""How well anyone can do: the ideal observer of every subset of modalities, by exact summation over the generative
model.

An ideal observer knows the model and reads what a modality shows without error. It bounds, in expectation, every
classifier that sees the same modalities of one case. A case of which nothing in the subset is present has no
prediction and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from mmfuse.builtin.cohort.model import MODALITIES, Floats, Model
from mmfuse.builtin.cohort.sampling import Cohort

SUBSETS = tuple(subset for size in (1, 2, 3) for subset in combinations(MODALITIES, size))
"""Every subset of the modalities."""


class Figures(NamedTuple):
    """Expected figures of an ideal observer; each is the best that can be reached for that figure."""

    accuracy: float
    balanced_accuracy: float
    """Of the rule that is best for it: the class whose posterior most exceeds its prior."""
    auc: float
    """Each class against the rest, averaged over classes; equal posteriors count half."""
    log_loss: float
    """In nats."""


@dataclass(frozen=True)
class _Pattern:
    """A pattern of presence and its chance."""

    chance: float
    present: tuple[str, ...]


def subset_name(subset: tuple[str, ...]) -> str:
    """`clinic+derm`."""
    return "+".join(subset)


def ideal_observer(model: Model | None = None, complete: bool = False) -> dict[str, dict[str, Figures]]:
    """{subset: {label: figures}} for every subset of the modalities.

    `complete`: on cases that have every modality; else as the cohort is, absent images included.
    """
    model = model or Model()
    patterns = (_Pattern(1.0, MODALITIES),) if complete else _patterns(model)
    questions = model.questions()
    return {
        subset_name(subset): {name: figures(_observed(q.joint, subset, patterns)) for name, q in questions.items()}
        for subset in SUBSETS
    }


def _patterns(model: Model) -> tuple[_Pattern, ...]:
    return (
        _Pattern(1 - 2 * model.absent, MODALITIES),
        _Pattern(model.absent, ("derm", "meta")),
        _Pattern(model.absent, ("clinic", "meta")),
    )


def _observed(joint: Floats, subset: tuple[str, ...], patterns: tuple[_Pattern, ...]) -> Floats:
    """(classes, all that may be observed) probabilities, summing to one over the cases where the subset speaks."""
    seen = []
    for pattern in patterns:
        present = [m for m in subset if m in pattern.present]
        if present:
            seen.append(pattern.chance * marginal(joint, present).reshape(len(joint), -1))
    table = np.concatenate(seen, axis=1)
    return table / table.sum()


def marginal(joint: Floats, present: list[str]) -> Floats:
    """Sums over what the absent modalities show; their axes stay, with one symbol."""
    hidden = tuple(axis for axis, m in enumerate(MODALITIES, 1) if m not in present)
    return joint.sum(axis=hidden, keepdims=True)


def figures(table: Floats) -> Figures:
    """The figures of (classes, symbols) joint probabilities that sum to one."""
    prior = table.sum(axis=1)
    total = table.sum(axis=0)
    table, total = table[:, total > 0], total[total > 0]
    posterior = table / total
    with np.errstate(divide="ignore", invalid="ignore"):
        surprise = np.where(table > 0, -table * np.log(posterior), 0.0)
    return Figures(
        accuracy=float(table.max(axis=0).sum()),
        balanced_accuracy=float((table / prior[:, None]).max(axis=0).sum() / len(table)),
        auc=float(np.mean([_auc(posterior[c], table[c], total - table[c]) for c in range(len(table))])),
        log_loss=float(surprise.sum()),
    )


def _auc(score: Floats, positive: Floats, negative: Floats) -> float:
    """Area under the curve of weighted positives and negatives. Posteriors that differ by rounding alone are equal."""
    _, place = np.unique(score.round(12), return_inverse=True)
    up, down = np.bincount(place, positive), np.bincount(place, negative)
    below = np.cumsum(down) - down
    return float((up * (below + down / 2)).sum() / (up.sum() * down.sum()))


def posteriors(model: Model, cohort: Cohort) -> dict[str, Floats]:
    """{subset: (cases, columns)} ideal posteriors of each case given what it shows; NaN where nothing of the subset
    is present."""
    labels, present, symbols = model.labels, cohort.present(), cohort.symbols()
    out = {}
    for subset in SUBSETS:
        block = np.full((len(cohort), labels.columns), np.nan)
        for name, question in model.questions().items():
            for size in range(1, len(subset) + 1):
                for seen in combinations(subset, size):
                    rows = np.flatnonzero(np.all([present[m] == (m in seen) for m in subset], axis=0))
                    place = tuple(symbols[m][question.reads[m]][rows] if m in seen else 0 for m in MODALITIES)
                    table = marginal(question.joint, list(seen))[(slice(None), *place)].reshape(len(question.joint), -1)
                    block[rows, labels.slices[name]] = (table / table.sum(axis=0)).T
        out[subset_name(subset)] = block
    return out
