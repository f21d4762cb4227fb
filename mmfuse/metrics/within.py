"""Figures that compare cases with one another, where the cases stand in several folds.

Scores of two folds come from two networks, whose scales may differ; pooling them lowers (or lifts) an AUC (Airola et
al., Comput. Stat. Data Anal. 55, 2011). Here each case is compared with cases of its own fold (stratum) alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mmfuse.labels import Floats, Ints, Label, Labels
from mmfuse.metrics.basis import Score, counted, known_and_spoken, over_classes, ratio, weights_of
from mmfuse.metrics.ranking import Ranking, one_of_two, weighted_auc, weighted_average_precision

Within = Callable[[Floats, Ints, Labels, Floats | None, Ints], Floats]
"""`(p, targets, labels, weight, strata) -> (replicates, labels)`; strata (cases,) are numbers of folds."""


def class_auc_within(p: Floats, targets: Ints, labels: Labels, weight: Floats | None, strata: Ints) -> Floats:
    """(replicates, columns) of each class against the others of its label: won pairs over pairs, summed over strata.

    NaN where no stratum holds a pair.
    """
    out = _by_class(weighted_auc, lambda of, other: of * other, one_of_two, p, targets, labels, weight, strata)
    for part in labels.slices.values():
        if part.stop - part.start == 2:  # one probability is one minus the other, so both have the same AUC
            out[:, part] = np.where(np.isnan(out[:, part]), out[:, part][:, ::-1], out[:, part])
    return out


def class_average_precision_within(
    p: Floats, targets: Ints, labels: Labels, weight: Floats | None, strata: Ints
) -> Floats:
    """(replicates, columns): mean over the cases of a class of the precision among the cases of their own stratum."""
    return _by_class(
        weighted_average_precision, lambda of, other: of, lambda label: label.classes, p, targets, labels, weight,
        strata,
    )  # fmt: skip


def macro_auc_within(p: Floats, targets: Ints, labels: Labels, weight: Floats | None, strata: Ints) -> Floats:
    """(replicates, labels) macro AUC that compares only pairs of cases of the same stratum, over the classes that are
    counted among all cases; NaN where no stratum holds a pair.
    """
    enough = counted(p, targets, labels)
    return over_classes(np.where(enough, class_auc_within(p, targets, labels, weight, strata), np.nan), labels)


def average_precision_within(p: Floats, targets: Ints, labels: Labels, weight: Floats | None, strata: Ints) -> Floats:
    """(replicates, labels) average precision (of two classes: of the positive one), each case ranked among the cases of
    its own stratum, over the classes that are counted among all cases.
    """
    enough = counted(p, targets, labels)
    figures = _by_class(
        weighted_average_precision, lambda of, other: of, one_of_two, p, targets, labels, weight, strata
    )
    return over_classes(np.where(enough, figures, np.nan), labels)


WITHIN: Mapping[str, Within] = {"macro-auc": macro_auc_within, "average-precision": average_precision_within}
"""By metric: how it is taken within folds. Any other that ranks is the mean over folds of its own value there."""


def mean_over_strata(score: Score, p: Floats, targets: Ints, labels: Labels, weight: Floats, strata: Ints) -> Floats:
    """The mean over strata of a figure, by the weight of their cases, where it is defined."""
    above: Floats | float = 0.0
    below: Floats | float = 0.0
    for stratum in np.unique(strata):
        here = strata == stratum
        values, mass = score(p[here], targets[here], labels, weight[:, here]), weight[:, here].sum(axis=1)[:, None]
        defined = ~np.isnan(values)
        above = above + np.where(defined, mass * np.nan_to_num(values), 0.0)
        below = below + np.where(defined, mass, 0.0)
    return ratio(np.asarray(above), np.asarray(below))


def _by_class(
    ranking: Ranking,
    units: Callable[[Floats, Floats], Floats],
    wanted: Callable[[Label], Sequence[str]],
    p: Floats,
    targets: Ints,
    labels: Labels,
    weight: Floats | None,
    strata: Ints,
) -> Floats:
    """(replicates, columns): a ranking figure of each stratum, by what it is a mean over there (`units` of the weights
    of the class and of the others); NaN for the classes that are not wanted.
    """
    weights, chosen = weights_of(len(p), weight), known_and_spoken(p, targets, labels)
    out = np.full((len(weights), labels.columns), np.nan)
    for index, label in enumerate(labels):
        for name in wanted(label):
            column = labels.slices[label.name].start + label.classes.index(name)
            total, whole = np.zeros(len(weights)), np.zeros(len(weights))
            for stratum in np.unique(strata[chosen[:, index]]):
                here = chosen[:, index] & (strata == stratum)
                positive, mass = targets[here, index] == label.classes.index(name), weights[:, here]
                share = units(mass[:, positive].sum(axis=1), mass[:, ~positive].sum(axis=1))
                total += np.where(share > 0, share * ranking(p[here, column], positive, mass), 0.0)
                whole += share
            out[:, column] = ratio(total, whole)
    return out
