"""A second stage in the engine's hands: one bare classifier a label, and all that it must not have to think of.

Class gaps (a class that the training cases lack gets probability 0), labels of one class, unknown labels, calibration
by groups, absent inputs, storage without pickle. The part gives a classifier; nothing else is asked of it.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mmfuse.attribution import attributed, in_short, named_part, passes
from mmfuse.decide.calibration import Sigmoids, decision_values, fit_sigmoids
from mmfuse.decide.folding import FeatureSource, draw_folds
from mmfuse.decide.inputs import Filling, feature_blocks, source_blocks
from mmfuse.decide.scores import ScoreTable
from mmfuse.errors import PartError, PartFailedError, RunError
from mmfuse.events import Notice, Watch
from mmfuse.formats.compiled import fault_of_estimator
from mmfuse.formats.json_files import read_json
from mmfuse.labels import Floats, Ints, Label, Labels
from mmfuse.learnt import Learnt
from mmfuse.parts import SecondStage
from mmfuse.seeds import derive


class Stage(NamedTuple):
    """A second stage's line, resolved."""

    name: str
    part: SecondStage
    reads: tuple[str, ...]
    features: tuple[str, ...]
    labels: Labels
    seed: int

    def estimator(self, label: Label) -> Any:  # noqa: ANN401  # scikit-learn's classifiers share no type
        """A new classifier; the same in every fold."""
        with attributed(self.part, "`estimator`", f"decisions.{self.name}"):
            return self.part.estimator(self.label_seed(label))

    def label_seed(self, label: Label) -> int:
        return derive(self.seed, self.name, label.name)


@dataclass(frozen=True, eq=False)
class Answers(Learnt):
    """What is learnt beside the classifiers, for all columns."""

    seen: NDArray[np.bool_]
    """(columns,) whether the training cases have the class."""
    calibrated: NDArray[np.bool_]
    """(columns,) whether the label's values go through sigmoids."""
    slope: Floats
    intercept: Floats


class _Learner(NamedTuple):
    """One label's training cases."""

    stage: Stage
    label: Label
    inputs: Floats
    truth: Ints
    groups: NDArray[np.str_]

    def fit(self, rows: Ints) -> tuple[Any, Ints]:
        """The classifier of those rows (None where they are of one class), and the classes that it knows, in its order.

        Raises: PartError if it fails, naming stage, label and what it was given.
        """
        classes, coded = np.unique(self.truth[rows], return_inverse=True)
        if len(classes) < 2:
            return None, classes
        estimator = self.stage.estimator(self.label)
        try:
            return estimator.fit(self.inputs[rows], coded), classes
        except Exception as error:
            if passes(error):
                raise
            raise PartFailedError(
                f"{named_part(self.stage.part)}: {type(estimator).__name__} failed on {len(rows)} cases of"
                f" {len(classes)} classes: {in_short(error)}",
                "a scikit-learn classifier that learns from them",
                "check the stage's knobs",
                f"stage '{self.stage.name}', label '{self.label.name}'",
            ) from error

    def calibrate(self, classes: Ints, folds: Ints) -> Sigmoids:
        """Sigmoids from decision values of copies without the case's fold."""
        values = np.full((len(self.truth), len(classes)), np.nan)
        for fold in np.unique(folds):
            rest, about = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            estimator, known = self.fit(rest) if len(rest) else (None, classes)
            if estimator is not None:
                columns = np.searchsorted(classes, known)
                with attributed(self.stage.part, "`decision_function`", f"decisions.{self.stage.name}"):
                    values[np.ix_(about, columns)] = decision_values(estimator, self.inputs[about], len(known))
        return fit_sigmoids(values, np.searchsorted(classes, self.truth), self.groups)


