"""Several seeds: a metric a seed, never their maximum, and an interval over groups and seeds together."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from mmfuse import SpecError, TableError, difference_over_seeds, interval, over_seeds, paired_difference
from tests.study.tables import binary, noisy


def seeds_of(count, spread, n=200, seed=0, size=1):
    """One set of cases, scored by `count` trainings whose strength differs by `spread`."""
    rng = np.random.default_rng(seed)
    base = noisy(n, seed, size)
    out = []
    for _ in range(count):
        lift = rng.normal(scale=spread) * (2 * base.targets[:, 0] - 1)
        sources = {name: scores + np.stack([np.zeros(n), lift], axis=1)[None] for name, scores in base.sources.items()}
        sources = {name: scores + rng.normal(scale=0.2, size=scores.shape) for name, scores in sources.items()}
        out.append(dataclasses.replace(base, sources=sources))
    return out


def test_the_figure_is_the_mean_and_never_the_best():
    tables = seeds_of(4, 0.4)
    made = over_seeds(tables, "s0", metric="accuracy")
    each = [interval(table, "s0", metric="accuracy").value for table in tables]
    assert made.value == pytest.approx(np.mean(each))
    assert made.value < max(each)
    assert all(f"{value:.3f}" in made.note for value in each)
    assert made.low < made.value < made.high
    assert made.covers == "the choice of 200 cases and of 4 seeds; not of training cases"


def test_seeds_that_differ_widen_the_interval():
    width = {}
    for spread in (0.0, 1.0):
        made = over_seeds(seeds_of(4, spread), "s0", metric="accuracy")
        width[spread] = made.high - made.low
    assert width[1.0] > 1.5 * width[0.0]


def test_the_width_is_that_of_both_variances():
    """Without differences between seeds it is nearly the interval of their mean prediction's cases alone."""
    tables = seeds_of(5, 0.3, n=300)
    made = over_seeds(tables, "s0", metric="log-loss", replicates=8000)
    losses = np.stack([-np.log(t.probabilities("s0")[np.arange(300), t.targets[:, 0]]) for t in tables])
    of_cases = losses.mean(axis=0).var(ddof=1) / 300
    of_seeds = losses.mean(axis=1).var(ddof=1) / 5
    freedom = (of_cases + of_seeds) ** 2 / (of_cases**2 / 299 + of_seeds**2 / 4)
    expected = 2 * stats.t.ppf(0.975, freedom) * np.sqrt(of_cases + of_seeds)
    assert made.high - made.low == pytest.approx(expected, rel=0.2)


def test_differences_over_seeds_are_paired_within_a_seed():
    tables = seeds_of(3, 0.5)
    gap = difference_over_seeds(tables, "s0", "s1", metric="accuracy")
    each = [paired_difference(table, "s0", "s1", metric="accuracy") for table in tables]
    assert gap.value == pytest.approx(np.mean([one.value for one in each]))
    assert gap.low < gap.value < gap.high
    assert 0 <= gap.p <= 1
    assert (gap.p < 0.05) == (not gap.low <= 0 <= gap.high)
    assert "3 seeds" in gap.covers


def test_seeds_that_agree_fall_back_on_the_widest_of_them():
    table = noisy(60)
    table.sources["s0"][0][:, 1] = 8.0 * table.targets[:, 0] - 4
    made = over_seeds([table, table], "s0", metric="accuracy")
    assert (made.value, made.method) == (1.0, "clopper-pearson")
    assert made.low < 1.0
    same = difference_over_seeds([table, table], "s0", "s0", metric="accuracy")
    assert same.low < 0 < same.high


def test_order_of_cases_does_not_matter_and_few_groups_give_none():
    one, other = seeds_of(2, 0.3)
    turned = other.take(np.arange(len(other))[::-1])
    straight = over_seeds([one, other], "s0", metric="macro-auc")
    assert str(over_seeds([one, turned], "s0", metric="macro-auc")) == str(straight)
    few = over_seeds(seeds_of(2, 0.3, n=100, size=20), "s0", metric="accuracy")
    assert np.isnan(few.low)
    assert "only 5 groups" in few.note


def test_bad_input_is_named():
    one, other = seeds_of(2, 0.3)
    with pytest.raises(SpecError, match="scores of 1 seeds"):
        over_seeds([one], "s0", metric="accuracy")
    with pytest.raises(TableError, match="seed 2 speaks of other cases than seed 1: 1 are in one alone"):
        over_seeds([one, other.take(np.arange(1, 200))], "s0", metric="accuracy")
    wrong = dataclasses.replace(other, targets=1 - other.targets)
    with pytest.raises(TableError, match="other labels or groups"):
        over_seeds([one, wrong], "s0", metric="accuracy")


def rare(n=300, positives=12, seed=3, size=1):
    """Twelve positive cases of 300; groups of `size` cases, each of one class."""
    rng = np.random.default_rng(seed)
    truth = np.zeros(n, int)
    truth[: positives * size] = 1
    margins = [strength * truth + rng.normal(size=n) for strength in (1.2, 0.8)]
    return binary(truth, *margins, groups=np.arange(n) // size)


@pytest.mark.parametrize("copies", [2, 3, 5])
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize(
    "metric", ["macro-auc", "average-precision", "balanced-accuracy", "sensitivity", "ppv", "accuracy", "log-loss"]
)
def test_the_same_seed_again_tells_nothing_more(metric, size, copies):
    """Twelve groups of the rarest class limit what is known, however often the same table is counted."""
    table = rare(size=size)
    one, again = (over_seeds([table] * copies, "s0", metric=metric), interval(table, "s0", metric=metric))
    assert np.isnan(one.low) == np.isnan(again.low)
    if not np.isnan(one.low):
        assert one.low <= again.low + 1e-12
        assert one.high >= again.high - 1e-12
    gap = difference_over_seeds([table] * copies, "s0", "s1", metric=metric)
    alone = paired_difference(table, "s0", "s1", metric=metric)
    assert gap.p == pytest.approx(alone.p, nan_ok=True)
    if not np.isnan(alone.low):
        assert gap.low <= alone.low + 1e-12
        assert gap.high >= alone.high - 1e-12
