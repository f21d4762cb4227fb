"""A network that learnt without labels: which cases it may see, and how it is kept as a run that others start from.

`test` cases are left out, unless `[training] transductive` says otherwise; then every result that rests on it tells so.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmfuse.attribution import attributed
from mmfuse.catalog import Catalog, Journal
from mmfuse.data.cases import Cases, as_cases
from mmfuse.data.inputs import column_faults
from mmfuse.data.splits import assign, checked_split, given_split
from mmfuse.errors import Faults, SpecError, TableError
from mmfuse.events import Event, Notice, Watch, silent
from mmfuse.learnt import StoredAsFolder
from mmfuse.provenance import seen_unlabelled
from mmfuse.run import environment, write_events, write_folder, write_json, write_seen, write_splits
from mmfuse.spec import Spec
from mmfuse.toml import dump
from mmfuse.wiring import wire
from mmfuse.work import Work

if TYPE_CHECKING:
    from mmfuse.data.table import Table
    from mmfuse.net.fitted import FittedNetwork


class Pretraining(StoredAsFolder):
    """A spec with `[pretexts]` that can learn from cases; afterwards it is saved as a run. `device` is `auto`, `cpu` or
    `cuda`."""

    def __init__(
        self, spec: Spec, *, catalog: Catalog | None = None, device: str = "auto", watch: Watch = silent
    ) -> None:
        """Raises: SpecError where the objectives object to the modalities that are encoded."""
        self.catalog, self.spec, self.wiring, self.device = catalog or Catalog(), spec, wire(spec), device
        self.network: FittedNetwork | None = None
        self.seen: dict[str, NDArray[Any]] = {}
        uses, faults = {name: part.name for name, part in spec.card.modalities.items()}, Faults()
        network, alone = spec.plan.network, len(self.wiring.encoders) == 1
        has = {} if network == "" else {"fusion": alone or network.fusion != "", "head": network.head != ""}
        for name, line in spec.plan.pretexts.items():
            with attributed(line.part, "`objections`", f"pretexts.{name}"):
                objections = line.part.objections({modality: uses[modality] for modality in self.wiring.encoders})
            for objection in objections:
                faults.add(f"pretexts.{name}", objection)
            for need in (need for need in line.part.needs if not has.get(need)):
                found, mend = (
                    f"'{line.part.name}' reads the network's {need}, and there is none",
                    "name one in [network]",
                )
                faults.add(f"pretexts.{name}", found, mend=mend)
        faults.raise_as(SpecError)
        self.watch = Journal(self.catalog, watch)
        self._cases: Cases | None = None
        self._split: NDArray[Any] | None = None

    @property
    def events(self) -> list[tuple[float, Event]]:
        """Everything that was told while fitting, with its time."""
        return self.watch.events

    def reads(self, split: NDArray[Any]) -> NDArray[np.integer]:
        """The cases that it learns from: all but `test`, or all."""
        split = checked_split(split)
        return np.flatnonzero(np.ones(len(split), bool) if self.spec.plan.training.transductive else split != "test")

    def fit(self, cases: Cases | Table, split: NDArray[Any] | None = None, *, work: Work | None = None) -> Pretraining:
        """Carries `[pretexts]` out. `split` (n,) overrides the card's; what is done is kept in `work`. Under torchrun,
        within `mmfuse.together`, all processes learn as one, and all hold what came of it.

        Raises: SpecError or TableError before anything is learnt, where plan and cases do not allow it.
        """
        from mmfuse.net.pretraining import pretrain_network

        cases = as_cases(cases, self.spec.card, labelled=True)
        self.events.clear()
        given: Any = assign(cases, self.spec.card.split, self.watch) if split is None else split
        split = given_split(given, cases)
        index = self.reads(split)
        if len(index) < 2:
            raise TableError(f"{len(index)} cases outside `test`", "two or more to learn from", "look at [split]")
        column_faults(cases, self.wiring.inputs, self.watch).raise_as(TableError)
        held_out = int((split == "test").sum())
        if self.spec.plan.training.transductive:
            text = f"transductive: pretraining reads the {held_out} `test` cases too, without their labels"
            self.watch(Notice(text, "warning"))
        else:
            self.watch(Notice(f"pretraining reads {len(index)} cases; the {held_out} `test` cases are left out"))
        self.seen = seen_unlabelled(self.spec, self.wiring, cases, index, self.watch)
        self.network = pretrain_network(
            self.spec, self.wiring, cases, index, device=self.device, watch=self.watch, work=work
        )
        self._cases, self._split = cases, split
        return self

    def save(self, folder: str | Path) -> None:
        """Writes a run folder without scores, which must not exist; nothing is left of it if writing fails."""
        write_folder(Path(folder), self._write)

    def _write(self, work: Path) -> None:
        assert self.network is not None
        assert self._cases is not None
        assert self._split is not None
        cases = self._cases
        (work / "spec.toml").write_text(dump(self.spec), encoding="utf-8")
        made = environment(self.spec, self.catalog, self.device, cases.ids, cases.targets)
        write_json(work / "environment.json", {**made, "pretraining": list(self.spec.plan.pretexts)})
        write_splits(work, cases.ids, cases.groups, self._split, np.full(len(cases), -1))
        self.network.save(work / "network")
        write_seen(work, self.seen)
        write_events(work, self.events)
