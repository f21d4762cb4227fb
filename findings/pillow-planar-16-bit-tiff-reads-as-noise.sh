#!/usr/bin/env bash
# Pillow 13.0.0 with tifffile 2026.3.3: an uncompressed 16-bit colour TIFF whose channels lie one after the other (tag
# 284, PlanarConfiguration = 2), which `tifffile.imwrite(path, array)` makes of an array (3, height, width), opens as an
# 8-bit RGB image of the right size. Its bytes are read as if each were a sample: no error, no warning, other pixels.
# At 8 bits the same layout reads right. Seen: mode RGB, mean difference from the values 57 grey levels at 16 bits, 0 at 8.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.2 pillow==13.0.0 tifffile==2026.3.3
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

folder = Path(sys.argv[1])
y, x = np.mgrid[0:64, 0:64]
levels = np.stack([x * 4, y * 4, (x + y) * 2]).astype(np.uint8)  # smooth, (3, height, width)
apart = {}
for bits, planes in {8: levels, 16: levels.astype(np.uint16) * 257}.items():
    path = folder / f"{bits}.tif"
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate")
    assert np.array_equal(tifffile.imread(path), planes)
    with Image.open(path) as image:
        assert image.tag_v2[284] == 2 and image.size == (64, 64)
        read = np.asarray(image.convert("RGB")).astype(int).transpose(2, 0, 1)
        apart[bits] = float(np.abs(read - levels).mean())
        print(f"{bits} bits: mode {image.mode}, mean difference {apart[bits]:.1f} levels")
assert apart[8] == 0, apart
assert apart[16] > 20, apart
PY
