"""A fitted pipeline as a folder: text, JSON, npz and safetensors, each named in a manifest with its digest; no pickle.

A run folder stands whole or not at all: it is written beside its place and moved there at the end.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mmfuse.catalog import Catalog
from mmfuse.decide.scores import ScoreTable
from mmfuse.decide.stages import FittedDecisions
from mmfuse.errors import MmfuseError, RunError
from mmfuse.events import Watch, silent
from mmfuse.metrics import evaluate
from mmfuse.spec import Spec
from mmfuse.toml import dump, load

if TYPE_CHECKING:
    from mmfuse.pipeline import Pipeline

    AnyPipeline = TypeVar("AnyPipeline", bound=Pipeline)

MANIFEST = "manifest.json"
FORMAT = 1
"""Of the folder; a newer one than this is refused."""

_LIBRARIES = ("torch", "timm", "numpy", "scikit-learn", "xgboost", "lightning-fabric", "kornia", "safetensors", "skops")


class Run:
    """A run folder that stands. Each file is checked against the manifest when it is read."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._manifest = self._read_manifest()

    @property
    def spec_tree(self) -> dict[str, Any]:
        return tomllib.loads(self.file("spec.toml").read_text(encoding="utf-8"))

    @property
    def environment(self) -> dict[str, Any]:
        return json.loads(self.file("environment.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]

    @property
    def scores(self) -> ScoreTable:
        """Scores of the cases the run was fitted to; every figure works from it alone."""
        return ScoreTable.load(self.file("scores.npz"))

    def spec(self, catalog: Catalog | None = None) -> Spec:
        """The spec, complete. Raises: RunError naming the plugins that are missing here."""
        try:
            return load(self.spec_tree, catalog=catalog)
        except MmfuseError as error:
            there = [
                f"{plugin['name']} {plugin['version'] or plugin['sha256'][:12]} ({plugin['origin']})"
                for plugin in self.environment["plugins"]
            ]
            mend = f"the run was made with the plugins {there}; install them, or give files by --plugin"
            raise RunError(
                [*error.faults, *RunError("its parts are not all known here", mend=mend, where=str(self.folder)).faults]
            ) from error

    def pipeline(
        self, kind: type[AnyPipeline], *, catalog: Catalog | None = None, device: str = "auto", watch: Watch = silent
    ) -> AnyPipeline:
        """The fitted pipeline."""
        self.verify()
        made = kind(self.spec(catalog), catalog=catalog, device=device, watch=watch)
        if made.wiring.encoders:
            from mmfuse.net.predicting import FittedNetwork

            made.network = FittedNetwork.load(self.folder / "network", made.spec, made.wiring, device)
        made.decisions = FittedDecisions.load(self.folder / "stages", made.spec, made.wiring)
        made.scores = self.scores
        return made

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
        """Checks every file. Raises: RunError naming the first that is not as it was written."""
        for name in self._manifest["files"]:
            self.file(name)

    def _read_manifest(self) -> dict[str, Any]:
        path = self.folder / MANIFEST
        if not path.is_file():
            found = "is no run" if self.folder.is_dir() else "no such folder"
            raise RunError(
                found, f"a folder that `mmfuse train` wrote, with {MANIFEST}", "check the path", str(self.folder)
            )
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            newer = manifest["format"] > FORMAT
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"cannot be read: {error}", "the run's manifest", "copy the run again", str(path)) from error
        if newer:
            raise RunError(
                f"is of format {manifest['format']}", f"format {FORMAT} or older", "update mmfuse", str(path)
            )
        return manifest  # type: ignore[no-any-return]


def refuse_existing(folder: Path) -> None:
    """Raises: RunError if something stands where a run is to be written."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "holds a run already" if (folder / MANIFEST).is_file() else "exists already"
        raise RunError(
            what, "a folder that does not exist", "give another --out, or move the old one away", str(folder)
        )


def write(pipeline: Pipeline, folder: Path) -> None:
    """Writes a fitted pipeline; see `Pipeline.save`."""
    refuse_existing(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".writing", dir=folder.parent))
    try:
        _write_files(pipeline, work)
        _write_manifest(work)
        if folder.is_dir():
            folder.rmdir()
        work.rename(folder)
    except OSError as error:
        raise RunError(
            f"cannot be written: {error.strerror or error}",
            "room and leave to write",
            "free space, or another --out",
            str(folder),
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _write_files(pipeline: Pipeline, work: Path) -> None:
    assert pipeline.scores is not None
    assert pipeline.decisions is not None
    scores = pipeline.scores
    (work / "spec.toml").write_text(dump(pipeline.spec), encoding="utf-8")
    _write_json(work / "environment.json", environment(pipeline))
    with (work / "splits.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "group", "split", "fold"])
        writer.writerows(zip(scores.ids, scores.groups, scores.split, scores.folds, strict=True))
    if pipeline.network is not None:
        pipeline.network.save(work / "network")
    pipeline.decisions.save(work / "stages")
    scores.save(work / "scores.npz")
    with (work / "seen.npz").open("wb") as binary:
        np.savez(binary, allow_pickle=False, **pipeline.seen)
    _write_json(work / "metrics.json", evaluate(scores, on="valid") if (scores.split == "valid").any() else {})
    with (work / "events.jsonl").open("w", encoding="utf-8") as file:
        for moment, event in pipeline.events:
            file.write(
                json.dumps({"time": round(moment, 3), "event": type(event).__name__, **dataclasses.asdict(event)})
                + "\n"
            )


def _write_manifest(work: Path) -> None:
    files = {
        path.relative_to(work).as_posix(): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(work.rglob("*"))
        if path.is_file()
    }
    _write_json(work / MANIFEST, {"format": FORMAT, "files": files})


def environment(pipeline: Pipeline) -> dict[str, Any]:
    """Versions, plugins, hardware, seed and the digest of the cases."""
    assert pipeline.scores is not None
    versions = {}
    for name in ("mmfuse", *_LIBRARIES):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    ids = hashlib.sha256("\n".join(map(str, pipeline.scores.ids)).encode()).hexdigest()
    targets = hashlib.sha256(np.ascontiguousarray(pipeline.scores.targets).tobytes()).hexdigest()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "device": pipeline.device,
        "versions": versions,
        "plugins": [dataclasses.asdict(plugin) for plugin in pipeline.catalog.plugins],
        "seed": pipeline.spec.plan.seed,
        "cases": {"n": len(pipeline.scores.ids), "ids_sha256": ids, "targets_sha256": targets},
    }


def _write_json(path: Path, value: Any) -> None:  # noqa: ANN401  # any JSON value
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
