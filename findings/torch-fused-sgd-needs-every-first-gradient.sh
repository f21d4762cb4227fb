#!/usr/bin/env bash
# torch 2.13.0, CPU: SGD with `fused=True` and momentum ends in a TypeError when one parameter has a gradient later than
# another, as an encoder does whose modality is absent from the first batch. The same steps work with `fused=False`
# and `foreach=True`: a parameter without a gradient is left out and gets its momentum buffer when it first has one.
# Seen: "fused: TypeError", "foreach: 2 steps", "plain: 2 steps", and equal weights for the latter two.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.2 torch==2.13.0
"$folder/venv/bin/python" - <<'PY'
import torch


def steps(**options):
    torch.manual_seed(0)
    early, late = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    weights = [*early.parameters(), *late.parameters()]
    optimizer = torch.optim.SGD(weights, lr=0.1, momentum=0.9, **options)
    for number, layers in enumerate(((early,), (early, late))):
        optimizer.zero_grad(set_to_none=True)
        sum(layer(torch.ones(4, 3)).square().mean() for layer in layers).backward()
        optimizer.step()
    return [weight.detach().clone() for weight in weights], number + 1


found = {}
for name, options in {"plain": {"foreach": False}, "foreach": {"foreach": True}}.items():
    found[name], number = steps(**options)
    print(f"{name}: {number} steps")
assert all(torch.allclose(a, b) for a, b in zip(found["plain"], found["foreach"], strict=True))
try:
    steps(fused=True)
except TypeError as error:
    print(f"fused: TypeError ({str(error).splitlines()[0][:80]})")
else:
    raise AssertionError("fused SGD takes a late gradient now")
assert torch.__version__.startswith("2.13.0"), torch.__version__
PY
