"""A full card and plan, written as TOML and in Python; tests of the language start from them."""

import copy

CARD = """
[cases]
id = "lesion_id"
case_is = "lesion"
group = "patient_id"
root = "images"
missing = ["", "not available"]

[labels]
diagnosis = ["bcc", "nevus", "melanoma"]
streaks = { classes = ["absent", "regular", "irregular"], column = "streaks_raw", ordered = true, weight = 0.5 }

[modalities]
clinic = { use = "image", column = "clinic", size = 64 }
derm = { use = "image", column = "derm", size = [32, 48], steps = [{ use = "border-crop", pixels = 25 }] }
meta = { use = "table", categorical = ["sex", "location"], numeric = ["age"] }

[columns]
management = { known = "after the diagnosis" }

[split]
column = "split"

[source]
name = "drawn"
licence = "CC0-1.0"
cite = "nobody"
"""

PLAN = """
seed = 7

[augment.geometry]
use = "geometry"
on = ["image"]

[network]
encoders.image = { use = "timm", model = "resnet18", weights = "none", share = true }
encoders.meta = { use = "mlp", widths = [16, 8], weights = "none" }
fusion = "concat"
head = { use = "mlp", widths = [32, 8], dropout = 0.3 }
side_heads = true

[training]
epochs = 3
batch = 8
lr = 3e-5
loss = { use = "cross-entropy", class_weight = "balanced" }
best = { metric = "log-loss", sources = "fused" }
modality_dropout = 0.2
folds = { column = "half", predict = ["b"] }

[prediction]
views = ["identity", "flip-x"]

[decisions.scheme1]
use = "simplex"
reads = ["fused", "image"]

[decisions.scheme2]
use = "weighted"
reads = ["fused", "meta"]
shares = [2.0, 1.0]
learn = "train"

[decisions.final]
use = "simplex"
reads = ["scheme1", "scheme2"]
objective = "log-loss"
"""

TREE = {
    "cases": {"id": "id"},
    "labels": {"y": ["no", "yes"]},
    "modalities": {
        "clinic": {"use": "image", "column": "clinic", "size": 16},
        "derm": {"use": "image", "column": "derm", "size": 16},
        "meta": {"use": "table", "numeric": ["age"]},
    },
    "network": {"encoders": {"image": "timm", "table": "linear"}, "fusion": "concat", "head": "linear"},
}


def tree(**sections):
    """A small valid spec as a tree, some sections replaced."""
    return {**copy.deepcopy(TREE), **sections}
