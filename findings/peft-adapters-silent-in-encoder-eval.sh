#!/usr/bin/env bash
# peft 0.21.2 with torch 2.13.0: LoRA on the feed-forward layers of torch.nn.TransformerEncoder counts while training and
# not in eval: the encoder's fast path reads `linear1.weight` past the adapter's forward, and there stands the base weight.
# The losses fall, the evaluated model is the base model, exactly; merged, the adapters count again. With gradients recorded
# eval is right too. Seen: eval without gradients equals the base model (0.0 apart), train and merged 1.0 away from it.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 peft==0.21.2
"$folder/venv/bin/python" - "$folder" <<'PY'
import copy
import warnings

import torch
from peft import LoraConfig, get_peft_model

warnings.simplefilter("ignore")
torch.manual_seed(0)
layer = torch.nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
base = torch.nn.TransformerEncoder(layer, 1)
model = get_peft_model(copy.deepcopy(base), LoraConfig(r=4, target_modules=["linear1", "linear2"], init_lora_weights=False))
x = torch.randn(2, 5, 16)
with torch.no_grad():
    plain = base.eval()(x)
    found = {"train": model.train()(x), "eval": model.eval()(x)}
for weight in model.parameters():
    weight.requires_grad_(True)
found["eval with gradients"] = model.eval()(x).detach()
with torch.no_grad():
    found["merged"] = model.merge_and_unload().eval()(x)
apart = {name: float((out - plain).abs().max()) for name, out in found.items()}
print("from the base model:", {name: round(value, 3) for name, value in apart.items()})
assert apart["eval"] < 1e-5
assert all(apart[name] > 0.5 for name in ("train", "eval with gradients", "merged"))
assert torch.allclose(found["train"], found["merged"], atol=1e-4)
PY
