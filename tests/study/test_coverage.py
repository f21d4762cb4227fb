"""Intervals hold the true value as often as they say, and tests reject what is equal no oftener than they say.

Few studies here; `benchmarks/coverage.py` and the slow tests draw 2,000.
"""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

spec = importlib.util.spec_from_file_location("coverage_study", Path(__file__).parents[2] / "benchmarks/coverage.py")
study = importlib.util.module_from_spec(spec)
spec.loader.exec_module(study)

METRICS = ["accuracy", "macro-auc"]
LARGE = ["300 cases", "40 groups of 8"]


def error(share, studies):
    """Two and a half standard errors of a counted share."""
    return 2.5 * math.sqrt(share * (1 - share) / studies)


def held(name, metric, studies, low=0.93, high=0.97):
    found = study.coverage(study.STUDIES[name], metric, "auto", studies)
    assert found.given == 1
    assert low - error(low, studies) <= found.covered <= high + error(high, studies), found


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", LARGE)
def test_intervals_cover(name, metric):
    held(name, metric, 200)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", LARGE)
def test_what_is_equal_is_seldom_told_apart(name, metric):
    assert study.rejection(study.STUDIES[name], metric, "auto", 200) <= 0.05 + error(0.05, 200)


def test_five_groups_give_none():
    for metric in METRICS:
        assert study.coverage(study.STUDIES["5 groups of 60"], metric, "auto", 20).given == 0
    assert math.isnan(study.rejection(study.STUDIES["5 groups of 60"], "accuracy", "auto", 20))


def test_five_positives_give_no_interval_of_what_speaks_of_them():
    found = study.coverage(study.STUDIES["5 positives of 300"], "macro-auc", "auto", 20)
    assert found.given == 0
    held("5 positives of 300", "accuracy", 200)


def test_a_perfect_accuracy_has_a_bound():
    found = study.coverage(study.STUDIES["accuracy 1, 300 cases"], "accuracy", "auto", 20)
    assert (found.covered, found.given) == (1, 1)
    assert found.width == pytest.approx(1 - 0.025 ** (1 / 300))


def test_the_simulation_draws_what_it_says():
    rng = np.random.default_rng(0)
    big = study.draw(study.Study("many", 20_000, 2, alike=0.3), rng)
    shown = study.mmfuse.evaluate(big)["sources"]["s0"]["d"]
    expected = study.truth(study.STUDIES["300 cases"])
    assert {metric: shown[metric] for metric in expected} == pytest.approx(expected, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", LARGE)
def test_intervals_cover_in_2000_studies(name, metric):
    held(name, metric, 2000)


@pytest.mark.slow
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", LARGE)
def test_tests_keep_their_level_in_2000_studies(name, metric):
    kind = study.STUDIES[name]
    for method in ["auto"] + ([study.ALONE[metric]] if kind.size == 1 else []):
        assert study.rejection(kind, metric, method, 2000) <= 0.05 + error(0.05, 2000), method


@pytest.mark.slow
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", ["30 groups of 10", "10 groups of 30", "12 positives of 60", "AUC .99, 300 cases"])
def test_harder_studies_are_covered_too(name, metric):
    """Few groups, few positives and figures near 1: never below 93 %; a bound that is too wide is no lie."""
    found = study.coverage(study.STUDIES[name], metric, "auto", 1000)
    assert found.covered >= 0.93 - error(0.93, 1000), found


@pytest.mark.slow
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", list(study.TRAINED))
def test_the_corrected_t_keeps_its_level_where_models_learn_in_every_fold(name, metric):
    """Without the correction the folds' common training cases make it reject too often."""
    found = study.rejection_over_folds(study.TRAINED[name], metric, 400)
    assert found["corrected-t"] <= 0.05 + error(0.05, 400)
    assert found["t, uncorrected"] > found["corrected-t"]


@pytest.mark.slow
def test_intervals_over_seeds_cover():
    assert study.seeds_coverage(study.STUDIES["300 cases"], 3, 0.2, 500) >= 0.93 - error(0.93, 500)
