"""Resampling whole groups of cases: weights of the bootstrap and the jackknife, and figures under those weights.

Groups (patients) are resampled, never single cases of one: cases of a group are alike, and taking them apart would
make every interval too narrow. Metrics are vectorised over replicates of weights, so a resampling is one call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.aside import numbered, picked
from mmfuse.decide.scores import ScoreTable
from mmfuse.errors import SpecError, TableError, nearest
from mmfuse.labels import Floats, Ints, Labels
from mmfuse.metrics import Asked, Wanted, asked, counted
from mmfuse.seeds import generator

BLOCKS = 400
"""Beyond so many groups the jackknife leaves out blocks of groups, so that its cost grows no further."""

AT_ONCE = 2**20
"""Weights that are held together."""

Flags = NDArray[np.bool_]

PER_CASE = frozenset({"accuracy", "log-loss", "brier", "entropy", "exact-match", "hamming"})
"""Metrics that are means over cases. All others speak of classes, so that a rare class is what limits them."""

RANKING = frozenset({"macro-auc", "average-precision"})
"""Metrics that compare cases with one another, over the classes that are frequent enough to be counted."""


def bootstrap_weights(groups: NDArray[np.str_], replicates: int, seed: int) -> Floats:
    """(replicates, cases): how often each case stands in each resample of whole groups, with replacement
    (Field & Welsh, J. R. Stat. Soc. B 2007: the cluster bootstrap)."""
    out, done = np.empty((replicates, len(groups))), 0
    for part in drawn_again(groups, replicates, seed).parts(len(groups)):
        out[done : done + len(part)] = part
        done += len(part)
    return out


def jackknife_weights(groups: NDArray[np.str_], seed: int = 0) -> Floats:
    """(blocks, cases) of 0 and 1: each row leaves one group out.

    Beyond 400 groups each row leaves out one of 400 blocks of groups, drawn at random and as equal in number as can be
    (the delete-a-group jackknife: Kott, J. Official Statistics 17, 2001).
    """
    return next(leaving_out(groups, seed).rows(BLOCKS))


@dataclass(frozen=True)
class Resamples:
    """Weights (replicates, cases) that are made a few rows at a time: all of them, of a million cases, would be
    gigabytes."""

    rows: Callable[[int], Iterator[Floats]]
    """All of them from the first on, so many at once. They are the same however many that is."""

    def parts(self, cases: int) -> Iterator[Floats]:
        """All rows, as many at once as take 8 MB."""
        yield from self.rows(max(1, AT_ONCE // max(cases, 1)))


def drawn_again(groups: NDArray[np.str_], replicates: int, seed: int) -> Resamples:
    """The weights of `bootstrap_weights`, a few rows at a time."""
    names, member = numbered(groups)

    def rows(step: int) -> Iterator[Floats]:
        drawing = generator(seed, "bootstrap")
        for start in range(0, replicates, step):
            count = min(step, replicates - start)
            drawn = drawing.integers(0, len(names), (count, len(names)))
            place = drawn + len(names) * np.arange(count)[:, None]  # in one go, ten times as fast as multinomial
            counts = np.bincount(place.ravel(), minlength=count * len(names)).reshape(count, len(names))
            yield counts[:, member].astype(float)

    return Resamples(rows)


def leaving_out(groups: NDArray[np.str_], seed: int = 0, *, whole: bool = False) -> Resamples:
    """The weights of `jackknife_weights`; with `whole` a first row that leaves out none."""
    names, member = numbered(groups)
    blocks = min(len(names), BLOCKS)
    block = np.arange(len(names)) % blocks
    if len(names) > BLOCKS:
        block = generator(seed, "jackknife").permutation(block)
    left_out, of = np.arange(-1 if whole else 0, blocks), block[member]

    def rows(step: int) -> Iterator[Floats]:
        for start in range(0, len(left_out), step):
            yield (left_out[start : start + step, None] != of).astype(float)

    return Resamples(rows)


_REST_ON: Mapping[str, Callable[[Flags, Flags], Flags]] = {
    "sensitivity": lambda positive, called: positive,
    "specificity": lambda positive, called: ~positive,
    "ppv": lambda positive, called: called,
    "npv": lambda positive, called: ~called,
}
"""The cases that a figure of the positive class is a share of."""

_REST_NAMES = {
    "sensitivity": "hold the class '{}'",
    "specificity": "hold a class other than '{}'",
    "ppv": "are called '{}'",
    "npv": "are called other than '{}'",
}


class Support(NamedTuple):
    """How much a figure of one label rests on."""

    cases: int
    """Cases whose label is known and about which the source speaks."""
    groups: int
    """Groups that hold such a case."""
    fewest: int
    """Of those, groups that hold the rarest class that the metric speaks of (or any other class, if that is rarer);
    `groups` for a metric that is a mean over cases."""
    rarest: str
    """What those are, `hold the class 'x'`; empty for a metric that is a mean over cases."""


@dataclass(frozen=True, eq=False)
class Sample:
    """The cases of one split, as they are resampled."""

    table: ScoreTable
    strata: Ints
    """(n,) number of the fold within which metrics that compare cases compare them; all 0 where there are no folds."""

    @property
    def labels(self) -> Labels:
        return self.table.labels

    def figure(self, metric: Wanted, p: Floats, weight: Floats | Resamples | None = None) -> Floats:
        """(replicates, labels) of a metric, as evaluations show it; (replicates, 1) where it is one of all labels.

        Over several folds a metric that ranks compares cases of the same fold alone.
        """
        score, given = asked(metric).score, (p, self.table.targets, self.labels)
        if isinstance(weight, Resamples):
            return np.concatenate([score(*given, part, self.strata) for part in weight.parts(len(p))])
        return score(*given, weight, self.strata)

    def overall(self, metric: Wanted, p: Floats, figures: Floats, label: str) -> Floats:
        """(replicates, labels) of `figure` → (replicates,): of one label, or their mean as evaluations take it."""
        if asked(metric).figure.of_positive and not label:
            columns = [self.labels.slices[one.name].start + one.classes.index(one.positive) for one in self.labels]
            figures = np.where(counted(p, self.table.targets, self.labels)[columns], figures, np.nan)
        return over_labels(figures, self.labels, label)

    def supports(self, metric: Wanted, p: Floats) -> list[Support]:
        """What the figure of each label rests on."""
        wanted = asked(metric)
        if not wanted.figure.by_label and wanted.name not in (*PER_CASE, "positive-macro-f1"):
            return [self._pooled(p)] * len(self.labels)
        enough, groups, out = counted(p, self.table.targets, self.labels), self._groups, []
        for index, label in enumerate(self.labels):
            part = self.labels.slices[label.name]
            truth = self.table.targets[:, index]
            answered = (truth >= 0) & ~np.isnan(p[:, part]).any(axis=1)
            by_class: dict[str, int] = {}
            if wanted.name in _REST_ON:
                positive = label.classes.index(label.positive)
                called = _called(wanted, np.where(answered[:, None], p[:, part], 0.0), positive)
                rest = answered & _REST_ON[wanted.name](truth == positive, called)
                by_class[_REST_NAMES[wanted.name].format(label.positive)] = groups(rest)
            elif wanted.name not in PER_CASE:
                of_class = {name: answered & (truth == column) for column, name in enumerate(label.classes)}
                speaks = enough[part] if wanted.name in RANKING else [cases.any() for cases in of_class.values()]
                chosen = {name: cases for (name, cases), ok in zip(of_class.items(), speaks, strict=True) if ok}
                by_class = {f"hold the class '{name}'": groups(cases) for name, cases in chosen.items()}
                for name, cases in chosen.items():
                    by_class[f"hold a class other than '{name}'"] = groups(answered & ~cases)
            rarest = min(by_class, key=lambda name: by_class[name], default="")
            whole = groups(answered)
            out.append(Support(int(answered.sum()), whole, by_class.get(rarest, whole), rarest))
        return out

    def _pooled(self, p: Floats) -> Support:
        """Of a figure of all labels' answers together: the groups with a positive, and with another, answer to any."""
        known = np.stack([~np.isnan(p[:, part]).any(axis=1) for part in self.labels.slices.values()], axis=1) & (
            self.table.targets >= 0
        )
        positive: Flags = self.table.targets == np.array([label.classes.index(label.positive) for label in self.labels])
        whole = known.sum(axis=1) > 0
        by_class = {
            "are positive for any label": self._groups((known & positive).sum(axis=1) > 0),
            "are not positive for some label": self._groups((known & ~positive).sum(axis=1) > 0),
        }
        rarest = min(by_class, key=lambda name: by_class[name])
        return Support(int(whole.sum()), self._groups(whole), by_class[rarest], rarest)

    def _groups(self, cases: Flags) -> int:
        """Groups that hold any of the cases."""
        return len(np.unique(self.table.groups[cases]))

    def covers(self, cases: int, groups: int) -> str:
        """What an interval over these cases speaks of."""
        units = f"{cases} cases" if cases == groups else f"{groups} groups ({cases} cases)"
        return f"the choice of {units}; not of training cases or seeds"


