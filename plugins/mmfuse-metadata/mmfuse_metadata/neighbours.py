"""scikit-learn's vote of the nearest, for any number of training cases: a fold may hold fewer than k.

It imports scikit-learn, so it is imported when an estimator is made.
"""

from __future__ import annotations

from typing import Any, Self

from sklearn.neighbors import KNeighborsClassifier


class Neighbours(KNeighborsClassifier):
    """`KNeighborsClassifier` of which all training cases vote where there are fewer than `n_neighbors`."""

    def fit(self, X: Any, y: Any) -> Self:  # noqa: ANN401, N803  # scikit-learn's names
        """Keeps the cases."""
        self.n_neighbors = min(self.n_neighbors, len(X))
        return super().fit(X, y)  # type: ignore[no-any-return]
