"""A fitted pipeline as a folder: text, JSON, npz and safetensors, each named in a manifest with its digest; no pickle.

A run folder stands whole or not at all: it is written beside its place and moved there at the end.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mmfuse.catalog import Catalog
from mmfuse.data.disk import refuse_unwritable
from mmfuse.data.scratch import scratch_folder
from mmfuse.data.workers import in_chunks
from mmfuse.decide.scores import ScoreTable
from mmfuse.decide.stages import FittedDecisions
from mmfuse.errors import Fault, Faults, MmfuseError, RunError
from mmfuse.events import Event, FitName, Notice, Watch, silent
from mmfuse.formats.json_files import read_json
from mmfuse.formats.of_runs import Environment, Manifest
from mmfuse.formats.toml_files import read_toml
from mmfuse.metrics import OperatingPoints, evaluate
from mmfuse.seen import MANIFEST, SEEN, Seen, read_seen
from mmfuse.spec import Spec
from mmfuse.summaries import Summarized
from mmfuse.toml import dump, load

if TYPE_CHECKING:
    from mmfuse.pipeline import Pipeline

    AnyPipeline = TypeVar("AnyPipeline", bound=Pipeline)

EVENTS = "events.jsonl"
POINTS = "operating.json"
"""Operating points, if the plan asks for any."""
FORMAT = 1
"""Of the folder; a newer one than this is refused."""

_LIBRARIES = ("torch", "timm", "numpy", "scikit-learn", "xgboost", "lightning-fabric", "kornia", "safetensors", "skops")


class Run(Summarized):
    """A run folder that stands. Each file is checked against the manifest when it is read."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._manifest = self._read_manifest()

    def summary(self) -> dict[str, str]:
        """Return what stands here; nothing but the manifest is read."""
        files = self._manifest["files"]
        kind = "a trained pipeline" if "scores.npz" in files else "weights that learnt without labels"
        size = sum(about["bytes"] for about in files.values())
        return {"folder": str(self.folder), "holds": kind, "files": f"{len(files)}, {size / 2**20:.1f} MiB"}

    @property
    def spec_tree(self) -> dict[str, Any]:
        """The spec as its TOML tree, no part of it looked up."""
        return read_toml(self.file("spec.toml"), error=RunError, mend="copy the run again")

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, plugins, hardware, seed and digests of the cases it was made with."""
        return dict(read_json(self.file("environment.json"), Environment, expected="versions and plugins of the run"))

    @property
    def scores(self) -> ScoreTable:
        """Scores of the cases the run was fitted to; every figure works from it alone.

        Raises: RunError for a run that learnt without labels.
        """
        if "network/network.safetensors" in self._manifest["files"] and "scores.npz" not in self._manifest["files"]:
            found, mend = (
                "learnt without labels: it has no scores and predicts nothing",
                "train a plan that starts from it",
            )
            raise RunError(found, "a run that `mmfuse train` wrote", mend, str(self.folder))
        return ScoreTable.load(self.file("scores.npz"))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of its figures should know: of the weights that it started from (transductive …), of `valid`
        that a decision reuses.
        """
        told = (self.folder / "environment.json").is_file()  # figures need the scores alone
        return tuple(self.environment.get("remarks", ())) if told else ()

    @property
    def points(self) -> OperatingPoints:
        """Operating points of every source; empty where the plan asked for none."""
        return OperatingPoints.load(self.file(POINTS)) if POINTS in self._manifest["files"] else OperatingPoints()

    def spec(self, catalog: Catalog | None = None) -> Spec:
        """The spec, complete. Raises: RunError naming the plugins that are missing here."""
        catalog, spec_tree = catalog or Catalog(), self.spec_tree
        made_with = [plugin for plugin in self.environment["plugins"] if plugin["parts"]]  # not those that failed
        try:
            return load(spec_tree, catalog=catalog)
        except MmfuseError as error:
            here = {plugin.name for plugin in catalog.plugins if not plugin.failure}
            missing = [_plugin_in_words(plugin) for plugin in made_with if plugin["name"] not in here]
            there = [_plugin_in_words(plugin) for plugin in made_with]
            found = f"was made with plugins that are not here: {', '.join(missing)}" if missing else "does not fit here"
            mend = "install them, or give files by --plugin" if missing else "use the versions that made the run"
            told = Fault(str(self.folder), found, f"the plugins {', '.join(there)}", mend)
            raise RunError([told, *error.faults]) from error

    def pipeline(
        self, kind: type[AnyPipeline], *, catalog: Catalog | None = None, device: str = "auto", watch: Watch = silent
    ) -> AnyPipeline:
        """The fitted pipeline. Raises: RunError for files that are not as they were written, or plugins not here."""
        self.verify()
        catalog, scores = catalog or Catalog(), self.scores
        made = kind(self.spec(catalog), catalog=catalog, device=device, watch=watch)
        made.watch.fit = FitName(run=self.folder.name)
        for name in self._changed_files(catalog):
            watch(Notice(f"plugin '{name}' is not the file that {self.folder} was made with", "warning"))
        if made.wiring.encoders:
            from mmfuse.net.predicting import FittedNetwork

            made.network = FittedNetwork.load(self.folder / "network", made.spec, made.wiring, device)
        made.decisions = FittedDecisions.load(self.folder / "stages", made.spec, made.wiring)
        made.scores, made.points = scores, self.points
        made.seen, made.remarks = read_seen(self.folder), self.remarks
        return made

    def _changed_files(self, catalog: Catalog) -> list[str]:
        """Plugins of a file whose content is another one now; what they do may be another thing."""
        here = {plugin.name: plugin.sha256 for plugin in catalog.plugins if plugin.sha256}
        then = {plugin["name"]: plugin["sha256"] for plugin in self.environment["plugins"] if plugin["sha256"]}
        return [name for name, digest in then.items() if here.get(name, digest) != digest]

    def file(self, name: str) -> Path:
        """The path of a file of the run. Raises: RunError if it is missing, changed or truncated."""
        path = self.folder / name
        expected = self._manifest["files"].get(name)
        if expected is None or not path.is_file():
            raise RunError("is missing", "a file of the run", "copy the run again", str(path))
        if path.stat().st_size != expected["bytes"]:
            found = f"has {path.stat().st_size} bytes"
            raise RunError(found, f"{expected['bytes']} bytes, as it was written", "copy the run again", str(path))
        if _sha256(path) != expected["sha256"]:
            raise RunError(
                "was changed since it was written", "the content the manifest names", "copy the run again", str(path)
            )
        return path

    def verify(self) -> None:
        """Checks every file. Raises: RunError naming each that is not as it was written."""
        faults = Faults()
        for name in self._manifest["files"]:
            try:
                self.file(name)
            except RunError as error:
                faults.extend(error.faults)
        faults.raise_as(RunError)

    def _read_manifest(self) -> Manifest:
        path = self.folder / MANIFEST
        if not path.is_file():
            found = "is no run" if self.folder.is_dir() else "no such folder"
            raise RunError(
                found, f"a folder that `mmfuse train` wrote, with {MANIFEST}", "check the path", str(self.folder)
            )
        manifest = read_json(path, Manifest, expected="the run's manifest", mend="copy the run again", newest=FORMAT)
        outside = [name for name in manifest["files"] if Path(name).is_absolute() or ".." in Path(name).parts]
        if outside:
            raise RunError(f"names '{outside[0]}'", "files of the run", "do not use this folder", str(path))
        return manifest


