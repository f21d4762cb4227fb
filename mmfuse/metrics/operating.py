"""Operating points: from which probability of the positive class on a case is called positive.

A rule such as `sensitivity >= 0.95` becomes a threshold on the cases it is fitted on (`valid`), one a source; it is
stored, and every later case is called by the same. Where too few cases could tell, none is fitted and that is said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from mmfuse.errors import SpecError
from mmfuse.formats.json_files import read_json
from mmfuse.formats.of_runs import StoredPoints
from mmfuse.labels import Floats, Ints, Labels
from mmfuse.metrics.answers import SIDES, sides
from mmfuse.metrics.basis import FEWEST, known_and_spoken, positive_column

COUNTERPART = {"sensitivity": "specificity", "specificity": "sensitivity", "ppv": "sensitivity", "npv": "specificity"}
"""What is made as large as possible while the rule's own figure is kept."""


class Rule(NamedTuple):
    """`figure >= least`."""

    figure: str
    least: float


def read_rule(text: str) -> Rule:
    """`sensitivity >= 0.95` (or specificity, ppv, npv) as a `Rule`. Raises: SpecError if it says something else."""
    match = re.fullmatch(r"\s*(\w+)\s*>=\s*(\d*\.?\d+)\s*", text)
    if match is None or match[1] not in SIDES or not 0 < float(match[2]) <= 1:
        expected = f"one of {', '.join(SIDES)}, then >= and a share above 0 and up to 1"
        raise SpecError(f"'{text}' is no operating point", expected, 'write for instance "sensitivity >= 0.95"')
    return Rule(match[1], float(match[2]))


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, the rule that it keeps, and its figures on the cases it was fitted on (optimistic there)."""

    rule: str
    positive: str
    """The class that is called."""
    threshold: float
    """A case is called positive if the probability of that class is at least this."""
    positives: int
    negatives: int
    """Cases it was fitted on."""
    sensitivity: float
    specificity: float
    ppv: float
    npv: float | None
    """None where every case is called positive."""


def choose_threshold(chance: Floats, truth: np.ndarray, rule: Rule) -> float:
    """The threshold that keeps the rule and has the best counterpart; NaN if none keeps it.

    `chance` (n,) in [0, 1], `truth` (n,) bool. Sensitivity is bought with specificity and the reverse; of thresholds
    that keep a positive predictive value the one with the most sensitivity is taken, of a negative one that with the
    most specificity. Of equals, the better value of the rule's own figure, then the higher threshold. It is laid midway
    to the next lower probability, so that rounding calls no case differently; somebody is always called positive.
    """
    values, group = np.unique(chance, return_inverse=True)
    hit = np.cumsum(np.bincount(group, truth, len(values))[::-1])[::-1]
    called = np.cumsum(np.bincount(group, minlength=len(values))[::-1])[::-1].astype(float)
    positives, cases = truth.sum(), float(len(truth))
    with np.errstate(invalid="ignore", divide="ignore"):
        figures = {
            "sensitivity": hit / positives,
            "specificity": 1 - (called - hit) / (cases - positives),
            "ppv": hit / called,
            "npv": 1 - (positives - hit) / (cases - called),
        }
    own, other = figures[rule.figure], figures[COUNTERPART[rule.figure]]
    kept = np.flatnonzero(own >= rule.least - 1e-12)  # a share of cases that is the least in all but the last bit
    if not len(kept) or np.isnan(other[kept]).all():
        return float("nan")
    best = max(kept.tolist(), key=lambda index: (round(other[index], 12), round(own[index], 12), values[index]))
    return float((values[best] + values[best - 1]) / 2) if best else 0.0


@dataclass(frozen=True)
class OperatingPoints:
    """Operating points by source and label, and why some are not there."""

    points: Mapping[str, Mapping[str, OperatingPoint]] = field(default_factory=dict)
    """{source: {label: point}}."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """{`label`, or `label of source`: why it has no point}."""

    @classmethod
    def fit(cls, rules: Mapping[str, str], sources: Mapping[str, Floats], targets: Ints, labels: Labels) -> Self:
        """`rules` {label: rule}; `sources` {name: (n, columns) probabilities} and `targets` (n, labels) of the cases
        that they are fitted on.

        Raises: SpecError for a rule that cannot be read.
        """
        points: dict[str, dict[str, OperatingPoint]] = {name: {} for name in sources}
        left_out: dict[str, str] = {}
        for label, text in rules.items():
            rule, index = read_rule(text), labels.names.index(label)
            if not (np.asarray(targets)[:, index] >= 0).any():
                left_out[label] = "no case to fit it on (it learns on `valid`)"
                continue
            for name, p in sources.items():
                found = _fit_one(text, rule, p, targets, labels, index)
                if isinstance(found, str):
                    left_out[f"{label} of {name}"] = found
                else:
                    points[name][label] = found
        return cls({name: found for name, found in points.items() if found}, left_out)

    def of(self, source: str) -> Mapping[str, OperatingPoint]:
        """{label: point} of a source."""
        return self.points.get(source, {})

    def calls(self, source: str, p: Floats, labels: Labels) -> dict[str, np.ndarray]:
        """{label: (n,) of "yes" (positive), "no", or None where nothing is said}, from (n, columns) probabilities."""
        out = {}
        for name, point in self.of(source).items():
            chance = p[:, positive_column(labels, labels[labels.names.index(name)])]
            words = np.where(chance >= point.threshold, "yes", "no").astype(object)
            words[np.isnan(chance)] = None
            out[name] = words
        return out

    def save(self, path: str | Path) -> None:
        """Writes JSON; thresholds keep every digit."""
        tree = {name: {label: asdict(point) for label, point in found.items()} for name, found in self.points.items()}
        text = json.dumps({"points": tree, "left_out": dict(self.left_out)}, indent=1, ensure_ascii=False)
        Path(path).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads what `save` wrote. Raises: RunError if it is something else."""
        told = read_json(Path(path), StoredPoints, expected="operating points of mmfuse", mend="copy the run again")
        points = {
            name: {label: OperatingPoint(**point) for label, point in found.items()}
            for name, found in told["points"].items()
        }
        return cls(points, dict(told["left_out"]))


