#!/usr/bin/env bash
# scikit-learn 1.9.1: class_weight="balanced" together with `sample_weight` means two things. LogisticRegression, LinearSVC
# and ExtraTreesClassifier balance the sums of the weights; SVC, RidgeClassifier, DecisionTreeClassifier and
# HistGradientBoostingClassifier balance the number of rows and multiply by the weights after. Weights that already balance
# the classes are then applied twice by the second kind, and a row of weight 3 is not three equal rows.
# Seen: integer weights against repeated rows: equal (1e-15) in the first three, .7 to 1.8 apart in the others.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1
"$folder/venv/bin/python" - "$folder" <<'PY'
import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

draw = np.random.default_rng(0)
x = draw.normal(size=(200, 3))
y = (x[:, 0] + draw.normal(size=200) > 1).astype(int)
weight = np.where(y == 1, 3, 1)
b = {"class_weight": "balanced"}
by_weight = (LogisticRegression(tol=1e-9, max_iter=1000, **b), LinearSVC(tol=1e-9, max_iter=100000, **b),
             ExtraTreesClassifier(20, max_depth=2, random_state=0, **b))
by_rows = (SVC(tol=1e-8, gamma=0.3, **b), RidgeClassifier(**b), DecisionTreeClassifier(max_depth=2, random_state=0, **b),
           HistGradientBoostingClassifier(min_samples_leaf=1, max_leaf_nodes=3, max_iter=5, **b))


def answers(model):
    return model.decision_function(x) if hasattr(model, "decision_function") else model.predict_proba(x)[:, 1]


def apart(model, *, balanced=True):
    model.set_params(class_weight="balanced" if balanced else None)
    weighted = answers(model.fit(x, y, sample_weight=weight))
    repeated = answers(model.fit(np.repeat(x, weight, axis=0), np.repeat(y, weight)))
    return float(np.abs(weighted - repeated).max())


for kind, models in {"weights": by_weight, "rows": by_rows}.items():
    for model in models:
        found, plain = apart(model), apart(model, balanced=False)
        print(f"{type(model).__name__}: weight n against n rows {found:.1e} apart, without class_weight {plain:.1e}")
        assert plain < 1e-2, (model, plain)
        assert (found < 1e-5) if kind == "weights" else (found > 0.1), (model, found)
PY
