#!/usr/bin/env bash
# catboost 1.2.10 with scikit-learn 1.9.1: class labels that are text of digits ("8", "9", "10") stand in `classes_` and
# in the columns of `predict_proba` in the order of numbers; scikit-learn orders the same text as text ("10", "8", "9").
# What takes columns in the order of `np.unique` is silently wrong: `roc_auc_score(labels=np.unique(y))`, and temperature
# calibration around the fitted classifier. Sigmoid calibration goes by `classes_` and stays right.
# Seen: accuracy .95, AUC .27 in text order and .99 in its own; accuracy after temperature scaling .04.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1 catboost==1.2.10
"$folder/venv/bin/python" - "$folder" <<'PY'
import numpy as np
from catboost import CatBoostClassifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score

x, number = make_classification(
    600, 6, n_informative=5, n_redundant=0, n_classes=3, class_sep=2.0, random_state=0
)
y = np.array(["8", "9", "10"])[number]
fit, test = slice(0, 400), slice(400, 600)
model = CatBoostClassifier(iterations=50, verbose=0, thread_count=1, random_seed=0, allow_writing_files=False)
model.fit(x[fit], y[fit])
own, text = list(model.classes_), list(np.unique(y))
print(f"catboost: {own}, scikit-learn: {text}")
assert own == ["8", "9", "10"] and text == ["10", "8", "9"]
p = model.predict_proba(x[test])
accuracy = float((model.predict(x[test]).ravel() == y[test]).mean())
by_text = roc_auc_score(y[test], p, multi_class="ovr", labels=np.unique(y))
by_own = roc_auc_score(y[test], p[:, [own.index(one) for one in text]], multi_class="ovr", labels=np.unique(y))
after = {
    method: CalibratedClassifierCV(FrozenEstimator(model), method=method).fit(x[fit], y[fit]).score(x[test], y[test])
    for method in ("sigmoid", "temperature")
}
print(f"accuracy {accuracy:.2f}; AUC {by_text:.2f} by text, {by_own:.2f} by classes_; accuracy after calibration {after}")
assert accuracy > 0.9 and by_own > 0.95 and by_text < 0.5
assert after["sigmoid"] > 0.9 and after["temperature"] < 0.2
PY
