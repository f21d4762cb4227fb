"""A classifier of a plugin's own file: refused before anything is trained, and read again after the file was edited."""

from __future__ import annotations

import numpy as np
import pytest

import mmfuse
from mmfuse import Cases, MmfuseError, Pipeline, RunError, Table
from mmfuse.decide.storable import stage_faults

PLUGIN = '''
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

import mmfuse


class Centroid(ClassifierMixin, BaseEstimator):
    def fit(self, x, y):
        self.classes_ = np.unique(y)
        self.means_ = np.stack([x[y == one].mean(axis=0) for one in self.classes_])
        return self

    def predict_proba(self, x):
        near = np.exp(-np.square(x[:, None] - self.means_).sum(axis=2))
        return near / near.sum(axis=1, keepdims=True)


class Nearest(mmfuse.SecondStage):
    """The nearest mean."""

    @property
    def trusts(self):
        return TRUSTS

    def estimator(self, seed):
        return Centroid()


class Failing(mmfuse.SecondStage):
    """Cannot be made."""

    def estimator(self, seed):
        raise KeyError("no such thing")


@mmfuse.hookimpl
def mmfuse_parts():
    return [Nearest, Failing]
'''
NAMED = PLUGIN.replace("TRUSTS", '(f"{__name__}.Centroid",)')
CARD = {
    "cases": {"id": "id"},
    "labels": {"answer": ["no", "yes"]},
    "modalities": {"meta": {"use": "table", "numeric": ["x"]}},
}


def loaded(file, text, use="nearest"):
    file.write_text(text, encoding="utf-8")
    catalog = mmfuse.Catalog(files=[file])
    plan = {"decisions": {"last": {"use": use, "features": ["meta"]}}}
    return mmfuse.load(plan, CARD, catalog=catalog), catalog


def cases_of(spec):
    answer = np.arange(40) % 2
    values = answer + np.random.default_rng(0).normal(size=40)
    columns = {"id": [f"c{i}" for i in range(40)], "x": values.tolist(), "answer": [("no", "yes")[a] for a in answer]}
    return Cases(Table.of(columns), spec.card)


@pytest.mark.parametrize("name", ["nearby.py", "elsewhere.py"])
def test_a_run_is_read_again_with_its_file_edited_or_called_otherwise(tmp_path, name):
    spec, catalog = loaded(tmp_path / "nearby.py", NAMED)
    cases = cases_of(spec)
    assert not stage_faults(spec.plan)
    pipeline = Pipeline(spec, catalog=catalog).fit(cases)
    pipeline.save(tmp_path / "run")
    _, edited = loaded(tmp_path / name, NAMED + "\n# a remark\n")
    again = Pipeline.load(tmp_path / "run", catalog=edited)
    np.testing.assert_array_equal(again.predict_proba(cases), pipeline.predict_proba(cases))
    _, wary = loaded(tmp_path / name, PLUGIN.replace("TRUSTS", "()"))
    with pytest.raises(RunError, match="Centroid, which are not trusted"):
        Pipeline.load(tmp_path / "run", catalog=wary)


def test_what_would_not_be_stored_is_found_before_anything_is_trained(tmp_path):
    spec, _ = loaded(tmp_path / "nearby.py", PLUGIN.replace("TRUSTS", '("nearby.Centroid",)'))
    (fault,) = stage_faults(spec.plan)
    assert fault.where == "decisions.last"
    assert "nearby" in fault.found
    assert "Centroid, which are not trusted" in fault.found
    assert '`f"{__name__}.CLASS"`' in fault.mend


def test_a_stage_that_cannot_be_made_is_found_before_anything_is_trained(tmp_path):
    spec, _ = loaded(tmp_path / "nearby.py", NAMED, use="failing")
    with pytest.raises(MmfuseError, match=r"fails in `estimator`: KeyError: 'no such thing'"):
        stage_faults(spec.plan).raise_as(mmfuse.SpecError)