def figures_at(point: OperatingPoint, p: Floats, targets: Ints, labels: Labels, label: str) -> dict[str, Floats]:
    """The four figures of a label at its point, on known and spoken cases: {name: (1,)}."""
    index = labels.names.index(label)
    known = known_and_spoken(p, targets, labels)[:, index]
    chance = p[known, positive_column(labels, labels[index])]
    truth = np.asarray(targets)[known, index] == labels[index].classes.index(point.positive)
    return sides(truth, chance >= point.threshold, np.ones((1, int(known.sum()))))


def _fit_one(text: str, rule: Rule, p: Floats, targets: Ints, labels: Labels, index: int) -> OperatingPoint | str:
    """The point of one source and label, or why there is none."""
    label = labels[index]
    known = known_and_spoken(p, targets, labels)[:, index]
    chance = np.asarray(p, dtype=float)[known, positive_column(labels, label)]
    truth = np.asarray(targets)[known, index] == label.classes.index(label.positive)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if min(positives, negatives) < FEWEST:
        return f"{positives} positive ({label.positive}) and {negatives} negative cases, fewer than {FEWEST} of one"
    threshold = choose_threshold(chance, truth, rule)
    if np.isnan(threshold):
        return f"no threshold keeps {text}"
    figures = {
        name: float(value[0]) for name, value in sides(truth, chance >= threshold, np.ones((1, len(truth)))).items()
    }
    told = {name: None if np.isnan(value) else value for name, value in figures.items()}
    return OperatingPoint(text, label.positive, threshold, positives, negatives, **told)  # type: ignore[arg-type]
