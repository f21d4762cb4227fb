#!/usr/bin/env bash
# captum 0.9.0 with timm 1.0.31: LayerGradCam of a stage of Swin (also swinv2, mambaout, nest, sequencer2d), whose features
# are (batch, height, width, channels), takes the rows for the channels: it sums over height and gives a map of width x
# channels. LayerAttribution.interpolate makes a picture of the right size of it, of stripes that say nothing of places.
# No warning. With the channels moved to place 1 the map is 7 x 7. Seen: 1 x 1 x 7 x 768, interpolated 1 x 1 x 224 x 224;
# a ResNet 1 x 1 x 7 x 7.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.14.1 torchvision==0.29.1 timm==1.0.31 captum==0.9.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import timm
import torch
from captum.attr import LayerAttribution, LayerGradCam

torch.manual_seed(0)
torch.set_num_threads(1)
image = torch.randn(1, 3, 224, 224)
maps = {}
for name, part in {"swin_tiny_patch4_window7_224": "layers", "resnet18": "layer4"}.items():
    model = timm.create_model(name, pretrained=False, num_classes=2).eval()
    layer = model.get_submodule(part)[-1]
    form = getattr(model, "output_fmt", "NCHW")
    maps[name] = LayerGradCam(model, layer).attribute(image, target=0)
    large = LayerAttribution.interpolate(maps[name], (224, 224))
    print(f"{name} ({form}): map {tuple(maps[name].shape)}, interpolated {tuple(large.shape)}")
    assert large.shape == (1, 1, 224, 224)
assert maps["resnet18"].shape == (1, 1, 7, 7)
assert maps["swin_tiny_patch4_window7_224"].shape == (1, 1, 7, 768)
PY
