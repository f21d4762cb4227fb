"""What compiled classifiers would follow is looked at first; none that is broken here is ever asked."""

import json

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, NuSVC

from mmfuse import RunError
from mmfuse.formats.compiled import fault_of_estimator, fault_of_nodes

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 3)), np.arange(60) % 3


@pytest.mark.parametrize(
    "estimator",
    [SVC(), NuSVC(), KNeighborsClassifier(), KNeighborsClassifier(algorithm="kd_tree", leaf_size=5),
     KNeighborsClassifier(algorithm="ball_tree", leaf_size=5), RandomForestClassifier(3),
     HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=5)],
    ids=lambda estimator: type(estimator).__name__ + getattr(estimator, "algorithm", ""),
)  # fmt: skip
def test_sound_ones_pass_at_any_depth(estimator):
    assert fault_of_estimator(make_pipeline(StandardScaler(), estimator).fit(X, Y)) == ""


def test_the_nodes_of_a_tree():
    left, right = np.array([1, -1, -1]), np.array([2, -1, -1])
    feature, leaf = np.array([0, -2, -2]), np.array([False, True, True])
    assert fault_of_nodes(left, right, feature, 3, leaf) == ""
    for change in ([3, -1, -1], [0, -1, -1], [-7, -1, -1]):
        assert "no nodes behind" in fault_of_nodes(np.array(change), right, feature, 3, leaf)
    assert "none of 3" in fault_of_nodes(left, right, np.array([3, -2, -2]), 3, leaf)
    assert "different lengths" in fault_of_nodes(left, right[:2], feature, 3, leaf)
    assert "no node" in fault_of_nodes(*(array[:0] for array in (left, right, feature)), 3, leaf[:0])


def test_broken_ones_are_told():
    svc = SVC().fit(X, Y)
    svc.support_vectors_ = svc.support_vectors_[:-1]
    assert "support vectors" in fault_of_estimator(svc)
    svc = SVC().fit(X, Y)
    svc._n_support = svc._n_support + np.int32(1)
    assert "for 3 classes" in fault_of_estimator(make_pipeline(StandardScaler(), svc))
    nearest = KNeighborsClassifier().fit(X, Y)
    nearest._y = nearest._y + 1
    assert "answers that are no classes" in fault_of_estimator(nearest)
    nearest.n_neighbors = 61
    assert "61 of" in fault_of_estimator(nearest)
    boosted = HistGradientBoostingClassifier(max_iter=1, min_samples_leaf=5).fit(X, Y)
    boosted._predictors[0][0].nodes["left"][0] = 10_000
    assert "no nodes behind" in fault_of_estimator(boosted)
    del nearest._y
    assert "AttributeError" in fault_of_estimator(nearest)


@pytest.mark.parametrize(
    ("place", "value", "found"),
    [
        (("gradient_booster", "model", "trees", 0, "left_children", 0), 0, "node 0 points"),
        (("gradient_booster", "model", "trees", 0, "right_children", 0), 99, "node 0 points"),
        (("gradient_booster", "model", "trees", 0, "split_indices", 0), 3, "node 0 points"),
        (("gradient_booster", "model", "trees", 0, "split_conditions"), [], "different lengths"),
        (("gradient_booster", "model", "tree_info"), [0, 0, 9], "classes that are not there"),
        (("gradient_booster", "model", "iteration_indptr"), [0, 9], "rounds"),
        (("learner_model_param", "num_feature"), "9", "another number of inputs"),
        (("objective", "name"), "reg:squarederror", "another kind"),
        (("gradient_booster",), {}, "KeyError"),
    ],
    ids=range(9),
)
def test_models_of_xgboost(tmp_path, place, value, found):
    stages = pytest.importorskip("mmfuse_metadata")
    xgboost, path = stages.Xgboost(trees=1), tmp_path / "label-0.json"
    xgboost.save(xgboost.estimator(0).fit(X, Y), path)
    assert xgboost.load(path, 0).predict_proba(X).shape == (60, 3)
    model = json.loads(path.read_text())
    holder = model["learner"]
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    path.write_text(json.dumps(model))
    with pytest.raises(RunError, match=found):
        xgboost.load(path, 0)
