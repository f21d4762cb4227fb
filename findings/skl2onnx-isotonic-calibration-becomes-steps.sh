#!/usr/bin/env bash
# skl2onnx 1.20.0 with scikit-learn 1.9.1: CalibratedClassifierCV(method="isotonic") converts without a word, but where
# scikit-learn interpolates linearly between the knots of the isotonic curve, the ONNX graph takes the nearest knot: a step
# function. The same forest with method="sigmoid" is exact, so a check of one of the two says nothing of the other.
# Seen: sigmoid 2e-7 apart; isotonic up to .03 apart (.07 with five inner folds), 1e-7 from the nearest knots.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1 skl2onnx==1.20.0 onnxruntime==1.32.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier

x, y = make_classification(800, 6, n_informative=5, n_redundant=0, random_state=0)
x = x.astype(np.float32)
fit, test = slice(0, 400), slice(400, 800)
apart = {}
for method in ("sigmoid", "isotonic"):
    forest = RandomForestClassifier(20, max_depth=4, random_state=0, n_jobs=1)
    model = CalibratedClassifierCV(forest, method=method, ensemble=False).fit(x[fit], y[fit])
    converted = to_onnx(model, x[:1], options={"zipmap": False}).SerializeToString()
    session = onnxruntime.InferenceSession(converted, providers=["CPUExecutionProvider"])
    there = session.run(None, {"X": x[test]})[1][:, 1]
    apart[method] = float(np.abs(there - model.predict_proba(x[test])[:, 1]).max())
    print(f"{method}: largest difference {apart[method]:.1e}")
(inner,) = model.calibrated_classifiers_
curve, raw = inner.calibrators[0], inner.estimator.predict_proba(x[test])[:, 1]
nearest = curve.y_thresholds_[np.abs(raw[:, None] - curve.X_thresholds_).argmin(axis=1)]
print(f"ONNX from the nearest knot of the curve: {np.abs(there - nearest).max():.1e}")
assert apart["sigmoid"] < 1e-5
assert apart["isotonic"] > 0.02
assert np.abs(there - nearest).max() < 1e-5
PY
