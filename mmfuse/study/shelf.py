"""What was fitted, each under the hash of all that decides it, so that a second comparison runs only what is new.

The key holds the complete spec, the cells that it reads, the content of the files they name, the split, who brought the
parts, their code, the versions of the libraries and the device: old and new scores never stand in one comparison.
Scores alone are kept; images and frozen features are shared by the caches.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from mmfuse.building import tree
from mmfuse.catalog import Catalog
from mmfuse.data.cases import Cases
from mmfuse.data.locks import alone
from mmfuse.data.scratch import scratch_folder
from mmfuse.data.table import Table
from mmfuse.decide.scores import ScoreTable
from mmfuse.errors import MmfuseError, PartError, PartFailedError, RunError, SpecError, TableError
from mmfuse.events import FitName, Watch
from mmfuse.ingredients import code_of, files_digest, parts_in
from mmfuse.pipeline import Pipeline
from mmfuse.run import EVENTS, events_text
from mmfuse.spec import Spec
from mmfuse.study.designs import Split
from mmfuse.toml import dump
from mmfuse.work import Work, identity

VARIANTS = "variants"
SCORES, ABOUT = "scores.npz", "about.json"
FORMAT = 2
"""Of a key; another one is another key."""


def spec_digest(spec: Mapping[str, Any]) -> str:
    """SHA-256 of a spec's TOML tree; where the files lie (`root`) does not count."""
    section = {name: value for name, value in spec["cases"].items() if name != "root"}
    text = json.dumps({**spec, "cases": section}, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class Fit(NamedTuple):
    """What is to be fitted, and the key that it goes by."""

    key: str
    spec: Spec
    cases: Cases
    split: Split
    folder: Path
    """Of the table."""
    name: FitName = FitName()
    """By which its events are told from those of others; the key does not depend on it."""


Asked = tuple[Spec, Table | None, Split, FitName]
"""What is to be fitted: a plan, on these cells (None: the table's), split so, under this name."""


class FitError(Exception):
    """One fit failed; its text says why."""


def in_words(error: Exception) -> str:
    """Why a fit failed."""
    return str(error) if isinstance(error, MmfuseError | FitError) else f"{type(error).__name__}: {error}"


class Workers(Protocol):
    """Whoever carries fits out elsewhere, many at once (`elsewhere`)."""

    @property
    def device(self) -> str:
        """What they learn on."""

    def fit(self, fits: Sequence[Fit], folder: Path, watch: Watch) -> dict[str, str]:
        """Carries them out; their scores then stand in the study's folder. Gives why those that failed did, by key."""


class Shelf:
    """The fitted variants of a study's folder."""

    def __init__(
        self,
        folder: Path,
        table: Table,
        root: Path,
        catalog: Catalog,
        device: str,
        watch: Watch,
        workers: Workers | None = None,
    ) -> None:
        self.folder = folder
        self._table, self._root = table, root
        self._catalog, self._device, self._watch, self._workers = catalog, device, watch, workers
        self.fresh: set[str] = set()
        """Keys of what was fitted, not found, since they were last looked at."""
        self._failed: dict[str, str] = {}

    def fit_all(self, asked: Iterable[Asked]) -> None:
        """Has the workers fit what is new, if there are any. What fails, fails when it is asked for."""
        if self._workers is None:
            return
        new: dict[str, Fit] = {}
        for one in asked:
            try:
                fit = self._fit(*one)
            except MmfuseError:
                continue
            if not self._stands(fit.key):
                new[fit.key] = fit
        self._failed |= self._workers.fit(list(new.values()), self.folder, self._watch) if new else {}
        self.fresh |= {key for key in new if self._stands(key)}

    def fitted(self, spec: Spec, table: Table | None, split: Split, name: FitName = FitName()) -> str:  # noqa: B008
        """The key of a spec on these cases; it is fitted first where it is new. Raises: FitError if it failed
        elsewhere; whatever fitting raises."""
        fit = self._fit(spec, table, split, name)
        if fit.key in self._failed:
            raise FitError(self._failed[fit.key])
        if not self._stands(fit.key):
            carry_out(fit, self.folder, self._catalog, self._device, self._watch)
            self.fresh.add(fit.key)
        return fit.key

    def stands(self, spec: Spec, table: Table | None, split: Split) -> bool:
        """Return whether a spec is fitted on these cases already; where it cannot be fitted it is not."""
        try:
            return self._stands(self._fit(spec, table, split, FitName()).key)
        except MmfuseError:
            return False

    def _fit(self, spec: Spec, table: Table | None, split: Split, name: FitName) -> Fit:
        cases = Cases(self._table if table is None else table, spec.card, self._root)
        name = replace(name, run=self.folder.name)
        return Fit(self._key(spec, cases, split), spec, cases, split, self._root, name)

    def _stands(self, key: str) -> bool:
        return (self.folder / VARIANTS / key / SCORES).is_file()

    def _key(self, spec: Spec, cases: Cases, split: Split) -> str:
        given = hashlib.sha256()
        about = {
            "format": FORMAT,
            "spec": spec_digest(tree(spec.card) | tree(spec.plan)),
            "made_by": self._makers(spec),
            "code": code_of(spec),
            "device": self._where(spec),
        }
        given.update(json.dumps(about, sort_keys=True).encode())
        for array in (cases.ids, cases.groups, cases.targets, split.astype(str)):
            given.update(repr((array.shape, array.tolist())).encode())
        for modality in spec.card.modalities.values():
            for column in modality.columns:
                given.update(repr(cases.table[column].tolist()).encode())
        given.update(files_digest(spec, cases, self._watch).encode())
        return given.hexdigest()[:32]

    def _makers(self, spec: Spec) -> list[list[str]]:
        """Name and version (or content) of who brought the parts of this spec."""
        kinds = {type(part) for part in parts_in(spec)}
        origins = {entry.origin for entry in self._catalog.entries if entry.part in kinds}
        made = {(plugin.name, plugin.version, plugin.sha256) for plugin in self._catalog.plugins
                if plugin.origin in origins}  # fmt: skip
        return list(map(list, sorted(made)))

    def _where(self, spec: Spec) -> str:
        """The device that a network of this spec learns on; numbers of another one are others in the last digits."""
        if spec.plan.network == "":
            return ""
        if self._workers is not None:
            return self._workers.device
        from mmfuse.net.devices import choose_device, hardware

        chosen = choose_device(self._device).type
        return chosen if chosen == "cpu" else f"{chosen} {', '.join(hardware().cuda)}"


def carry_out(fit: Fit, folder: Path, catalog: Catalog, device: str, watch: Watch) -> None:
    """Fits, and puts the scores on the shelf. What was interrupted goes on from where it was, unless another process is
    at it."""
    began, place = time.perf_counter(), folder / VARIANTS / fit.key
    pipeline = Pipeline(fit.spec, catalog=catalog, device=device, watch=watch)
    pipeline.watch.fit = fit.name
    from mmfuse.net.devices import choose_device

    about = identity(pipeline.spec, fit.cases, fit.split, catalog.plugins, str(choose_device(device)), watch)
    with alone(place.with_name(f".{fit.key}.lock")) as is_alone:
        work = _half_done(place, about) if is_alone else None
        try:
            scores = pipeline.fit(fit.cases, fit.split, work=work).scores
        except BaseException as error:
            useless = isinstance(error, SpecError | TableError | PartError) and not isinstance(error, PartFailedError)
            if work is not None and useless:  # nothing of it will be of use
                work.remove()
            elif work is not None:
                work.remove_if_empty()
            raise
        assert scores is not None
        told = {
            "seconds": round(time.perf_counter() - began, 2),
            "answer": pipeline.wiring.answer,
            "remarks": list(pipeline.remarks),
        }
        about_it = json.dumps(told, ensure_ascii=False)
        texts = {"spec.toml": dump(pipeline.spec), ABOUT: about_it, EVENTS: events_text(pipeline.events)}
        put(folder, fit.key, scores, texts)
        if work is not None:
            work.remove()


def _half_done(place: Path, about: Mapping[str, str]) -> Work:
    try:
        return Work.open(place, about, resume=True)
    except RunError:  # of other versions, or broken
        Work.beside(place).remove()
        return Work.open(place, about, resume=True)


def put(folder: Path, key: str, scores: ScoreTable, texts: Mapping[str, str]) -> None:
    """Writes scores and texts below a study's folder, whole or not at all."""
    place = folder / VARIANTS / key
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        with scratch_folder(place) as work:
            scores.save(work / SCORES)
            for name, text in texts.items():
                (work / name).write_text(text, encoding="utf-8")
            if place.exists():
                shutil.rmtree(place)
            work.rename(place)
    except OSError as error:
        raise RunError(f"cannot be written: {error.strerror or error}", "room and leave to write", "free some space",
                       str(place)) from error  # fmt: skip


def remarks_of(folder: Path, key: str) -> list[str]:
    """Return what is to be known of the figures of what stands under a key; nothing where that was not kept."""
    path = folder / VARIANTS / key / ABOUT
    try:
        return [str(text) for text in json.loads(path.read_text(encoding="utf-8")).get("remarks", [])]
    except (OSError, ValueError, AttributeError, TypeError):
        return []


def stored(folder: Path, key: str) -> ScoreTable:
    """The scores under a key. Raises: RunError if they are missing or broken."""
    return ScoreTable.load(folder / VARIANTS / key / SCORES)


def aligned(scores: ScoreTable, source: str, ids: np.ndarray) -> np.ndarray:
    """(n, columns) probabilities of a source about the cases called `ids`.

    Raises: RunError naming those that are not there.
    """
    row = {name: index for index, name in enumerate(scores.ids.tolist())}
    absent = [name for name in ids.tolist() if name not in row]
    if absent:
        more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
        raise RunError(f"speaks of other cases: none is called {', '.join(absent[:5])}{more}", "the cases of the study")
    return scores.probabilities(source)[[row[name] for name in ids.tolist()]]
