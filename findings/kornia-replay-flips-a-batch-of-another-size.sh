#!/usr/bin/env bash
# kornia 0.9.0: the draws of an augmentation can be replayed on a second input by `params=` (a mask, a second view, the last
# and smaller batch). If its batch has another size than the first, the choice by case is lost: when any case was flipped,
# every case of the second batch is flipped, the unflipped ones as well. Nothing is raised.
# Seen: draws 0, 1, 1, 0 flip cases 1 and 2 of four; replayed on two, three or six cases they flip all of them.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 kornia==0.9.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import torch
from kornia.augmentation import RandomHorizontalFlip


def cases(number):
    return torch.arange(4.0).repeat(number, 1, 1, 1)  # each row 0 1 2 3


def flipped(batch):
    return (batch[:, 0, 0, 0] == 3).tolist()


flip = RandomHorizontalFlip(p=0.5)
for seed in range(100):
    torch.manual_seed(seed)
    first = flipped(flip(cases(4)))
    if not first[0] and any(first):
        break
draws = flip._params
print(f"first batch: {first}; replayed on four: {flipped(flip(cases(4), params=draws))}")
assert flipped(flip(cases(4), params=draws)) == first and not first[0]
for number in (2, 3, 6):
    again = flipped(flip(cases(number), params=draws))
    print(f"replayed on {number}: {again}")
    assert all(again)
PY
