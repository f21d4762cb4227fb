#!/usr/bin/env bash
# MLstatkit 0.1.91: Delong_test of two models with equal probabilities (an ensemble of one, a modality that changes
# nothing) gives p = 0. The variance of the difference is 0, so the test falls back on a bootstrap, whose p is twice the smaller
# of two shares of its draws, "at most 0" and "above 0": all are 0. A monotone change of the probabilities gives the same.
# Seen: z 0.0 and p 0.0 for a model against itself; two different models of the same quality p above .05.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 MLstatkit==0.1.91
"$folder/venv/bin/python" - "$folder" <<'PY'
import numpy as np
from MLstatkit import Delong_test

draw = np.random.default_rng(0)
y = draw.integers(0, 2, 200)
p = draw.random(200) * 0.5 + y * 0.3
other = draw.random(200) * 0.5 + y * 0.3
z, same = Delong_test(y, p, p.copy())[:2]
monotone = Delong_test(y, p, p**3)[1]
different = Delong_test(y, p, other)[1]
print(f"against itself: z {z}, p {same}; against its cube: p {monotone}; against another model: p {different:.2f}")
assert z == 0 and same == 0 and monotone == 0
assert different > 0.05
PY
