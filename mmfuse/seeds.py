"""Seeds derived by name from one number, so that a further step changes no other."""

from __future__ import annotations

import hashlib

import numpy as np


def derive(seed: int, *names: str | int) -> int:
    """A seed in [0, 2^32) for the step that `names` name; independent of every other name's."""
    escaped = [str(name).replace("\\", "\\\\").replace("/", "\\/") for name in names]  # `a/b` is not `a`, `b`
    text = "/".join([str(seed), *escaped])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """NumPy's generator for the step that `names` name."""
    return np.random.default_rng(derive(seed, *names))