@dataclass(frozen=True, eq=False)
class FittedStage:
    """A second stage that has learnt from some cases."""

    stage: Stage
    readers: Mapping[str, Learnt | None]
    filling: Filling
    answers: Answers
    estimators: tuple[Any, ...]
    """One a label; None where the training cases are of fewer than two classes."""

    @classmethod
    def learn(
        cls,
        stage: Stage,
        table: ScoreTable,
        features: FeatureSource,
        index: Ints,
        watch: Watch,
        whole: bool = True,
    ) -> Self:
        """Learns everything, readers included, from those cases alone, which are the `whole` set or a part of it."""
        readers = {modality: features.fit(modality, index, whole) for modality in stage.features}
        read = source_blocks(table.sources, stage.reads, stage.labels, index)
        featured = feature_blocks(features, readers, index)
        filling = Filling.learn(read, featured, table.targets[index], stage.labels)
        inputs, _ = filling.matrix(read + featured)
        columns = stage.labels.columns
        answers = Answers(np.zeros(columns, bool), np.zeros(columns, bool), np.zeros(columns), np.zeros(columns))
        estimators = []
        with warnings.catch_warnings(record=True) as caught, _one_thread():
            warnings.simplefilter("always")
            for number, label in enumerate(stage.labels):
                known = np.flatnonzero(table.targets[index, number] >= 0)
                truth, groups = table.targets[index[known], number], table.groups[index[known]]
                learner = _Learner(stage, label, inputs[known], truth, groups)
                estimators.append(_learn_label(learner, answers))
        for text in {f"stage '{stage.name}': {warning.category.__name__}: {warning.message}" for warning in caught}:
            watch(Notice(text.splitlines()[0], "warning"))
        return cls(stage, readers, filling, answers, tuple(estimators))

    def speak(self, sources: Mapping[str, Floats], features: FeatureSource, index: Ints) -> Floats:
        """(len(index), columns) probabilities; NaN for a case of which nothing is present."""
        labels = self.stage.labels
        p = np.full((len(index), labels.columns), np.nan)
        if not len(index):
            return p
        blocks = source_blocks(sources, self.stage.reads, labels, index) + feature_blocks(features, self.readers, index)
        inputs, anything = self.filling.matrix(blocks)
        if anything.any():
            weights = np.zeros((int(anything.sum()), labels.columns))
            with _one_thread():
                for estimator, part in zip(self.estimators, labels.slices.values(), strict=True):
                    columns = np.arange(part.start, part.stop)[self.answers.seen[part]]
                    given = inputs[anything]
                    weights[:, columns] = 1.0 if estimator is None else self._answer(estimator, given, columns)
            self._refuse_broken(weights)
            p[anything] = labels.normalise(weights)
        return p

    def _answer(self, estimator: Any, inputs: Floats, columns: Ints) -> Floats:  # noqa: ANN401
        """(n, len(columns)) probabilities of the classes that the classifier knows."""
        with attributed(self.stage.part, "what its estimator predicts", f"decisions.{self.stage.name}"):
            if self.answers.calibrated[columns[0]]:
                sigmoids = Sigmoids(self.answers.slope[columns], self.answers.intercept[columns])
                return sigmoids(decision_values(estimator, inputs, len(columns)))
            return np.asarray(estimator.predict_proba(inputs), dtype=float)

    def _refuse_broken(self, weights: Floats) -> None:
        """Raises: PartError where a classifier gave what is no finite number: NaN would pass for an abstention."""
        sound = np.isfinite(weights).all(axis=1)
        if not sound.all():
            broken = len(weights) - int(sound.sum())
            found = f"probabilities that are not finite (NaN or infinite) of {broken} of {len(weights)} cases"
            mend = "look at its inputs for numbers out of all range, or check the stage's knobs"
            raise PartError(found, "finite numbers where an input is present", mend, f"stage '{self.stage.name}'")

    def save(self, folder: Path) -> None:
        """Writes records as JSON + npz and one file a label; nothing is pickled."""
        folder.mkdir(parents=True, exist_ok=True)
        self.filling.save(folder / "filling")
        self.answers.save(folder / "answers")
        learnt = {modality: reader for modality, reader in self.readers.items() if reader is not None}
        files = {modality: f"reader-{number}" for number, modality in enumerate(learnt)}
        (folder / "readers.json").write_text(json.dumps(files, indent=1, ensure_ascii=False), encoding="utf-8")
        for modality, reader in learnt.items():
            reader.save(folder / files[modality])
        for number, estimator in enumerate(self.estimators):
            if estimator is not None:
                where = f"decisions.{self.stage.name}"
                with attributed(self.stage.part, "`save`", where):
                    self.stage.part.save(estimator, _label_file(folder, number, self.stage.part))

    @classmethod
    def load(cls, folder: Path, stage: Stage, load_reader: Callable[[str, Path], Learnt]) -> Self:
        """Reads what `save` wrote; `load_reader(modality, stem)` makes a modality's reader again.

        Raises: RunError naming the file that is missing or broken.
        """
        answers, filling = Answers.load(folder / "answers"), Filling.load(folder / "filling")
        order = folder / "readers.json"
        files = read_json(order, dict[str, str], expected="the stage's readers", mend="copy the run again")
        refuse_other(stage, answers, filling, files, folder)
        readers = {m: load_reader(m, folder / files[m]) if m in files else None for m in stage.features}
        with attributed(stage.part, "`load`", f"decisions.{stage.name}"):
            estimators = [
                stage.part.load(_label_file(folder, number, stage.part), stage.label_seed(label))
                if answers.seen[stage.labels.slices[label.name]].sum() >= 2
                else None
                for number, label in enumerate(stage.labels)
            ]
        loaded = cls(stage, readers, filling, answers, tuple(estimators))
        loaded._refuse_dumb(folder)
        return loaded

    def _refuse_dumb(self, folder: Path) -> None:
        """Asks each stored classifier about one blank case. Raises: RunError for one that gives no probabilities."""
        blank = np.zeros((1, sum(self.filling.widths) + len(self.filling.widths)))
        for number, (estimator, part) in enumerate(
            zip(self.estimators, self.stage.labels.slices.values(), strict=True)
        ):
            columns = np.arange(part.start, part.stop)[self.answers.seen[part]]
            if estimator is None:
                continue
            fault = fault_of_estimator(estimator)
            try:
                with _one_thread(), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    p = blank if fault else self._answer(estimator, blank, columns)
                sound = p.shape == (1, len(columns)) and np.isfinite(p).all() and (p >= 0).all()
                fault = fault or ("" if sound else f"it gives {p.tolist()}")
            except Exception as error:  # what was stored is another library's: it fails in many ways
                fault = f"{type(error).__name__}: {error}"
            if fault:
                found = f"does not answer as a classifier of {len(columns)} classes: {fault}"
                where = str(_label_file(folder, number, self.stage.part))
                raise RunError(found, "the classifier that was stored", "copy the run again", where)


