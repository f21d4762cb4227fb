"""What the core says while it works: typed, frozen events.

The core never prints; a progress bar, a log or a tracker is a watcher: any callable of one event. Plugins watch by the
hook `mmfuse_watch`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Event:
    """The base of all events."""


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
