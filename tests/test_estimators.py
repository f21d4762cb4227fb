"""Stored estimators: the same after a round trip, and nothing is made of a type that is not trusted."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from mmfuse import PartError, RunError
from mmfuse.estimators import load, save, untrusted


class Foreign(LogisticRegression):
    """A type of another module."""


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 4)), rng.integers(0, 3, 60)


def test_round_trip(tmp_path):
    x, y = data()
    for number, estimator in enumerate([make_pipeline(StandardScaler(), SVC()), LogisticRegression()]):
        fitted = estimator.fit(x, y)
        save(fitted, tmp_path / f"{number}.skops")
        again = load(tmp_path / f"{number}.skops")
        np.testing.assert_array_equal(again.decision_function(x), fitted.decision_function(x))


def test_untrusted_types_are_named():
    assert untrusted(["sklearn.svm.SVC", "numpy.int64", "os.system", "sklearnx.Fake", "my.Kind"], ["my.Kind"]) == [
        "os.system",
        "sklearnx.Fake",
    ]


def test_a_foreign_type_is_refused_unless_its_part_trusts_it(tmp_path):
    x, y = data()
    fitted = Foreign().fit(x, y)
    name = f"{Foreign.__module__}.Foreign"
    path = tmp_path / "foreign.skops"
    with pytest.raises(PartError, match=name) as caught:
        save(fitted, path)
    assert "`trusts`" in str(caught.value)
    assert not path.exists()
    save(fitted, path, (name,))
    with pytest.raises(RunError, match=name):
        load(path)
    np.testing.assert_array_equal(load(path, (name,)).predict(x), fitted.predict(x))


def test_functions_are_not_smuggled_in(tmp_path):
    import os

    import skops.io

    x, _ = data()
    path = tmp_path / "function.skops"
    skops.io.dump(FunctionTransformer(os.getcwd).fit(x), path)
    with pytest.raises(RunError, match="getcwd"):
        load(path)


@pytest.mark.parametrize("keep", [0, 10, 500])
def test_a_broken_file_is_named(tmp_path, keep):
    x, y = data()
    path = tmp_path / "broken.skops"
    save(LogisticRegression().fit(x, y), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RunError, match=r"broken\.skops"):
        load(path)
    with pytest.raises(RunError, match=r"absent\.skops"):
        load(tmp_path / "absent.skops")
