"""The lint: silent on figures of any real table, and it finds the contradictions of published ones."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmfuse import lint

COUNTS = st.integers(0, 500)


@settings(max_examples=200, deadline=None)
@given(COUNTS, COUNTS, COUNTS, COUNTS, st.sampled_from([1, 2, 3, 4]))
def test_figures_of_one_table_never_offend(hits, misses, alarms, rejected, digits):
    n = hits + misses + alarms + rejected
    if not n:
        return
    accuracy = (hits + rejected) / n
    chance = ((hits + misses) * (hits + alarms) + (alarms + rejected) * (misses + rejected)) / n**2
    figures = {
        "accuracy": accuracy,
        "kappa": (accuracy - chance) / (1 - chance) if chance < 1 else None,
        "precision": hits / (hits + alarms) if hits + alarms else None,
        "recall": hits / (hits + misses) if hits + misses else None,
        "specificity": rejected / (rejected + alarms) if rejected + alarms else None,
        "f1": 2 * hits / (2 * hits + misses + alarms) if hits + misses + alarms else None,
    }
    reported = {name: None if value is None else round(value, digits) for name, value in figures.items()}
    assert lint(reported, rounding=0.5 * 10**-digits + 1e-9) == []


def test_the_accuracy_of_the_binocular_paper_is_of_another_table():
    """Precision 99.09, recall 99.23 and accuracy 94.23 %: one table with the first two has at least 98.33 %."""
    told = lint({"accuracy": 0.9423, "precision": 0.9909, "recall": 0.9923, "f1": 0.9916}, rounding=0.00005)
    assert len(told) == 1
    assert "0.983" in told[0]
    assert "accuracy 0.9423" in told[0]


@pytest.mark.parametrize(
    ("figures", "labels", "words"),
    [
        ({"kappa": 0.838, "accuracy": 0.805}, 1, "kappa 0.838 is larger than accuracy 0.805"),
        ({"kappa": 0.9, "bit-accuracy": 0.89, "exact-match": 0.5}, 8, "kappa 0.9 is larger than bit-accuracy"),
        ({"accuracy": 0.94}, 8, "'accuracy' of 8 labels does not say which"),
        ({"F1": 0.95, "Precision": 0.9, "Recall": 0.9}, 1, "f1 0.95 is not that"),
        ({"accuracy": 94.2}, 1, "is no share"),
        ({"kappa": -1.2}, 1, "between -1 and 1"),
        ({"accuracy": 0.95, "sensitivity": 0.9, "specificity": 0.8}, 1, "does not lie between"),
        ({"exact_match": 0.9, "hamming": 0.2}, 3, "larger than the share of right pairs"),
        ({"bit accuracy": 0.9, "hamming": 0.2}, 3, "is not one minus hamming"),
    ],
)
def test_contradictions_are_named(figures, labels, words):
    told = lint(figures, labels=labels)
    assert len(told) == 1, told
    assert words in told[0]


def test_the_undefined_and_the_unknown_say_nothing():
    assert lint({}) == []
    assert lint({"accuracy": None, "kappa": 0.9, "dice": 3.0}) == []
    assert lint({"exact-match": 0.5, "bit-accuracy": 0.9}, labels=8) == []
