"""Labels as columns: one code path for binary, multi-class and multi-label; numbers against SciPy and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import log_softmax, softmax

from mmfuse.labels import UNKNOWN, Label, Labels

THREE, TWO = Label("three", ("a", "b", "c")), Label("two", ("no", "yes"))
LABELS = Labels([THREE, TWO])
PARTS = (slice(0, 3), slice(3, 5))
NAN = float("nan")

shapes = st.tuples(st.integers(0, 3), st.integers(0, 4)).map(lambda shape: (*shape, 5))
logits = shapes.flatmap(lambda shape: arrays.arrays(np.float64, shape, elements=st.floats(-800, 800)))
targets = st.integers(1, 9).flatmap(
    lambda n: st.tuples(
        arrays.arrays(np.int64, n, elements=st.integers(-1, 2)), arrays.arrays(np.int64, n, elements=st.integers(-1, 1))
    ).map(lambda columns: np.stack(columns, axis=1))
)


def test_columns_stand_side_by_side():
    assert LABELS.slices == {"three": PARTS[0], "two": PARTS[1]}
    assert LABELS.columns == 5
    assert LABELS.names == ("three", "two")
    assert LABELS.column_names == ("three:a", "three:b", "three:c", "two:no", "two:yes")
    assert (LABELS[0], LABELS[-1], LABELS[:1], list(LABELS), len(LABELS)) == (THREE, TWO, (THREE,), [THREE, TWO], 2)


def test_a_label_says_its_column_and_positive_class():
    assert (THREE.column, THREE.positive) == ("three", "c")
    assert Label("x", ("a", "b"), "col", "a").positive == "a"


@pytest.mark.parametrize("classes", [(), ("a",), ("a", "a")])
def test_a_label_needs_distinct_classes(classes):
    with pytest.raises(ValueError, match="two or more distinct classes"):
        Label("x", classes)


def test_a_positive_class_is_one_of_the_classes():
    with pytest.raises(ValueError, match="'z' is none of"):
        Label("x", ("a", "b"), positive="z")


def test_labels_compare_by_content():
    same = Labels([THREE, TWO])
    assert same == LABELS
    assert hash(same) == hash(LABELS)
    assert Labels([TWO, THREE]) != LABELS
    assert LABELS != [THREE, TWO]
    np.testing.assert_array_equal(Labels([THREE, Label("w", ("a", "b"), weight=0.5)]).weights, [1.0, 0.5])


@given(logits)
def test_softmax_is_scipy_s_within_each_label(z):
    p, log_p = LABELS.softmax(z), LABELS.log_softmax(z)
    for part in PARTS:
        np.testing.assert_allclose(p[..., part], softmax(z[..., part], axis=-1), atol=1e-12)
        np.testing.assert_allclose(log_p[..., part], log_softmax(z[..., part], axis=-1), atol=1e-9)
        np.testing.assert_allclose(p[..., part].sum(axis=-1), 1)


@given(logits, st.floats(-50, 50))
def test_softmax_does_not_see_a_shift_of_a_label(z, shift):
    moved = z.copy()
    moved[..., PARTS[0]] += shift
    np.testing.assert_allclose(LABELS.softmax(moved), LABELS.softmax(z), atol=1e-9)


def test_softmax_keeps_who_is_silent_and_who_is_sure():
    z = np.array([NAN, 0, 1, 2, -np.inf])
    p = LABELS.softmax(z)
    assert np.isnan(p[:3]).all()
    np.testing.assert_array_equal(p[3:], [1, 0])
    assert LABELS.log_softmax(z)[4] == -np.inf


def test_softmax_keeps_the_precision_it_is_given():
    assert LABELS.softmax(np.zeros(5, np.float32)).dtype == np.float32
    assert LABELS.softmax(np.zeros(5, np.float64)).dtype == np.float64
    assert LABELS.softmax(np.zeros(5, np.int64)).dtype == np.float64


@given(arrays.arrays(np.float64, (4, 5), elements=st.floats(0, 1e6, allow_subnormal=False)))
def test_normalise_makes_probabilities_of_weights(weights):
    p = LABELS.normalise(weights)
    for part in PARTS:
        np.testing.assert_allclose(p[:, part].sum(axis=1), 1)
        nothing = weights[:, part].sum(axis=1) == 0
        np.testing.assert_allclose(p[nothing, part], 1 / (part.stop - part.start))
        total = weights[~nothing, part].sum(axis=1, keepdims=True)
        np.testing.assert_allclose(p[~nothing, part] * total, weights[~nothing, part], rtol=1e-9)


def test_normalise_keeps_silence_and_leaves_its_input_alone():
    weights = np.array([[NAN, NAN, NAN, 1.0, 3.0]])
    p = LABELS.normalise(weights)
    assert np.isnan(p[0, :3]).all()
    np.testing.assert_array_equal(p[0, 3:], [0.25, 0.75])
    np.testing.assert_array_equal(weights[0, 3:], [1, 3])


def test_argmax_takes_the_first_of_equals_and_knows_silence():
    scores = np.array([[1, 1, 0, 0, 0], [NAN, NAN, NAN, 0, 2], [0, NAN, 5, -np.inf, -np.inf]])
    np.testing.assert_array_equal(LABELS.argmax(scores), [[0, 0], [UNKNOWN, 1], [UNKNOWN, 0]])
    assert LABELS.argmax(scores).dtype == np.int64


@given(targets)
def test_one_hot_and_argmax_undo_each_other(known):
    hot = LABELS.one_hot(known)
    silent = np.where(np.repeat(known == UNKNOWN, (3, 2), axis=1), NAN, hot)
    np.testing.assert_array_equal(LABELS.argmax(silent), known)
    for i, part in enumerate(PARTS):
        np.testing.assert_array_equal(hot[:, part].sum(axis=1), known[:, i] != UNKNOWN)


@given(targets)
def test_counts_and_prior_are_those_of_a_loop(known):
    counts = [sum(row == k for row in known[:, 0]) for k in range(3)]
    counts += [sum(row == k for row in known[:, 1]) for k in range(2)]
    np.testing.assert_array_equal(LABELS.counts(known), counts)
    prior = LABELS.prior(known)
    np.testing.assert_allclose(prior[:3], (np.array(counts[:3]) + 0.5) / (sum(counts[:3]) + 1.5))
    np.testing.assert_allclose(prior[3:], (np.array(counts[3:]) + 0.5) / (sum(counts[3:]) + 1.0))


def test_the_prior_of_nothing_known_is_uniform():
    np.testing.assert_allclose(LABELS.prior(np.full((4, 2), UNKNOWN)), [1 / 3, 1 / 3, 1 / 3, 0.5, 0.5])
    np.testing.assert_allclose(LABELS.prior(np.empty((0, 2), int)), [1 / 3, 1 / 3, 1 / 3, 0.5, 0.5])


def test_no_labels_are_no_columns():
    none = Labels([])
    assert (none.columns, none.column_names) == (0, ())
    assert none.argmax(np.empty((3, 0))).shape == (3, 0)
    assert none.one_hot(np.empty((3, 0), int)).shape == (3, 0)
    assert none.softmax(np.empty((3, 0))).shape == (3, 0)
    assert none.prior(np.empty((3, 0), int)).shape == (0,)
