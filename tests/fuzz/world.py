"""The sound inputs that the suite spoils: a tiny table with images and vectors, a card, a plan, a run that was trained
once, a study, predictions made elsewhere, weights. All of it is drawn here, from one seed.
"""

import io
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import mmfuse

N = 60
FORMATS = ("png", "png", "jpg", "tif", "bmp", "webp", "rgba.png", "p.png", "i.png")
CARD = """\
[cases]
id = "id"
group = "patient"
case_is = "lesion"

[labels]
sign = ["no", "yes"]
grade = { classes = ["low", "middle", "high"], ordered = true }

[modalities]
picture = { use = "image", column = "picture", size = 32 }
meta = { use = "table", numeric = ["age", "size"], categorical = ["sex"], multi = { marks = ";" } }
emb = { use = "vector", file = "vectors.npz" }

[split]
column = "split"
"""
PLAN = """\
seed = 3

[network]
encoders.picture = { use = "timm", model = "test_resnet", weights = "none" }
encoders.meta = { use = "linear", width = 4 }
encoders.emb = { use = "mlp", widths = [4], dropout = 0.1 }
fusion = "concat"
head = "linear"
side_heads = true

[training]
epochs = 1
batch = 16
lr = 0.01
folds = 2

[prediction]
operating_points = { sign = "sensitivity >= 0.8" }

[decisions.warm]
use = "temperature"
reads = ["fused"]

[decisions.svm]
use = "svm"
reads = ["fused"]
features = ["meta"]

[decisions.trees]
use = "xgboost"
reads = ["fused"]
features = ["meta"]
trees = 3

[decisions.forest]
use = "random-forest"
reads = ["fused"]
trees = 3

[decisions.near]
use = "knn"
reads = ["fused"]
features = ["meta"]
k = 5

[decisions.final]
use = "simplex"
reads = ["warm", "svm", "trees"]
step = 0.25
"""
SMALL = """\
seed = 3

[network]
encoders.meta = { use = "linear", width = 4 }
fusion = "concat"
head = { use = "mlp", widths = [4], dropout = 0.1 }

[training]
epochs = 1
batch = 16
lr = 0.01
weight_decay = 0.01
folds = 2
warmup = 0.1
clip = 1.0
loss = { use = "focal", gamma = 2.0 }

[decisions.warm]
use = "temperature"
reads = ["fused"]

[decisions.svm]
use = "svm"
reads = ["warm"]
C = 1.0

[decisions.trees]
use = "xgboost"
reads = ["fused"]
features = ["meta"]
trees = 3
subsample = 0.8
reg_lambda = 1.0

[decisions.near]
use = "knn"
features = ["meta"]
k = 5

[decisions.final]
use = "simplex"
reads = ["warm", "svm", "trees", "near"]
step = 0.25
"""
"""Fitted again and again, without pictures."""


