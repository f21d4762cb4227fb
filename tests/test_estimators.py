"""Stored estimators: the same after a round trip, and nothing is made of a type that is not trusted."""

from __future__ import annotations

import functools
import json
import operator
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import dump_svmlight_file
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from mmfuse import PartError, RunError
from mmfuse.estimators import load, save, untrusted
from mmfuse.formats.compiled import fault_of_estimator


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


def test_trusted_are_the_classes_of_a_closed_list_and_those_that_a_part_names():
    """No package by its name, no function; what is under another module than the one that defines it is another."""
    good = ["sklearn.svm._classes.SVC", "numpy.int64", "my.Kind"]
    bad = ["numpy.save", "os.system", "sklearn.datasets._svmlight_format_io.dump_svmlight_file", "sklearn.svm.SVC",
           "sklearn.preprocessing._function_transformer.FunctionTransformer", "sklearnx.Fake"]  # fmt: skip
    assert untrusted(good + bad, ["my.Kind"]) == sorted(bad)
    assert untrusted(["os.system", f"{__name__}.data"], ["os.system", f"{__name__}.data"]) == [
        "os.system", f"{__name__}.data",
    ]  # fmt: skip


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


def written(path, estimator):
    """A file of skops as a stranger would make it."""
    import skops.io

    skops.io.dump(estimator, path)
    return path


def test_a_strangers_file_cannot_call_a_function_of_a_trusted_package(tmp_path):
    """The marker is what the function would write when the estimator is asked; it would, as the last lines show."""
    import skops.io

    x, y = data()
    marker = tmp_path / "marker"
    calls = FunctionTransformer(dump_svmlight_file, kw_args={"y": np.zeros(60), "f": str(marker)})
    fitted = make_pipeline(FunctionTransformer(), LogisticRegression()).fit(x, y)
    fitted.steps[0] = ("functiontransformer", calls)
    path = written(tmp_path / "stranger.skops", fitted)
    with pytest.raises(RunError, match="dump_svmlight_file as a FunctionNode"):
        load(path)
    with pytest.raises(RunError, match="dump_svmlight_file"):
        load(path, ("sklearn.datasets._svmlight_format_io.dump_svmlight_file",))
    assert not marker.exists()
    made = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
    with pytest.raises(ValueError, match=r"NoneType|array"):
        made.predict_proba(x)
    assert marker.exists()


@pytest.mark.parametrize(
    "make",
    [
        lambda path: SVC(kernel=np.dot),
        lambda path: KNeighborsClassifier(metric=np.subtract),  # skops itself trusts all of NumPy's ufuncs
        lambda path: make_pipeline(FunctionTransformer(functools.partial(np.save, path)), SVC()),
        lambda path: make_pipeline(FunctionTransformer(np.ones(3).tofile), SVC()),
        lambda path: make_pipeline(FunctionTransformer(operator.attrgetter("x")), SVC()),
        lambda path: OneHotEncoder(dtype=np.memmap),
        lambda path: FunctionTransformer(),
    ],
    ids=["function", "ufunc", "partial", "method", "getter", "class", "caller"],
)
def test_functions_methods_and_other_classes_are_refused_wherever_they_stand(make, tmp_path):
    with pytest.raises(RunError, match="not trusted"):
        load(written(tmp_path / "e.skops", make(str(tmp_path / "marker"))))
    assert [path.name for path in tmp_path.iterdir()] == ["e.skops"]


def test_a_schema_that_hides_what_it_names_is_refused(tmp_path):
    """Nodes without a loader, of an unknown one, of an old protocol, and keys that are no words."""
    x, y = data()
    path = tmp_path / "e.skops"
    save(LogisticRegression().fit(x, y), path)
    schema = schema_of(path)
    for change in (
        {"protocol": 1}, {"protocol": True},
        {"__loader__": "MethodNode"}, {"__loader__": {"a": 1}}, {"__loader__": None},
        {"__module__": "os", "__class__": "system"}, {"content": {"__loader__": {"__class__": "system"}}},
    ):  # fmt: skip
        rewritten(path, {**schema, **change})
        with pytest.raises(RunError, match="not trusted"):
            load(path)


def schema_of(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("schema.json"))


def rewritten(path, schema):
    with zipfile.ZipFile(path) as archive:
        others = {name: archive.read(name) for name in archive.namelist() if name != "schema.json"}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in others.items():
            archive.writestr(name, content)
        archive.writestr("schema.json", json.dumps(schema))


def test_equal_fits_are_equal_files(tmp_path):
    """Also a second later and in another process, where addresses and the order of sets differ."""
    script = (
        "import sys\nfrom pathlib import Path\nsys.path.insert(0, sys.argv[2])\nimport test_estimators as t\n"
        "from mmfuse.estimators import save\n"
        "for n, e in enumerate(t.several()): save(e.fit(*t.data()), Path(sys.argv[1]) / str(n))\n"
    )
    for seed in ("1", "2"):
        (tmp_path / seed).mkdir()
        words = [sys.executable, "-c", script, str(tmp_path / seed), str(Path(__file__).parent)]
        subprocess.run(words, check=True, env={**os.environ, "PYTHONHASHSEED": seed})
    for number, estimator in enumerate(several()):
        one, other = ((tmp_path / seed / str(number)).read_bytes() for seed in ("1", "2"))
        assert one == other
        x, y = data()
        fitted = estimator.fit(x, y)
        np.testing.assert_array_equal(load(tmp_path / "1" / str(number)).predict(x), fitted.predict(x))


def several():
    return [
        make_pipeline(StandardScaler(), SVC()),
        make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()),
        RandomForestClassifier(n_estimators=3, random_state=0), KNeighborsClassifier(algorithm="brute"),
    ]  # fmt: skip


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
@pytest.mark.parametrize("change", ["none", "order", "node", "leaf", "levels", "bounds", "others"])
def test_a_search_tree_that_points_out_of_itself_is_found(algorithm, change, tmp_path):
    """Compiled code follows its places unchecked."""
    x, y = data()
    nearest = KNeighborsClassifier(algorithm=algorithm, leaf_size=4).fit(x, y)
    assert fault_of_estimator(nearest) == ""
    cases, order, nodes, bounds, leaf_size, levels, *rest = nearest._tree.__getstate__()
    cases, order, nodes = cases.copy(), order.copy(), nodes.copy()
    if change == "order":
        order[0] = 10**6
    elif change == "node":
        nodes["idx_end"][0] = 10**6
    elif change == "leaf":
        nodes["is_leaf"][-1] = 0
    elif change == "levels":
        levels = 30
    elif change == "bounds":
        bounds = bounds[:, :1]
    elif change == "others":
        nearest._fit_X, nearest._y = nearest._fit_X[:50], nearest._y[:50]
    nearest._tree.__setstate__((cases, order, nodes, bounds.copy(), leaf_size, levels, *rest))
    save(nearest, tmp_path / "n.skops")
    assert bool(fault_of_estimator(load(tmp_path / "n.skops"))) == (change != "none")
