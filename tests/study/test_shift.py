"""Differences of figures on two sets of cases: against arithmetic done by hand, against a formula of its own, and at
their level in a simulation.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from tables import binary, noisy

from mmfuse import (
    Crossing,
    Interval,
    Judgement,
    Line,
    Metric,
    Transfer,
    counted_apart,
    interval,
    shifts,
    unpaired_difference,
    verdict,
)
from mmfuse.study.shift import BETTER, WORSE


class Misses(Metric):
    """Smaller is better."""

    @property
    def larger_is_better(self):
        return False


def made(value, low, high, groups=50):
    return Interval(value, low, high, "jackknife-t", groups, groups, "")


def test_distances_to_the_ends_add_up_in_squares():
    found = unpaired_difference(made(0.8, 0.7, 0.86), made(0.6, 0.52, 0.7), "accuracy")
    assert found.value == pytest.approx(0.2)
    assert found.low == pytest.approx(0.2 - math.sqrt(0.1**2 + 0.1**2))
    assert found.high == pytest.approx(0.2 + math.sqrt(0.06**2 + 0.08**2))
    assert found.groups == 100
    assert "50 and 50 groups" in found.covers


def test_newcombe_s_example():
    """Newcombe, Stat. Med. 17 (1998), table II: 56/70 less 48/80 by Wilson's intervals (method 10): .0524 … .3339."""

    def wilson(hits, n, z=1.959964):
        p = hits / n
        middle, half = (p + z * z / (2 * n)), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return made(p, (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n))

    found = unpaired_difference(wilson(56, 70), wilson(48, 80), "accuracy")
    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)


def test_without_an_interval_there_is_none():
    none = Interval(0.9, math.nan, math.nan, "none", 5, 5, "", "only 5 cases")
    found = unpaired_difference(none, made(0.6, 0.5, 0.7), "accuracy")
    assert math.isnan(found.low)
    assert found.note == "only 5 cases"
    assert found.value == pytest.approx(0.3)


def test_intervals_of_like_tables_hold_zero_as_often_as_they_say():
    """400 pairs of tables from one source: 95 % within three standard errors of the simulation."""
    held = 0
    for seed in range(400):
        one, other = noisy(n=80, seed=2 * seed), noisy(n=140, seed=2 * seed + 1)
        gap = unpaired_difference(*(interval(t, "s0", metric="accuracy") for t in (one, other)), "accuracy")
        held += gap.low <= 0 <= gap.high
    assert abs(held / 400 - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 400)


HOME, AWAY = Crossing("a", "a", "a"), Crossing("a", "b", "a-to-b")


def judged(metric, value, low, high):
    lines = [
        Line("plan", "variant", "", 50, {metric: value}, {}, made(value, low, high)),
        Line("people", "outside", "", 50, {metric: math.nan}, {}, None),
    ]
    return Judgement(metric, 0.02, 50, 50, "case", lines)


@pytest.mark.parametrize(
    ("metric", "there", "word"),
    [("accuracy", 0.95, BETTER), ("accuracy", 0.5, WORSE), ("log-loss", 0.5, BETTER), ("log-loss", 0.95, WORSE),
     ("accuracy", 0.71, "cannot tell with these cases")],
)  # fmt: skip
def test_the_word_is_that_of_the_metric_s_direction(tmp_path, metric, there, word):
    both = {HOME: judged(metric, 0.7, 0.66, 0.74), AWAY: judged(metric, there, there - 0.04, there + 0.04)}
    plan, people = shifts(Transfer(tmp_path, [HOME, AWAY]), both)
    assert (plan.here, plan.there, plan.word) == (0.7, there, word)
    assert math.isnan(people.difference.low)


@pytest.mark.parametrize(("there", "word"), [(0.5, BETTER), (0.95, WORSE)])
def test_a_plugin_s_metric_says_which_direction_is_better_without_any_comparison(tmp_path, there, word):
    """One plan, no baseline: there is no contest to ask."""
    both = {
        HOME: replace(judged("misses", 0.7, 0.66, 0.74), ideal=-math.inf),
        AWAY: replace(judged("misses", there, there - 0.04, there + 0.04), ideal=-math.inf),
    }
    assert shifts(Transfer(tmp_path, [HOME, AWAY]), both)[0].word == word


def test_a_difference_of_a_plugin_s_metric_knows_its_direction():
    gap = unpaired_difference(made(0.9, 0.88, 0.92), made(0.5, 0.48, 0.52), Misses())
    assert (gap.metric, gap.ideal) == ("misses", -math.inf)
    assert verdict(gap).word == "hurts"
    none = Interval(0.9, math.nan, math.nan, "none", 5, 5, "", "only 5 cases")
    assert unpaired_difference(none, made(0.5, 0.48, 0.52), Misses()).ideal == -math.inf


def test_what_has_no_test_cases_of_its_own_has_no_shift(tmp_path):
    assert shifts(Transfer(tmp_path, [AWAY]), {AWAY: judged("accuracy", 0.7, 0.6, 0.8)}) == []


def test_an_interval_of_real_scores_goes_in():
    table = binary(np.arange(60) % 2, np.arange(60) % 2 + 0.0)
    gap = unpaired_difference(interval(table, "s0", metric="accuracy"), made(0.5, 0.4, 0.6), "accuracy")
    assert gap.value == pytest.approx(0.5)
    assert gap.low < 0.5 < gap.high


def test_averages_of_other_classes_are_told():
    one = ("no", "yes")
    many, few = (binary(np.arange(n) % 2, np.zeros(n)) for n in (40, 40))
    few = few.take(np.r_[np.flatnonzero(few.targets[:, 0] == 0), np.flatnonzero(few.targets[:, 0] == 1)[:5]])
    assert counted_apart(many, many) == ""
    assert counted_apart(many, few) == f"macro averages count d:{one[0]}, d:{one[1]} here alone"
    assert counted_apart(few, many).endswith("there alone")
