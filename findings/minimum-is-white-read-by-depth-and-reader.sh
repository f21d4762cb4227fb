#!/usr/bin/env bash
# Pillow 13.0.0 and OpenCV 5.0.0 with TIFFs whose PhotometricInterpretation is MinIsWhite (tag 262 = 0, as films and slide
# scanners write them): at 8 bits both invert the values, so that high is bright; at 16 bits neither does. The same picture
# stored at two depths comes back as itself and as its negative, and only the 8-bit one is right on a screen. tifffile
# gives the stored values at both depths. Seen: stored 0, 16, 32: 255, 239, 223 at 8 bits, 0, 4112, 8224 at 16.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 pillow==13.0.0 tifffile==2026.3.3 opencv-python-headless==5.0.0.93
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image

folder = Path(sys.argv[1])
stored = np.tile(np.arange(0, 256, 16, dtype=np.uint8), (8, 1))
for bits, array in {8: stored, 16: stored.astype(np.uint16) * 257}.items():
    path = folder / f"{bits}.tif"
    tifffile.imwrite(path, array, photometric="miniswhite")
    with Image.open(path) as image:
        assert image.tag_v2[262] == 0
        pillow = np.asarray(image)
    read = {"Pillow": pillow, "OpenCV": cv2.imread(str(path), cv2.IMREAD_UNCHANGED), "tifffile": tifffile.imread(path)}
    print(f"{bits} bits, stored {array[0, :3].tolist()}:", {name: found[0, :3].tolist() for name, found in read.items()})
    top = np.iinfo(array.dtype).max
    for name, found in read.items():
        assert found.dtype == array.dtype
        assert np.array_equal(found, top - array if bits == 8 and name != "tifffile" else array), name
PY
