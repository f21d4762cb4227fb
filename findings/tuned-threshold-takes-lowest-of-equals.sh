#!/usr/bin/env bash
# scikit-learn 1.9.1: of thresholds that score the same, TunedThresholdClassifierCV takes the lowest, not the middle. Two
# classes that are far apart leave every cut between .02 and .98 equally good in cross-validation; the one taken calls a
# patient positive whom the model gives a probability of .03. The better a model, the further its cut leaves the middle.
# Seen: best_threshold_ .02 of 96 equal ones up to .98; a patient with probability .03 is called positive.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1
"$folder/venv/bin/python" - "$folder" <<'PY'
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TunedThresholdClassifierCV

draw = np.random.default_rng(0)
x = np.r_[draw.normal(-3, 0.3, 200), draw.normal(3, 0.3, 200)][:, None]
y = np.repeat([0, 1], 200)
tuned = TunedThresholdClassifierCV(LogisticRegression(C=1000), scoring="balanced_accuracy", store_cv_results=True)
tuned.fit(x, y)
equal = tuned.cv_results_["thresholds"][tuned.cv_results_["scores"] == tuned.best_score_]
line = np.linspace(-3, 3, 2001)[:, None]
p = tuned.predict_proba(line)[:, 1]
near = np.argmin(np.abs(p - 0.03))
called = int(tuned.predict(line[[near]])[0])
print(f"best_threshold_ {tuned.best_threshold_:.2f} of {len(equal)} equal ones from {equal.min():.2f} to {equal.max():.2f}")
print(f"probability {p[near]:.3f}: class {called}")
assert tuned.best_threshold_ == equal.min() < 0.05 and equal.max() > 0.9
assert called == 1 and p[near] < 0.05
PY
