"""What the core says while it works: typed, frozen events.

The core never prints; a progress bar, a log or a tracker is a watcher: any callable of one event. Plugins watch by the
hook `mmfuse_watch`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NoReturn


@dataclass(frozen=True)
class FitName:
    """Which of several fits an event speaks of, so that their streams can be told apart; empty fields say nothing."""

    run: str = ""
    """The folder that it is written to: of a run, or of the study that it is a part of."""
    variant: str = ""
    """Of a comparison: the plan, baseline or control."""
    seed: int | None = None
    """Which of a comparison's seeds, from 1."""
    fold: int | None = None
    """Which outer fold, from 1; `network` and steps name the folds within a fit."""
    inner_fold: int | None = None
    """Which inner fold of its training cases, from 1."""

    def known(self) -> dict[str, str | int]:
        """Return the fields that say something, by name."""
        return {name: value for name, value in vars(self).items() if value not in ("", None)}

    def __str__(self) -> str:
        """In words, without the run: `late-fusion, seed 2, fold 1`."""
        counted = {name.replace("_", " "): value for name, value in self.known().items() if name not in _NAMES}
        return ", ".join(filter(None, [self.variant, *(f"{name} {value}" for name, value in counted.items())]))


_NAMES = ("run", "variant")


@dataclass(frozen=True)
class Event:
    """The base of all events."""

    fit: FitName = field(default=FitName(), kw_only=True)
    """Which fit it speaks of, where there are several; who watches a fit is told (`Journal`)."""

    def record(self) -> dict[str, Any]:
        """Return its fields by name, as logs hold them: `fit` as what is known of it, left out where nothing is."""
        about = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "fit"}
        return {"fit": self.fit.known(), **about} if self.fit.known() else about


@dataclass(frozen=True)
class Notice(Event):
    """A sentence the user should read. `level` is `info` or `warning`."""

    text: str
    level: str = "info"


@dataclass(frozen=True)
class Progress(Event):
    """`done` of `total` units of `what` (decoding, extracting, predicting …)."""

    what: str
    done: int
    total: int


@dataclass(frozen=True)
class StepStarted(Event):
    """Step `index` (from 1) of `total` of a run begins: network, fold k, a stage …"""

    name: str
    index: int
    total: int


@dataclass(frozen=True)
class StepEnded(Event):
    """A step of a run ended after `seconds`."""

    name: str
    seconds: float


@dataclass(frozen=True)
class EpochEnded(Event):
    """One pass over the training cases. `valid` holds the watched metric if there are valid cases; times in seconds."""

    network: str
    epoch: int
    epochs: int
    losses: Mapping[str, float] = field(default_factory=dict)
    valid: Mapping[str, float] = field(default_factory=dict)
    best: bool = False
    cases_per_second: float = 0.0
    seconds_left: float = 0.0


Watch = Callable[[Event], None]
"""Whoever is told: a progress bar, a log, a tracker."""


def silent(event: Event) -> None:
    """The watcher that watches nothing."""


def launched() -> tuple[int, int]:
    """(rank, how many) of the processes that torchrun launched this one with; (0, 1) without it. The first alone
    tells."""
    torchrun = "TORCHELASTIC_RUN_ID" in os.environ
    return (int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])) if torchrun else (0, 1)


HEARD = 20.0
"""Seconds that a process which says nothing waits for the one that does."""


def leave_unsaid(code: int) -> NoReturn:
    """Ends one of several processes of which another tells what went wrong: torchrun ends all as soon as one fails,
    also the one that is about to speak. Raises: SystemExit, if this process has not been ended by then."""
    time.sleep(HEARD)
    raise SystemExit(code)


EVERY = 0.1
"""Seconds between two words of progress."""


class Meter:
    """Tells how far some work is: at most ten times a second, and at its end."""

    def __init__(self, watch: Watch, what: str, total: int) -> None:
        self._watch, self._what, self._total = watch, what, total
        self._done, self._told = 0, time.monotonic()

    def add(self, count: int) -> None:
        """`count` more units are done."""
        self._done += count
        if self._done == self._total or time.monotonic() - self._told > EVERY:
            self._told = time.monotonic()
            self._watch(Progress(self._what, self._done, self._total))
