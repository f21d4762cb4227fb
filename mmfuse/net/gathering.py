"""Several processes of one training (torchrun), each with its slice of the cases: joined, shared out, and what they
hold put together.

Where there is one process every function here gives back what it was given. The processes are joined for the networks
alone: what comes after them (decisions, figures, the run) is the work of the first one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from mmfuse.errors import RunError
from mmfuse.events import launched, leave_unsaid
from mmfuse.work import Work

PATIENCE = timedelta(days=7)
"""While the first process decodes, the others wait; one that died is ended by torchrun at once."""
TELLS = "mmfuse/tells"


class _Store(Protocol):
    def add(self, key: str, amount: int) -> int: ...


def joined() -> tuple[int, int]:
    """(rank, how many) of the processes that work together now; (0, 1) for one that works alone."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


# ── joining and parting ───────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def together(device: str) -> Iterator[None]:
    """Within it the processes that torchrun launched are joined, until `part`: by gloo for what lies on the CPU, by
    NCCL for what lies on CUDA, of which each process gets a device of its own.

    Raises: RunError for more processes than CUDA devices, or where another process is gone; SystemExit in all
    processes but the one that fails first, so that one tells what went wrong.
    """
    if launched()[1] == 1:
        yield
        return
    store, rank, count = next(dist.rendezvous("env://", timeout=PATIENCE))
    try:
        _take_device(device)
        dist.init_process_group(store=store, rank=rank, world_size=count, timeout=PATIENCE)
        yield
    except BaseException as error:
        if not _tells(store):
            leave_unsaid(1)
        if isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error)):
            mend = "see what torchrun says of it; --resume goes on"
            raise RunError("another process of this training ended", f"{count} that work to its end", mend) from error
        raise
    part()


def part() -> None:
    """Once all have come here each works alone."""
    if joined()[1] > 1:
        wait()
        dist.destroy_process_group()


def _take_device(device: str) -> None:
    if device == "cpu" or not torch.cuda.is_available():
        return
    mine, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if mine >= there:
        found = f"{os.environ['LOCAL_WORLD_SIZE']} processes on a machine with {there} CUDA devices"
        raise RunError(found, "one for each", f"torchrun --nproc-per-node {there}, or --device cpu")
    torch.cuda.set_device(mine)


def _tells(store: _Store) -> bool:
    """Whether this is the first process that fails; where the store is gone, its keeper was."""
    try:
        return store.add(TELLS, 1) == 1
    except RuntimeError:
        return False


# ── sharing out ───────────────────────────────────────────────────────────────────────────────────────────────────────


def share(count: int) -> slice:
    """Which of `count` cases in their order are this process's: contiguous, no two processes apart by more than one."""
    rank, processes = joined()
    return slice(count * rank // processes, count * (rank + 1) // processes) if processes > 1 else slice(None)


def wait() -> None:
    """Until all processes have come here."""
    if joined()[1] > 1:
        dist.all_reduce(torch.zeros(1))


@contextmanager
def first_alone() -> Iterator[None]:
    """The first process does this before the others, which then find it done."""
    first = joined()[0] == 0
    if not first:
        wait()
    yield
    if first:
        wait()


def agree(number: int, where: str) -> None:
    """Raises: RunError unless all processes found the same number of things done at `where`."""
    found = [torch.zeros(1, dtype=torch.int64) for _ in range(joined()[1])]
    if len(found) > 1:
        dist.all_gather(found, torch.tensor([number]))
        if len({int(one) for one in found}) > 1:
            mend = "an --out in a folder that all machines share"
            raise RunError("processes find different work done there", "the same in all", mend, where)


def done_already(work: Work | None, steps: Sequence[str]) -> set[str]:
    """Those of the steps that stand in `work`, as all processes find them. Raises: RunError where they differ."""
    wait()  # until the first has made the folder
    if work is None:
        return set()
    found = {step for step in steps if work.is_done(step)}
    agree(len(found) if work.folder.is_dir() else -1, str(work.folder))
    return found


def from_first(value: float) -> float:
    """What the first process found: machines that differ in the last bit decide alike."""
    told = torch.tensor([value], dtype=torch.float64)
    if joined()[1] > 1:
        dist.broadcast(told, 0)
    return float(told)


def in_parts(tensor: Tensor) -> bool:
    """Whether each process holds a part of it alone (torch's DTensor)."""
    return getattr(tensor, "device_mesh", None) is not None


# ── putting together ──────────────────────────────────────────────────────────────────────────────────────────────────


def gather(own: Tensor) -> Tensor:
    """(cases, …) → those of all processes, in the order of ranks; each may bring another number of cases. The tensor
    itself where there is one process.

    Every process must make the same of what it gets, and gradients then be averaged over processes (as DDP does): its
    own rows get the gradient times the number of processes, so that the average is the gradient of one process.
    """
    if joined()[1] == 1:
        return own
    sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(joined()[1])]
    dist.all_gather(sizes, torch.tensor([len(own)]))
    made: Tensor = _Rows.apply(own, [int(size) for size in sizes])  # type: ignore[no-untyped-call]  # torch's
    return made


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, sizes: list[int]) -> Tensor:  # noqa: ANN401  # torch's notes
        start = sum(sizes[: joined()[0]])
        ctx.own, ctx.count = slice(start, start + len(own)), len(sizes)
        padded = own.new_zeros(max(sizes), *own.shape[1:])
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401  # torch's notes
        return grads[0][ctx.own] * ctx.count, None


def cases_of_all(array: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """An array of this process's `share` of the cases along `axis` → of all, in their order."""
    if joined()[1] == 1:
        return array
    first = np.ascontiguousarray(np.moveaxis(array, axis, 0))
    return np.moveaxis(gather(torch.from_numpy(first)).numpy(), 0, axis)


def added_up(numbers: Tensor) -> Tensor:
    """The sum over processes."""
    if joined()[1] > 1:
        dist.all_reduce(numbers)
    return numbers


@torch.no_grad()
def made_even(tensors: Sequence[Tensor]) -> None:
    """Each becomes its mean over processes."""
    if joined()[1] == 1 or not tensors:
        return
    means = added_up(torch.cat([tensor.flatten() for tensor in tensors])) / joined()[1]
    for tensor, mean in zip(tensors, means.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))
