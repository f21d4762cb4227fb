"""What compiled classifiers follow without looking: the places of children in trees, the lengths of support vectors.

A stored classifier is looked at here before it is asked anything, because such code would read past the end of its
arrays, or walk in circles, where Python would raise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def fault_of_estimator(estimator: object) -> str:
    """Return what is wrong in a fitted scikit-learn estimator, in words; empty where nothing is. Looks into every
    estimator inside it."""
    for inner in _inside(estimator):
        check = _CHECKS.get(_origin(inner))
        if check is None:
            continue
        try:
            fault = check(inner)
        except (AttributeError, KeyError, IndexError, ValueError, TypeError) as error:
            fault = f"{type(error).__name__}: {error}"
        if fault:
            return f"{type(inner).__name__}: {fault}"
    return ""


def _inside(estimator: object) -> Iterator[object]:
    """Every object of scikit-learn at any depth, each once, without recursion."""
    seen, waiting = set(), [estimator]
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, str | bytes | int | float | type | None):
            continue
        seen.add(id(item))
        if isinstance(item, np.ndarray):
            waiting += item.reshape(-1).tolist() if item.dtype.hasobject and item.dtype.fields is None else []
        elif isinstance(item, Mapping):
            waiting += item.values()
        elif isinstance(item, list | tuple | set):
            waiting += item
        else:
            yield item
            waiting += getattr(item, "__dict__", {}).values()


def _origin(item: object) -> str:
    """The class by which it is looked at: its own, or the first of those above it that is known."""
    names = [f"{kind.__module__}.{kind.__name__}" for kind in type(item).__mro__]
    return next((name for name in names if name in _CHECKS), "")


def _fault_of_tree(tree: Any) -> str:  # noqa: ANN401  # scikit-learn's, untyped
    left, right = np.asarray(tree.children_left), np.asarray(tree.children_right)
    if not np.isfinite(tree.value).all() or len(tree.value) != len(left):
        return "values that are not finite, or not one a node"
    return fault_of_nodes(left, right, np.asarray(tree.feature), int(tree.n_features), left == -1)


def fault_of_nodes(
    left: NDArray[Any], right: NDArray[Any], feature: NDArray[Any], features: int, leaf: NDArray[np.bool_]
) -> str:
    """Return what is wrong with the nodes of a tree, (nodes,) each: its children stand behind a node, and it asks for a
    feature that is there."""
    count = len(left)
    if not count or not len(right) == len(feature) == len(leaf) == count:
        return "arrays of different lengths, or no node"
    place, inner = np.arange(count), ~leaf
    children = np.stack([left, right])[:, inner].astype(np.int64)
    if ((children <= place[inner]) | (children >= count)).any():
        return "children that are no nodes behind their parent"
    if ((feature[inner] < 0) | (feature[inner] >= features)).any():
        return f"a feature that is none of {features}"
    return ""


def _fault_of_boosted(tree: Any) -> str:  # noqa: ANN401
    nodes = tree.nodes
    if nodes["is_categorical"].any() and (nodes["bitset_idx"] >= len(tree.raw_left_cat_bitsets)).any():
        return "sets of categories that are not there"
    if not np.isfinite(nodes["value"]).all():
        return "values that are not finite"
    feature = nodes["feature_idx"]
    return fault_of_nodes(nodes["left"], nodes["right"], feature, 2**31, nodes["is_leaf"].astype(bool))


def _fault_of_svc(svc: Any) -> str:  # noqa: ANN401
    vectors, dual = svc.support_vectors_, svc.dual_coef_
    classes, counts = len(svc.classes_), np.asarray(svc._n_support)
    shapes = (len(counts), counts.sum(), dual.shape, np.shape(svc.intercept_), len(svc.support_))
    wanted = (classes, len(vectors), (classes - 1, len(vectors)), (classes * (classes - 1) // 2,), len(vectors))
    if shapes != wanted or (counts < 0).any() or vectors.ndim != 2 or vectors.shape[1] != svc.shape_fit_[1]:
        return f"support vectors {vectors.shape} and {counts.tolist()} for {classes} classes"
    return "" if all(np.isfinite(array).all() for array in (vectors, dual, svc.intercept_)) else "infinite numbers"


def _fault_of_neighbours(nearest: Any) -> str:  # noqa: ANN401
    cases, classes, count = nearest._fit_X, len(nearest.classes_), nearest.n_neighbors
    truth = np.asarray(nearest._y)
    if cases.ndim != 2 or truth.shape != (len(cases),) or not 1 <= count <= len(cases):
        return f"{count} of {cases.shape} cases with {truth.shape} answers"
    if nearest._tree is not None and nearest._tree.__getstate__()[0].shape != cases.shape:
        return "a search tree of other cases"
    return "" if ((truth >= 0) & (truth < classes)).all() else "answers that are no classes"


def _fault_of_search(tree: Any) -> str:  # noqa: ANN401
    """KD and ball trees: cases in an order, nodes that are slices of it, bounds of each node."""
    data, order, nodes, bounds, leaf_size, levels, count = tree.__getstate__()[:7]
    starts, ends = nodes["idx_start"], nodes["idx_end"]
    if data.ndim != 2 or sorted(order.tolist()) != list(range(len(data))) or leaf_size < 1:
        return f"{data.shape} cases in an order of {order.shape}"
    if count != len(nodes) or count != 2**levels - 1 or bounds.shape[1:] != (count, data.shape[1]):
        return f"{count} nodes on {levels} levels with bounds of {bounds.shape}"
    if (starts < 0).any() or (ends < starts).any() or (ends > len(data)).any():
        return "nodes of cases that are not there"
    inner = np.arange(count) < 2 ** (levels - 1) - 1
    return "" if (nodes["is_leaf"].astype(bool) == ~inner).all() else "leaves that are none"


def _fault_of_index(tree: Any) -> str:  # noqa: ANN401
    cases, order, nodes, _ = map(np.asarray, tree.get_arrays())
    count, starts, ends = len(cases), nodes["idx_start"], nodes["idx_end"]
    if not np.array_equal(np.sort(order), np.arange(count)):
        return f"an order that is none of {count} cases"
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    if ((starts < 0) | (starts > ends) | (ends > count)).any() or (2 * inner + 2 >= len(nodes)).any():
        return "nodes of cases that are not there"
    return ""


_CHECKS = {
    "sklearn.neighbors._kd_tree.KDTree": _fault_of_search,
    "sklearn.neighbors._ball_tree.BallTree": _fault_of_search,
    "sklearn.tree._tree.Tree": _fault_of_tree,
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor": _fault_of_boosted,
    "sklearn.svm._classes.SVC": _fault_of_svc,
    "sklearn.svm._classes.NuSVC": _fault_of_svc,
    "sklearn.neighbors._kd_tree.BinaryTree64": _fault_of_index,
    "sklearn.neighbors._ball_tree.BinaryTree64": _fault_of_index,
    "sklearn.neighbors._classification.KNeighborsClassifier": _fault_of_neighbours,
}
