#!/usr/bin/env bash
# scikit-learn 1.9.1: cohen_kappa_score(weights="quadratic" or "linear") weighs a disagreement by the places of the classes
# among those present, not by their values. Grades 0, 1 and 4 (no case of 2 and 3 in a fold, or in a subgroup) close
# ranks: 4 for 1 costs as much as 0 for 1. The same readings then have another kappa than in a set with all grades, and
# it jumps when one case of grade 2 that both readers agree on is added. `labels=range(5)` keeps the distances.
# Seen: .79 without `labels`, .61 with; one case of grade 2 in agreement moves .79 to .67.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1
"$folder/venv/bin/python" - "$folder" <<'PY'
import numpy as np
from sklearn.metrics import cohen_kappa_score

one = np.array([0, 1, 4, 0, 1, 4, 1, 4])
two = np.array([0, 4, 4, 0, 1, 1, 1, 4])
present = cohen_kappa_score(one, two, weights="quadratic")
whole = cohen_kappa_score(one, two, weights="quadratic", labels=range(5))
more = cohen_kappa_score(np.r_[one, 2], np.r_[two, 2], weights="quadratic")
more_whole = cohen_kappa_score(np.r_[one, 2], np.r_[two, 2], weights="quadratic", labels=range(5))
renamed = cohen_kappa_score(np.minimum(one, 2), np.minimum(two, 2), weights="quadratic")
print(f"quadratic kappa {present:.2f}, with labels=range(5) {whole:.2f}")
print(f"one more case in agreement: {more:.2f}, with labels=range(5) {more_whole:.2f}")
assert present == renamed  # 4 is as far from 1 as 2 is
assert present - whole > 0.1
assert more < present - 0.05 and abs(more_whole - whole) < 0.05
PY