def _one_thread() -> AbstractContextManager[Any]:
    """One BLAS thread: on tables of hundreds of cases several threads wait for each other far longer than they work."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")  # type: ignore[no-any-return]


def refuse_other(stage: Stage, answers: Answers, filling: Filling, files: Mapping[str, str], folder: Path) -> None:
    """Raises: RunError where what was stored does not belong to the stage: other classes, sources, modalities."""
    n, columns = len(stage.reads) + len(stage.features), stage.labels.columns
    arrays = (answers.seen, answers.calibrated, answers.slope, answers.intercept)
    sound = all(array.shape == (columns,) and np.isfinite(array).all() for array in arrays)
    sound &= len(filling.widths) == n and all(width >= 0 for width in filling.widths)
    sound &= filling.fill.shape == (sum(filling.widths),) and bool(np.isfinite(filling.fill).all())
    sound &= filling.widths[: len(stage.reads)] == (columns,) * len(stage.reads)
    named = [name for name in files.values() if not re.fullmatch(r"reader-\d+", name)]
    if not sound or named or not {*files} <= {*stage.features}:
        expected = f"what it learnt of {n} inputs and {columns} classes"
        raise RunError("does not belong to the stage", expected, "copy the run again", str(folder))


def _label_file(folder: Path, number: int, part: SecondStage) -> Path:
    return folder / f"label-{number}.{part.suffix}"


def _learn_label(learner: _Learner, answers: Answers) -> Any:  # noqa: ANN401
    """Fits one label on all its cases; notes in `answers` which classes it knows and how it is calibrated."""
    stage, label = learner.stage, learner.label
    part = stage.labels.slices[label.name]
    estimator, classes = learner.fit(np.arange(len(learner.truth)))
    answers.seen[part.start + classes] = True
    if estimator is None:
        return None
    calibrate = stage.part.calibrate
    gives_none = getattr(estimator, "predict_proba", None) is None
    if calibrate == "none" and gives_none:
        raise PartError(
            f"{type(estimator).__name__} gives no probabilities and is not calibrated",
            "probabilities",
            'calibrate = "auto" or "sigmoid"',
            f"stage '{stage.name}', label '{label.name}'",
        )
    if calibrate == "sigmoid" or (calibrate == "auto" and gives_none):
        seed = derive(stage.label_seed(label), "calibration")
        folds = draw_folds(learner.groups, learner.truth[:, None], Labels([label]), seed)
        columns = part.start + classes
        answers.calibrated[columns] = True
        answers.slope[columns], answers.intercept[columns] = learner.calibrate(classes, folds)
    return estimator
