#!/usr/bin/env bash
# iterative-stratification 0.1.9 with scikit-learn 1.9.1: MultilabelStratifiedKFold without `shuffle` draws at random all
# the same, from NumPy's global state: two calls give most rows another fold, where scikit-learn's StratifiedKFold without
# `shuffle` is fixed. A `random_state` is refused then ("has no effect since shuffle is False"); only with shuffle=True
# does a seed make the folds repeatable. Seen: .8 to .9 of the rows change their fold between two calls; with a seed none.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1 iterative-stratification==0.1.9
"$folder/venv/bin/python" - "$folder" <<'PY'
import numpy as np
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
from sklearn.model_selection import StratifiedKFold

y = np.random.default_rng(0).integers(0, 2, (200, 3))
x = np.zeros((200, 1))


def folds(splitter, labels):
    fold = np.empty(200, int)
    for number, (_, held) in enumerate(splitter.split(x, labels)):
        fold[held] = number
    return fold


def moved(splitter, labels):
    return float((folds(splitter, labels) != folds(splitter, labels)).mean())


plain, single = moved(MultilabelStratifiedKFold(5), y), moved(StratifiedKFold(5), y[:, 0])
seeded = moved(MultilabelStratifiedKFold(5, shuffle=True, random_state=0), y)
print(f"rows in another fold at the second call: {plain:.2f} unshuffled, {seeded:.2f} shuffled with a seed, "
      f"{single:.2f} in scikit-learn's unshuffled")
assert plain > 0.5 and seeded == 0 and single == 0
try:
    MultilabelStratifiedKFold(5, random_state=0)
except ValueError as error:
    print(error)
else:
    raise AssertionError("an unshuffled splitter takes a seed now")
PY
