#!/usr/bin/env bash
# xgboost 3.2.0: an infinite value (a ratio with a denominator of 0) ends `fit` and a DMatrix in an XGBoostError, but the
# fitted XGBClassifier answers it as the highest value, without a word: its `predict_proba` takes another way in
# (`inplace_predict`) that has no such check. scikit-learn's HistGradientBoostingClassifier takes it in both, and its
# RandomForestClassifier in neither. Seen: fit and DMatrix raise; predict_proba of inf .994, as of 9.0.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 pandas==2.3.3 scikit-learn==1.9.1 xgboost==3.2.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from xgboost import DMatrix, XGBClassifier


def taken(call):
    try:
        call()
    except Exception as error:
        return type(error).__name__
    return "taken"


draw = np.random.default_rng(0)
x = draw.normal(size=(300, 2))
y = (x[:, 0] > 0).astype(int)
endless = x.copy()
endless[0, 0] = np.inf
found = {}
for kind in (XGBClassifier, HistGradientBoostingClassifier, RandomForestClassifier):
    model = kind().set_params(n_jobs=1) if "n_jobs" in kind().get_params() else kind()
    found[kind] = taken(lambda: model.fit(endless, y)), taken(lambda: model.fit(x, y).predict_proba(endless))
    print(f"{kind.__name__}: fit {found[kind][0]}, predict_proba {found[kind][1]}")
model = XGBClassifier(n_estimators=20, n_jobs=1).fit(x, y)
matrix = taken(lambda: DMatrix(endless))
answer = model.predict_proba([[np.inf, 0], [9, 0], [np.nan, 0]])[:, 1]
print(f"DMatrix {matrix}; probability for inf {answer[0]:.3f}, for 9.0 {answer[1]:.3f}")
assert found[XGBClassifier] == ("XGBoostError", "taken") and matrix == "XGBoostError"
assert found[HistGradientBoostingClassifier] == ("taken", "taken")
assert found[RandomForestClassifier] == ("ValueError", "ValueError")
assert answer[0] == answer[1] > 0.95
PY
