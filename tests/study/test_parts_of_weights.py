"""Weights that are made a few rows at a time: the figures do not depend on how many, and the memory is flat."""

import dataclasses
import gc
import tracemalloc

import numpy as np
import pytest

from mmfuse import (
    Label,
    Labels,
    ScoreTable,
    bootstrap_weights,
    difference_over_seeds,
    interval,
    jackknife_weights,
    over_seeds,
    paired_difference,
)
from mmfuse.study import optimism, resampling
from mmfuse.study.resampling import drawn_again, leaving_out
from tests.study.tables import noisy

THREE = Labels([Label("d", ("a", "b", "rare"))])


def with_ten_rare(n, seed=0, folds=1):
    """Two sources about `n` cases; exactly ten of them are of class `rare`, one of whom the last row leaves out."""
    rng = np.random.default_rng(seed)
    truth, ids = rng.integers(0, 2, n), np.arange(n).astype(str)
    left_out = np.flatnonzero(jackknife_weights(ids)[-1] == 0)
    truth[[left_out[0], *rng.choice(np.setdiff1d(np.arange(n), left_out), 9, replace=False)]] = 2
    strength = np.array([2.0, 2.0, 1.0])[truth][:, None]
    sources = {f"s{i}": (strength * np.eye(3)[truth] + rng.normal(size=(n, 3)))[None] for i in range(2)}
    return ScoreTable(sources, ids, ids, np.full(n, "test"), np.arange(n) % folds, truth[:, None], THREE)


@pytest.mark.parametrize("n", [7850, 2622])
def test_a_class_of_ten_cases_counts_in_every_part(n, monkeypatch):
    """7,850 cases: 133 rows are held at once, and the last part holds one row, which lacks its own block."""
    table = with_ten_rare(n)
    split = interval(table, "s0", metric="macro-auc")
    gap = paired_difference(table, "s0", "s1", metric="macro-auc")
    monkeypatch.setattr(resampling, "AT_ONCE", 2**40)
    assert interval(table, "s0", metric="macro-auc") == split
    assert paired_difference(table, "s0", "s1", metric="macro-auc") == gap


@pytest.mark.parametrize("metric", ["macro-auc", "average-precision", "balanced-accuracy", "calibration-slope"])
@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("method", ["jackknife-t", "percentile", "bca"])
def test_any_part_gives_the_same(metric, within, method, monkeypatch):
    table = with_ten_rare(300, folds=2)
    folds = table.folds if within else ()
    found = []
    for held in (1, 300 * 7, 2**40):  # one row, seven, all
        monkeypatch.setattr(resampling, "AT_ONCE", held)
        found.append(interval(table, "s0", metric=metric, method=method, within=folds, replicates=50))
    assert all(dataclasses.astuple(one)[1:3] == pytest.approx(dataclasses.astuple(found[0])[1:3]) for one in found)


def test_resamples_are_the_same_however_many_are_made_at_once():
    groups = np.random.default_rng(1).integers(0, 40, 100).astype(str)
    whole = bootstrap_weights(groups, 31, seed=5)
    for step in (1, 4, 31, 100):
        assert np.array_equal(np.concatenate([*drawn_again(groups, 31, 5).rows(step)]), whole)
    assert (whole.sum(axis=1) != 100).any()  # groups of several cases are drawn whole
    assert np.array_equal(np.concatenate([*leaving_out(groups).rows(3)]), jackknife_weights(groups))


def peak_of(replicates, asked):
    gc.collect()
    tracemalloc.start()
    asked(replicates)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def test_the_memory_of_resampling_is_flat():
    """All weights of 10,000 cases × 1,000 replicates would take 80 MB, and what they are made of as much again."""
    table = dataclasses.replace(noisy(10_000), groups=np.arange(10_000).astype(str))
    asked = [
        lambda n: over_seeds([table, table], "s0", metric="accuracy", replicates=n),
        lambda n: difference_over_seeds([table, table], "s0", "s1", metric="accuracy", replicates=n),
        lambda n: interval(table, "s0", metric="accuracy", method="percentile", replicates=n),
        lambda n: paired_difference(table, "s0", "s1", metric="accuracy", method="bootstrap", replicates=n),
    ]
    for one in asked:
        few, many = peak_of(150, one), peak_of(1000, one)
        assert many < 1.2 * few + 2
        assert many < 64


def test_the_best_of_several_is_reckoned_in_flat_memory(monkeypatch):
    table = dataclasses.replace(noisy(10_000), groups=np.arange(10_000).astype(str))
    monkeypatch.setattr(optimism, "OPTIMISM", 150)
    few = peak_of(0, lambda _: optimism.best_of_several([table], ["s0", "s1"], "accuracy"))
    monkeypatch.setattr(optimism, "OPTIMISM", 1000)
    assert peak_of(0, lambda _: optimism.best_of_several([table], ["s0", "s1"], "accuracy")) < 1.2 * few + 2
