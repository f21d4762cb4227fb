"""Grad-CAM over maps of either layout: the same map for a network and its channels-last twin, timm's own families, an
empty map that says so, and pictures in their first shape with the truth beside them."""

import json

import numpy as np
import pytest
import torch
from fits import PART, fitted, subject_of
from PIL import Image
from tiny_parts import Lin, Picture, make_spec
from torch import nn

from mmfuse.explaining.attributing import channels_last, grad_cam, last_map
from mmfuse.explaining.explanations import NOTHING_SPEAKS, Question, explain
from mmfuse.net.features import Features
from mmfuse.parts import Encoder


class Norms(nn.Module):
    """A convolution and a layer whose map is kept channels last or first; `output_fmt` says so."""

    def __init__(self, last):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, stride=2, padding=1)
        self.scale = Scale(last)
        self.last = last
        self.output_fmt = "NHWC" if last else "NCHW"

    def forward(self, images):
        x = self.conv(images)
        x = self.scale(x.permute(0, 2, 3, 1) if self.last else x)
        return Features(x.mean(dim=(1, 2)) if self.last else x.mean(dim=(2, 3)))


class Scale(nn.Module):
    """A layer of weights that no size and no type tells the layout of."""

    def __init__(self, last):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, 5).view(5 if last else (5, 1, 1)))

    def forward(self, x):
        return torch.tanh(x * self.weight)


class Turned(Encoder):
    """Its map is channels last, or first."""

    last: bool = True

    def build(self, shape):
        return Norms(self.last)


def of_layout(last):
    spec = make_spec(
        {"one": Picture(column="one")}, {"picture": {"part": Turned(last=last), "weights": "none"}}, head=Lin()
    )
    return fitted(spec)


def test_a_channels_last_network_has_the_map_of_its_channels_first_twin():
    found = {}
    for last in (True, False):
        network, cases = of_layout(last)
        subject = subject_of(network, cases, 5)
        layer, told = last_map(subject, "one")
        assert type(layer).__name__ in ("Scale", "Norms")
        assert told is last
        found[last] = grad_cam(subject, "one", "fused", 1, PART)
    assert found[True].shape == (4, 4)
    torch.testing.assert_close(found[True], found[False], atol=1e-6, rtol=1e-4)
    assert found[True].any()


@pytest.mark.parametrize(
    ("name", "size", "last"),
    [
        ("swin_tiny_patch4_window7_224", 224, True),
        ("swinv2_tiny_window8_256", 256, True),
        ("swin_s3_tiny_224", 224, True),
        ("mambaout_femto", 224, True),
        ("nest_tiny", 224, True),
        ("sequencer2d_s", 224, True),
        ("convnext_atto", 224, False),
        ("maxvit_rmlp_pico_rw_256", 256, False),
        ("resnet18", 224, False),
    ],
)
def test_timm_says_which_of_its_maps_are_channels_last(name, size, last):
    """The last map that a module gives has the places and channels of the model's own features."""
    import timm

    torch.set_num_threads(1)
    model = timm.create_model(name, num_classes=0).eval()
    told = []

    def look(module, _, given):
        if isinstance(given, torch.Tensor) and given.dim() == 4 and given.shape[0] == 1:
            told.append((channels_last(model, module, given), tuple(given.shape)))

    for module in model.modules():
        if any(True for _ in module.parameters()):
            module.register_forward_hook(look)
    with torch.no_grad():
        model(torch.zeros(1, 3, size, size))
    found, shape = told[-1]
    assert found is last
    assert shape[-1 if found else 1] == model.num_features


def test_a_layer_norm_whose_size_does_not_tell_has_no_map():
    norm = nn.LayerNorm(7)
    assert channels_last(norm, norm, torch.zeros(1, 7, 7, 7)) is None
    assert channels_last(norm, norm, torch.zeros(1, 3, 3, 7)) is True
    assert channels_last(norm, norm, torch.zeros(1, 7, 3, 3)) is False  # timm's 2-D layer norm is one of torch's


def test_an_empty_map_says_that_nothing_speaks_for_the_class(monkeypatch):
    network, cases = of_layout(last=True)
    monkeypatch.setattr("mmfuse.explaining.explanations.grad_cam", lambda *_: torch.zeros(4, 4))
    (found,) = explain(network, cases, ["case5"], Question(method="grad-cam"))
    assert [overlay.caption for overlay in found.overlays] == [NOTHING_SPEAKS]


def test_the_truth_stands_beside_the_class_that_is_explained():
    network, cases = of_layout(last=True)
    (found,) = explain(network, cases, ["case5"], Question(method="grad-cam", wanted="a"))
    assert [(target.name, target.truth) for target in found.targets] == [("a", "b")]


def test_pictures_are_drawn_in_the_shape_of_their_files(tmp_path, monkeypatch):
    """A wide photograph that was stretched to a square is drawn wide again, the map with it."""
    from click.testing import CliRunner

    from mmfuse.cli import main

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    lines = ["id,photo,answer,split"]
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (20, 60, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
        lines.append(f"c{i},{i}.png,{['no', 'yes'][i % 2]},{'train' if i < 10 else 'valid'}")
    (tmp_path / "cases.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "cases.toml").write_text(
        '[cases]\nid = "id"\n[labels]\nanswer = ["no", "yes"]\n[split]\ncolumn = "split"\n'
        '[modalities]\nphoto = { use = "image", column = "photo", size = 16 }\n'
    )
    (tmp_path / "plan.toml").write_text(
        '[network]\nencoders.image = { use = "pixels" }\nhead = "linear"\n[training]\nepochs = 1\nbatch = 8\n'
    )

    def mmfuse(*words):
        result = CliRunner().invoke(main, [str(word) for word in words])
        assert result.exit_code == 0, result.output
        return result.output

    mmfuse("train", tmp_path / "plan.toml", tmp_path / "cases.csv", "--out", tmp_path / "run", "-q")
    words = ("explain", tmp_path / "run", tmp_path / "cases.csv", "--case", "c3", "--steps", "2", "--out")
    told = mmfuse(*words, tmp_path / "out")
    assert "truth: yes" in told
    tree = json.loads((tmp_path / "out" / "explanation.json").read_text())
    assert tree[0]["targets"][0]["truth"] == "yes"
    with Image.open(tmp_path / "out" / tree[0]["files"][0]["file"]) as drawn:
        wide = np.asarray(drawn.convert("L"))
    panel = np.flatnonzero((wide < 250).mean(axis=1) > 0.5)  # rows that are mostly picture
    across = np.flatnonzero((wide[panel] < 250).mean(axis=0) > 0.9)
    first = across[: np.argmax(np.diff(across) > 1) + 1]  # columns of the first panel
    assert len(first) / len(panel) == pytest.approx(3, rel=0.05)
