"""Fits carried out elsewhere: tasks of Ray, as many at once as there are cores.

What travels is text, cells and splits; scores are put on the study's shelf by whoever made them, under the keys that
they would have here. So the study is the same wherever it was fitted, and what is done stays done when a worker dies.
All workers see the study's folder, the images and the cache under the same paths.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from mmfuse.catalog import Catalog
from mmfuse.data.cases import Cases
from mmfuse.data.disk import cache_root
from mmfuse.data.table import Table
from mmfuse.errors import RunError, SpecError
from mmfuse.events import Event, FitName, Notice, Progress, Watch
from mmfuse.formats.toml_files import parse_toml
from mmfuse.study.designs import Split
from mmfuse.study.shelf import Fit, Workers, carry_out, in_words
from mmfuse.toml import dump, load

ALONE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""At 0 Ray begins no cluster that others could join, and listens on the loopback address: on any system, whatever its
name says."""

TRIES = 3
"""Of a fit whose worker died."""


class RayWorkers:
    """Workers of a Ray cluster: of this machine, or the one at `address` (what `ray.init` takes). `files` are plugins
    that the catalog was given as files."""

    def __init__(self, address: str = "", *, files: Sequence[Path] = (), device: str = "auto") -> None:
        self._address, self._files, self._device = address, [path.absolute() for path in files], device

    @contextmanager
    def at_work(self) -> Iterator[Workers]:
        """The cluster is joined, or begun and ended with this; one that is begun listens on the loopback address alone
        (where Ray was not imported before).

        Raises: SpecError without Ray; RunError where there is no cluster at the address.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anyone
        if not self._address:
            os.environ.setdefault(ALONE, "0")
        try:
            import ray
        except ImportError as error:
            raise SpecError("Ray is not installed", "the extra `ray`", "pip install 'mmfuse[ray]'", "--on") from error
        begun = {"address": "local", "include_dashboard": False}
        where: dict[str, Any] = {"address": self._address} if self._address else begun
        try:
            _knock(self._address)
            ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, ValueError, RuntimeError) as error:
            mend = "ray start --head there first; or --on ray alone, for this machine"
            raise RunError(f"no Ray cluster: {error}", "one that answers", mend, f"--on ray:{self._address}") from error
        try:
            yield self
        finally:
            ray.shutdown()

    @property
    def device(self) -> str:
        """What a task learns on: Ray shows it a GPU where there is one for it, and else none."""
        return "cuda" if self._chips() else "cpu"

    def _chips(self) -> float:
        import ray

        return float(ray.cluster_resources().get("GPU", 0)) if self._device != "cpu" else 0.0

    def fit(self, fits: Sequence[Fit], folder: Path, watch: Watch) -> dict[str, str]:
        """Carries them out; why those that failed did, by key."""
        import ray

        chips = self._chips()
        task = ray.remote(num_cpus=1, num_gpus=min(chips, 1), max_retries=TRIES - 1)(_elsewhere)
        # One copy of a table for all tasks: only a few controls have another one.
        sent = {id(fit.cases.table): ray.put(fit.cases.table) for fit in fits}
        here = _Here(folder.absolute(), Path.cwd(), cache_root(), self._files, self._device)
        waiting = {
            task.remote(fit.key, dump(fit.spec), sent[id(fit.cases.table)], fit.folder, fit.split, here, fit.name): fit
            for fit in fits
        }
        watch(Notice(f"{len(fits)} fits, by Ray on {int(ray.cluster_resources().get('CPU', 1))} cores"))
        failed: dict[str, str] = {}
        while waiting:
            watch(Progress("fits", len(fits) - len(waiting), len(fits)))
            (ready, *_), _ = ray.wait(list(waiting))
            fit = waiting.pop(ready)
            try:
                failure, warnings = ray.get(ready)
            except ray.exceptions.RayError as error:
                failure, warnings = f"its worker died {TRIES} times: {str(error).splitlines()[0]}", ()
            for warning in warnings:
                watch(Notice(warning, "warning", fit=fit.name))
            if failure:
                failed[fit.key] = failure
        watch(Progress("fits", len(fits), len(fits)))
        return failed


def _knock(address: str) -> None:
    """Raises: OSError where nobody listens at HOST:PORT; Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


WORKERS = {"ray": RayWorkers}
"""What `--on WORD` and `--on WORD:ADDRESS` stand for."""


class _Here(NamedTuple):
    """What all workers know alike."""

    study: Path
    directory: Path
    """Of relative names of weights."""
    cache: Path
    files: list[Path]
    device: str


def _elsewhere(
    key: str, spec: str, table: Table, folder: Path, split: Split, here: _Here, name: FitName
) -> tuple[str, tuple[str, ...]]:
    """One fit, in a process of its own: why it failed, if it did, and what was warned of."""
    os.environ["MMFUSE_CACHE"] = str(here.cache)
    warnings: list[str] = []

    def watch(event: Event) -> None:
        if isinstance(event, Notice) and event.level == "warning":
            warnings.append(event.text)

    try:
        os.chdir(here.directory)
        catalog = Catalog(files=here.files)
        whole = load(parse_toml(spec, where=key), catalog=catalog)
        fit = Fit(key, whole, Cases(table, whole.card, folder), split, folder, name)
        carry_out(fit, here.study, catalog, here.device, watch)
    except Exception as error:  # whatever a part raises is this fit's failure alone
        return in_words(error), tuple(warnings)
    return "", tuple(warnings)
