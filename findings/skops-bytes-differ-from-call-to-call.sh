#!/usr/bin/env bash
# skops 0.16.0: two dumps of one estimator differ in their bytes: the archive's entries carry the time, and arrays are named
# by their address in memory (140483309701040.npy), which is in `schema.json` too. A checksum of a stored model so says
# nothing of the model, though all that was fitted is equal; pickle and joblib give the same bytes twice.
# Seen: sizes equal, bytes not; an equal copy of the estimator has other entry names; pickle equal.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1 skops==0.16.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import copy
import io
import pickle
import time
import zipfile

import skops.io
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

model = LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True))
first = skops.io.dumps(model)
time.sleep(2.1)  # the time of an entry has steps of two seconds
second = skops.io.dumps(model)
other = skops.io.dumps(copy.deepcopy(model))
names = [sorted(zipfile.ZipFile(io.BytesIO(data)).namelist()) for data in (first, second, other)]
print(f"sizes {len(first)}, {len(second)}; equal bytes: {first == second}; entries of the model {names[0][:2]}, "
      f"of its copy {names[2][:2]}")
assert len(first) == len(second) and first != second
assert names[0] == names[1] != names[2]
assert pickle.dumps(model) == pickle.dumps(model)
back = skops.io.loads(first)
assert (back.coef_ == model.coef_).all()
PY
