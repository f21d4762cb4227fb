"""By what something is chosen in a study: a metric by its name, and cases on which nothing that is chosen is judged.

`valid` where there is one, else inner folds of the training part, groups whole: each case there is spoken about by a
fit that did not see it. On `test` something is chosen only where there is neither, and that is said (law 2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mmfuse.catalog import Catalog
from mmfuse.decide.scores import ScoreTable
from mmfuse.errors import SpecError, nearest
from mmfuse.labels import Labels
from mmfuse.metrics import MEASURES, Wanted, asked, merit
from mmfuse.study.resampling import over_labels

INNER = "inner"
"""The split of training cases as inner folds see them."""

FLATTERED = (
    "beware: no case is `valid` and there are no inner folds: the best single modality is chosen on `test`, where it is"
    " also shown. That flatters the single modality and no fusion; --inner 3 chooses it on the training cases"
)


class Grounds(NamedTuple):
    """On what something is chosen."""

    tables: Sequence[ScoreTable]
    on: str
    """`valid`, `inner` or `test`."""

    @property
    def words(self) -> str:
        """For sentences."""
        return "inner folds of `train`" if self.on == INNER else f"`{self.on}`"


def grounds(tables: Sequence[ScoreTable], inner: ScoreTable | None, names: Sequence[str], prefer: str = "") -> Grounds:
    """Where `names` are chosen among: `valid`, else inner folds that all of them have, else `test`.

    `prefer` (`valid` or `inner`) names the first that is asked for.
    """
    has_inner = inner is not None and bool(names) and all(name in inner.sources for name in names)
    has_valid = bool((tables[0].split == "valid").any())
    if inner is not None and has_inner and (prefer == INNER or not has_valid):
        return Grounds([inner], INNER)
    return Grounds(tables, "valid" if has_valid else "test")


def best_of(grounds: Grounds, names: Sequence[str], metric: Wanted, label: str = "") -> str:
    """Which of `names` is best, by the mean over folds and seeds (and labels, unless one is named).

    Empty where there are no names, or the metric is defined for none of them: then nothing is chosen.
    """
    ideal = asked(metric).figure.ideal
    means = {name: float(merit(ideal, _mean_figure(grounds, name, metric, label))) for name in names}
    known = {name: value for name, value in means.items() if not math.isnan(value)}
    return max(known, key=known.__getitem__, default="")


def best_single(grounds: Grounds, names: Sequence[str], metric: Wanted, label: str = "") -> tuple[str, str]:
    """The best of single modalities, and a sentence where the metric could not choose (too few cases of a class): then
    log loss does.
    """
    if not names:
        return "", ""
    found = best_of(grounds, names, metric, label)
    if found:
        return found, ""
    of = f" on {label}" if label else ""
    why = f"{asked(metric).name} is undefined on {grounds.words}: the best single modality{of} is chosen by log-loss"
    return best_of(grounds, names, "log-loss", label) or names[0], why


def _mean_figure(grounds: Grounds, name: str, metric: Wanted, label: str) -> float:
    wanted, values = asked(metric), []
    for table in grounds.tables:
        for fold in np.unique(table.folds):
            part = table.take((table.folds == fold) & (table.split == grounds.on))
            if len(part):
                figures = wanted.score(part.probabilities(name), part.targets, part.labels)
                values.append(over_labels(figures, part.labels, label if wanted.figure.by_label else "")[0])
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else math.nan


# ── metrics by name ───────────────────────────────────────────────────────────────────────────────────────────────────


def metric_named(word: str, catalog: Catalog | None = None) -> Wanted:
    """One of `MEASURES` by its name, or a `Metric` of the catalog that needs no knob.

    Raises: SpecError for a word that is neither.
    """
    if word in MEASURES:
        return word
    metrics = (catalog or Catalog()).metrics()
    if word not in metrics:
        known = _directed(catalog)
        raise SpecError(f"no metric to compare by is called '{word}'", f"one of {known}", nearest(word, known))
    return metrics[word]


def check_metric(word: str, catalog: Catalog | None = None, labels: Labels | None = None) -> None:
    """Raises: SpecError for an unknown metric, one of which neither more nor less is better, or one without a meaning
    for these labels.
    """
    wanted = asked(metric_named(word, catalog))
    figure = wanted.figure
    if not math.isinf(figure.ideal):
        known = _directed(catalog)
        found = f"no metric to compare by is called '{word}': neither more nor less of it is better"
        raise SpecError(found, f"one of {known}", nearest(word, known))
    if labels is not None and not wanted.suits(labels):
        raise SpecError(f"metric '{word}' does not suit the labels {list(labels.names)}", "another --metric")


def _directed(catalog: Catalog | None) -> list[str]:
    ideals = {name: figure.ideal for name, figure in (catalog or Catalog()).metrics().items()}
    ideals |= {name: figure.ideal for name, figure in MEASURES.items()}
    return [name for name, ideal in ideals.items() if math.isinf(ideal)]
