"""Random problems of several labels: ties, a class that never occurs for some seeds, unknown targets, silent cases,
whole weights with zeros.
"""

import numpy as np

from mmfuse.labels import Label, Labels

LABELS = Labels([Label("grade", ("a", "b", "c", "d")), Label("sign", ("no", "yes"))])
BINARY = Labels(
    [
        Label("first", ("no", "yes")),
        Label("second", ("yes", "no"), positive="yes"),
        Label("third", ("no", "yes")),
    ]
)


def problem(seed, labels=LABELS, cases=60, replicates=7, known=0.9, ties=True):
    rng = np.random.default_rng(seed)
    if ties:
        p = labels.normalise(rng.integers(1, 5, size=(cases, labels.columns)).astype(float))
    else:
        p = labels.softmax(rng.normal(scale=1.5, size=(cases, labels.columns)))
    counts = [len(label.classes) for label in labels]
    targets = np.stack([rng.integers(0, k - (seed % 2 == 0 and k > 2), cases) for k in counts], axis=1)
    targets[rng.random(targets.shape) > known] = -1
    p[rng.random(cases) > known] = np.nan
    return p, targets, rng.poisson(1.0, size=(replicates, cases)).astype(float)


def drawn(p, targets, labels, weight, index):
    """The cases of one replicate, each as often as its weight says: what a metric without weights can be asked."""
    part = list(labels.slices.values())[index]
    block, truth = p[:, part], targets[:, index]
    ok = (truth >= 0) & ~np.isnan(block).any(axis=1)
    times = np.where(ok, weight, 0).astype(int)
    return np.repeat(block, times, axis=0), np.repeat(truth, times)
