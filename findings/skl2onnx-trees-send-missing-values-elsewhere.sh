#!/usr/bin/env bash
# skl2onnx 1.20.0 with scikit-learn 1.9.1 and onnxruntime 1.32.0: a DecisionTreeClassifier or RandomForestClassifier
# that was trained with missing values converts without a word and is exact to 1e-6 for complete rows. A row with a
# missing value goes down the other branch wherever scikit-learn learnt to send missing values left.
# Seen: complete rows equal; with a missing value probabilities up to 1.0 (tree) and .63 (forest) off, one class in five
# another.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1 skl2onnx==1.20.0 onnxruntime==1.32.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

x, y = make_classification(800, 6, n_informative=5, n_redundant=0, random_state=0)
x = x.astype(np.float32)
x[np.random.default_rng(0).random(x.shape) < 0.1] = np.nan
fit, test = slice(0, 400), slice(400, 800)
holes = np.isnan(x[test]).any(axis=1)
for model in (DecisionTreeClassifier(max_depth=5, random_state=0),
              RandomForestClassifier(20, max_depth=5, random_state=0, n_jobs=1)):
    model.fit(x[fit], y[fit])
    converted = to_onnx(model, x[:1], options={"zipmap": False}).SerializeToString()
    session = onnxruntime.InferenceSession(converted, providers=["CPUExecutionProvider"])
    there = session.run(None, {"X": x[test]})[1]
    here = model.predict_proba(x[test])
    apart = np.abs(there - here).max(axis=1)
    same = float((there.argmax(1) == here.argmax(1))[holes].mean())
    print(f"{type(model).__name__}: complete rows {apart[~holes].max():.1e} apart, "
          f"rows with a missing value {apart[holes].max():.2f}, same class in {same:.2f} of these")
    assert apart[~holes].max() < 1e-5
    assert apart[holes].max() > 0.2 and same < 0.97
PY
