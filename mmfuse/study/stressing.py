"""How much an answer suffers when what was read is spoilt: each image modality by each corruption at each severity,
against the same network on the same cases with clean inputs.

Works on scores alone once they are given; which cases may be asked about is the caller's to settle (law 2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mmfuse.data.cases import Cases
from mmfuse.decide.scores import ScoreTable
from mmfuse.errors import Faults, SpecError, nearest
from mmfuse.events import Meter, Watch, silent
from mmfuse.study.intervals import Interval, interval
from mmfuse.study.paired import Difference, paired_difference

if TYPE_CHECKING:
    from mmfuse.net.corrupting import Corruption
    from mmfuse.pipeline import Pipeline

CLEAN = "clean"
"""The source of the scores on clean inputs."""


class Trial(NamedTuple):
    """One corruption of one modality at one severity."""

    modality: str
    corruption: str
    severity: int
    """From 1."""
    level: float
    """What that severity is, in the corruption's own measure."""

    @property
    def source(self) -> str:
        """The name of its scores."""
        return f"{self.modality} {self.corruption} {self.severity}"


class Suffered(NamedTuple):
    """A figure under a corruption, and its paired difference from the figure on clean inputs."""

    figure: Interval
    difference: Difference


@dataclass(frozen=True)
class Stressed:
    """The scores of one source of a pipeline on clean and on corrupted inputs; every figure follows from them."""

    table: ScoreTable
    """Sources: `clean`, then one a trial."""
    trials: tuple[Trial, ...]
    source: str
    """Of the pipeline."""

    def clean(self, metric: str, label: str = "") -> Interval:
        """A figure on clean inputs."""
        return interval(self.table, CLEAN, metric=metric, on="all", label=label)

    def suffered(self, trial: Trial, metric: str, label: str = "") -> Suffered:
        """A figure under a corruption, minus that on clean inputs, of the cases about which both speak."""
        figure = interval(self.table, trial.source, metric=metric, on="all", label=label)
        gap = paired_difference(self.table, trial.source, CLEAN, metric=metric, on="all", label=label)
        return Suffered(figure, gap)


def stress(
    pipeline: Pipeline,
    cases: Cases,
    corruptions: Mapping[str, Corruption],
    *,
    source: str = "",
    modalities: Sequence[str] = (),
    seed: int = 0,
    watch: Watch = silent,
) -> Stressed:
    """Scores of `cases` with each corruption (`mmfuse.CORRUPTIONS`, or some of them, or your own) of each image
    modality at each severity, and clean ones beside.

    `source`: of the pipeline, its answer where empty; `modalities`: all where empty. Cases that the pipeline learnt
    from are flattered, clean and corrupted.

    Raises: SpecError for unknown names, and where no image is encoded.
    """
    from mmfuse.net.corrupting import corrupted, unaltered

    parts, encoders = pipeline.spec.card.modalities, pipeline.wiring.encoders
    images = [modality for modality in parts if modality in encoders and parts[modality].is_image]
    if not images:
        raise SpecError("no image modality is encoded", "a plan with a network that reads images", "train another run")
    source = source or pipeline.wiring.answer
    faults = Faults()
    _check(faults, "image modality", modalities, images)
    _check(faults, "source", [source], pipeline.wiring.all_sources)
    faults.raise_as(SpecError)
    trials = tuple(
        Trial(modality, name, place + 1, level)
        for modality in images
        for name, corruption in corruptions.items()
        for place, level in enumerate(corruption.levels)
        if not modalities or modality in modalities
    )
    plain = pipeline.sources(cases, altered=unaltered)
    meter = Meter(watch, "stress", len(trials))
    found = {CLEAN: plain.sources[source]}
    for trial in trials:
        alter = corrupted(trial.modality, trial.corruption, corruptions[trial.corruption], trial.severity, seed)
        found[trial.source] = pipeline.sources(cases, altered=alter).sources[source]
        meter.add(1)
    base = ScoreTable(found, plain.ids, plain.groups, plain.split, plain.folds, plain.targets, plain.labels,
                      plain.case_is)  # fmt: skip
    return Stressed(base, trials, source)


def _check(faults: Faults, kind: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            faults.add("stress", f"no {kind} is called '{name}'", f"one of {', '.join(known)}", nearest(name, known))
