"""What is made of scores: decisions, second stages, and the metrics that judge them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from mmfuse.knobs import Part
from mmfuse.labels import Floats, Ints, Labels
from mmfuse.learnt import Learnt


class DecisionFusion(Part):
    """A rule that makes one prediction of several.

    What it learns, it learns on `valid` (or out-of-fold `train`), cross-fitted by the engine.
    """

    role: ClassVar[str] = "decision"
    rule: ClassVar[type[Rule]]
    """The class that `fit` returns; stored runs are read again through it."""

    @property
    def arity(self) -> tuple[int, int]:
        """Fewest and most sources it reads (most 0: any number)."""
        return (1, 0)

    @property
    def per_view(self) -> bool:
        """Whether it sees the test-time views (and ends with their mean), or the mean of their probabilities."""
        return False

    def fit(self, scores: Floats, targets: Ints, labels: Labels, weight: Floats) -> Rule:
        """`scores` (sources, views, cases, columns) log-probabilities, NaN where a source abstains, -inf where a
        probability is exactly 0; `views` is 1 unless `per_view`. A log-probability differs from a network's logit by a
        constant per label, view and case, so any linear mixture of logits is a mixture of these up to the softmax.
        `targets` (cases, labels), -1 unknown; `weight` (cases,).
        """
        raise NotImplementedError


class Rule(Learnt):
    """What `DecisionFusion.fit` returns. A subclass is a frozen dataclass (see `Learnt`)."""

    def __call__(self, scores: Floats, labels: Labels) -> Floats:
        """(sources, views, cases, columns) log-probabilities, -inf for a probability of exactly 0 → (cases, columns)
        probabilities: within each label they sum to one; sources that abstain (NaN) are left out and the others
        renormalised; NaN where all abstain. What is answered is kept to the bit, zeros too.
        """
        raise NotImplementedError


class SecondStage(Part):
    """A classifier on earlier scores ⊕ features, one a label.

    The engine does class gaps, one-class labels, folds, calibration and absent inputs.
    """

    role: ClassVar[str] = "stage"
    calibrate: Literal["auto", "none", "sigmoid"] = "auto"
    """Platt's sigmoid on grouped out-of-fold decision values; `auto`: where the estimator gives no probabilities."""
    suffix: ClassVar[str] = "skops"
    """Of the files that `save` writes, one a label."""

    @property
    def trusts(self) -> tuple[str, ...]:
        """Return the classes that its stored estimator holds beside those of the closed list
        (`mmfuse.estimators.TRUSTED`), as `module.Class` of the module that defines them. No functions: a file that
        refers to one is refused. What is trusted is said here, in code, never by the file."""
        return ()

    def cautions(self, labels: Labels, targets: Ints) -> tuple[str, ...]:
        """Return what the user should know before it learns from these training cases; `targets` (cases, labels), -1
        unknown. Told as warnings, by `check` and before training.
        """
        return ()

    def estimator(self, seed: int) -> Any:  # noqa: ANN401  # scikit-learn's classifiers share no base type that says enough
        """A bare, unfitted scikit-learn classifier (a Pipeline is one)."""
        raise NotImplementedError

    def save(self, estimator: Any, path: Path) -> None:  # noqa: ANN401
        """Stores a fitted estimator, never as pickle: by default as skops.

        A library with a format of its own overrides both `save` and `load`.
        """
        from mmfuse import estimators

        estimators.save(estimator, path, self.trusts)

    def load(self, path: Path, seed: int) -> Any:  # noqa: ANN401
        """Reads what `save` wrote; `seed` is the one that the estimator was made with.

        Raises: RunError naming the file that is missing or broken, or the types in it that are not trusted.
        """
        from mmfuse import estimators

        return estimators.load(path, self.trusts)


class Metric(Part):
    """A figure of merit, vectorised over replicates of the cases.

    Evaluations show every metric that the catalog can make without knobs.
    """

    role: ClassVar[str] = "metric"

    @property
    def larger_is_better(self) -> bool:
        """Which of two figures is the better one, unless `ideal` is a number."""
        return True

    @property
    def ideal(self) -> float:
        """The value that is best; the nearer to it, the better. Infinite where there is a direction alone; NaN where no
        value is better than another, as of what only describes.
        """
        return math.inf if self.larger_is_better else -math.inf

    @property
    def by_label(self) -> bool:
        """Whether it gives a figure for each label, or one over all labels together (exact match …)."""
        return True

    @property
    def of_positive(self) -> bool:
        """Whether it speaks of the positive class against the rest: then a label with fewer than 10 cases of either is
        in no mean over labels.
        """
        return False

    @property
    def ranks(self) -> bool:
        """Whether it compares cases with one another (as an AUC does): over folds, whose scores come from several
        networks, it is then the mean of its values within each.
        """
        return False

    def suits(self, labels: Labels) -> bool:
        """Whether it has a meaning for these labels; where not, evaluations leave it out."""
        return True

    def trivial(self, labels: Labels, prior: Floats) -> Mapping[str, Floats]:
        """{name: (columns,) probabilities} of constant predictors that evaluations show beside this metric, so that it
        is seen what no knowledge at all earns. `prior` (columns,) are the shares of classes in `train`; `majority` and
        `prior` always stand there.
        """
        return {}

    @property
    def remark(self) -> str:
        """A sentence that stands below its figures wherever an evaluation shows them; empty: its name says enough."""
        return ""

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        """`p` (cases, columns) probabilities, NaN where the source abstains, `targets` (cases, labels), -1 unknown,
        `weight` (replicates, cases) → (replicates, labels), or (replicates, 1) where it is not `by_label`; NaN where
        undefined. A weight of 0 is a case that is not there. A replicate's value does not depend on the others': they
        are made a few at a time.
        """
        raise NotImplementedError
