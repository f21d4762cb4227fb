"""The classifiers as parts: knobs here, scikit-learn and XGBoost imported when one is made.

Every knob has the library's own name and meaning; only defaults that suit small, imbalanced clinical tables differ,
and say so.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from mmfuse import Labels, RunError, SecondStage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
MANY_TREES = 20_000
"""Of XGBoost; a thousand cases and ten inputs grow about a thousand of them a second, a hundred inputs ten times
fewer."""
ClassWeight = Literal["none", "balanced"]
"""balanced: each class counts the same in training."""


class Svm(SecondStage):
    """Support vector machine; its decision values become probabilities by the engine's sigmoid, groups kept whole."""

    C: Positive = 1.0
    """Cost of a violated margin."""
    kernel: Literal["rbf", "linear"] = "rbf"
    """How alike two cases are: by distance, or by dot product."""
    gamma: Literal["scale", "auto"] | Positive = "scale"
    """Of the rbf kernel; `scale` is 1 / (inputs * variance)."""
    class_weight: ClassWeight = "none"
    """balanced: each class counts the same in training."""
    max_iter: Count = 1_000_000
    """Most steps of the solver; it warns where they do not suffice: without an end it may work for hours where `C` is
    large and the classes cannot be parted."""
    scale: bool = True
    """Standardises the inputs first, learnt anew in each fold."""

    def estimator(self, seed: int) -> Any:  # noqa: ANN401  # scikit-learn has no common type
        from sklearn.svm import SVC

        # `probability=True` would calibrate over folds that split patients; the engine's sigmoid does not.
        svc = SVC(
            C=self.C,
            kernel=self.kernel,
            gamma=self.gamma,
            class_weight=_weight(self.class_weight),
            max_iter=self.max_iter,
            random_state=seed,
        )
        return _scaled(svc) if self.scale else svc


class Logistic(SecondStage):
    """Logistic regression with an L2 penalty, multinomial."""

    C: Positive = 1.0
    """Inverse of the penalty."""
    class_weight: ClassWeight = "balanced"
    """balanced: each class counts the same in training."""
    max_iter: Count = 2000
    """Most steps of the solver; it warns where they do not suffice."""
    scale: bool = True
    """Standardises the inputs first, learnt anew in each fold."""

    def estimator(self, seed: int) -> Any:  # noqa: ANN401
        from sklearn.linear_model import LogisticRegression

        weight = _weight(self.class_weight)
        logistic = LogisticRegression(C=self.C, class_weight=weight, max_iter=self.max_iter, random_state=seed)
        return _scaled(logistic) if self.scale else logistic


class Knn(SecondStage):
    """The k most alike training cases vote: what the features themselves hold, with nothing learnt from them."""

    k: Count = 20
    """How many vote; all training cases where there are fewer."""
    distance: Literal["cosine", "euclidean"] = "cosine"
    """By which cases are alike."""
    scale: Literal["none", "standard", "l2"] = "none"
    """Of the inputs first: as they are, each standardised (learnt anew in each fold), or each case to length 1."""
    votes: Literal["uniform", "distance"] = "uniform"
    """Each counts the same, or in inverse proportion to its distance."""

    @property
    def trusts(self) -> tuple[str, ...]:
        return ("mmfuse_metadata.neighbours.Neighbours",)

    def estimator(self, seed: int) -> Any:  # noqa: ANN401
        from sklearn.preprocessing import Normalizer, StandardScaler

        from mmfuse_metadata.neighbours import Neighbours

        # Brute force: the only way for cosines, and the fastest one for wide vectors.
        nearest = Neighbours(n_neighbors=self.k, metric=self.distance, weights=self.votes, algorithm="brute")
        if self.scale == "none":
            return nearest
        return _after(StandardScaler() if self.scale == "standard" else Normalizer(), nearest)


