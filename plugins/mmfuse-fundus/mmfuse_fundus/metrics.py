"""The official score of the ODIR challenge and its three terms, exactly as its script defines them.

All labels of all cases are flattened into one vector of bits: nothing is averaged over diseases. Read them beside the
honest figures and beside predictors that look at no image, which they bring along (`trivial`): the "F1" is the share of
right bits, so that naming no disease at all scores .85 where 15 % of the bits are set, and an AUC over flattened
labels rewards knowing how frequent each disease is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from mmfuse import Label, Labels, Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]
    Ints = NDArray[np.integer]
    Bools = NDArray[np.bool_]

THRESHOLD = 0.5
"""A disease is called where its probability is above this."""
NORMAL = "N"
"""The label that `always-N` names."""
CELLS = 1 << 19
"""Numbers that are held at once per working array."""


class OdirOfficial(Metric):
    """The official score of ODIR: the mean of `odir-kappa`, `odir-f1` (which is bit accuracy) and `odir-auc`."""

    @property
    def by_label(self) -> bool:
        return False

    @property
    def ranks(self) -> bool:
        return True

    @property
    def remark(self) -> str:
        return "the mean of odir-kappa, odir-f1 and odir-auc; zeros, always-N and prior are what it gives for nothing"

    def suits(self, labels: Labels) -> bool:
        return _multi_label(labels)

    def trivial(self, labels: Labels, prior: Floats) -> Mapping[str, Floats]:
        return _trivial(labels)

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        """(replicates, 1) in about [0, 1]; NaN where one of the three is undefined (ODIR-2019 evaluation script)."""
        bits = _bits(p, targets, labels)
        kappa, right = _kappa_and_right(bits, weight)
        return (((kappa + right) + _auc(bits, weight)) / 3)[:, None]


class OdirKappa(Metric):
    """Cohen's kappa of all labels' bits as one vector, called above .5; a term of `odir-official`."""

    @property
    def by_label(self) -> bool:
        return False

    def suits(self, labels: Labels) -> bool:
        return _multi_label(labels)

    def trivial(self, labels: Labels, prior: Floats) -> Mapping[str, Floats]:
        return _trivial(labels)

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        """(replicates, 1) in [-1, 1]; NaN where all bits and all calls are the same."""
        return _kappa_and_right(_bits(p, targets, labels), weight)[0][:, None]


class OdirF1(Metric):
    """ODIR's "F1": micro F1 over set and unset bits together, which is the share of right bits (bit accuracy)."""

    @property
    def by_label(self) -> bool:
        return False

    @property
    def remark(self) -> str:
        return (
            'the challenge\'s "F1" is the share of right bits (bit accuracy), high wherever most bits are unset; '
            "what is usually meant by F1 are micro F1 and macro F1 of positives"
        )

    def suits(self, labels: Labels) -> bool:
        return _multi_label(labels)

    def trivial(self, labels: Labels, prior: Floats) -> Mapping[str, Floats]:
        return _trivial(labels)

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        """(replicates, 1) in [0, 1]; one minus it is the Hamming loss, but for probabilities of exactly .5."""
        return _kappa_and_right(_bits(p, targets, labels), weight)[1][:, None]


class OdirAuc(Metric):
    """Area under one ROC curve of all labels' bits together; a term of `odir-official`."""

    @property
    def by_label(self) -> bool:
        return False

    @property
    def ranks(self) -> bool:
        return True

    @property
    def remark(self) -> str:
        return "one curve over all labels' bits: knowing how frequent each label is earns much of it (prior)"

    def suits(self, labels: Labels) -> bool:
        return _multi_label(labels)

    def trivial(self, labels: Labels, prior: Floats) -> Mapping[str, Floats]:
        return _trivial(labels)

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        """(replicates, 1) in [0, 1]; equal scores count half; NaN where no bit, or every bit, is set."""
        return _auc(_bits(p, targets, labels), weight)[:, None]


