"""What an interrupted training leaves beside the run that it was to become: the steps that are done, and checkpoints.

A step counts once its mark is written, last of all, with the digest of each of its files; what was changed since is
refused by name. The work folder belongs to one spec, one set of cases, images and weights, and one set of versions, and
is refused to any other.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.cases import Cases
from mmfuse.data.disk import whole_file
from mmfuse.discovery import PluginInfo
from mmfuse.errors import Faults, RunError
from mmfuse.events import Watch, silent
from mmfuse.formats.json_files import read_json
from mmfuse.ingredients import code_of, files_digest
from mmfuse.spec import Spec
from mmfuse.toml import dump

IDENTITY, DONE = "work.json", "done"


class Work:
    """A work folder; `folder` holds a folder a step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def beside(cls, run: str | Path) -> Self:
        """The work folder of the run at `run`, made or not."""
        run = Path(run)
        return cls(run.with_name(f"{run.name}.work"))

    @classmethod
    def open(cls, run: str | Path, about: Mapping[str, str], resume: bool) -> Self:
        """The work folder beside `run`, for a training that is `about` the same; with `resume` what is done there
        counts, and without it there must be nothing.

        Raises: RunError if something is done there and `resume` is not asked for, or it was another training.
        """
        work = cls.beside(run)
        if not work.holds_anything:
            shutil.rmtree(work.folder, ignore_errors=True)
            work._begin(about)
            return work
        found = "an interrupted training stands here"
        if not resume:
            mend = f"--resume goes on with it; to begin anew, remove {work.folder}"
            raise RunError(found, "no work that is half done", mend, str(work.folder))
        work._refuse_another(about)
        return work

    @property
    def holds_anything(self) -> bool:
        """Whether a step is done or has a checkpoint."""
        return any(path.is_file() for path in self.folder.glob("*/*"))

    def step(self, name: str) -> Path:
        """The folder of a step, made if it is not there."""
        folder = self._place(name)
        folder.mkdir(exist_ok=True)
        return folder

    def is_done(self, name: str) -> bool:
        """Whether a step was carried out to its end."""
        return (self._place(name) / DONE).is_file()

    def done(self, name: str, beside: Sequence[str] = ()) -> None:
        """Mark a step, once all its files are written, by the digest of each; those named `beside` do not belong to it.

        Raises: RunError where the disk refuses.
        """
        folder = self.step(name)
        try:
            with whole_file(folder / DONE) as scratch:
                digests = {word: digest for word, digest in _digests(folder).items() if word not in beside}
                scratch.write_text(json.dumps(digests), encoding="utf-8")
        except OSError as error:
            found = f"cannot be written: {error.strerror or error}"
            raise RunError(found, "room for what is done", "free space; then --resume goes on", str(folder)) from error

    def found(self, name: str) -> Path:
        """Return the folder of a step that is done, whose files are as they were written.

        Raises: RunError naming each that is not.
        """
        folder, faults = self._place(name), Faults()
        expected, mend = "what a step that is done wrote", f"remove {folder}: --resume then carries out this step anew"
        written = read_json(folder / DONE, dict[str, str], expected=expected, mend=mend)
        here = _digests(folder)
        for word, digest in written.items():
            if here.get(word) != digest:
                found = "was changed since it was written" if word in here else "is missing"
                faults.add(str(folder / word), found, "the content that was written", mend)
        faults.raise_as(RunError)
        return folder

    def remove(self) -> None:
        """When the run stands."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def remove_if_empty(self) -> None:
        """When nothing came of it."""
        if not self.holds_anything:
            self.remove()

    def _place(self, name: str) -> Path:
        return self.folder / name.replace(" ", "-")

    def _begin(self, about: Mapping[str, str]) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True)
            with whole_file(self.folder / IDENTITY) as scratch:
                scratch.write_text(json.dumps(about), encoding="utf-8")
        except OSError as error:
            found = f"cannot be written: {error.strerror or error}"
            raise RunError(found, "room for what is half done", "another --out", str(self.folder)) from error

    def _refuse_another(self, about: Mapping[str, str]) -> None:
        path = self.folder / IDENTITY
        expected, mend = "what an interrupted training wrote", f"remove {self.folder}"
        before = read_json(path, dict[str, str], expected=expected, mend=mend)
        other = [name for name, digest in about.items() if before.get(name) != digest]
        if other:
            found = f"was interrupted with {', '.join(f'another {name}' for name in other)}"
            mend = f"give the same as then; or remove {self.folder} and begin anew"
            raise RunError(found, "the same training", mend, str(self.folder))


def identity(
    spec: Spec, cases: Cases, split: NDArray[Any], plugins: Sequence[PluginInfo], device: str, watch: Watch = silent
) -> dict[str, str]:
    """Return what makes one training: {what it is called: its digest}. All files that it reads are looked through."""
    brought = sorted((plugin.name, plugin.version, plugin.sha256) for plugin in plugins if not plugin.failure)
    table = hashlib.blake2b(np.ascontiguousarray(cases.targets).tobytes(), digest_size=16)
    for name in cases.table.names:
        table.update(f"{name}\x1e".encode())
        table.update("\x1f".join("\x00" if word is None else str(word) for word in cases.table[name]).encode())
    return {
        "spec": _digest(dump(spec)),
        "table": table.hexdigest(),
        "split": _digest(json.dumps([str(word) for word in split])),
        "set of versions": _digest(json.dumps([code_of(spec), brought])),
        "content of images or weights": files_digest(spec, cases, watch),
        "device": device,
    }


def _digests(folder: Path) -> dict[str, str]:
    """{name: SHA-256} of the files of a step, its mark and what is just being written aside."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: file_digest(path) for name, path in names.items() if name != DONE and not path.name.startswith(".")}


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