class RandomForest(SecondStage):
    """Random forest: the mean of trees on bootstrapped cases."""

    trees: Count = 300
    """How many are averaged."""
    max_depth: Annotated[int, Field(ge=0)] = 0
    """0: grown until the leaves are pure or too small."""
    min_samples_leaf: Count = 1
    """Fewest cases in a leaf."""
    max_features: Literal["sqrt", "log2", "all"] = "sqrt"
    """Inputs tried at each split."""
    class_weight: ClassWeight = "none"
    """balanced: each class counts the same in training."""

    def estimator(self, seed: int) -> Any:  # noqa: ANN401
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(
            n_estimators=self.trees,
            max_depth=self.max_depth or None,
            min_samples_leaf=self.min_samples_leaf,
            max_features=1.0 if self.max_features == "all" else self.max_features,
            class_weight=_weight(self.class_weight),
            random_state=seed,
        )


class Xgboost(SecondStage):
    """Gradient-boosted trees (XGBoost), stored as XGBoost's own JSON."""

    suffix: ClassVar[str] = "json"
    trees: Count = 200
    """How many are added up."""
    max_depth: Count = 3
    """Shallow: clinical tables are small."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.05
    """How much each tree counts."""
    subsample: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of the cases that each tree sees."""
    colsample: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of the inputs that each tree sees."""
    min_child_weight: Annotated[float, Field(ge=0)] = 1.0
    """Least sum of case weights (Hessian) in a leaf."""
    reg_lambda: Annotated[float, Field(ge=0)] = 1.0
    """L2 penalty on the leaves."""
    threads: Count = 1
    """One: the same figures on every machine."""

    def cautions(self, labels: Labels, targets: NDArray[np.integer]) -> tuple[str, ...]:
        """Labels of so many classes that it grows trees for minutes: one tree a class in each round."""
        told = []
        for label, known in zip(labels, targets.T, strict=True):
            classes = len(set(known[known >= 0].tolist()))
            grown = self.trees * (classes if classes > 2 else 1)
            if grown > MANY_TREES:
                told.append(
                    f"label '{label.name}' has {classes} classes among {int((known >= 0).sum())} training cases: "
                    f"{self.trees} rounds of a tree for each are {grown:,} trees, and as many for each fold; this may "
                    f"take minutes to hours (trees = {max(1, MANY_TREES // classes)} would be quick; `random-forest` "
                    "grows one tree for all classes, `logistic` none)"
                )
        return tuple(told)

    def estimator(self, seed: int) -> Any:  # noqa: ANN401
        from xgboost import XGBClassifier

        return XGBClassifier(
            n_estimators=self.trees,
            max_depth=self.max_depth,
            learning_rate=self.learning_rate,
            subsample=self.subsample,
            colsample_bytree=self.colsample,
            min_child_weight=self.min_child_weight,
            reg_lambda=self.reg_lambda,
            tree_method="hist",
            n_jobs=self.threads,
            random_state=seed,
        )

    def save(self, estimator: Any, path: Path) -> None:  # noqa: ANN401
        """Writes XGBoost's JSON."""
        estimator.save_model(path)

    def load(self, path: Path, seed: int) -> Any:  # noqa: ANN401
        """Reads XGBoost's JSON.

        Raises: RunError if the file is missing or broken.
        """
        from mmfuse_metadata.boosted import refuse_unsound

        refuse_unsound(path)
        estimator = self.estimator(seed)
        try:
            estimator.load_model(path)
        except Exception as error:  # it wraps what its compiled code says in errors of many kinds
            found = f"cannot be read: {(str(error).splitlines() or [type(error).__name__])[0]}"
            raise RunError(found, "a model that XGBoost stored", "copy the run again", str(path)) from error
        return estimator


def _weight(named: ClassWeight) -> str | None:
    return None if named == "none" else named


def _scaled(classifier: Any) -> Any:  # noqa: ANN401
    from sklearn.preprocessing import StandardScaler

    return _after(StandardScaler(), classifier)


def _after(scaler: Any, classifier: Any) -> Any:  # noqa: ANN401
    from sklearn.pipeline import make_pipeline

    return make_pipeline(scaler, classifier)
