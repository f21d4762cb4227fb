"""What a user of notebooks does: frames where tables go, folders as text, objects that show themselves, and copies that
are refused in a sentence."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from cohort import CATALOG, TWO_STAGES, cases_of, columns, pipeline_of, spec_of
from sklearn.base import clone

import mmfuse
from mmfuse.errors import TableError


def frame_of(**options):
    return pd.DataFrame(columns(**options))


@pytest.fixture(scope="module")
def fitted():
    import torch

    torch.set_num_threads(1)
    pipeline = pipeline_of(decisions=TWO_STAGES)
    return pipeline.fit(frame_of(n=60))


def test_a_frame_is_a_table_everywhere(fitted):
    """The same numbers from a frame as from cases: fitted, predicted, scored, flagged."""
    cases = cases_of(fitted.spec, n=60)
    with_cases = pipeline_of(decisions=TWO_STAGES).fit(cases)
    for name, source in with_cases.scores.sources.items():
        np.testing.assert_array_equal(fitted.scores.sources[name], source)
    new = frame_of(n=12, seed=5)
    expected = cases_of(fitted.spec, n=12, seed=5)
    np.testing.assert_array_equal(fitted.predict_proba(new), fitted.predict_proba(expected))
    unlabelled = new.drop(columns=["sign", "grade"])
    assert [*fitted.predict(unlabelled)["sign"]] == [*fitted.predict(expected)["sign"]]
    assert fitted.score(new) == fitted.score(expected)
    assert fitted.flags(unlabelled) == fitted.flags(expected)


def test_missing_words_of_the_card_hold_in_a_frame_too():
    spec = spec_of({"cases": {"id": "id", "missing": ["", "n/k"]}})
    frame = frame_of(n=20)
    frame.loc[3, "age"] = "n/k"
    frame.loc[4, "age"] = np.nan
    cases = mmfuse.Cases(frame, spec.card)
    assert [*cases.table["age"][3:5]] == [None, None]


def test_describe_drafts_a_card_of_a_frame():
    card, _ = mmfuse.describe(frame_of(n=40), labels=["grade"])
    assert card["labels"]["grade"] == {"classes": ["high", "low", "middle"], "positive": "?"}
    assert card["cases"]["id"] == "id"


@pytest.mark.parametrize("given", [[1, 2], {"a": [1]}, np.zeros((2, 2)), pd.Series([1]), pd.DataFrame])
def test_what_is_no_table_is_named(given):
    with pytest.raises(TableError, match="not a table"):
        mmfuse.Cases(given, spec_of().card)


def test_a_path_is_told_how_it_is_read(tmp_path):
    with pytest.raises(TableError, match=r"mmfuse\.Cases\.load"):
        mmfuse.Cases(str(tmp_path / "cases.csv"), spec_of().card)


def test_folders_and_files_may_be_text(fitted, tmp_path):
    fitted.save(str(tmp_path / "run"))
    assert len(mmfuse.Run(str(tmp_path / "run")).scores) == 60
    fitted.scores.save(str(tmp_path / "scores.npz"))
    assert mmfuse.ScoreTable.load(str(tmp_path / "scores.npz")).labels == fitted.scores.labels
    with pytest.raises(mmfuse.RunError, match="is no study"):
        mmfuse.Study.load(str(tmp_path / "nothing"))
    with pytest.raises(mmfuse.RunError):
        mmfuse.Transfer.load(str(tmp_path / "nothing"))
    with pytest.raises(mmfuse.RunError, match=r"exists already|holds a run"):
        mmfuse.refuse_existing(str(tmp_path / "run"))
    fitted.points.save(str(tmp_path / "points.json"))
    assert mmfuse.OperatingPoints.load(str(tmp_path / "points.json")).points == fitted.points.points


def test_compare_takes_a_frame_and_text(tmp_path):
    spec = spec_of(network="", decisions={"stage": {"use": "straight", "features": ["table", "vector"]}})
    design = mmfuse.Design(baselines=False, controls=False)
    plan = mmfuse.Variant("stage", "variant", spec, {"stage": "stage"})
    study = mmfuse.compare([plan], frame_of(n=60), spec.card, ".", str(tmp_path / "study"), design, catalog=CATALOG)
    assert [speaker.name for speaker in study.standing] == ["stage"]
    assert len(mmfuse.Study.load(str(tmp_path / "study")).tables()) == 1


def test_objects_show_what_they_hold_and_no_cell(fitted, tmp_path):
    cases = cases_of(fitted.spec, n=60)
    fitted.save(tmp_path / "run")
    shown = {
        repr(cases): ("60 lesions", "groups: 30", "sign (2 classes)", "meta, emb"),
        repr(fitted): ("fitted to 60 lesions", "final", "sign, grade"),
        repr(pipeline_of()): ("not fitted",),
        repr(fitted.scores): ("60 lesions", "train", "fused", "sign, grade"),
        repr(mmfuse.Run(tmp_path / "run")): ("a trained pipeline", "files"),
    }
    for text, words in shown.items():
        assert all(word in text for word in words), text
        assert "case 001" not in text
        assert len(text) < 400


def test_a_notebook_gets_a_table_whose_words_are_escaped(fitted):
    spec = spec_of()
    cases = mmfuse.Cases(mmfuse.Table.of(columns(n=10), source="<script>x</script>"), spec.card)
    for thing in (cases, fitted, fitted.scores):
        text = thing._repr_html_()
        assert text.startswith("<table>")
        assert "<script>" not in text
    assert "&lt;script&gt;" in cases._repr_html_()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_pipeline_is_not_pickled_and_says_what_to_do(fitted, copied):
    with pytest.raises(TypeError, match=r"save\(FOLDER\).*Pipeline\.load\(FOLDER\)"):
        copied(fitted)


def test_joblib_says_the_same(fitted, tmp_path):
    import joblib

    with pytest.raises(TypeError, match=r"save\(FOLDER\)"):
        joblib.dump(fitted, tmp_path / "pipeline.joblib")


def test_a_clone_is_the_same_pipeline_not_fitted(fitted):
    again = clone(fitted)
    assert again.spec == fitted.spec
    assert again.scores is None
    np.testing.assert_array_equal(
        again.fit(frame_of(n=60)).scores.probabilities("final"), fitted.scores.probabilities("final")
    )