def _columns(rng):
    sign, grade = rng.integers(0, 2, N), rng.integers(0, 3, N)
    return {
        "id": [f"c{i:02d}" for i in range(N)],
        "patient": [f"p{i // 2}" for i in range(N)],
        "split": [("train", "train", "valid", "valid", "test")[i // 2 % 5] for i in range(N)],
        "picture": [f"images/{i:02d}.{FORMATS[i % len(FORMATS)]}" for i in range(N)],
        "age": ["" if i % 9 == 4 else f"{value:.1f}" for i, value in enumerate(rng.normal(50, 9, N) + 9 * sign)],
        "size": [f"{value:.3f}" for value in rng.normal(size=N) + grade],
        "sex": [("f", "m", "")[k] for k in rng.integers(0, 3, N)],
        "marks": [("a;b", "a", "", "b;c")[k] for k in rng.integers(0, 4, N)],
        "sign": ["" if i % 13 == 6 else ("no", "yes")[k] for i, k in enumerate(sign)],
        "grade": [("low", "middle", "high")[k] for k in grade],
    }


def _picture(rng, name):
    """Bytes of a small image in the format that its name says."""
    pixels = rng.integers(0, 255, (20, 24, 3)).astype(np.uint8)
    pixels[4:12, 5:15] = rng.integers(0, 255, 3)
    image, options = Image.fromarray(pixels), {}
    if ".rgba." in name:
        image = image.convert("RGBA")
    elif ".p." in name:
        image = image.convert("P")
    elif ".i." in name:
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 200)
    elif name.endswith("tif"):
        options = {"compression": "tiff_deflate"}
    buffer = io.BytesIO()
    kinds = {"jpg": "jpeg", "tif": "tiff"}
    suffix = name.rsplit(".", 1)[1]
    image.save(buffer, kinds.get(suffix, suffix), **options)
    return buffer.getvalue()


def make(folder):
    """Writes everything; a folder that is there stays."""
    rng = np.random.default_rng(5)
    (folder / "images").mkdir(parents=True)
    columns = _columns(rng)
    table = mmfuse.Table.of(columns)
    for suffix in ("csv", "parquet"):
        table.write(folder / f"cases.{suffix}")
    _xlsx(folder / "cases.xlsx", columns)
    for name in columns["picture"]:
        (folder / name).write_bytes(_picture(rng, name))
    vectors = rng.normal(size=(N, 3)).astype(np.float32)
    vectors[7] = np.nan
    np.savez(folder / "vectors.npz", ids=np.array(columns["id"]), vectors=vectors)
    _vector_table(folder / "vectors.parquet", columns["id"], vectors)
    (folder / "cases.toml").write_text(CARD)
    (folder / "plan.toml").write_text(PLAN)
    (folder / "small.toml").write_text(SMALL)
    card, _, rest = CARD.partition("picture = ")
    (folder / "small-cases.toml").write_text(card + rest.partition("\n")[2].replace("emb = ", "# "))
    spec = mmfuse.load(folder / "plan.toml", folder / "cases.toml")
    cases = mmfuse.Cases.load(folder / "cases.csv", spec.card)
    pipeline = mmfuse.Pipeline(spec, device="cpu").fit(cases)
    pipeline.save(folder / "run")
    _outside(folder, pipeline, cases)
    _figures(folder, pipeline)
    _weights(folder, pipeline)
    outside = {"a": folder / "outside.csv", "b": folder / "outside.npz"}
    mmfuse.compare([], table, spec.card, folder, folder / "study", mmfuse.Design(controls=False), outside=outside)


def _xlsx(path, columns):
    from openpyxl import Workbook

    book = Workbook()
    book.active.append(list(columns))
    for row in zip(*columns.values(), strict=True):
        book.active.append([cell or None for cell in row])
    book.save(path)


def _vector_table(path, ids, vectors):
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({"ids": ids, "vectors": [None if np.isnan(row).any() else row.tolist() for row in vectors]})
    parquet.write_table(table, path, write_page_checksum=True)


def _outside(folder, pipeline, cases):
    p = pipeline.predict_proba(cases)
    columns = {"id": cases.ids, **dict(zip(cases.labels.column_names, p.T, strict=True))}
    np.savez(folder / "outside.npz", **columns)
    cells = {name: [f"{x:.8f}" if isinstance(x, float) else str(x) for x in c.tolist()] for name, c in columns.items()}
    for suffix in ("csv", "parquet"):
        mmfuse.Table.of(cells).write(folder / f"outside.{suffix}")


def _figures(folder, pipeline):
    figures = mmfuse.evaluate(pipeline.scores, on="valid")
    text = json.dumps(figures, default=str)
    (folder / "evaluation.json").write_text(text)
    told = [{"accuracy": 0.9423, "precision": 0.9909, "recall": 0.9923, "f1": 0.99}, {"specificity": 0.5}]
    (folder / "figures.json").write_text(json.dumps(told))
    (folder / "figures.csv").write_text("name,accuracy,precision,recall\none,.9423,.9909,99.23%\ntwo,.5,.6,.7\n")


def _weights(folder, pipeline):
    from safetensors.torch import save_file

    encoder = next(iter(pipeline.network.members.values())).network.encoders["picture"]
    save_file({name: tensor.contiguous() for name, tensor in encoder.model.state_dict().items()},
              folder / "weights.safetensors")  # fmt: skip


if __name__ == "__main__":
    make(Path(sys.argv[1]))
