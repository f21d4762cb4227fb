"""What torch finds on this machine, for `mmfuse doctor`."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Hardware(NamedTuple):
    """What torch can use here."""

    threads: int
    """That torch works with on the CPU."""
    cuda: tuple[str, ...]
    """The name of each CUDA device; empty: none that torch can use."""
    cuda_build: str
    """The CUDA version torch was built for; empty: a build for the CPU alone."""


def hardware() -> Hardware:
    """Looks; changes nothing."""
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Hardware(torch.get_num_threads(), tuple(names), torch.version.cuda or "")
