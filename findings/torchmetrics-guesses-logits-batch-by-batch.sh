#!/usr/bin/env bash
# torchmetrics 1.9.0: the classification metrics take values outside 0 to 1 for logits and put them through a sigmoid, but
# they look at each `update` by itself. A batch of logits that all happen to lie in 0 to 1 stays as it is while its
# neighbours are changed, and scores of two scales are ranked together: AUROC, accuracy and calibration error of the same
# logits depend on the batch size. No warning. Seen: AUROC of 8 logits in one batch 1.00, in two batches of four .88;
# accuracy .63 and .88. After a sigmoid the first of each pair however they are cut.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 torchmetrics==1.9.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import torch
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC, BinaryCalibrationError

y = torch.tensor([0, 1, 0, 1, 0, 0, 1, 1])
logits = torch.tensor([0.45, 0.60, 0.30, 0.55, -0.10, 0.50, 1.00, 3.00])
found = {}
for kind in (BinaryAUROC, BinaryAccuracy, BinaryCalibrationError):
    for name, scores in {"logits": logits, "probabilities": logits.sigmoid()}.items():
        for size in (8, 4):
            metric = kind()
            for part in range(0, 8, size):
                metric.update(scores[part : part + size], y[part : part + size])
            found[kind, name, size] = round(float(metric.compute()), 3)
    print(kind.__name__, {f"{name}, batches of {size}": value for (one, name, size), value in found.items() if one is kind})
    assert found[kind, "probabilities", 8] == found[kind, "probabilities", 4] == found[kind, "logits", 8]
    assert found[kind, "logits", 4] != found[kind, "logits", 8]
PY
