#!/usr/bin/env bash
# scikit-learn 1.9.1: CalibratedClassifierCV of SVC(decision_function_shape="ovo") takes the columns of
# `decision_function`, which then are pairs of classes (0-1, 0-2, 1-2), for the classes. With three classes the numbers
# agree (three pairs), so nothing is said; with four classes the first four of six pairs are used.
# The option changes nothing of what the SVC itself predicts. Seen: accuracy of the SVC .98; calibrated three classes by
# temperature .10, isotonic .86; four classes by sigmoid .56. With "ovr" .98 in each.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1
"$folder/venv/bin/python" - "$folder" <<'PY'
import warnings

from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.svm import SVC

warnings.simplefilter("ignore", FutureWarning)
warnings.simplefilter("error", UserWarning)
found = {}
for classes, method in ((3, "temperature"), (3, "isotonic"), (4, "sigmoid")):
    x, y = make_classification(800, 8, n_informative=6, n_redundant=0, n_classes=classes, n_clusters_per_class=1,
                               class_sep=2, random_state=1)
    for shape in ("ovr", "ovo"):
        plain = SVC(decision_function_shape=shape).fit(x[:600], y[:600]).score(x[600:], y[600:])
        model = CalibratedClassifierCV(SVC(decision_function_shape=shape), method=method).fit(x[:600], y[:600])
        found[classes, method, shape] = model.score(x[600:], y[600:])
        print(f"{classes} classes, {method}, {shape}: SVC {plain:.3f}, calibrated {found[classes, method, shape]:.3f}")
        assert plain > 0.95
assert all(score > 0.95 for (_, _, shape), score in found.items() if shape == "ovr")
assert found[3, "temperature", "ovo"] < 0.5
assert found[3, "isotonic", "ovo"] < 0.93
assert found[4, "sigmoid", "ovo"] < 0.8
PY
