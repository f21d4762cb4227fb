"""What stays with a run as a remark, and is told with every figure of it."""

import numpy as np
import pytest
from cohort import TRAINING, cases_of, pipeline_of

import mmfuse

REUSED = {
    "first": {"use": "simplex", "reads": ["fused", "vector"], "step": 0.5, "learn": "valid-reused"},
    "last": {"use": "mean", "reads": ["first", "fused"]},
}


def fitted(**cells):
    pipeline = pipeline_of(decisions=REUSED, training={**TRAINING, "epochs": 1})
    cases = cases_of(pipeline.spec)
    split = np.asarray(mmfuse.assign(cases, pipeline.spec.card.split))
    for word, other in cells.items():
        split[split == word] = other
    return pipeline.fit(cases, split)


def test_a_decision_that_reuses_valid_is_a_remark_of_the_run(tmp_path):
    pipeline = fitted()
    (remark,) = pipeline.remarks
    assert remark.startswith("'first' learns on `valid` and speaks about the same cases")
    pipeline.save(tmp_path / "run")
    assert mmfuse.Run(tmp_path / "run").remarks == pipeline.remarks
    assert mmfuse.Pipeline.load(tmp_path / "run", catalog=pipeline.catalog, device="cpu").remarks == pipeline.remarks


def test_without_valid_cases_nothing_is_reused():
    assert fitted(valid="train").remarks == ()


@pytest.mark.parametrize("decisions", [{}, {"last": REUSED["last"] | {"reads": ["fused", "vector"]}}])
def test_a_plan_that_reuses_nothing_has_no_remark(decisions):
    pipeline = pipeline_of(decisions=decisions, training={**TRAINING, "epochs": 1})
    assert pipeline.fit(cases_of(pipeline.spec)).remarks == ()
