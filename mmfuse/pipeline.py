"""The whole on one page: cases → network → decisions → prediction. Which case is spoken about by whom is settled here
and in the rooms that it calls (law 2), never by the user.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mmfuse.card import open_positives
from mmfuse.catalog import Catalog, Journal
from mmfuse.data.cases import Cases, as_cases
from mmfuse.data.folds import settled_split, training_folds
from mmfuse.data.inputs import column_faults, reading_faults
from mmfuse.data.readers import flags_of
from mmfuse.data.splits import checked_split
from mmfuse.decide.scores import ScoreTable
from mmfuse.decide.stages import FittedDecisions, fit_decisions, reused
from mmfuse.errors import SpecError, TableError
from mmfuse.events import Event, Notice, StepEnded, StepStarted, Watch, launched, silent
from mmfuse.labels import Floats, Ints, Labels
from mmfuse.learnt import StoredAsFolder
from mmfuse.metrics import METRICS, OperatingPoints
from mmfuse.provenance import refuse_seen
from mmfuse.seeds import derive
from mmfuse.seen import Recognised, recognise
from mmfuse.spec import FoldColumn, Spec, unanswered
from mmfuse.stage_features import StageFeatures
from mmfuse.summaries import Summarized, counted
from mmfuse.toml import with_defaults
from mmfuse.wiring import Wiring, wire
from mmfuse.work import Work

if TYPE_CHECKING:
    from mmfuse.data.table import Table
    from mmfuse.net.altering import Alter


class Steps(NamedTuple):
    """What fitting will do, known before it begins."""

    networks: tuple[str, ...]
    stages: tuple[str, ...]


class Pipeline(StoredAsFolder, Summarized):
    """A spec that can be fitted to cases; afterwards it predicts. `device` is `auto`, `cpu` or `cuda`.

    For cases a `Table` or a pandas DataFrame will do: it is read through the card, with paths from the working folder.
    """

    def __init__(
        self, spec: Spec, *, catalog: Catalog | None = None, device: str = "auto", watch: Watch = silent
    ) -> None:
        self.catalog = catalog or Catalog()
        self.spec = spec.model_copy(update={"plan": with_defaults(spec.plan, self.catalog)})
        self.wiring: Wiring = wire(self.spec)
        self.device, self._told = device, watch
        self.watch = Journal(self.catalog, watch)
        self.network: Any = None
        """The fitted network side (`net.predicting.FittedNetwork`), if the plan has one."""
        self.decisions: FittedDecisions | None = None
        self.scores: ScoreTable | None = None
        """Scores of the cases it was fitted to: of its training cases out of fold."""
        self.points = OperatingPoints()
        """From when on a case is called positive, by source and label, where the plan asks for it."""
        self.seen: dict[str, NDArray[Any]] = {}
        self.remarks: tuple[str, ...] = ()
        """What a reader of its figures should know: of the weights that it started from, of `valid` that is reused."""

    def summary(self) -> dict[str, str]:
        """Return what it is made of and whether it is fitted."""
        return _summary(self)

    def __sklearn_clone__(self) -> Self:
        """Return the same pipeline, not fitted, as `sklearn.base.clone` asks."""
        return type(self)(self.spec, catalog=self.catalog, device=self.device, watch=self._told)

    @property
    def events(self) -> list[tuple[float, Event]]:
        """Everything that was told while fitting, with its time."""
        return self.watch.events

    # ── fitting ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def fit(self, cases: Cases | Table, split: NDArray[Any] | None = None, *, work: Work | None = None) -> Self:
        """Carries the plan out on `cases`. `split` (n,) of train, valid, test overrides the card's, and is checked as
        a column is. What is done is kept in `work` and not done again. Under torchrun, within `mmfuse.together`, all
        processes train the networks; the first alone goes on and is fitted.

        Raises: SpecError or TableError before anything is trained, where the cases do not allow what the plan asks for.
        """
        cases = as_cases(cases, self.spec.card, labelled=True)
        self.events.clear()
        open_positives(self.spec.card).raise_as(SpecError)
        unanswered(self.spec.plan).raise_as(SpecError)
        split = settled_split(self.spec, cases, split, self.watch)
        column_faults(cases, self.wiring.inputs, self.watch).raise_as(TableError)
        before = len(self.events)
        self.seen = refuse_seen(self.spec, self.wiring, cases, split, self.watch)
        self.remarks = (*_notices(self.events[before:]), *reused(self.wiring, "valid" in split))
        plan, needed = self.spec.plan, _needs_folds(self, split)
        folds = training_folds(cases, split, plan.training.folds, derive(plan.seed, "folds"), needed)
        sources: dict[str, Floats] = {}
        if self.wiring.encoders:
            from mmfuse.net.predicting import fit_network

            drawn = folds if needed else None
            self.network, sources = fit_network(
                self.spec, self.wiring, cases, split, drawn, device=self.device, watch=self.watch, work=work
            )
        if launched()[0]:
            return self
        began = time.perf_counter()
        if self.wiring.decisions:
            self.watch(StepStarted("decisions", 1, 1))
        table = _table(sources, cases, split, folds)
        features = StageFeatures(self.spec, self.wiring, cases, self.network, split=split)
        self.decisions, self.scores = fit_decisions(self.spec, self.wiring, table, features, watch=self.watch)
        if self.wiring.decisions:
            self.watch(StepEnded("decisions", time.perf_counter() - began))
        self.points = _operating_points(self.spec, self.scores, self.watch)
        return self

    def steps(self, split: NDArray[Any]) -> Steps:
        """Return the networks and stages that `fit` will train on a split.

        Raises: TableError for words that name no split.
        """
        return _steps(self, checked_split(split))

    # ── predicting ────────────────────────────────────────────────────────────────────────────────────────────────────

    def sources(self, cases: Cases | Table, altered: Alter | None = None) -> ScoreTable:
        """Every source's scores of new cases. Cases that it was fitted to are spoken about by what learnt from them:
        for honest scores of those read `scores`.

        `altered` changes what was read (`mmfuse.Reading`) before the network sees it, and the frozen vectors of second
        stages with it; their own columns of the table stay. Raises: SpecError if the plan then has no network.
        """
        decisions, cases = self._fitted(), as_cases(cases, self.spec.card, labelled=False)
        # before images are decoded
        reading_faults(decisions.readers, cases, self.watch).raise_as(TableError)  # type: ignore[arg-type]  # they are Readers
        given = _network_scores(self.network, cases, self.watch, altered)
        features = StageFeatures(self.spec, self.wiring, cases, self.network, altered)
        blank, none = np.full(len(cases), "", dtype="U1"), np.full(len(cases), -1, dtype=np.int64)
        return _table(decisions.apply(given, features, len(cases)), cases, blank, none)

    def predict_proba(self, cases: Cases | Table) -> Floats:
        """(n, columns) probabilities of the answer; NaN for a case with nothing to go by."""
        return self.sources(cases).probabilities(self.wiring.answer)

    def predict(self, cases: Cases | Table) -> dict[str, NDArray[Any]]:
        """{label: (n,) class}; None for a case with nothing to go by."""
        return _classes(self.spec.card.label_set, self.predict_proba(cases))

    def score(self, cases: Cases | Table) -> float:
        """Balanced accuracy of the answer in [0, 1], mean over labels by weight; cases of the training are told of."""
        cases = as_cases(cases, self.spec.card, labelled=True)
        _tell_learnt(self.recognized(cases), self.watch)
        return _balanced_accuracy(self.predict_proba(cases), cases)

    def flags(self, cases: Cases | Table) -> tuple[str, ...]:
        """For each case what calls for care: in training already, an unseen pattern, category or range; else empty."""
        cases = as_cases(cases, self.spec.card, labelled=False)
        asked = StageFeatures(self.spec, self.wiring, cases, self.network)
        unseen = _flags(self.network, self._fitted().readers, cases, asked)
        return tuple("; ".join(filter(None, both)) for both in zip(self.recognized(cases).flags(), unseen, strict=True))

    def recognized(self, cases: Cases) -> Recognised:
        """Which cases it, or what its first weights come from, has learnt the labels of: by id, content or group."""
        return recognise(cases, self.seen)

    def _fitted(self) -> FittedDecisions:
        if self.decisions is None:
            raise SpecError("this pipeline is not fitted", "a fitted one", "call fit(cases), or Pipeline.load(RUN)")
        return self.decisions

    # ── storing ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def save(self, folder: str | Path) -> None:
        """Writes the fitted pipeline as a run folder, which must not exist; nothing is left of it if writing fails."""
        from mmfuse.run import write

        self._fitted()
        write(self, Path(folder))

    @classmethod
    def load(
        cls, folder: str | Path, *, catalog: Catalog | None = None, device: str = "auto", watch: Watch = silent
    ) -> Self:
        """Reads a run folder. Raises: RunError naming the file that is missing, changed or truncated."""
        from mmfuse.run import Run

        return Run(folder).pipeline(cls, catalog=catalog, device=device, watch=watch)


def _tell_learnt(found: Recognised, watch: Watch) -> None:
    if found.any.any():
        watch(Notice(f"{found}; the figures flatter it", "warning"))


def _balanced_accuracy(p: Floats, cases: Cases) -> float:
    by_label = METRICS["balanced-accuracy"](p, cases.targets, cases.labels, None)[0]
    known = ~np.isnan(by_label)
    return float(np.average(by_label[known], weights=cases.labels.weights[known])) if known.any() else float("nan")


def _flags(
    network: Any,  # noqa: ANN401  # torch's side
    readers: Mapping[str, Any],
    cases: Cases,
    asked: StageFeatures,
) -> tuple[str, ...]:
    """For each case what training never saw."""
    rows, patterns = cases.rows(), ("",) * len(cases)
    everyone = np.arange(len(cases))
    present = {modality: asked.read(modality, reader, everyone)[1] for modality, reader in readers.items()}
    unseen = {modality: flags_of(modality, reader, rows) for modality, reader in readers.items()}
    if network is not None:
        encoded = network.presence(cases)
        patterns = network.pattern_flags(encoded)
        present, unseen = present | encoded, unseen | network.unseen(cases)
    anything = np.any(list(present.values()), axis=0)
    told = ["; ".join(filter(None, texts)) for texts in zip(patterns, *unseen.values(), strict=True)]
    return tuple(text if here else "nothing is present" for text, here in zip(told, anything, strict=True))


def _summary(pipeline: Pipeline) -> dict[str, str]:
    card, scores = pipeline.spec.card, pipeline.scores
    return {
        "modalities": ", ".join(card.modalities) or "none",
        "labels": ", ".join(card.label_set.names),
        "sources": ", ".join(pipeline.wiring.all_sources) or "none",
        "answer": pipeline.wiring.answer,
        "state": "not fitted" if scores is None else f"fitted to {counted(len(scores), card.cases.case_is)}",
    }


def _steps(pipeline: Pipeline, split: NDArray[Any]) -> Steps:
    wiring, plan = pipeline.wiring, pipeline.spec.plan
    networks: list[str] = []
    if wiring.sources:
        folds = plan.training.folds
        count = len(folds.predict) if isinstance(folds, FoldColumn) else folds
        networks = ["network"] if plan.training.serve == "refit" else []
        networks += [f"fold {k}" for k in range(1, count + 1)] if _needs_folds(pipeline, split) else []
    has_valid = bool((split == "valid").any())
    stages = [f"{decision.name} (on {decision.learns_on(has_valid)})" for decision in wiring.decisions]
    return Steps(tuple(networks), tuple(stages))


def _needs_folds(pipeline: Pipeline, split: NDArray[Any]) -> bool:
    """Whether networks of folds are trained: something learns from their scores, or they serve."""
    serve = bool(pipeline.wiring.sources) and pipeline.spec.plan.training.serve == "folds"
    return serve or pipeline.wiring.needs_folds(bool((split == "valid").any()))


def _classes(labels: Labels, p: Floats) -> dict[str, NDArray[Any]]:
    """{label: (n,) class of the highest probability, or None} of (n, columns) probabilities."""
    picks = labels.argmax(p)
    classes = [np.array([*label.classes, None], dtype=object) for label in labels]
    return {label.name: classes[i][picks[:, i]] for i, label in enumerate(labels)}


def _notices(events: Sequence[tuple[float, Event]]) -> tuple[str, ...]:
    return tuple(told.text for _, told in events if isinstance(told, Notice))


def _operating_points(spec: Spec, scores: ScoreTable, watch: Watch) -> OperatingPoints:
    """Fitted on `valid`, for every source; where that cannot be, it is said."""
    rules, valid = spec.plan.prediction.operating_points, scores.take(scores.split == "valid")
    spoken = {name: valid.probabilities(name) for name in valid.sources}
    points = OperatingPoints.fit(rules, spoken, valid.targets, valid.labels)
    for what, why in points.left_out.items():
        watch(Notice(f"no operating point for {what}: {why}", "warning"))
    return points


def _network_scores(network: Any, cases: Cases, watch: Watch, altered: Alter | None) -> dict[str, Floats]:  # noqa: ANN401  # torch's side
    """{source: (v, n, c)} of the network, if the plan has one."""
    if network is not None:
        return network.predict(cases, watch, altered)  # type: ignore[no-any-return]
    if altered is not None:
        raise SpecError("this plan has no network, and nothing else is altered", "a plan with one", where="network")
    return {}


def _table(sources: dict[str, Floats], cases: Cases, split: NDArray[Any], folds: Ints) -> ScoreTable:
    return ScoreTable(
        sources=sources,
        ids=cases.ids,
        groups=cases.groups,
        split=split,
        folds=folds,
        targets=cases.targets,
        labels=cases.labels,
        case_is=cases.card.cases.case_is,
    )
