#!/usr/bin/env bash
# A DataFrame whose columns stand in another order than at training: LightGBM 4.7.0 takes them by place without a word,
# though it knows the names (`feature_name_`) and aligns the categories inside a column by name; CatBoost 1.2.10 puts them
# into order by name; XGBoost 3.2.0 and scikit-learn 1.9.1 raise. `validate_features=True` makes LightGBM raise.
# Seen: LightGBM's probabilities up to .89 off, CatBoost's equal, ValueError from the other two.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 pandas==2.3.3 scikit-learn==1.9.1 lightgbm==4.7.0 xgboost==3.2.0 catboost==1.2.10
"$folder/venv/bin/python" - "$folder" <<'PY'
import numpy as np
import pandas as pd
from catboost import CatBoostClassifier
from lightgbm import LGBMClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from xgboost import XGBClassifier

draw = np.random.default_rng(0)
table = pd.DataFrame(draw.normal(size=(200, 3)), columns=["age", "crp", "ldh"])
y = (table["age"] + draw.normal(size=200) > 1).astype(int)
turned = table[["ldh", "crp", "age"]]
found = {}
for model in (LGBMClassifier(verbose=-1, n_jobs=1), XGBClassifier(n_estimators=20, n_jobs=1),
              CatBoostClassifier(iterations=20, verbose=0, thread_count=1, allow_writing_files=False),
              HistGradientBoostingClassifier()):
    name = type(model).__name__
    model.fit(table, y)
    try:
        found[name] = float(np.abs(model.predict_proba(table) - model.predict_proba(turned)).max())
    except ValueError:
        found[name] = "ValueError"
    if name == "LGBMClassifier":
        assert list(model.feature_name_) == list(table.columns)
        try:
            model.predict_proba(turned, validate_features=True)
        except Exception as error:
            print(f"LightGBM with validate_features: {type(error).__name__}")
        else:
            raise AssertionError("validate_features lets the other order pass")
print(found)
assert found["LGBMClassifier"] > 0.3 and found["CatBoostClassifier"] < 1e-12
assert found["XGBClassifier"] == found["HistGradientBoostingClassifier"] == "ValueError"
PY
