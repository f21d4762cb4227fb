"""What commands that train keep of work that is interrupted, and what they say about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

import mmfuse
from mmfuse.commands.app import App

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmfuse import Cases, Spec


def take(app: App, out: Path) -> None:
    """Keep `out` to this command until it ends. Raises: RunError if another process works at it."""
    if not mmfuse.launched()[0]:  # of several processes that work together the first one holds it
        click.get_current_context().with_resource(mmfuse.taken(out, app.watch))
        work = mmfuse.Work.beside(out)
        if (out / "manifest.json").is_file() and work.folder.is_dir():
            app.watch(mmfuse.Notice(f"{work.folder} was left of the training of {out}, which stands: removed"))
            work.remove()


def identity_of(app: App, spec: Spec, cases: Cases, split: NDArray, device: str) -> dict[str, str]:
    """Return what makes this training, for the process that keeps its work; nothing for others."""
    if mmfuse.launched()[0]:
        return {}
    return mmfuse.identity(spec, cases, split, app.catalog.plugins, str(mmfuse.choose_device(device)), app.watch)


@contextmanager
def kept_work(app: App, out: Path, about: Mapping[str, str], resume: bool) -> Iterator[mmfuse.Work]:
    """The work folder of the run at `out`: gone when the run stands, or when a fault of plan or table makes it useless;
    kept when anything else stops the training, an exception of a part's own code included. Of several processes the
    first one keeps it."""
    if mmfuse.launched()[0]:
        yield mmfuse.Work.beside(out)
        return
    work = mmfuse.Work.open(out, about, resume)
    nothing, app.interrupted = app.interrupted, f"interrupted; what is done is kept in {work.folder}: --resume goes on"
    try:
        yield work
    except BaseException as error:
        useless = isinstance(error, mmfuse.SpecError | mmfuse.TableError | mmfuse.PartError)
        if useless and not isinstance(error, mmfuse.PartFailedError):
            work.remove()
            raise
        work.remove_if_empty()
        if not work.folder.exists():
            app.interrupted = nothing
        elif not isinstance(error, KeyboardInterrupt):
            app.watch(mmfuse.Notice(f"what is done is kept in {work.folder}: --resume goes on with it", "warning"))
        raise
    work.remove()
