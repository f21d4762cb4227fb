#!/usr/bin/env bash
# statsmodels 0.15.0: multipletests with one missing p-value (a subgroup in which a test was undefined). With Benjamini-
# Hochberg the decisions contradict the adjusted values: it rejects two hypotheses, while every adjusted p is NaN; by Holm
# the adjusted values are fine. The missing value counts as a hypothesis in both, so the others are corrected for one more.
# SciPy's false_discovery_control raises. Seen: fdr_bh rejects [T, T, F, F] with [nan, nan, nan, nan]; without the NaN .03.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 pandas==2.3.3 statsmodels==0.15.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import numpy as np
from statsmodels.stats.multitest import multipletests

p = np.array([0.001, 0.02, np.nan, 0.5])
for method in ("fdr_bh", "holm"):
    reject, adjusted = multipletests(p, method=method)[:2]
    _, without = multipletests(p[~np.isnan(p)], method=method)[:2]
    print(f"{method}: rejects {reject.tolist()}, adjusted {adjusted.round(3).tolist()}; without the missing one "
          f"{without.round(3).tolist()}")
    if method == "fdr_bh":
        assert reject.tolist() == [True, True, False, False] and np.isnan(adjusted).all()
    else:
        assert adjusted[0] == 4 * p[0] and without[0] == 3 * p[0] and np.isnan(adjusted[2])
PY
