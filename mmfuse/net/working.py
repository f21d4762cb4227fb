"""Passes without gradients over many small batches: ahead of need, in order, and on a CPU with all cores.

On a CPU each core takes batches of its own and works on them with one thread: for the small operations of image
encoders that is several times as fast as many threads on one batch (measured: 3 times with two cores and
tf_efficientnet_lite0), and the numbers do not depend on how many cores there are.
"""

from __future__ import annotations

import copy
import itertools
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

Job = TypeVar("Job")
Given = TypeVar("Given")
Result = TypeVar("Result")
Module = TypeVar("Module", bound=nn.Module)

AHEAD = 2
"""Batches that are made while another one is used."""

FEW = 8
"""Images at once that a CPU answers fastest for: their maps stay in its caches (measured with two cores,
tf_efficientnet_lite0 at 224 pixels and an allocator that keeps large blocks: 4 and 8 images are equal, 32 are a third
slower)."""


@contextmanager
def fitting_threads(device: torch.device, images: bool) -> Iterator[None]:
    """On a CPU, work on anything smaller than images is done by one thread: several would wait for each other at every
    small operation."""
    before = torch.get_num_threads()
    if device.type == "cpu" and not images:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def ahead(work: Callable[[Job], Result], jobs: Sequence[Job], workers: int = 1) -> Iterator[Result]:
    """`work` of each job, in order, some of them ahead, by threads. What `work` raises is raised here; when the
    consumer stops early (an error, Ctrl-C) no more is begun."""
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="mmfuse") as pool:
        waiting: list[Future[Result]] = []
        try:
            for job in jobs:
                waiting.append(pool.submit(work, job))
                if len(waiting) > AHEAD * workers:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


def answers(
    module: Module,
    read: Callable[[Job], Given],
    answer: Callable[[Module, Given], Result],
    jobs: Sequence[Job],
    device: torch.device,
    images: bool,
) -> Iterator[Result]:
    """`answer(module, read(job))` for each job, in order, without gradients. `module` must be in eval mode.

    With `images` on a CPU, as many batches are worked on as torch has threads, each by a copy of the module that shares
    its tensors (a module may keep notes of its last pass).
    """
    workers = torch.get_num_threads() if images and device.type == "cpu" else 1

    def alone(given: Given) -> Result:
        with fitting_threads(device, images), torch.inference_mode():
            return answer(module, given)

    if workers == 1:
        yield from map(alone, ahead(read, jobs))
        return
    twins: queue.SimpleQueue[Module] = queue.SimpleQueue()
    for _ in range(workers):
        twins.put(_twin(module))

    def work(job: Job) -> Result:
        torch.set_num_threads(1)  # of this thread and of later ones, until it is set back below
        twin = twins.get()
        try:
            with torch.inference_mode():
                return answer(twin, read(job))
        finally:
            twins.put(twin)

    try:
        yield from ahead(work, jobs, workers)
    finally:
        torch.set_num_threads(workers)


def answering_batch(size: int, device: torch.device, images: bool) -> int:
    """The batch size for such a pass."""
    return min(size, FEW) if images and device.type == "cpu" else size


def _twin(module: Module) -> Module:
    tensors = itertools.chain(module.parameters(), module.buffers())
    return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})