def refuse_existing(folder: str | Path) -> None:
    """Raises: RunError if a run cannot be written there: something stands there, or the disk refuses."""
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "holds a run already" if (folder / MANIFEST).is_file() else "exists already"
        raise RunError(
            what, "a folder that does not exist", "give another --out, or move the old one away", str(folder)
        )
    within = next((parent for parent in folder.absolute().parents if (parent / MANIFEST).is_file()), None)
    if within is not None:
        raise RunError(f"lies within the run {within}", "a folder of its own", "another --out", str(folder))
    refuse_unwritable(folder)


def write(pipeline: Pipeline, folder: Path) -> None:
    """Writes a fitted pipeline; see `Pipeline.save`."""
    write_folder(folder, lambda work: _write_files(pipeline, work))


def write_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Writes a run folder whole or not at all: `fill` writes its files, then comes the manifest.

    Raises: RunError if something stands there or the disk refuses.
    """
    refuse_existing(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _clearly(folder), scratch_folder(folder) as work:
        try:
            fill(work)
        except RunError as error:
            faults = [dataclasses.replace(f, where=f.where.replace(str(work), str(folder))) for f in error.faults]
            raise RunError(faults) from error
        _write_manifest(work)
        if folder.is_dir():
            folder.rmdir()
        work.rename(folder)


@contextmanager
def _clearly(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            f"cannot be written: {error.strerror or error}",
            "room and leave to write",
            "free space, or another --out",
            str(folder),
        ) from error


def _write_files(pipeline: Pipeline, work: Path) -> None:
    assert pipeline.scores is not None
    assert pipeline.decisions is not None
    scores = pipeline.scores
    (work / "spec.toml").write_text(dump(pipeline.spec), encoding="utf-8")
    made = environment(pipeline.spec, pipeline.catalog, pipeline.device, scores.ids, scores.targets)
    write_json(work / "environment.json", {**made, "remarks": list(pipeline.remarks)})
    write_splits(work, scores.ids, scores.groups, scores.split, scores.folds)
    if pipeline.network is not None:
        pipeline.network.save(work / "network")
    pipeline.decisions.save(work / "stages")
    scores.save(work / "scores.npz")
    write_seen(work, pipeline.seen)
    if pipeline.spec.plan.prediction.operating_points:
        pipeline.points.save(work / POINTS)
    write_json(work / "metrics.json", _figures(pipeline, scores))
    write_events(work, pipeline.events)


def write_splits(work: Path, *columns: NDArray[Any]) -> None:
    """`splits.csv`: who is where."""
    with (work / "splits.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "group", "split", "fold"])
        writer.writerows(zip(*columns, strict=True))


def write_seen(work: Path, seen: Seen) -> None:
    """`seen.npz`: what any weight has seen."""
    with (work / SEEN).open("wb") as binary:
        np.savez(binary, allow_pickle=False, **seen)  # type: ignore[arg-type]  # arrays by name


def write_events(work: Path, events: Sequence[tuple[float, Event]]) -> None:
    """`events.jsonl`: everything that was told, with its time."""
    (work / EVENTS).write_text(events_text(events), encoding="utf-8")


def events_text(events: Sequence[tuple[float, Event]]) -> str:
    """One JSON object a line: time, kind, which fit, and the event's own fields."""
    lines = ({"time": round(moment, 3), "event": type(event).__name__, **event.record()} for moment, event in events)
    return "".join(_json(line) + "\n" for line in lines)


