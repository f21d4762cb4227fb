#!/usr/bin/env bash
# torchmetrics 1.9.0: a class that no case has (a small valid fold, a single centre) counts as 0 in the macro mean of
# MulticlassAUROC, with a warning, while MulticlassAveragePrecision, which has NaN for that class, leaves it out of its
# mean. Both are undefined there; the same predictions look a third worse by one and perfect by the other.
# Seen: AUROC by class .99, 1.0, 0.0 and macro .663; average precision .991, 1.0, nan and macro .995.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 torchmetrics==1.9.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import warnings

import torch
from torchmetrics.classification import MulticlassAUROC, MulticlassAveragePrecision

warnings.simplefilter("ignore")
torch.manual_seed(0)
y = torch.arange(40) % 2  # class 2 is absent
p = torch.softmax(torch.randn(40, 3) + 3 * torch.nn.functional.one_hot(y, 3), dim=1)
found = {}
for kind in (MulticlassAUROC, MulticlassAveragePrecision):
    single = kind(3, average=None)(p, y)
    macro = float(kind(3, average="macro")(p, y))
    found[kind] = single, macro
    print(f"{kind.__name__}: by class {[round(float(one), 3) for one in single]}, macro {macro:.3f}")
    assert single[:2].min() > 0.9
single, macro = found[MulticlassAUROC]
assert single[2] == 0 and macro < 0.7
single, macro = found[MulticlassAveragePrecision]
assert single[2].isnan() and macro > 0.9
PY
