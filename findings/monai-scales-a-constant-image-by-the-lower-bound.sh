#!/usr/bin/env bash
# monai 1.6.1: ScaleIntensity of an image of one value (an empty slice, a patch of air) does not give a value between
# `minv` and `maxv`: it multiplies the value by `minv`. Scaled to -1..1, air of -1000 comes out as +1000, to 10..20 as
# -10,000; only with the bounds 0..1 is it 0. An image with one other voxel is scaled right.
# GaussianSmooth of the same constant image darkens its border, for it pads with 0. Seen: -1000 gives 1000 and -10000; a
# corner of the smoothed image -478.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 monai==1.6.1
"$folder/venv/bin/python" - "$folder" <<'PY'
import torch
from monai.transforms import GaussianSmooth, ScaleIntensity

air = torch.full((1, 16, 16), -1000.0)
almost = air.clone()
almost[0, 0, 0] = -999.0
found = {}
for low, high in ((0.0, 1.0), (-1.0, 1.0), (10.0, 20.0)):
    found[low] = float(ScaleIntensity(low, high)(air).unique())
    scaled = ScaleIntensity(low, high)(almost)
    print(f"to {low:g}..{high:g}: constant {found[low]:g}, with one other voxel {scaled.min():g} to {scaled.max():g}")
    assert low <= scaled.min() <= scaled.max() <= high
assert found == {0.0: 0.0, -1.0: 1000.0, 10.0: -10000.0}
smooth = GaussianSmooth(sigma=1.0)(air)
print(f"smoothed: corner {smooth[0, 0, 0]:.0f}, middle {smooth[0, 8, 8]:.0f}")
assert smooth[0, 0, 0] > -600 and abs(smooth[0, 8, 8] + 1000) < 1
PY
