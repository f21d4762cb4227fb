#!/usr/bin/env bash
# safetensors 0.8.0 with NumPy 2.4.2: `safetensors.numpy.save_file` of an array that is a view (channels moved to the
# front, a Fortran-ordered volume) writes its memory in the order it lies there, under the view's shape. Nothing is
# raised; the values come back at other places. 0.7.0 wrote the values; `safetensors.torch` refuses such a tensor.
# Seen: shape and dtype right, 0.7.0 equal, 0.8.0 not equal; `np.ascontiguousarray` before saving is right in both.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
for version in 0.7.0 0.8.0; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.2 "safetensors==$version"
  "$folder/$version/bin/python" - "$folder/$version.safetensors" "$version" <<'PY'
import sys

import numpy as np
from safetensors.numpy import load_file, save_file

path, version = sys.argv[1:]
image = np.arange(24, dtype=np.float32).reshape(2, 4, 3)  # height, width, channels
volume = np.asfortranarray(np.arange(24, dtype=np.float32).reshape(2, 3, 4))
given = {"channels first": image.transpose(2, 0, 1), "fortran": volume}
save_file(given, path)
found = load_file(path)
for name, array in given.items():
    assert found[name].shape == array.shape and found[name].dtype == array.dtype, name
equal = {name: bool(np.array_equal(found[name], array)) for name, array in given.items()}
print(f"safetensors {version}: values at their places: {equal}")
assert all(equal.values()) == (version == "0.7.0"), equal
save_file({name: np.ascontiguousarray(array) for name, array in given.items()}, path)
again = load_file(path)
assert all(np.array_equal(again[name], array) for name, array in given.items())
PY
done
