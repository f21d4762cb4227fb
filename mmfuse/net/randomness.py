"""Random numbers of one's own: a step draws from seeds derived by name and leaves the process's random state as it
found it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def reseed(seed: int) -> None:
    """Sets every global generator a module may draw from (torch on all devices, NumPy, Python)."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


@contextmanager
def own_randomness(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Within it global generators start from `seed`; afterwards they stand where they stood before."""
    device = torch.device(device)
    numpys, pythons = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            reseed(seed)
            yield
    finally:
        np.random.set_state(numpys)
        random.setstate(pythons)
