"""The official score: parity with scikit-learn, what its terms are, and what predictors that see nothing come to."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score, roc_auc_score

import mmfuse
from mmfuse import Label, Labels
from mmfuse.testing import checks
from mmfuse_fundus.metrics import OdirAuc, OdirF1, OdirKappa, OdirOfficial

LETTERS = "NDGCAHMO"
LABELS = Labels([Label(letter, ("no", "yes")) for letter in LETTERS])
METRICS = (OdirOfficial(), OdirKappa(), OdirF1(), OdirAuc())

TOP = {"N": 1140, "D": 697, "O": 551, "DO": 282, "C": 146, "G": 120, "A": 117, "M": 107, "DH": 44, "MO": 40}
"""Patients of the most frequent combinations in the full training release, of 37; counts of single labels complete."""
TOTALS = dict(zip(LETTERS, (1140, 1128, 215, 212, 164, 103, 174, 979), strict=True))


def columns(chance: np.ndarray) -> np.ndarray:
    """(cases, 8) → (cases, 16)."""
    return np.stack([1 - chance, chance], axis=-1).reshape(len(chance), -1)


def official(chance: np.ndarray, truth: np.ndarray, weight: np.ndarray | None = None) -> tuple[float, ...]:
    weight = np.ones((1, len(truth))) if weight is None else weight
    found = [metric.score(columns(chance), truth, LABELS, weight)[0, 0] for metric in METRICS]
    return tuple(float(value) for value in found)


def script(chance: np.ndarray, truth: np.ndarray) -> tuple[float, ...]:
    """What the challenge's own script computes, by scikit-learn."""
    bits, p = truth.ravel(), chance.ravel()
    kappa = cohen_kappa_score(bits, p > 0.5)
    f1 = f1_score(bits, p > 0.5, average="micro")
    auc = roc_auc_score(bits, p)
    return (kappa + f1 + auc) / 3, kappa, f1, auc


def like_the_release() -> np.ndarray:
    """3,500 patients: 2,914 with one label, 557 with two, 29 with three; every label as often as in the release.

    Which of the rarer labels stand together is not known and drawn; none of the figures below depends on it.
    """
    left = {letter: TOTALS[letter] - sum(n for named, n in TOP.items() if letter in named) for letter in LETTERS}
    rows = [named for named, n in TOP.items() for _ in range(n)]
    sizes = [1] * (2914 - sum(n for named, n in TOP.items() if len(named) == 1))
    sizes += [2] * (557 - sum(n for named, n in TOP.items() if len(named) == 2)) + [3] * 29
    for size in reversed(sizes):  # the largest first, from what is most left
        chosen = sorted(left, key=left.__getitem__, reverse=True)[:size]
        for letter in chosen:
            left[letter] -= 1
        rows.append("".join(chosen))
    assert not any(left.values())
    return np.array([[int(letter in row) for letter in LETTERS] for row in rows])


RELEASE = like_the_release()


def test_the_matrix_is_like_the_release():
    assert RELEASE.shape == (3500, 8)
    assert RELEASE.sum(axis=0).tolist() == list(TOTALS.values())
    assert np.bincount(RELEASE.sum(axis=1)).tolist() == [0, 2914, 557, 29]
    assert RELEASE.mean() == pytest.approx(0.1470, abs=5e-5)
    assert not RELEASE[RELEASE[:, 0] == 1, 1:].any()


@pytest.mark.parametrize("part", METRICS, ids=lambda part: part.name)
def test_contract(part):
    for one in checks(part, labels=LABELS):
        one()


def test_names_and_labels():
    assert [part.name for part in METRICS] == ["odir-official", "odir-kappa", "odir-f1", "odir-auc"]
    three = Labels([Label("grade", ("a", "b", "c")), Label("N", ("no", "yes"))])
    for part in METRICS:
        assert part.suits(LABELS)
        assert not part.suits(three)
        assert not part.suits(Labels([Label("N", ("no", "yes"))]))


@pytest.mark.parametrize("rounded", [1, 6], ids=["ties", "no ties"])
def test_it_is_the_script(rounded):
    rng = np.random.default_rng(rounded)
    truth = (rng.random((90, 8)) < 0.2).astype(int)
    chance = np.round(np.clip(0.35 * truth + rng.beta(2, 5, truth.shape), 0, 1), rounded)
    chance[0] = 0.5  # called from above one half on
    assert official(chance, truth) == pytest.approx(script(chance, truth), abs=1e-12)


def test_a_weight_is_so_many_cases():
    rng = np.random.default_rng(3)
    truth = (rng.random((60, 8)) < 0.3).astype(int)
    chance = np.round(np.clip(0.3 * truth + rng.random(truth.shape) * 0.7, 0, 1), 2)
    weight = rng.integers(0, 4, (25, 60)).astype(float)
    for row in weight:
        again = np.repeat(np.arange(60), row.astype(int))
        expected = script(chance[again], truth[again])
        assert official(chance, truth, row[None]) == pytest.approx(expected, abs=1e-12)
    together = OdirOfficial().score(columns(chance), truth, LABELS, weight)
    alone = [official(chance, truth, row[None])[0] for row in weight]
    assert together[:, 0] == pytest.approx(alone, abs=1e-12)


