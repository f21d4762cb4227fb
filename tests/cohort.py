"""A tiny cohort of tables and vectors whose labels depend on both, and light parts to learn it with."""

import numpy as np

import mmfuse
from mmfuse import Cases, Table
from mmfuse.hooks import hookimpl
from mmfuse.parts import SecondStage

CARD = {
    "cases": {"id": "id", "group": "patient", "case_is": "lesion"},
    "labels": {"sign": ["no", "yes"], "grade": ["low", "middle", "high"]},
    "modalities": {
        "meta": {"use": "table", "numeric": ["age", "size"], "categorical": ["sex"]},
        "emb": {"use": "vector", "numeric": ["e0", "e1", "e2"]},
    },
    "split": {"column": "split"},
}
NETWORK = {
    "encoders": {"table": {"use": "linear", "width": 6}, "vector": {"use": "mlp", "widths": [8], "dropout": 0.0}},
    "fusion": "concat",
    "head": "linear",
    "side_heads": True,
}
TRAINING = {"epochs": 2, "batch": 16, "lr": 0.02, "folds": 2}


class Nearest(SecondStage):
    """The class of the nearest training case: it knows by heart what it learnt from."""

    def estimator(self, seed):
        from sklearn.neighbors import KNeighborsClassifier

        return KNeighborsClassifier(n_neighbors=1)


class Straight(SecondStage):
    """Logistic regression."""

    def estimator(self, seed):
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(max_iter=500)


class Brings:
    @hookimpl
    def mmfuse_parts(self):
        return [Nearest, Straight]


CATALOG = mmfuse.Catalog(Brings(), installed=False)


def columns(n=60, seed=0, signal=2.0, unknown=0.1, absent=0.1):
    """Columns of a table: two lesions a patient; `sign` follows age and e0, `grade` size and e1."""
    rng = np.random.default_rng(seed)
    sign, grade = rng.integers(0, 2, n), rng.integers(0, 3, n)
    numbers = rng.normal(size=(n, 5))
    numbers[:, 0] += signal * sign
    numbers[:, 1] += signal * grade
    numbers[:, 2:4] += signal * np.stack([sign, grade], axis=1)
    text = np.array([[f"{value:.4f}" for value in row] for row in numbers], dtype=object)
    text[rng.random(n) < absent, 2:] = None
    splits = ["train", "train", "train", "valid", "test"]
    cells = {
        "id": [f"case {i:03d}" for i in range(n)],
        "patient": [f"p{i // 2}" for i in range(n)],
        "split": [splits[i // 2 % 5] for i in range(n)],
        "half": ["ab"[i // 2 % 2] for i in range(n)],
        "sex": [("f", "m", None)[k] for k in rng.integers(0, 3, n)],
        "sign": [None if rng.random() < unknown else ("no", "yes")[k] for k in sign],
        "grade": [None if rng.random() < unknown else ("low", "middle", "high")[k] for k in grade],
    }
    return {**cells, **dict(zip(("age", "size", "e0", "e1", "e2"), text.T, strict=True))}


def cases_of(spec, cells=None, folder=".", **options):
    return Cases(Table.of(cells or columns(**options)), spec.card, folder)


def spec_of(card=None, **plan):
    """A spec with the small network; `network=""` leaves it out."""
    return mmfuse.load({"network": NETWORK, "training": TRAINING, **plan}, {**CARD, **(card or {})}, catalog=CATALOG)


def pipeline_of(watch=mmfuse.silent, card=None, **plan):
    return mmfuse.Pipeline(spec_of(card, **plan), catalog=CATALOG, device="cpu", watch=watch)


TWO_STAGES = {
    "mixed": {"use": "simplex", "reads": ["fused", "vector"], "step": 0.1},
    "stage": {"use": "straight", "reads": ["mixed"], "features": ["table"]},
    "final": {"use": "simplex", "reads": ["mixed", "stage"], "step": 0.1},
}
