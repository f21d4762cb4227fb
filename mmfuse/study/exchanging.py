"""The exchange test: what two modalities' places are worth to a pipeline. What was read for one is given to the other,
presence with it, and the probabilities before and after are compared.

A symmetric fusion over shared encoders does not notice; whatever does has learnt which is which (or is not symmetric).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmfuse.errors import Faults, SpecError, TableError, nearest
from mmfuse.labels import Floats, Labels

if TYPE_CHECKING:
    from mmfuse.data.cases import Cases
    from mmfuse.pipeline import Pipeline


@dataclass(frozen=True, eq=False)
class Exchange:
    """|p(one, other) − p(other, one)| of the cases that have both."""

    modalities: tuple[str, str]
    cases: int
    labels: Labels
    differences: dict[str, Floats]
    """{source that sees both: (cases, columns)}; NaN where it abstains."""

    def mean(self, source: str, label: str = "") -> float:
        """In [0, 1], over cases and the classes of a label (of all labels: their mean)."""
        parts = [label] if label else self.labels.names
        return float(np.mean([np.nanmean(self.differences[source][:, self.labels.slices[name]]) for name in parts]))

    def largest(self, source: str, label: str = "") -> float:
        """In [0, 1]."""
        part = self.labels.slices[label] if label else slice(None)
        return float(np.nanmax(self.differences[source][:, part]))


def exchange(pipeline: Pipeline, cases: Cases, one: str, other: str) -> Exchange:
    """Exchanges two encoded modalities of the cases that have both; second stages' own columns of the table stay.

    Raises: SpecError for modalities that no encoder reads or a plan without a network; PartError where their shapes
    differ; TableError where no case has both.
    """
    _check(pipeline, one, other)
    from mmfuse.net.altering import exchanged

    present = pipeline.network.presence(cases)
    both = np.flatnonzero(present[one] & present[other])
    if not len(both):
        raise TableError(f"no case has both '{one}' and '{other}'", "one or more", "other modalities, or other cases")
    some = cases.take(both)
    before, after = pipeline.sources(some), pipeline.sources(some, exchanged(one, other))
    seen = [source for source in pipeline.wiring.all_sources if {one, other} <= {*pipeline.wiring.sees(source)}]
    differences = {name: np.abs(before.probabilities(name) - after.probabilities(name)) for name in seen}
    return Exchange((one, other), len(both), cases.labels, differences)


def _check(pipeline: Pipeline, one: str, other: str) -> None:
    if pipeline.network is None:
        raise SpecError("this plan has no network: nothing is read that could be exchanged", "[network]")
    faults, known = Faults(), pipeline.wiring.encoders
    for modality in dict.fromkeys((one, other)):
        if modality not in known:
            expected = f"an encoded modality: {', '.join(known)}"
            faults.add("--exchange", f"no encoder reads '{modality}'", expected, nearest(modality, known))
    if one == other:
        faults.add("--exchange", f"'{one}' with itself", "two modalities", "--exchange left,right")
    faults.raise_as(SpecError)