class _Bits(NamedTuple):
    """The known and spoken (case, label) pairs, flattened: (bits,) each."""

    case: Ints
    chance: Floats
    truth: Bools


def _multi_label(labels: Labels) -> bool:
    return len(labels) > 1 and all(len(label.classes) == 2 for label in labels)


def _positive(labels: Labels, label: Label) -> int:
    return labels.slices[label.name].start + label.classes.index(label.positive)


def _trivial(labels: Labels) -> dict[str, Floats]:
    """`zeros` names no disease; `always-N`, where a label is called N, names that one alone. The prior, which every
    evaluation shows, is the third.
    """
    import numpy as np

    columns = {label.name: _positive(labels, label) for label in labels}

    def naming(chosen: tuple[str, ...]) -> Floats:
        p = np.ones(labels.columns)
        for name, column in columns.items():
            others = labels.slices[name]
            p[others] = 1.0 - float(name in chosen)
            p[column] = float(name in chosen)
        return p

    always = {f"always-{NORMAL}": naming((NORMAL,))} if NORMAL in columns else {}
    return {"zeros": naming(()), **always}


def _bits(p: Floats, targets: Ints, labels: Labels) -> _Bits:
    import numpy as np

    chance = np.stack([p[:, _positive(labels, label)] for label in labels], axis=1)
    truth = np.stack([targets[:, i] == label.classes.index(label.positive) for i, label in enumerate(labels)], axis=1)
    counts = (np.asarray(targets) >= 0) & ~np.isnan(chance)
    return _Bits(np.nonzero(counts)[0], chance[counts].astype(float), truth[counts])


def _kappa_and_right(bits: _Bits, weight: Floats) -> tuple[Floats, Floats]:
    """(replicates,) Cohen's kappa and share of right bits.

    kappa = (p_o - p_e) / (1 - p_e), p_e by the margins (Cohen, Educ Psychol Meas 20:37, 1960).
    """
    import numpy as np

    called = bits.chance > THRESHOLD
    kinds = np.stack([bits.truth & called, bits.truth, called, np.ones_like(called)], axis=1).astype(float)
    by_case = np.zeros((np.shape(weight)[1], 4))
    np.add.at(by_case, bits.case, kinds)  # a case's weight is the weight of all its bits
    both, true, named, whole = (np.asarray(weight, dtype=float) @ by_case).T
    right = whole - (true + named - 2 * both)
    expected = true * named + (whole - true) * (whole - named)  # times `whole`: of whole weights nothing is rounded
    beyond = whole**2 - expected
    some = beyond > 1e-12 * np.maximum(whole, 1.0) ** 2
    kappa = np.where(some, (whole * right - expected) / np.where(some, beyond, 1.0), np.nan)
    right = np.where(whole > 0, right / np.where(whole > 0, whole, 1.0), np.nan)
    return kappa, right


def _auc(bits: _Bits, weight: Floats) -> Floats:
    """(replicates,) chance that a set bit ranks above an unset one, equal scores counting half."""
    import numpy as np

    if not len(bits.case):
        return np.full(len(weight), np.nan)
    order = np.argsort(bits.chance, kind="stable")
    case, truth, chance = bits.case[order], bits.truth[order], bits.chance[order]
    starts = np.flatnonzero(np.concatenate([[True], np.diff(chance) > 0]))  # each group of equal scores
    out = np.empty(len(weight))
    step = max(1, CELLS // len(case))
    for start in range(0, len(weight), step):
        of_bits = np.asarray(weight[start : start + step], dtype=float)[:, case]
        unset = np.add.reduceat(of_bits * ~truth, starts, axis=1)
        given = np.add.reduceat(of_bits * truth, starts, axis=1)
        below = np.cumsum(unset, axis=1) - unset / 2
        pairs = given.sum(axis=1) * unset.sum(axis=1)
        out[start : start + step] = np.where(
            pairs > 0, (given * below).sum(axis=1) / np.where(pairs > 0, pairs, 1.0), np.nan
        )
    return out
