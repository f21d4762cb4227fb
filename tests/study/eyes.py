"""A cohort of vectors and a table in seconds: `both` needs left and right together, `one` is in left alone."""

import numpy as np

import mmfuse
from mmfuse import Cases, Table

CARD = {
    "cases": {"id": "case", "case_is": "eye", "group": "patient"},
    "labels": {"both": ["no", "yes"], "one": ["no", "yes"]},
    "modalities": {
        "left": {"use": "vector", "numeric": ["l0", "l1"]},
        "right": {"use": "vector", "numeric": ["r0", "r1"]},
        "meta": {"use": "table", "numeric": ["age"], "categorical": ["sex"]},
    },
    "split": {"column": "split"},
}
PLAN = {
    "network": {
        "encoders": {"vector": {"use": "mlp", "widths": [16], "dropout": 0.0}},
        "fusion": "concat",
        "head": "linear",
        "side_heads": True,
    },
    "training": {"epochs": 12, "batch": 32, "lr": 0.02, "folds": 2, "best": {"metric": ""}},
}
STAGES = {
    "mixed": {"use": "mean", "reads": ["fused", "vector"]},
    "stage": {"use": "logistic", "reads": ["mixed"], "features": ["table"]},
    "beside": {"use": "logistic", "features": ["table"]},
    "final": {"use": "mean", "reads": ["mixed", "stage"]},
}


def columns(n=300, seed=0, absent=0.0):
    """`both` follows l0 + r0, of which either knows half; `one` follows l1; nothing follows the table."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(n, 4))
    both = numbers[:, 0] + numbers[:, 2] + 0.3 * rng.normal(size=n) > 0
    one = numbers[:, 1] + 0.3 * rng.normal(size=n) > 0
    text = np.array([[f"{value:.4f}" for value in row] for row in numbers], dtype=object)
    text[rng.random(n) < absent, 2:] = None
    split = rng.permutation(np.array(["train", "train", "valid", "test"])[np.arange(n) % 4])
    cells = {"case": [f"e{i:04d}" for i in range(n)], "patient": [f"p{i:04d}" for i in range(n)], "split": split}
    cells |= dict(zip(("l0", "l1", "r0", "r1"), text.T, strict=True))
    cells |= {"age": [f"{value:.1f}" for value in rng.normal(60, 10, n)], "sex": rng.choice(["f", "m"], n)}
    return cells | {"both": np.where(both, "yes", "no"), "one": np.where(one, "yes", "no")}


def spec_of(plan=PLAN, card=CARD, sets=(), **more):
    return mmfuse.load({**plan, **more}, card, catalog=mmfuse.Catalog(), sets=sets)


def cases_of(spec, **options):
    return Cases(Table.of(columns(**options)), spec.card)


def reference(**more):
    return mmfuse.Variant("fused", "variant", spec_of(**more))
