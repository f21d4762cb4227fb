#!/usr/bin/env bash
# venn-abers 1.5.4: the manual mode of VennAbersCalibrator takes calibration labels as numbers, not as classes. Labels 1
# and 2, or -1 and 1, which scikit-learn takes as two classes like any others, give "probabilities" far outside 0 to 1
# whose rows still sum to 1. Nothing is raised; for 0 and 1 and for booleans all is right.
# Seen: 0/1 from .03 to .97; 1/2 from -15.5 to 16.5; -1/1 from -3.8 to 4.8.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1 venn-abers==1.5.4
"$folder/venv/bin/python" - "$folder" <<'PY'
import numpy as np
from venn_abers import VennAbersCalibrator

draw = np.random.default_rng(0)
p = draw.random(300)
y = (draw.random(300) < p).astype(int)
asked = np.linspace(0.05, 0.95, 5)
found = {}
for name, labels in {"0/1": y, "bool": y.astype(bool), "1/2": y + 1, "-1/1": 2 * y - 1}.items():
    answer = VennAbersCalibrator().predict_proba(
        p_cal=np.c_[1 - p, p], y_cal=labels, p_test=np.c_[1 - asked, asked]
    )
    found[name] = np.asarray(answer)
    print(f"{name}: {found[name].min():.2f} to {found[name].max():.2f}, rows sum to {found[name].sum(1).mean():.2f}")
    assert np.allclose(found[name].sum(axis=1), 1)
assert np.array_equal(found["0/1"], found["bool"]) and 0 <= found["0/1"].min() <= found["0/1"].max() <= 1
assert all(found[name].min() < -1 and found[name].max() > 2 for name in ("1/2", "-1/1"))
PY
