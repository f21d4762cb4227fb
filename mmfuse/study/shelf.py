"""What was fitted, each under the hash of all that decides it, so that a second comparison runs only what is new.

The key holds the complete spec, the cells that it reads, the content of the files they name, the split, and who brought
the parts. Scores alone are kept; images and frozen features are shared by the caches.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmfuse.building import tree
from mmfuse.catalog import Catalog
from mmfuse.data.cases import Cases
from mmfuse.data.contents import content_keys
from mmfuse.data.table import Table
from mmfuse.decide.scores import ScoreTable
from mmfuse.errors import RunError
from mmfuse.events import Watch
from mmfuse.knobs import Part
from mmfuse.pipeline import Pipeline
from mmfuse.spec import Spec
from mmfuse.study.designs import Split
from mmfuse.toml import dump

VARIANTS = "variants"
SCORES = "scores.npz"
FORMAT = 1
"""Of a key; another one is another key."""


def spec_digest(spec: Mapping[str, Any]) -> str:
    """SHA-256 of a spec's TOML tree; where the files lie (`root`) does not count."""
    section = {name: value for name, value in spec["cases"].items() if name != "root"}
    text = json.dumps({**spec, "cases": section}, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class Shelf:
    """The fitted variants of a study's folder."""

    def __init__(self, folder: Path, table: Table, root: Path, catalog: Catalog, device: str, watch: Watch) -> None:
        self.folder = folder
        self._table, self._root = table, root
        self._catalog, self._device, self._watch = catalog, device, watch
        self.fresh = 0
        """How many were fitted here, not found."""

    def fitted(self, spec: Spec, table: Table | None, split: Split) -> str:
        """The key of a spec on these cases; it is fitted first where it is new."""
        cases = Cases(self._table if table is None else table, spec.card, self._root)
        key = self._key(spec, cases, split)
        if not (self.folder / VARIANTS / key / SCORES).is_file():
            self.fresh += 1
            self._fit(spec, cases, split, key)
        return key

    def _fit(self, spec: Spec, cases: Cases, split: Split, key: str) -> None:
        began = time.perf_counter()
        pipeline = Pipeline(spec, catalog=self._catalog, device=self._device, watch=self._watch).fit(cases, split)
        assert pipeline.scores is not None
        about = {"seconds": round(time.perf_counter() - began, 2), "answer": pipeline.wiring.answer}
        put(self.folder, key, pipeline.scores, {"spec.toml": dump(pipeline.spec), "about.json": json.dumps(about)})

    def _key(self, spec: Spec, cases: Cases, split: Split) -> str:
        given = hashlib.sha256()
        about = {
            "format": FORMAT,
            "spec": spec_digest(tree(spec.card) | tree(spec.plan)),
            "made_by": self._makers(spec),
        }
        given.update(json.dumps(about, sort_keys=True).encode())
        for array in (cases.ids, cases.groups, cases.targets, split.astype(str)):
            given.update(repr((array.shape, array.tolist())).encode())
        rows = cases.rows()
        for modality in spec.card.modalities.values():
            for column in modality.columns:
                given.update(repr(cases.table[column].tolist()).encode())
                if modality.is_image:
                    paths = [path for path in rows.apart([column])[0].paths(column) if path is not None]
                    given.update(repr(content_keys(paths)).encode())
        given.update(repr(content_keys(sorted(_files(spec, cases.root)))).encode())
        return given.hexdigest()[:32]

    def _makers(self, spec: Spec) -> list[list[str]]:
        """Name and version (or content) of who brought the parts of this spec."""
        kinds = {type(part) for part in parts_in(spec)}
        origins = {entry.origin for entry in self._catalog.entries if entry.part in kinds}
        made = {(plugin.name, plugin.version, plugin.sha256) for plugin in self._catalog.plugins
                if plugin.origin in origins}  # fmt: skip
        return [["mmfuse", importlib.metadata.version("mmfuse")], *map(list, sorted(made))]


def put(folder: Path, key: str, scores: ScoreTable, texts: Mapping[str, str]) -> None:
    """Writes scores and texts below a study's folder, whole or not at all."""
    place = folder / VARIANTS / key
    place.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=place.parent))
    try:
        scores.save(work / SCORES)
        for name, text in texts.items():
            (work / name).write_text(text, encoding="utf-8")
        if place.exists():
            shutil.rmtree(place)
        work.rename(place)
    except OSError as error:
        raise RunError(f"cannot be written: {error.strerror or error}", "room and leave to write", "free some space",
                       str(place)) from error  # fmt: skip
    finally:
        shutil.rmtree(work, ignore_errors=True)


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


def parts_in(value: Any) -> Iterator[Part]:  # noqa: ANN401  # a spec, or whatever a knob holds
    """Every part of a spec, at any depth."""
    if isinstance(value, Part):
        yield value
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    if isinstance(value, Spec | Part) or type(value).__module__ == Spec.__module__:
        inner = [knob for _, knob in value]
    for item in inner:
        yield from parts_in(item)


def _files(spec: Spec, root: Path) -> set[Path]:
    """Files that the spec's own words name: weights, vectors; of a run, its manifest."""
    words: set[str] = set()
    for part in parts_in(spec):
        words.update(value for _, value in part if isinstance(value, str))
    if spec.plan.network != "":
        words.update(line.weights.partition("#")[0] for line in spec.plan.network.encoders.values())
        words.add(spec.plan.network.weights)
    near = {place for word in words if word for place in (root / word, Path(word), Path(word) / "manifest.json")}
    return {place.absolute() for place in near if _is_file(place)}


def _is_file(place: Path) -> bool:
    try:
        return place.is_file()
    except (OSError, ValueError):  # a word that could be no path
        return False
