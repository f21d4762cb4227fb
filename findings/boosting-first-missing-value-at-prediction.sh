#!/usr/bin/env bash
# LightGBM 4.7.0, CatBoost 1.2.10, XGBoost 3.2.0, scikit-learn 1.9.1 (HistGradientBoosting): a value that is missing at
# prediction where none was in training. Four libraries, three readings, no warning: LightGBM reads 0.0, CatBoost the
# lowest value, XGBoost a branch that is the highest here, HistGradientBoosting the branch with the more training rows.
# With 5 % of the training values missing at random all four answer near the prevalence (.4).
# Seen for one patient whose value is missing: .997, .008, .998, .55; then .40, .37, .40, .40.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1 catboost==1.2.10 lightgbm==4.7.0 xgboost==3.2.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import warnings

import numpy as np
from catboost import CatBoostClassifier
from lightgbm import LGBMClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from xgboost import XGBClassifier

warnings.simplefilter("error", RuntimeWarning)
draw = np.random.default_rng(0)
x = draw.normal(size=(1000, 1)) - 2  # a laboratory value as its logarithm: nearly all negative
y = (x[:, 0] + draw.normal(size=1000) * 0.3 > -2).astype(int)
holes = x.copy()
holes[::20] = np.nan
models = {
    "LightGBM": LGBMClassifier(n_estimators=50, verbose=-1, n_jobs=1),
    "CatBoost": CatBoostClassifier(iterations=50, verbose=0, thread_count=1, random_seed=0, allow_writing_files=False),
    "XGBoost": XGBClassifier(n_estimators=50, n_jobs=1),
    "HistGradientBoosting": HistGradientBoostingClassifier(random_state=0),
}
asked = np.array([[np.nan], [0.0], [-9.0], [9.0]])
full, some = {}, {}
for name, model in models.items():
    full[name] = model.fit(x, y).predict_proba(asked)[:, 1]
    some[name] = model.fit(holes, y).predict_proba(asked)[:, 1]
    print(f"{name}: missing {full[name][0]:.3f} (0.0 gives {full[name][1]:.3f}, lowest {full[name][2]:.3f}, "
          f"highest {full[name][3]:.3f}); trained with missing values {some[name][0]:.3f}")
assert full["LightGBM"][0] == full["LightGBM"][1] > 0.95
assert full["CatBoost"][0] == full["CatBoost"][2] < 0.05
assert full["XGBoost"][0] == full["XGBoost"][3] > 0.95
assert 0.2 < full["HistGradientBoosting"][0] < 0.8
assert all(abs(answers[0] - 0.4) < 0.15 for answers in some.values())
PY
