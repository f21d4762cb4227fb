#!/usr/bin/env bash
# torch 2.13.0: `model.to(memory_format=torch.channels_last)` touches tensors of 4 dimensions only, and leaves a Linear or
# Conv1d beside them as it is, but ends in a RuntimeError at a Conv3d: its five-dimensional weight is asked for a layout of
# rank 4. A model of image and volume so cannot be moved, and by then the parts before the volume are moved already.
# `channels_last_3d` ends in the same way at the Conv2d. Seen: "required rank 4 tensor"; the Conv2d before it is moved.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import torch
from torch import nn

model = nn.ModuleDict({"table": nn.Linear(3, 2), "ecg": nn.Conv1d(1, 2, 3), "image": nn.Conv2d(3, 4, 3)})
model.to(memory_format=torch.channels_last)
for layout, moved in ((torch.channels_last, "image"), (torch.channels_last_3d, "volume")):
    model = nn.ModuleDict({"image": nn.Conv2d(3, 4, 3), "volume": nn.Conv3d(2, 4, 3)})
    try:
        model.to(memory_format=layout)
    except RuntimeError as error:
        state = {name: part.weight.is_contiguous() for name, part in model.items()}
        print(f"{layout}: RuntimeError ({error}); weights still contiguous: {state}")
    else:
        raise AssertionError(f"{layout} takes 2-D and 3-D convolutions together now")
    if layout == torch.channels_last:
        assert not state["image"] and state["volume"]
PY
