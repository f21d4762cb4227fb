"""Stored models of XGBoost: every one that it stores passes, and one whose numbers are others is refused before
XGBoost reads it."""

import json

import numpy as np
import pytest

from mmfuse import RunError
from mmfuse_metadata.boosted import refuse_unsound


def stored(folder, classes=2, **options):
    from xgboost import XGBClassifier

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 4)), np.arange(200) % classes
    x[:, 0] += y
    x[rng.random(x.shape) < 0.1] = np.nan
    path = folder / "model.json"
    XGBClassifier(n_estimators=5, n_jobs=1, **options).fit(x, y).save_model(path)
    return path


@pytest.mark.parametrize(
    "options",
    [{}, {"classes": 3}, {"gamma": 2.0, "max_depth": 6}, {"grow_policy": "lossguide", "max_leaves": 7},
     {"tree_method": "exact", "gamma": 1.0}, {"tree_method": "approx"}, {"max_depth": 1}, {"min_child_weight": 1e6}],
    ids=str,
)  # fmt: skip
def test_what_xgboost_stores_passes(tmp_path, options):
    refuse_unsound(stored(tmp_path, **options))


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [("sum_hessian", 0, [1.0]), ("sum_hessian", 0, "1"), ("loss_changes", 1, None), ("base_weights", 0, True),
     ("left_children", 0, 1.0), ("default_left", 0, True), ("parents", 1, 2), ("split_conditions", 0, float("inf"))],
)  # fmt: skip
def test_other_numbers_are_refused_before_xgboost_reads_them(tmp_path, name, place, value):
    path = stored(tmp_path)
    model = json.loads(path.read_text())
    model["learner"]["gradient_booster"]["model"]["trees"][0][name][place] = value
    path.write_text(json.dumps(model))
    with pytest.raises(RunError, match="cannot be read"):
        refuse_unsound(path)