def _called(wanted: Asked, p: Floats, positive: int) -> Flags:
    if np.isnan(wanted.threshold):
        return np.asarray(np.argmax(p, axis=1) == positive)
    return np.asarray(p[:, positive] >= wanted.threshold)


def sample(table: ScoreTable, on: str, within: Sequence[int] | Ints = ()) -> Sample:
    """The cases of a split (`train`, `valid`, `test`) or `all`; `within`: fold numbers of all the table's cases.

    Raises: TableError if the split is empty, a case stands in it twice, one of its groups stands in another split as
    well, or `within` is of another length.
    """
    if len(within) not in (0, len(table)):
        raise TableError(f"fold numbers of {len(within)} cases", f"of the table's {len(table)}")
    chosen = np.ones(len(table), dtype=bool) if on == "all" else table.split == on
    if not chosen.any():
        known = [*np.unique(table.split[table.split != ""]).tolist(), "all"]
        raise TableError(f"no case is '{on}'", f"one of {known}", nearest(on, known))
    names, which = numbered(picked(table.ids, chosen))
    times = np.bincount(which)
    if (times > 1).any():
        raise TableError(
            f"{int((times > 1).sum())} cases stand in '{on}' more than once, among them '{names[np.argmax(times)]}'",
            "each case once",
            "leave out the copies: counted twice, a case would narrow every interval",
        )
    _refuse_torn_groups(table, chosen, on)
    strata = np.asarray(within, dtype=int)[chosen] if len(within) else np.zeros(int(chosen.sum()), dtype=int)
    return Sample(table.take(chosen), strata)


