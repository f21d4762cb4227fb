#!/usr/bin/env bash
# torch 2.13.0: F.cross_entropy with class weights has another mean for one-hot targets than for the same targets as
# indices: for indices the sum is divided by the weights of the targets, for probabilities by the number of rows. Without
# weights the two are equal. Mixup, smoothed or two-reader labels so change the size of a weighted loss (and of its
# gradient, and of the valid loss that stops the training, where that has indices) by the mean weight of the batch.
# Seen: indices .711, one-hot .758; in a batch of the rare class alone 5 times apart; unweighted equal.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import torch
from torch.nn.functional import cross_entropy, one_hot

torch.manual_seed(0)
logits = torch.randn(6, 3)
weight = torch.tensor([0.1, 1.0, 5.0])
found = {}
for name, index in {"mixed": torch.tensor([0, 0, 0, 0, 1, 2]), "rare only": torch.full((6,), 2)}.items():
    soft = one_hot(index, 3).float()
    plain = cross_entropy(logits, index), cross_entropy(logits, soft)
    weighted = cross_entropy(logits, index, weight=weight), cross_entropy(logits, soft, weight=weight)
    found[name] = float(weighted[1] / weighted[0])
    print(f"{name}: unweighted {plain[0]:.3f} and {plain[1]:.3f}, weighted {weighted[0]:.3f} and {weighted[1]:.3f}")
    assert torch.allclose(*plain)
    assert torch.isclose(weighted[1] / weighted[0], weight[index].mean(), rtol=1e-5)
assert abs(found["mixed"] - 1) > 0.05 and abs(found["rare only"] - 5) < 1e-4
PY