def _figures(pipeline: Pipeline, scores: ScoreTable) -> dict[str, Any]:
    """On `valid`; nothing where there is none."""
    if not (scores.split == "valid").any():
        return {}
    return evaluate(scores, on="valid", metrics=pipeline.catalog.metrics(), points=pipeline.points)


def _write_manifest(work: Path) -> None:
    files = {
        path.relative_to(work).as_posix(): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(work.rglob("*"))
        if path.is_file()
    }
    write_json(work / MANIFEST, {"format": FORMAT, "files": files})


def environment(
    spec: Spec, catalog: Catalog, device: str, case_ids: NDArray[Any], targets: NDArray[Any]
) -> dict[str, Any]:
    """Versions, plugins, hardware, seed and the digest of the cases."""
    versions = {}
    for name in ("mmfuse", *_LIBRARIES):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    ids, truth = hashlib.sha256(), hashlib.sha256(np.ascontiguousarray(targets).data)
    for part in in_chunks(len(case_ids)):
        ids.update(b"\n" * bool(part.start) + "\n".join(case_ids[part].tolist()).encode())
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "device": device,
        "versions": versions,
        "plugins": [dataclasses.asdict(plugin) for plugin in catalog.plugins],
        "seed": spec.plan.seed,
        "cases": {"n": len(case_ids), "ids_sha256": ids.hexdigest(), "targets_sha256": truth.hexdigest()},
    }


def _plugin_in_words(plugin: dict[str, Any]) -> str:
    version = plugin["version"] or (f"sha256 {plugin['sha256'][:12]}" if plugin["sha256"] else "")
    return " ".join(filter(None, (plugin["name"], version, f"({plugin['origin']})")))


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401  # anything
    """Strict JSON."""
    path.write_text(_json(value, indent=1), encoding="utf-8")


def _json(value: Any, indent: int | None = None) -> str:  # noqa: ANN401
    return json.dumps(_plain(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:  # noqa: ANN401  # whatever an event or a figure holds
    """Strict JSON: what is not finite is null, what JSON does not know is its text."""
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple | set | frozenset) else str(value)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
