"""XGBoost's JSON is looked at before XGBoost reads it: its compiled code follows the places in trees wherever they
point.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

from mmfuse import RunError, read_json

LARGEST = 2**30
"""Bytes of a stored model."""
_WHOLE = ("left_children", "right_children", "split_indices", "default_left", "split_type", "parents")
_NUMBERS = ("split_conditions", "base_weights", "sum_hessian", "loss_changes")
_LISTS = (*_WHOLE, *_NUMBERS)
"""Of a tree: a number a node."""
_OBJECTIVES = ("binary:logistic", "multi:softprob")


def refuse_unsound(path: Path) -> None:
    """Raises: RunError for a file that is no model of trees as `xgboost` stores it."""
    expected, mend = "a model that XGBoost stored", "copy the run again"
    model = read_json(path, dict[str, Any], expected=expected, mend=mend, largest=LARGEST)
    try:
        fault = _fault_of(model["learner"])
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        fault = f"{type(error).__name__}: {error}"
    if fault:
        raise RunError(f"cannot be read: {fault}", expected, mend, str(path))


def _fault_of(learner: dict[str, Any]) -> str:
    about, model = learner["learner_model_param"], learner["gradient_booster"]["model"]
    trees, of_class, ends = model["trees"], model["tree_info"], model["iteration_indptr"]
    classes, features = max(1, int(about["num_class"])), int(about["num_feature"])
    if learner["gradient_booster"]["name"] != "gbtree" or learner["objective"]["name"] not in _OBJECTIVES:
        return "a booster or an objective of another kind"
    if not len(trees) == len(of_class) == int(model["gbtree_model_param"]["num_trees"]):
        return f"{len(trees)} trees, {len(of_class)} of them of a class"
    if int(about["num_target"]) != 1 or classes > 10**6 or not all(0 <= number < classes for number in of_class):
        return "trees of classes that are not there"
    if ends[0] != 0 or ends[-1] != len(trees) or any(b < a for a, b in itertools.pairwise(ends)):
        return "rounds that do not hold the trees"
    return next(
        (f"tree {number}: {fault}" for number, tree in enumerate(trees) if (fault := _tree(tree, features))), ""
    )


def _tree(tree: dict[str, Any], features: int) -> str:
    count = int(tree["tree_param"]["num_nodes"])
    if not 0 < count < 2**31 or any(len(tree[name]) != count for name in _LISTS):
        return "lists of different lengths"
    kinds = {name: {type(value) for value in tree[name]} for name in _LISTS}
    if any(kinds[name] - {int} for name in _WHOLE) or any(kinds[name] - {int, float} for name in _NUMBERS):
        return "what is no number among numbers"
    if any(tree["split_type"]) or tree["categories"] or int(tree["tree_param"]["num_feature"]) != features:
        return "categories, or another number of inputs"
    if int(tree["tree_param"]["size_leaf_vector"]) not in (0, 1):
        return "leaves of several numbers"
    for place, (left, right) in enumerate(zip(tree["left_children"], tree["right_children"], strict=True)):
        if left == -1 and right == -1:
            continue
        if not (place < left < count and place < right < count and 0 <= tree["split_indices"][place] < features):
            return f"node {place} points to what is not there"
        if not tree["parents"][left] == tree["parents"][right] == place:
            return f"node {place} is not the parent of its children"
    numbers = (value for name in _NUMBERS for value in tree[name])
    return "" if all(map(math.isfinite, numbers)) else "numbers that are not finite"
