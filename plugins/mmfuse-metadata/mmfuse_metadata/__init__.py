"""Second stages for mmfuse: bare classifiers on earlier scores ⊕ metadata ⊕ frozen features.

The engine fits one a label, fills what is absent, calibrates by groups and keeps predictions honest; nothing of that
is here.
"""

from __future__ import annotations

from mmfuse import Part, hookimpl
from mmfuse_metadata.stages import Knn, Logistic, RandomForest, Svm, Xgboost

__all__ = ["Knn", "Logistic", "RandomForest", "Svm", "Xgboost", "mmfuse_parts"]


@hookimpl
def mmfuse_parts() -> list[type[Part]]:
    """The stages `svm`, `xgboost`, `logistic`, `random-forest` and `knn`."""
    return [Svm, Xgboost, Logistic, RandomForest, Knn]
