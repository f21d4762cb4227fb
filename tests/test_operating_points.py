"""Operating points through the whole: fitted on `valid`, kept in the run, the same in predict and evaluate."""

import json

import numpy as np
import pytest
from cohort import CATALOG, cases_of, columns, pipeline_of, spec_of

import mmfuse
from mmfuse.commands.using import prediction_table
from mmfuse.errors import SpecError
from mmfuse.events import Notice

RULES = {"sign": "sensitivity >= 0.9", "grade": "specificity >= 0.8"}
PLAN = {
    "network": "",
    "decisions": {"stage": {"use": "straight", "features": ["table", "vector"]}},
    "prediction": {"operating_points": RULES},
}


@pytest.fixture(scope="module")
def fitted():
    pipeline = pipeline_of(**PLAN)
    return pipeline.fit(cases_of(pipeline.spec, n=200))


def test_they_are_fitted_on_valid_alone(fitted):
    points = fitted.points.of("stage")
    assert {*points} == {"sign", "grade"}
    scores = fitted.scores
    valid = scores.take(scores.split == "valid")
    chance, truth = valid.probabilities("stage")[:, 1], valid.targets[:, 0]
    known = truth >= 0
    assert (points["sign"].positives, points["sign"].negatives) == ((truth == 1).sum(), (truth == 0).sum())
    assert np.mean(chance[known & (truth == 1)] >= points["sign"].threshold) >= 0.9
    test = scores.split == "test"
    moved = cases_of(fitted.spec, n=200)
    moved.targets[test, 0] = 1 - moved.targets[test, 0].clip(0)
    again = pipeline_of(**PLAN).fit(moved)
    assert again.points == fitted.points


def test_a_run_keeps_them(fitted, tmp_path):
    fitted.save(tmp_path / "run")
    run = mmfuse.Run(tmp_path / "run")
    assert run.points == fitted.points
    assert mmfuse.Pipeline.load(tmp_path / "run", catalog=CATALOG, device="cpu").points == fitted.points
    told = json.loads((tmp_path / "run" / "metrics.json").read_text())["sources"]["stage"]["sign"]["at"]
    assert told["rule"] == RULES["sign"]
    assert told["sensitivity"] == pytest.approx(fitted.points.of("stage")["sign"].sensitivity)


def test_predict_and_evaluate_call_the_same_cases(fitted):
    cases = cases_of(fitted.spec, n=200)
    test = np.flatnonzero(fitted.scores.split == "test")
    new = cases.take(test)
    predictions = prediction_table(fitted, new)
    names = predictions.names
    assert names.index("sign:at") == names.index("sign:yes") + 1
    called = np.array([word == "yes" for word in predictions["sign:at"]])
    chance = fitted.predict_proba(new)[:, 1]
    np.testing.assert_array_equal(called, chance >= fitted.points.of("stage")["sign"].threshold)
    at = mmfuse.evaluate(fitted.scores, "test", points=fitted.points)["sources"]["stage"]["sign"]["at"]
    truth = new.targets[:, 0]
    assert at["sensitivity"] == pytest.approx(called[truth == 1].mean())
    assert at["specificity"] == pytest.approx((~called)[truth == 0].mean())


def test_a_case_with_nothing_is_not_called():
    pipeline = pipeline_of(network={"encoders": {"vector": "linear"}, "head": "linear"}, prediction=PLAN["prediction"])
    pipeline.fit(cases_of(pipeline.spec, n=200))
    cells = columns(n=3)
    for name in ("e0", "e1", "e2"):
        cells[name] = [None, "1", "2"]
    called = prediction_table(pipeline, cases_of(pipeline.spec, cells))["sign:at"]
    assert called[0] is None
    assert {*called[1:]} <= {"yes", "no"}


@pytest.mark.parametrize("without_valid", [True, False])
def test_where_they_cannot_be_fitted_it_is_said(without_valid):
    told = []
    pipeline = pipeline_of(watch=told.append, **PLAN)
    cells = columns(n=60)
    if without_valid:
        cells["split"] = [word.replace("valid", "train") for word in cells["split"]]
    pipeline.fit(cases_of(pipeline.spec, cells))
    assert pipeline.points.of("stage") == {}
    words = [event.text for event in told if isinstance(event, Notice) and event.level == "warning"]
    assert any(text.startswith("no operating point for sign") for text in words)
    assert "sign:at" not in prediction_table(pipeline, cases_of(pipeline.spec, n=5)).names


def test_faults_of_a_plan_come_at_once():
    with pytest.raises(SpecError) as refused:
        spec_of(prediction={"operating_points": {"sing": "sensitivity >= 0.9", "grade": "recall >= 2"}})
    text = str(refused.value)
    assert "did you mean 'sign'?" in text
    assert "prediction.operating_points.grade: 'recall >= 2' is no operating point" in text


def test_a_plan_without_them_writes_none(tmp_path):
    pipeline = pipeline_of(**{**PLAN, "prediction": {}})
    pipeline.fit(cases_of(pipeline.spec)).save(tmp_path / "run")
    assert not (tmp_path / "run" / "operating.json").exists()
    assert mmfuse.Run(tmp_path / "run").points == mmfuse.OperatingPoints()
