"""Asked to end: SIGTERM (a scheduler, `kill`) and SIGHUP (a terminal that is gone) end a command as Ctrl-C does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import mmfuse

SIGNALS = ("SIGTERM", "SIGHUP")


class EndedError(KeyboardInterrupt):
    """A signal other than Ctrl-C's asked this process to end. Whatever lets Ctrl-C through lets it through."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.name = signal.Signals(number).name
        self.code = 128 + number


@contextmanager
def heeded() -> Iterator[None]:
    """Raise EndedError, once, for these signals while this lasts.

    Not where somebody else heeds or ignores them (`nohup`), in a thread, or in one of several processes: torchrun ends
    those and speaks for them.
    """
    numbers = [number for name in SIGNALS if (number := getattr(signal, name, None)) is not None]
    mine = threading.current_thread() is threading.main_thread() and mmfuse.launched()[1] == 1
    taken = [number for number in numbers if mine and signal.getsignal(number) is signal.SIG_DFL]

    def end(number: int, frame: FrameType | None) -> None:
        for each in taken:  # a second one must not disturb how this process puts its things away
            signal.signal(each, signal.SIG_IGN)
        raise EndedError(number)

    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
