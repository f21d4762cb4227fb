"""How things look in a terminal: tables and trees for people, whole words for pipes, and watchers that show progress.

The core never prints (law 7): everything a user sees on a screen passes here. rich is imported only when a terminal is
at the other end, so that listings stay fast (law 9); into a pipe goes plain text whose columns are as wide as their
content, nothing cut off.
"""

from __future__ import annotations

import json
import math
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

import click

import mmfuse

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID
    from rich.tree import Tree

    from mmfuse import EpochEnded, Event, Notice

Cell = str | float | bool | Sequence[str] | None


# ── values as words ─────────────────────────────────────────────────────────────────────────────────────────


def cell(value: Cell) -> str:
    """A value as it stands in a table: three decimals, `–` for NaN, empty for None, no control characters."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.3f}"
    if isinstance(value, list | tuple):
        return ", ".join(cell(item) for item in value)
    # a class name from a stranger's table must not move the cursor of this terminal
    return mmfuse.visible(re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", str(value)))


def duration(seconds: float) -> str:
    """Seconds as people say them: `0.4 s`, `12 s`, `1 min 20 s`, `2 h 05 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def plain(value: Any) -> Any:  # noqa: ANN401  # JSON holds any value
    """A value as JSON can hold it: NaN becomes null, arrays lists, everything unknown its text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    try:
        return plain(value.tolist())  # NumPy's scalars and arrays
    except AttributeError:
        return str(value)


def as_json(value: Any, indent: int | None = 2) -> str:  # noqa: ANN401
    """JSON text of `plain(value)`; signs that would turn or colour a terminal's text are escaped."""
    text = json.dumps(plain(value), indent=indent, ensure_ascii=False)
    return re.sub(
        "[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]", lambda one: f"\\u{ord(one[0]):04x}", text
    )


@dataclass(frozen=True)
class Branch:
    """A line of a tree and what hangs below it."""

    text: str
    branches: tuple[Branch, ...] = ()


# ── the screen ──────────────────────────────────────────────────────────────────────────────────────────────


class Screen:
    """Where a command shows its results: rich on a terminal, plain text elsewhere."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream: TextIO = stream or sys.stdout
        self.is_terminal = self.stream.isatty()

    def _console(self) -> Console:
        from rich.console import Console

        return Console(file=self.stream, highlight=False, markup=False, emoji=False)

    def text(self, text: str = "") -> None:
        """Lines of text."""
        click.echo(mmfuse.visible(text, lines=True), file=self.stream)

    def heading(self, text: str) -> None:
        """A title with an empty line above."""
        click.echo("\n" + click.style(mmfuse.visible(text), bold=True), file=self.stream)

    def json(self, value: Any) -> None:  # noqa: ANN401
        self.text(as_json(value))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        """One line a row; columns that hold numbers alone stand to the right."""
        columns, rows = [cell(name) for name in columns], [tuple(row) for row in rows]
        right = [_is_numeric([row[i] for row in rows]) for i in range(len(columns))]
        words = [[cell(value) for value in row] for row in rows]
        if self.is_terminal:
            self._rich_table(columns, words, right)
        else:
            self.text("\n".join(_lines(columns, words, right)))

    def _rich_table(self, columns: Sequence[str], words: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name, at_right in zip(columns, right, strict=True):
            # `fold` breaks a long word over lines; the default would cut it off
            table.add_column(name, justify="right" if at_right else "left", overflow="fold")
        for row in words:
            table.add_row(*row)
        self._console().print(table)

    def tree(self, root: Branch) -> None:
        if not self.is_terminal:
            self.text("\n".join([root.text, *_twigs(root.branches, "")]))
            return
        from rich.tree import Tree

        def grow(tree: Tree, branches: tuple[Branch, ...]) -> Tree:
            for branch in branches:
                grow(tree.add(mmfuse.visible(branch.text)), branch.branches)
            return tree

        self._console().print(grow(Tree(mmfuse.visible(root.text)), root.branches))


def _is_numeric(values: Sequence[Cell]) -> bool:
    return any(value is not None for value in values) and all(
        value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values
    )


def _lines(columns: Sequence[str], words: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    widths = [max(len(row[i]) for row in [columns, *words]) for i in range(len(columns))]
    return [
        "  ".join(
            word.rjust(width) if at_right else word.ljust(width)
            for word, width, at_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in [columns, ["─" * width for width in widths], *words]
    ]


def _twigs(branches: tuple[Branch, ...], lead: str) -> list[str]:
    lines = []
    for branch in branches:
        is_last = branch is branches[-1]
        lines.append(f"{lead}{'└─ ' if is_last else '├─ '}{branch.text}")
        lines += _twigs(branch.branches, lead + ("   " if is_last else "│  "))
    return lines


# ── watchers: callables of one event ────────────────────────────────────────────────────────────────────────


class Quiet:
    """Shows warnings alone."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __call__(self, event: Event) -> None:
        if isinstance(event, mmfuse.Notice) and event.level == "warning":
            click.echo(notice(event), file=self.stream)


class JsonLines(Quiet):
    """One JSON object a line: `event`, `time` (seconds since the start), which `fit` where there are several, and the
    event's own fields."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.start = time.monotonic()

    def __call__(self, event: Event) -> None:
        elapsed = round(time.monotonic() - self.start, 3)
        click.echo(
            as_json({"event": type(event).__name__, "time": elapsed, **event.record()}, indent=None), file=self.stream
        )


class Lines(Quiet):
    """One line a step, a tenth of the epochs and a finished piece of work, for logs and pipes."""

    def __call__(self, event: Event) -> None:
        if isinstance(event, mmfuse.EpochEnded) and not ends_a_tenth(event.epoch, event.epochs):
            return
        line = mmfuse.visible(_sentence(event))
        if line:
            click.echo(line, file=self.stream)


class LiveBars(Quiet):
    """A bar for the run, one for the network in training and one for the work at hand; notices scroll above.

    Open for the length of a `with`.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bars

        self.bars: Bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            console=Console(file=stream, highlight=False, markup=False, emoji=False),
            transient=True,
        )
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def __call__(self, event: Event) -> None:
        match event:
            case mmfuse.StepStarted():
                self._move("run", mmfuse.visible(_sentence(event)), event.index - 1, event.total)
            case mmfuse.EpochEnded():
                network = mmfuse.visible(f"{_whose(event)}{event.network}")
                self._move("network", network, event.epoch, event.epochs, _figures(event))
            case mmfuse.Progress():
                self._move(event.what, event.what, event.done, event.total)
                if event.done >= event.total:
                    self._drop(event.what)
            case _:
                if isinstance(event, mmfuse.StepEnded):
                    self._drop("network")
                self._say(_sentence(event))

    def _move(self, key: str, text: str, done: int, total: int, figures: str = "") -> None:
        text, figures = mmfuse.visible(text), mmfuse.visible(figures)
        if key not in self.tasks:
            self.tasks[key] = self.bars.add_task(text, total=total, figures=figures)
        self.bars.update(self.tasks[key], description=text, completed=done, total=total, figures=figures)

    def _drop(self, key: str) -> None:
        if key in self.tasks:
            self.bars.remove_task(self.tasks.pop(key))

    def _say(self, line: str) -> None:
        if line:
            self.bars.console.print(mmfuse.visible(line))


WATCHERS: Mapping[str, Callable[[TextIO], Quiet]] = {"rich": Lines, "quiet": Quiet, "json": JsonLines}
"""What `--progress` may be; `rich` becomes `LiveBars` while a terminal is free for them."""


def ends_a_tenth(epoch: int, epochs: int) -> bool:
    """Return whether another tenth of all epochs is done with one (from 1): of ten and fewer with each."""
    return 10 * epoch // epochs > 10 * (epoch - 1) // epochs


def notice(event: Notice) -> str:
    return mmfuse.visible(f"{'warning' if event.level == 'warning' else 'note'}: {_whose(event)}{event.text}")


def _whose(event: Event) -> str:
    """The fit that an event speaks of, before what it says; empty where there is one alone."""
    return f"{event.fit}: " if str(event.fit) else ""


def _sentence(event: Event) -> str:
    """An event as a line; empty where it says nothing that a log needs."""
    match event:
        case mmfuse.Notice():
            return notice(event)
        case mmfuse.StepStarted():
            return f"{_whose(event)}step {event.index} of {event.total}: {event.name}"
        case mmfuse.StepEnded():
            return f"  {_whose(event)}{event.name}: done in {duration(event.seconds)}"
        case mmfuse.EpochEnded():
            return f"  {_whose(event)}{event.network}: epoch {event.epoch} of {event.epochs}  {_figures(event)}"
        case mmfuse.Progress():
            return f"  {_whose(event)}{event.what}: {event.total}" if event.done >= event.total else ""
        case _:
            return ""


def _figures(event: EpochEnded) -> str:
    words = [f"{name} {value:.4f}" for name, value in event.losses.items()]
    words += [f"valid {name} {value:.4f}" for name, value in event.valid.items()]
    if event.best:
        words.append("best so far")
    if event.cases_per_second:
        words.append(f"{event.cases_per_second:.0f} cases/s")
    if event.seconds_left:
        words.append(f"{duration(event.seconds_left)} left")
    return "  ".join(words)
