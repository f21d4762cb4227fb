#!/usr/bin/env bash
# statsmodels 0.15.0: mcnemar(exact=False) of two models that are right and wrong on the same patients (no discordant pair)
# gives p = 0, the strongest evidence of a difference: the continuity correction takes |b - c| - 1 = -1, squares it and
# divides by b + c = 0. The exact test gives 1. With few and equal discordant pairs the same correction makes a statistic
# above 0 of b = c. Seen: exact p 1.0, corrected statistic inf and p 0.0; for b = c = 1 statistic .5 instead of 0.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 pandas==2.3.3 statsmodels==0.15.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import warnings

from statsmodels.stats.contingency_tables import mcnemar

warnings.simplefilter("ignore", RuntimeWarning)
same = [[40, 0], [0, 10]]
exact, asked = mcnemar(same, exact=True), mcnemar(same, exact=False)
one = mcnemar([[40, 1], [1, 10]], exact=False)
print(f"no discordant pair: exact p {exact.pvalue}, chi-square {asked.statistic} with p {asked.pvalue}")
print(f"one pair each way: chi-square {one.statistic}")
assert exact.pvalue == 1
assert asked.pvalue == 0
assert one.statistic == 0.5
PY
