"""Small score tables for the tests of the study."""

import numpy as np

from mmfuse import Label, Labels, ScoreTable

TWO = Labels([Label("d", ("no", "yes"))])


def binary(truth, *margins, groups=None, split="test", folds=None):
    """Sources `s0`, `s1`, … whose margin for `yes` is given."""
    truth = np.asarray(truth)
    n = len(truth)
    ids = np.array([f"c{i}" for i in range(n)])
    return ScoreTable(
        sources={
            f"s{i}": np.stack([np.zeros(n), np.asarray(margin, dtype=float)], axis=1)[None]
            for i, margin in enumerate(margins)
        },
        ids=ids,
        groups=ids if groups is None else np.asarray(groups).astype(str),
        split=np.full(n, split),
        folds=np.full(n, -1) if folds is None else folds,
        targets=truth[:, None],
        labels=TWO,
    )


def noisy(n=120, seed=0, size=1, strengths=(1.5, 1.0), split="test", folds=None):
    """Sources of falling strength; groups of `size` cases."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    common = rng.normal(size=n)
    margins = [(2 * truth - 1) * strength / 2 + 0.6 * common + 0.8 * rng.normal(size=n) for strength in strengths]
    return binary(truth, *margins, groups=np.arange(n) // size, split=split, folds=folds)
