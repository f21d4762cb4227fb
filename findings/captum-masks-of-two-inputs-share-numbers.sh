#!/usr/bin/env bash
# captum 0.9.0: with a tuple of inputs (image, table) the numbers of `feature_mask` are counted across the tuple. Masks
# that are numbered from 0 in each input, as a segmentation of an image and the columns of a table are, make one feature of
# region 0 and column 0: both are taken away together, and both carry the sum. FeatureAblation, ShapleyValueSampling and
# ShapleyValues alike, no warning, right shapes. Seen: effects 1, 2 and 4, 8 come out as 5, 10 and 5, 10.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 captum==0.9.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import torch
from captum.attr import FeatureAblation, ShapleyValues, ShapleyValueSampling


def model(image, table):
    return (image * torch.tensor([1.0, 2.0])).sum(1) + (table * torch.tensor([4.0, 8.0])).sum(1)


inputs = torch.ones(1, 2), torch.ones(1, 2)
each = torch.tensor([[0, 1]]), torch.tensor([[0, 1]])
through = torch.tensor([[0, 1]]), torch.tensor([[2, 3]])
torch.manual_seed(0)
for kind in (FeatureAblation, ShapleyValueSampling, ShapleyValues):
    shared = [part.flatten().tolist() for part in kind(model).attribute(inputs, feature_mask=each)]
    apart = [part.flatten().tolist() for part in kind(model).attribute(inputs, feature_mask=through)]
    print(f"{kind.__name__}: numbered from 0 in each {shared}, numbered through {apart}")
    assert apart == [[1, 2], [4, 8]]
    assert shared == [[5, 10], [5, 10]]
PY
