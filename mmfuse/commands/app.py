"""What every command is given: the catalog, a screen, a watcher; and how a refusal becomes a message and an exit code.

Exit codes: 0 fine, 1 refused by mmfuse or by the machine, 2 wrong usage, 130 interrupted (143 by SIGTERM, 129 by
SIGHUP). A refusal is shown whole and without a traceback (law 11); a fault of the program itself keeps its traceback.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import mmfuse
from mmfuse.show import WATCHERS, LiveBars, Quiet, Screen

if TYPE_CHECKING:
    from mmfuse import Catalog, Event

NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file grew over the size that is allowed here",
}


@dataclass
class App:
    """The global options and what they make, each when first asked for."""

    files: list[Path] = field(default_factory=list)
    progress: str = "rich"
    traceback: bool = False
    interrupted: str = "interrupted; nothing was written"
    """What Ctrl-C or SIGTERM answers; a command that writes as it goes says so here."""
    _live: LiveBars | None = None
    _told: set[str] = field(default_factory=set)

    @cached_property
    def catalog(self) -> Catalog:
        return mmfuse.Catalog(files=self.files)

    @cached_property
    def screen(self) -> Screen:
        return Screen()

    @cached_property
    def guests(self) -> dict[str, click.Command]:
        """The commands that plugins add beside mmfuse's own. What fails or is left out is told, once."""
        group, root = click.Group(), click.get_current_context().find_root().command
        for text in self.catalog.commands(group, root.commands if isinstance(root, click.Group) else ()):
            self.watch(mmfuse.Notice(text, "warning"))
        self._told |= {plugin.name for plugin in self.catalog.plugins if "mmfuse_commands" in plugin.failure}
        return dict(group.commands)

    @property
    def is_quiet(self) -> bool:
        return self.progress == "quiet"

    @cached_property
    def _calm(self) -> Quiet:
        return WATCHERS[self.progress](sys.stderr)

    def watch(self, event: Event) -> None:
        """Shows an event on stderr: as lines; within `working`, on a terminal, as bars.

        Plugins that watch see a pipeline's events through the pipeline itself.
        """
        (self._live or self._calm)(event)

    @contextmanager
    def working(self) -> Iterator[None]:
        """While this lasts nothing else is written to the terminal, so bars may move on it.

        Plugins that are left out are told first: a watcher that is missed shows nowhere else.
        """
        for plugin in self.catalog.plugins:
            if plugin.failure and plugin.name not in self._told:
                self._told.add(plugin.name)
                text = f"plugin '{plugin.name}' ({plugin.origin}) is left out: {plugin.failure}"
                self.watch(mmfuse.Notice(text, "warning"))
        if self.progress != "rich" or not sys.stderr.isatty():
            yield
            return
        with LiveBars(sys.stderr) as bars:
            self._live = bars
            try:
                yield
            finally:
                self._live = None


# ── options that stand before or after the command's name ───────────────────────────────────────────────────


def _add_files(context: click.Context, _: click.Parameter, value: tuple[str, ...]) -> None:
    context.ensure_object(App).files.extend(map(Path, value))


def _choose_progress(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value:
        context.ensure_object(App).progress = value


def _choose_traceback(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(App).traceback = True


@cache
def global_options(*, hidden: bool) -> tuple[click.Option, ...]:
    """The options that the program and every command know; hidden where the program's own help already shows them."""

    def option(*names: str, help: str, callback: Callable[..., None], **how: Any) -> click.Option:  # noqa: ANN401  # click's words
        return click.Option(names, help=help, callback=callback, expose_value=False, hidden=hidden, **how)

    return (
        option(
            "--plugin",
            help="Also use the parts of this Python file. Repeatable.",
            callback=_add_files,
            multiple=True,
            metavar="FILE",
            is_eager=True,
        ),
        option(
            "--progress",
            help="How progress is shown, on stderr.",
            callback=_choose_progress,
            type=click.Choice(list(WATCHERS)),
        ),
        option(
            "-q",
            "--quiet",
            "quiet",
            help="Only warnings and results: --progress quiet.",
            callback=_choose_progress,
            flag_value="quiet",
        ),
        option(
            "--json-log",
            help="One JSON object an event: --progress json.",
            callback=_choose_progress,
            flag_value="json",
        ),
        option(
            "--traceback",
            help="Show where in the program a refusal arose.",
            callback=_choose_traceback,
            is_flag=True,
        ),
    )


class Command(click.Command):
    """A command that also takes the global options. It is the work of one process."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *global_options(hidden=True)]

    def invoke(self, ctx: click.Context) -> object:
        rank, count = mmfuse.launched()
        if count == 1:
            return super().invoke(ctx)
        if rank:
            mmfuse.leave_unsaid(2)
        raise click.UsageError(
            f"{count} processes were launched for `{self.name}`, which is the work of one: leave torchrun out"
        )


class JointCommand(Command):
    """A command that all processes of torchrun carry out together; the first one speaks for all, and of several that
    fail the first that did."""

    def invoke(self, ctx: click.Context) -> object:
        rank, count = mmfuse.launched()
        if count == 1:
            return click.Command.invoke(self, ctx)
        with mmfuse.together(ctx.params["device"]), _silence() if rank else nullcontext():
            return click.Command.invoke(self, ctx)


@contextmanager
def _silence() -> Iterator[None]:
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


# ── refusals ────────────────────────────────────────────────────────────────────────────────────────────────


def refusal(error: BaseException) -> str:
    """The message for an error that is no fault of the program; empty for one that is."""
    if isinstance(error, mmfuse.MmfuseError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None and error.errno != errno.EPIPE:
        file = f"{error.filename}: " if error.filename else ""
        if error.errno in NO_ROOM:
            return (
                f"{file}{NO_ROOM[error.errno]}; nothing was written\n  mend: free some space, or choose another folder"
            )
        return f"{file}{error.strerror}"
    # torch's own error for a full GPU is known here by its name alone
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "no memory is left\n  mend: a smaller `training.batch` or `prediction.batch`"
    return ""
