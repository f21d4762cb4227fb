"""Numbers at the edges: huge ones, ones that differ in their last digits, and ones that training saw nothing like."""

import numpy as np
import pytest

from mmfuse import Card, Cases, CasesSection, Table, TableError
from mmfuse.builtin import modalities
from mmfuse.builtin.readers.table import scaled, scaling

N = 120


def rows_of(**columns):
    return Cases(Table.of({"id": range(N), **columns}), Card(cases=CasesSection(id="id"))).rows()


COUNTING = np.arange(N, dtype=float)
EDGES = {
    "1e15 + i": 1e15 + COUNTING,
    "1e15 + 0 or 1": 1e15 + COUNTING % 2,
    "-1e12 + i": -1e12 + COUNTING,
    "up to 1e308": np.where(COUNTING == 7, 1e308, COUNTING),
    "all near 1e308": 1e308 + 1e306 * COUNTING / N,
    "both ends": np.where(COUNTING % 2, 1.7e308, -1.7e308),
    "tiny": 1e-298 * COUNTING,
    "plain": COUNTING,
}


@pytest.mark.parametrize("name", EDGES)
def test_what_varies_is_scaled(name):
    values = EDGES[name][:, None]
    near = scaled(values, *scaling(values))
    assert np.isfinite(near).all()
    assert near.mean() == pytest.approx(0, abs=1e-6)
    assert near.std() == pytest.approx(1, rel=1e-6)
    table, rows = modalities.Table(numeric=("x",)), rows_of(x=[repr(value) for value in values[:, 0].tolist()])
    read, present = table.fit(rows).read(rows)
    assert present.all()
    np.testing.assert_allclose(read[:, 0], near[:, 0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 3.0, 1e15, 1e308, -7e-300])
def test_what_does_not_vary_is_zero(value):
    values = np.full((N, 1), value)
    assert (scaled(values, *scaling(values)) == 0).all()


def test_rounding_is_no_variation():
    values = np.where(COUNTING % 2, 0.1 + 0.2, 0.3)[:, None]
    assert (scaled(values, *scaling(values)) == 0).all()


def test_plain_figures_are_as_before():
    values = np.random.default_rng(0).normal(50, 20, (N, 3))
    mean, factor = scaling(values)
    np.testing.assert_array_equal(mean, values.mean(axis=0))
    np.testing.assert_array_equal(factor, 1 / values.std(axis=0))
    np.testing.assert_array_equal(scaled(values, mean, factor), (values - mean) * factor)


def test_a_new_case_too_far_is_named():
    columns = {"age": (20 + COUNTING % 70).tolist(), **{f"e{i}": (COUNTING % (i + 2)).tolist() for i in range(3)}}
    known = rows_of(**columns)
    new = rows_of(**{name: [*values[:-1], "1e308"] for name, values in columns.items()})
    for part, found in ((modalities.Table(numeric=("age",)), "age"), (modalities.Vector(numeric=("e*",)), "e0")):
        with pytest.raises(TableError) as caught:
            part.fit(known).read(new)
        fault = caught.value.faults[0]
        assert "1e+308 is too far from what training saw" in fault.found
        assert f"row {N + 1} (id {N - 1}), column {found}" in fault.where


def test_the_median_of_huge_numbers_is_finite():
    rows = rows_of(x=[None, *["1.7e308"] * (N - 2), "1"])
    read, _ = modalities.Table(numeric=("x",)).fit(rows).read(rows)
    assert np.isfinite(read).all()
