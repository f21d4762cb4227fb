"""Work shared out over threads, in order; few results wait at a time, so that memory does not grow with the work."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def processors() -> int:
    """How many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux tells
        return os.cpu_count() or 1


CHUNK = 2**13
"""Cases that are looked at together where something is held for each of them."""


def in_chunks(count: int) -> Iterator[slice]:
    """0 … count in pieces of CHUNK; one that is empty for none."""
    yield from (slice(start, min(start + CHUNK, count)) for start in range(0, max(count, 1), CHUNK))


def in_threads(work: Callable[[Given], Made], pieces: Iterable[Given]) -> Iterator[Made]:
    """`work` of each piece, in order; at most two pieces a processor are under way or waiting to be taken.

    Raises: what `work` raises; pieces that have not begun by then are dropped.
    """
    workers = processors()
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="mmfuse") as pool:
        try:
            for piece in pieces:
                waiting.append(pool.submit(work, piece))
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