def _refuse_torn_groups(table: ScoreTable, chosen: Flags, on: str) -> None:
    """Of several outer folds, each has its own `valid` and `test`: there the same fold is what counts."""
    rest = ~chosen & (table.split != "")
    if not rest.any():
        return
    if (table.split == "train").any() or len(np.unique(table.folds)) < 2:
        names, which = numbered(table.groups)
        torn = names[np.intersect1d(which[chosen], which[rest])]
    else:
        place = np.char.add(np.char.add(table.folds.astype(str), "/"), table.groups)
        torn = np.array([name.partition("/")[2] for name in np.intersect1d(place[chosen], place[rest]).tolist()])
    if len(torn):
        others = sorted({*table.split[rest & np.isin(table.groups, torn)].tolist()})
        shown = ", ".join(f"'{name}'" for name in torn[:5].tolist())
        raise TableError(
            f"{len(torn)} groups stand in '{on}' and in {', '.join(others)}: {shown}{' …' if len(torn) > 5 else ''}",
            "every group whole in one split",
            "split by group, and train again: what learnt from a group knows its other cases",
        )


def one_class_folds(sampled: Sample, index: int) -> list[int]:
    """Folds in which a label has one class alone; they add no pair to an AUC within folds."""
    truth = sampled.table.targets[:, index]
    folds = np.unique(sampled.strata)
    return [int(fold) for fold in folds if len(np.unique(truth[(sampled.strata == fold) & (truth >= 0)])) < 2]


def over_labels(figures: Floats, labels: Labels, label: str) -> Floats:
    """(replicates, labels) → (replicates,): of one label, or the mean by weight over the labels where it is defined.

    Raises: SpecError for one label of a figure (replicates, 1) that all labels have together.
    """
    if figures.shape[1] != len(labels):
        if label:
            raise SpecError(f"this metric of the label '{label}'", "of all labels together", "name no label")
        return figures[:, 0]
    if label:
        return figures[:, labels.names.index(label)]
    weights = np.where(np.isnan(figures), 0.0, labels.weights)
    total = weights.sum(axis=1)
    return np.where(total > 0, (weights * np.nan_to_num(figures)).sum(axis=1) / np.where(total > 0, total, 1), np.nan)


def support_of(supports: Sequence[Support], figures: Floats, labels: Labels, label: str) -> Support:
    """Of one label; of a mean over labels, the least of those that count (`figures`: (labels,), or one of all)."""
    if label:
        return supports[labels.names.index(label)]
    each = np.broadcast_to(figures, len(labels))
    counting = [
        (name, support)
        for name, support, figure, weight in zip(labels.names, supports, each, labels.weights, strict=True)
        if not np.isnan(figure) and weight > 0
    ]
    if not counting:
        return min(supports, key=lambda support: support.fewest)
    name, least = min(counting, key=lambda pair: pair[1].fewest)
    most = max((support for _, support in counting), key=lambda support: support.groups)
    return Support(most.cases, most.groups, least.fewest, f"{least.rarest} of '{name}'" if least.rarest else "")


def check_words(table: ScoreTable, metric: Wanted, sources: Sequence[str], label: str) -> None:
    """Raises SpecError for an unknown metric, source or label, or a metric without a meaning for these labels."""
    wanted = asked(metric)
    if not wanted.suits(table.labels):
        raise SpecError(f"metric '{wanted.name}' does not suit the labels {list(table.labels.names)}", "another metric")
    words = [(source, "source", list(table.sources)) for source in sources]
    words += [(label, "label", list(table.labels.names))] if label else []
    for word, kind, known in words:
        if word not in known:
            raise SpecError(f"no {kind} is called '{word}'", f"one of {known}", nearest(word, known))