def test_many_replicates_come_in_blocks():
    rng = np.random.default_rng(4)
    chance, weight = rng.random((3500, 8)), rng.integers(0, 3, (40, 3500)).astype(float)
    found = OdirAuc().score(columns(chance), RELEASE, LABELS, weight)[:, 0]
    one = roc_auc_score(RELEASE.ravel(), chance.ravel(), sample_weight=np.repeat(weight[39], 8))
    assert found[39] == pytest.approx(one, abs=1e-12)


def test_the_positive_class_may_stand_first():
    turned = Labels([Label(letter, ("yes", "no"), positive="yes") for letter in LETTERS])
    rng = np.random.default_rng(5)
    truth = (rng.random((50, 8)) < 0.3).astype(int)
    chance = rng.random((50, 8))
    mirrored = columns(chance)[:, ::-1].reshape(50, 8, 2)[:, ::-1].reshape(50, 16)
    found = OdirOfficial().score(mirrored, 1 - truth, turned, np.ones((1, 50)))
    assert found[0, 0] == pytest.approx(script(chance, truth)[0], abs=1e-12)


def test_unknown_and_silent_bits_are_no_bits():
    rng = np.random.default_rng(6)
    truth = (rng.random((50, 8)) < 0.3).astype(int)
    chance = rng.random((50, 8))
    known = rng.random((50, 8)) < 0.8
    expected = script(chance[known], truth[known])
    assert official(chance, np.where(known, truth, -1)) == pytest.approx(expected, abs=1e-12)
    assert official(np.where(known, chance, np.nan), truth) == pytest.approx(expected, abs=1e-12)


def test_its_f1_is_the_share_of_right_bits():
    rng = np.random.default_rng(7)
    chance = rng.random((200, 8))
    truth = (rng.random((200, 8)) < 0.3).astype(int)
    p = columns(chance)
    hamming = mmfuse.MEASURES["hamming"].score(p, truth, LABELS, np.ones((1, 200)))[0, 0]
    _, kappa, f1, _ = official(chance, truth)
    assert f1 == pytest.approx(1 - hamming, abs=1e-12)
    assert f1 == pytest.approx(((chance > 0.5) == truth).mean(), abs=1e-12)
    assert kappa <= f1


def test_all_zeros():
    score, kappa, f1, auc = official(np.zeros(RELEASE.shape), RELEASE)
    assert (kappa, auc) == (0, 0.5)
    assert f1 == pytest.approx(1 - RELEASE.mean(), abs=1e-12)
    assert (round(f1, 4), round(score, 3)) == (0.8530, 0.451)


def test_the_constant_prior():
    score, kappa, f1, auc = official(np.broadcast_to(RELEASE.mean(axis=0), RELEASE.shape), RELEASE)
    assert kappa == 0
    assert round(f1, 4) == 0.8530
    assert (round(auc, 4), round(score, 3)) == (0.7581, 0.537)


def test_always_normal():
    score, kappa, f1, auc = official(np.broadcast_to(np.eye(8)[0], RELEASE.shape), RELEASE)
    assert (round(kappa, 3), round(f1, 4), round(auc, 3), round(score, 3)) == (0.190, 0.8095, 0.589, 0.530)


def test_an_oracle_that_may_name_one_label():
    named = np.zeros(RELEASE.shape)
    named[np.arange(len(RELEASE)), RELEASE.argmax(axis=1)] = 1
    found = official(named, RELEASE)
    assert [round(value, 3) for value in found] == [0.937, 0.907, 0.978, 0.925]


def test_trivial_predictors():
    prior = columns(RELEASE.mean(axis=0)[None])[0]
    for part in METRICS:
        trivial = part.trivial(LABELS, prior)
        assert set(trivial) == {"zeros", "always-N"}
        zeros, always = trivial["zeros"].reshape(8, 2), trivial["always-N"].reshape(8, 2)
        assert (zeros == [1, 0]).all()
        assert always[0].tolist() == [0, 1]
        assert (always[1:] == [1, 0]).all()
        other = Labels([Label("edema", ("yes", "no"), positive="yes"), Label("scar", ("no", "yes"))])
        assert list(part.trivial(other, np.full(4, 0.5))) == ["zeros"]
        assert part.trivial(other, np.full(4, 0.5))["zeros"].tolist() == [0, 1, 1, 0]


def test_what_is_undefined_is_no_number():
    nothing, half = np.zeros((4, 8), dtype=int), np.full((4, 8), 0.2)
    score, kappa, f1, auc = official(half, nothing)
    assert np.isnan([score, kappa, auc]).all()
    assert f1 == 1
    silent = official(np.full((4, 8), np.nan), nothing)
    assert np.isnan(silent).all()
