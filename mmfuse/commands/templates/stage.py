"""One second stage for mmfuse: a classifier on earlier scores beside tables and frozen features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

import mmfuse

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin


class NewPart(mmfuse.SecondStage):
    """Extremely randomised trees (Geurts 2006), one forest a label."""

    trees: Annotated[int, Field(ge=1)] = 200
    """Number of trees."""

    leaf: Annotated[int, Field(ge=1)] = 5
    """Fewest cases in a leaf."""

    def estimator(self, seed: int) -> ClassifierMixin:
        """A bare, unfitted classifier; mmfuse does labels, folds, calibration and absent inputs."""
        from sklearn.ensemble import ExtraTreesClassifier

        return ExtraTreesClassifier(n_estimators=self.trees, min_samples_leaf=self.leaf, random_state=seed)


@mmfuse.hookimpl
def mmfuse_parts() -> list[type[mmfuse.Part]]:
    return [NewPart]
