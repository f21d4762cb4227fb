"""Encoders: shapes of what they give, their own normalisation, first weights, and refusals that name the mend."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mmfuse import Features, SpecError
from mmfuse.builtin.encoders import Linear, Mlp, Pixels, Timm

timm = pytest.importorskip("timm")
torch.set_num_threads(1)

SIZE = (3, 64, 64)
LITE0 = Path(os.environ.get("MMFUSE_DATA", "")).parent / "weights" / "tf_efficientnet_lite0.safetensors"


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def give(encoder, shape=SIZE, cases=2):
    module = encoder.build(shape).eval()
    with torch.no_grad():
        return module, module(torch.rand(cases, *shape))


@pytest.mark.parametrize(
    ("model", "levels", "width", "maps", "tokens"),
    [
        ("resnet18", (3, 4, 5), 512, [(128, 8, 8), (256, 4, 4), (512, 2, 2)], (4, 512)),
        ("tf_efficientnet_lite0", (2, 5), 1280, [(24, 16, 16), (320, 2, 2)], (4, 320)),
        ("vit_tiny_patch16_224", (4,), 192, [(192, 4, 4)], (16, 192)),
        ("swin_tiny_patch4_window7_224", (2, 3), 768, [(96, 16, 16), (192, 8, 8)], (4, 768)),
    ],
)
def test_timm_gives_vector_maps_and_tokens_in_one_pass(model, levels, width, maps, tokens):
    _, features = give(Timm(model=model, levels=levels, tokens=True))
    assert isinstance(features, Features)
    assert features.vector.shape == (2, width)
    assert [tuple(one.shape[1:]) for one in features.maps] == maps
    assert features.tokens.shape == (2, *tokens)
    assert all(torch.isfinite(one).all() for one in (features.vector, features.tokens, *features.maps))


def test_maps_change_no_vector():
    module, _ = give(Timm(model="resnet18", levels=(3,)))
    images = torch.rand(2, *SIZE)
    plain = Timm(model="resnet18").build(SIZE).eval()
    plain.load_state_dict(module.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(plain(images).vector, module(images).vector)
        assert plain(images).maps == ()
        assert plain(images).tokens is None


def test_tokens_of_a_vision_transformer_are_its_normalised_patches():
    module, _ = give(Timm(model="vit_tiny_patch16_224", tokens=True, normalise="none"))
    images = torch.rand(2, *SIZE)
    with torch.no_grad():
        expected = module.model.forward_features(images)[:, 1:]
        torch.testing.assert_close(module(images).tokens, expected)
        torch.testing.assert_close(module(images).vector, module.model(images))


def test_a_size_that_the_model_was_not_trained_on():
    _, features = give(Timm(model="vit_tiny_patch16_224", tokens=True), (3, 48, 80))
    assert features.tokens.shape == (2, 15, 192)


@pytest.mark.parametrize(
    ("model", "knob", "mean", "std"),
    [
        ("resnet18", "model", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ("tf_efficientnet_lite0", "model", [0.5] * 3, [0.5] * 3),
        ("tf_efficientnet_lite0", "imagenet", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ("resnet18", "none", [0.0] * 3, [1.0] * 3),
    ],
)
@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_it_normalises_its_own_input(model, knob, mean, std, channels):
    module = Timm(model=model, normalise=knob, channels=channels).build(SIZE)
    images = torch.rand(2, *SIZE)
    expected = (images.numpy() - np.array(mean).reshape(3, 1, 1)) / np.array(std).reshape(3, 1, 1)
    expected = expected[:, ::-1] if channels == "bgr" else expected
    np.testing.assert_allclose(module.colours(images).numpy(), expected, atol=1e-5)
    seen = []
    module.model.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        module.eval()(images)
    torch.testing.assert_close(seen[0], module.colours(images))


def test_numbers_that_knobs_decide_are_no_weights():
    assert all(name.startswith("model.") for name in Timm(model="resnet18").build(SIZE).state_dict())


def test_stochastic_depth():
    module = Timm(model="resnet18", drop_path=0.5).build(SIZE)
    rates = [one.drop_prob for one in module.modules() if type(one).__name__ == "DropPath"]
    assert max(rates) == pytest.approx(0.5)
    with pytest.raises(SpecError, match="leave `drop_path` out"):
        Timm(model="vgg11", drop_path=0.5).build(SIZE)


@pytest.mark.parametrize(
    ("knobs", "shape", "words"),
    [
        ({"model": "resnet81"}, SIZE, ["resnet81", "did you mean", "'resnet18"]),
        ({"model": "resnet18.nobody"}, SIZE, ["no weights 'nobody'", "a1_in1k"]),
        ({"model": "hf-hub:timm/resnet18"}, SIZE, ["timm has no model"]),
        ({"model": "resnet18", "levels": (3, 6)}, SIZE, ["levels [6]", "levels = [1, 2, 3, 4, 5]"]),
        ({"model": "resnet18"}, (7,), ["(7,)", "use `mlp` or `linear`"]),
        ({"model": "resnet18"}, (1, 64, 64), ["(1, 64, 64)", "(3, height, width)"]),
    ],
)
def test_refusals_name_what_was_found_and_the_mend(knobs, shape, words):
    with pytest.raises(SpecError) as error:
        Timm(**knobs).build(shape)
    for word in words:
        assert word in str(error.value)


# ── first weights ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("model", "classes"), [("resnet18", 1000), ("resnet18", 7), ("tf_efficientnet_lite0", 0)])
def test_weights_of_a_file(tmp_path, model, classes, half):
    source = timm.create_model(model, num_classes=classes)
    path = tmp_path / "weights.safetensors"
    tensors = {
        name: value.half() if half and value.is_floating_point() else value
        for name, value in source.state_dict().items()
    }
    save_file(tensors, path)
    part = Timm(model=model)
    module = part.build(SIZE)
    before = torch.get_rng_state()
    part.start(module, str(path))
    assert torch.equal(before, torch.get_rng_state())
    for name, value in module.model.state_dict().items():
        assert value.dtype == source.state_dict()[name].dtype
        torch.testing.assert_close(value, tensors[name].to(value.dtype))


def test_weights_of_another_image_size_are_resampled(tmp_path):
    source = timm.create_model("vit_tiny_patch16_224")
    save_file(source.state_dict(), tmp_path / "weights.safetensors")
    part = Timm(model="vit_tiny_patch16_224")
    module = part.build(SIZE)
    part.start(module, str(tmp_path / "weights.safetensors"))
    assert module.model.pos_embed.shape == (1, 17, 192)
    torch.testing.assert_close(module.model.pos_embed[:, 0], source.pos_embed[:, 0])
    torch.testing.assert_close(module.model.norm.weight, source.norm.weight)


@pytest.mark.parametrize("other", ["resnet10t", "resnet34", "tf_efficientnet_lite0"])
def test_weights_of_another_architecture(tmp_path, other):
    save_file(timm.create_model(other).state_dict(), tmp_path / "other.safetensors")
    part = Timm(model="resnet18")
    module = part.build(SIZE)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(SpecError, match=r"\d+ of the 120 tensors of timm's resnet18.*the file holds \d+"):
        part.start(module, str(tmp_path / "other.safetensors"))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_one_missing_tensor_is_not_left_at_random(tmp_path):
    tensors = timm.create_model("resnet18").state_dict()
    del tensors["layer3.0.conv1.weight"]
    save_file(tensors, tmp_path / "holed.safetensors")
    part = Timm(model="resnet18")
    with pytest.raises(SpecError, match="119 of the 120"):
        part.start(part.build(SIZE), str(tmp_path / "holed.safetensors"))


def test_files_that_are_not_read(tmp_path):
    part = Timm(model="resnet18")
    module = part.build(SIZE)
    torch.save({}, tmp_path / "weights.pth")
    with pytest.raises(SpecError, match="can run code"):
        part.start(module, str(tmp_path / "weights.pth"))
    with pytest.raises(SpecError, match="no such file"):
        part.start(module, str(tmp_path / "gone.safetensors"))
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    with pytest.raises(SpecError, match="cannot be read"):
        part.start(module, str(tmp_path / "cut.safetensors"))


def test_published_weights_without_a_hub(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    part = Timm(model="test_resnet")
    module = part.build((3, 32, 32))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(SpecError) as error:
        part.start(module, "pretrained")
    for word in ("published weights of timm's test_resnet could not be fetched", 'weights = "none"', ".safetensors"):
        assert word in str(error.value)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_model_that_nobody_published_weights_for():
    unpublished = sorted(
        set(timm.list_models("resnet*")) - {name.split(".")[0] for name in timm.list_pretrained("resnet*")}
    )
    part = Timm(model=unpublished[0])
    with pytest.raises(SpecError, match="publishes no weights"):
        part.start(part.build(SIZE), "pretrained")


@pytest.mark.skipif(not LITE0.is_file(), reason="no tf_efficientnet_lite0.safetensors in `weights` beside MMFUSE_DATA")
def test_real_weights_give_what_timm_gives():
    name = "tf_efficientnet_lite0"
    reference = timm.create_model(
        name, pretrained=True, num_classes=0, pretrained_cfg_overlay={"file": str(LITE0)}
    ).eval()
    part = Timm(model=name)
    module = part.build((3, 96, 96)).eval()
    part.start(module, str(LITE0))
    images = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(module(images).vector, reference((images - 0.5) / 0.5), rtol=1e-5, atol=1e-5)


# ── tables, vectors, pixels ─────────────────────────────────────────────────────────────────────────────────────────


def test_mlp_and_linear():
    _, features = give(Mlp(widths=(16, 5)), (9,), 3)
    assert features.vector.shape == (3, 5)
    module, features = give(Linear(width=4), (9,), 3)
    rows = torch.rand(3, 9)
    expected = rows.numpy() @ module.layers.weight.detach().numpy().T + module.layers.bias.detach().numpy()
    np.testing.assert_allclose(module(rows).vector.detach().numpy(), expected, atol=1e-5)
    for part in (Mlp(), Linear()):
        with pytest.raises(SpecError, match="use `timm` for images"):
            part.build(SIZE)


@pytest.mark.parametrize("norm", ["layer", "none"])
def test_mlp_trains_on_one_case(norm):
    module = Mlp(widths=(8,), norm=norm, dropout=0).build((4,)).train()
    module(torch.rand(1, 4)).vector.sum().backward()
    assert all(torch.isfinite(one.grad).all() for one in module.parameters())
    assert module(torch.rand(0, 4)).vector.shape == (0, 8)


def test_mlp_normalises_over_the_batch():
    module = Mlp(widths=(6,), dropout=0, activation="relu").build((4,)).train()
    rows = torch.randn(20, 4)
    linear = module.layers[0]
    z = rows.numpy() @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()
    expected = np.maximum((z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5), 0)
    np.testing.assert_allclose(module(rows).vector.detach().numpy(), expected, atol=1e-4)


def test_pixels_are_the_image_itself():
    module = Pixels().build(SIZE)
    images = torch.rand(2, *SIZE)
    features = module(images)
    assert torch.equal(features.maps[0], images)
    np.testing.assert_allclose(features.vector.numpy(), images.numpy().mean((2, 3)), atol=1e-6)
    assert not list(module.parameters())


def test_parts_are_defined_without_torch():
    program = (
        "import sys, mmfuse.builtin.encoders, mmfuse.builtin.fusions, mmfuse.builtin.heads, mmfuse.builtin.losses, "
        "mmfuse.builtin.augmentations\n"
        "print([name for name in ('torch', 'timm', 'kornia', 'scipy', 'sklearn', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("model", "low", "top", "count"),
    [
        ("resnet18", "conv1.weight", "layer4.1.conv2.weight", 5),
        ("tf_efficientnet_lite0", "conv_stem.weight", "conv_head.weight", 8),
        ("vit_tiny_patch16_224", "pos_embed", "norm.weight", 13),
    ],
)
def test_timm_models_tell_their_stages(model, low, top, count):
    part = Timm(model=model)
    module = part.build((3, 224, 224))
    stages = part.stages(module)
    assert stages.keys() == dict(module.named_parameters()).keys()
    assert stages[f"model.{low}"] == 0
    assert stages[f"model.{top}"] in (count - 1, count - 2)
    assert set(stages.values()) == set(range(count))


def _learnt(recompute, levels):
    """(numbers that are held for the gradient, gradients, what it gives)."""
    torch.manual_seed(0)
    module = Timm(model="resnet18", recompute=recompute, levels=levels).build((3, 32, 32)).train()
    held = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: held.append(tensor.numel()) or tensor, lambda t: t):
        given = module(torch.linspace(0, 1, 2 * 3 * 32 * 32).view(2, 3, 32, 32))
    given.vector.square().sum().backward()
    return sum(held), [p.grad for p in module.parameters()], given.vector.detach()


@pytest.mark.parametrize("levels", [(), (5,)])
def test_computing_again_holds_less_and_gives_the_same(levels):
    torch.set_num_threads(1)
    held, gradients, vector = _learnt(False, levels)
    less, again, same = _learnt(True, levels)
    assert less < 0.25 * held
    assert torch.equal(vector, same)
    assert all(torch.equal(one, other) for one, other in zip(gradients, again, strict=True))


def test_a_model_that_cannot_compute_again_is_refused():
    with pytest.raises(SpecError, match=r"timm's selecsls42 cannot compute again"):
        Timm(model="selecsls42", recompute=True).build((3, 64, 64))
