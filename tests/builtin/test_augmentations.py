"""Augmentations: known changes pixel by pixel, draws that decide everything and fit every size, ranges kept."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from mmfuse.builtin.augmentations import Blur, Colour, Crop, Geometry, Grey

torch.set_num_threads(1)

STILL = {"flip_x": False, "flip_y": False, "rotate90": False, "rotation": 0, "scale": (1, 1), "shift": 0}
EVERY = [
    Geometry(shear=10),
    Geometry(padding="zeros", interpolation="nearest", p=0.5),
    Geometry(padding="border", scale=(0.5, 1.5), rotation=180, shift=0.5),
    Colour(p=1, brightness=1, contrast=1, saturation=1, hue=0.5),
    Colour(saturation=0, hue=0),
    Crop(p=0.7),
    Grey(p=0.5),
    Blur(p=0.7, sigma=(0.01, 0.1)),
]


def images(cases=4, height=20, width=20, seed=0):
    return torch.rand(cases, 3, height, width, generator=torch.Generator().manual_seed(seed))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def only(**knobs):
    return Geometry(**{**STILL, "p": 1, "each": 1, **knobs}).build()


def affine(linear, shift=(0.0, 0.0)):
    """A draw of one case."""
    return {
        "linear": torch.tensor([linear], dtype=torch.float32),
        "shift": torch.tensor([shift]),
        "changed": torch.tensor([True]),
    }


# ── what is done ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_flips_are_exact():
    x = images(height=12, width=17)
    mirrored = only(flip_x=True)
    torch.testing.assert_close(mirrored(x, mirrored.draw(4, generator())), x.flip(3), rtol=0, atol=1e-5)
    flipped = only(flip_y=True)
    torch.testing.assert_close(flipped(x, flipped.draw(4, generator())), x.flip(2), rtol=0, atol=1e-5)


def test_quarter_turns_are_exact_and_equally_likely():
    module = only(rotate90=True)
    x = images(1).expand(400, -1, -1, -1)
    turned = module(x, module.draw(400, generator()))
    found = [sum(torch.allclose(one, x[0].rot90(k, (1, 2)), atol=1e-4) for one in turned) for k in range(4)]
    assert sum(found) == 400
    assert all(70 < count < 130 for count in found)


def test_shift_is_a_share_of_the_image():
    module = Geometry(padding="zeros").build()
    x = images(1, 20, 40)
    moved = module(x, affine([[1.0, 0.0], [0.0, 1.0]], (0.25, 0.1)))
    torch.testing.assert_close(moved[..., 2:, 10:], x[..., :-2, :-10], rtol=0, atol=1e-5)
    assert moved[..., :2, :].max() < 1e-5
    assert moved[..., :10].max() < 1e-5


def test_scale_is_about_the_centre():
    module = Geometry(padding="zeros").build()
    x = torch.zeros(1, 3, 21, 21)
    x[..., 10, 10] = 1
    x[..., 10, 14] = 1
    small = module(x, affine([[0.5, 0.0], [0.0, 0.5]]))
    assert small[0, 0, 10, 10] == pytest.approx(1, abs=1e-4)
    assert small[0, 0, 10, 12] == pytest.approx(1, abs=1e-4)


def test_rotation_keeps_angles_on_images_that_are_not_square():
    module = Geometry(padding="zeros").build()
    x = torch.zeros(1, 3, 41, 61)
    x[..., 20, 40] = 1  # 10 to the right of the centre
    cos, sin = np.cos(np.pi / 4), np.sin(np.pi / 4)
    turned = module(x, affine([[cos, -sin], [sin, cos]]))[0, 0]
    y, x_ = np.unravel_index(turned.argmax().item(), turned.shape)
    assert (y - 20, x_ - 30) == (7, 7)


@pytest.mark.parametrize("padding", ["reflection", "border", "zeros"])
def test_padding(padding):
    row = torch.arange(8.0) / 8
    x = row.expand(1, 3, 8, 8).contiguous()
    moved = Geometry(padding=padding).build()(x, affine([[1.0, 0.0], [0.0, 1.0]], (0.25, 0.0)))[0, 0, 4]
    expected = {"reflection": [row[2], row[1]], "border": [row[0], row[0]], "zeros": [0.0, 0.0]}[padding]
    torch.testing.assert_close(moved, torch.tensor([*expected, *row[:6]]), rtol=0, atol=1e-5)


def test_colour_against_numbers_by_hand():
    x = images(2, 3, 4)
    draw = {
        "changed": torch.tensor([True, False]),
        "contrast": torch.tensor([1.3, 9.0]),
        "brightness": torch.tensor([-0.2, 9.0]),
        "saturation": torch.tensor([0.6, 9.0]),
        "hue": torch.tensor([0.1 * 2 * np.pi, 9.0]),
    }
    changed = Colour(hue=0.1).build()(x, draw)
    assert torch.equal(changed[1], x[1])
    for place in np.ndindex(3, 4):
        rgb = np.clip(x[0][(slice(None), *place)].numpy() * 1.3 - 0.2, 0, 1)
        grey = rgb @ [0.299, 0.587, 0.114]
        h, s, v = colorsys.rgb_to_hsv(*map(float, grey + 0.6 * (rgb - grey)))
        expected = colorsys.hsv_to_rgb((h + 0.1) % 1, s, v)
        np.testing.assert_allclose(changed[0][(slice(None), *place)].numpy(), expected, atol=1e-4)


def test_colour_without_hue_and_saturation_is_one_line():
    module = Colour(p=1, saturation=0, hue=0).build()
    x = images(3)
    draw = module.draw(3, generator())
    expected = np.clip(
        x.numpy() * draw["contrast"].numpy().reshape(3, 1, 1, 1) + draw["brightness"].numpy().reshape(3, 1, 1, 1), 0, 1
    )
    np.testing.assert_allclose(module(x, draw).numpy(), expected, atol=1e-6)


def test_crop_is_the_box_resized():
    x = images(1, 16, 24)
    draw = {"changed": torch.tensor([True]), "size": torch.tensor([[0.5, 0.25]]), "corner": torch.tensor([[0.25, 0.5]])}
    cut = Crop().build()(x, draw)
    box = x[..., 8:12, 6:18]
    expected = torch.nn.functional.interpolate(box, (16, 24), mode="bilinear", align_corners=False)
    # At the box's edge the picture goes on, where a resized cut-out repeats its last pixel.
    torch.testing.assert_close(cut[..., 2:-2, 1:-1], expected[..., 2:-2, 1:-1], rtol=0, atol=1e-5)


def test_a_crop_of_everything_is_the_image():
    module = Crop(scale=(1, 1), ratio=(1, 1)).build()
    x = images(3, 15, 22)
    torch.testing.assert_close(module(x, module.draw(3, generator())), x, rtol=0, atol=1e-5)


def test_crops_keep_to_area_ratio_and_image():
    draw = Crop(scale=(0.3, 0.6), ratio=(0.5, 2)).build().draw(500, generator())
    area, ratio = draw["size"].prod(1), draw["size"][:, 0] / draw["size"][:, 1]
    inside = (draw["size"] < 1).all(1)
    assert ((area[inside] >= 0.299) & (area[inside] <= 0.601)).all()
    assert ((ratio >= 0.499) & (ratio <= 2.01)).all()
    assert (draw["corner"] >= 0).all()
    assert (draw["corner"] + draw["size"] <= 1 + 1e-6).all()


# ── draws ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("part", EVERY, ids=repr)
def test_the_draw_decides_everything_and_global_random_state_is_left_alone(part):
    module = part.build()
    state = torch.get_rng_state()
    numpy_state = np.random.get_state()[1].copy()
    first, second = module.draw(4, generator(5)), module.draw(4, generator(5))
    x = images()
    before = x.clone()
    assert torch.equal(module(x, first), module(x, second))
    assert torch.equal(x, before)
    assert torch.equal(state, torch.get_rng_state())
    assert (numpy_state == np.random.get_state()[1]).all()
    other = module.draw(4, generator(6))
    assert any(not torch.equal(first[name], other[name]) for name in first)
    assert all(value.device.type == "cpu" and len(value) == 4 for value in first.values())
    assert not list(module.parameters())


@pytest.mark.parametrize("part", EVERY, ids=repr)
def test_a_case_depends_on_its_own_row_alone(part):
    module = part.build()
    x, draw = images(), module.draw(4, generator(3))
    together = module(x, draw)
    for case in range(4):
        alone = module(x[case : case + 1], {name: value[case : case + 1] for name, value in draw.items()})
        # places are float32 of up to 20 pixels, and how their product is summed depends on the batch's size
        torch.testing.assert_close(alone, together[case : case + 1], rtol=0, atol=20 * 8 * torch.finfo().eps)


@pytest.mark.parametrize("part", [Geometry(shear=10), Crop()], ids=repr)
def test_images_of_two_sizes_share_a_draw(part):
    """A smooth picture drawn at two sizes stays the same picture at two sizes."""
    module = part.build()
    draw = module.draw(6, generator(2))

    def picture(size):
        places = (torch.arange(size) + 0.5) / size
        y, x = torch.meshgrid(places, places, indexing="ij")
        plane = 0.5 + 0.25 * torch.sin(3 * x) + 0.2 * torch.cos(2 * y + x)
        return plane.expand(6, 3, size, size).contiguous()

    large = torch.nn.functional.avg_pool2d(module(picture(96), draw), 3)
    small = module(picture(32), draw)
    assert draw["changed"].any()
    assert (large - small).abs().mean() < 0.01
    assert (picture(32) - small).abs().mean() > 0.02


@pytest.mark.parametrize("part", EVERY, ids=repr)
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    height=st.integers(2, 24),
    width=st.integers(2, 24),
    kind=st.sampled_from(["noise", 0.0, 1.0]),
)
def test_images_stay_in_range(part, seed, height, width, kind):
    x = images(3, height, width, seed) if kind == "noise" else torch.full((3, 3, height, width), kind)
    module = part.build()
    changed = module(x, module.draw(3, generator(seed)))
    assert changed.shape == x.shape
    assert changed.dtype == x.dtype
    assert torch.isfinite(changed).all()
    assert changed.min() >= 0
    assert changed.max() <= 1


def test_chances():
    draw = Geometry(p=0.5, each=0.5, rotate90=False, rotation=0, scale=(1, 1), shift=0).build().draw(2000, generator())
    mirrored = (draw["linear"][:, 0, 0] < 0).float().mean()
    assert mirrored == pytest.approx(0.25, abs=0.04)
    assert draw["changed"].float().mean() == pytest.approx(0.5 * 0.75, abs=0.04)
    assert Colour(p=0.3).build().draw(2000, generator())["changed"].float().mean() == pytest.approx(0.3, abs=0.04)
    assert not Geometry(p=0).build().draw(50, generator())["changed"].any()


def test_what_is_not_changed_is_passed_on_bit_by_bit():
    module = Geometry(p=0.5).build()
    x, draw = images(12), module.draw(12, generator())
    still = ~draw["changed"]
    assert 0 < still.sum() < 12
    assert torch.equal(module(x, draw)[still], x[still])


def test_half_precision_moves_no_pixel():
    module = only(flip_x=True)
    x = images(2, 64, 224).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        changed = module(x, module.draw(2, generator()))
    assert changed.dtype == torch.bfloat16
    torch.testing.assert_close(changed, x.flip(3), rtol=0, atol=2**-8)


def test_knobs_are_checked():
    for bad in ({"scale": (1.2, 0.8)}, {"p": 1.5}, {"rotation": 200}, {"scale": (0, 1)}, {"padding": "mirror"}):
        with pytest.raises(ValidationError):
            Geometry(**bad)
    with pytest.raises(ValidationError, match="smaller number first"):
        Crop(ratio=(2, 1))


def test_grey_is_one_brightness_in_three_channels():
    x, draw = images(2), {"changed": torch.tensor([True, False])}
    found = Grey().build()(x, draw)
    brightness = x[0].numpy().transpose(1, 2, 0) @ [0.299, 0.587, 0.114]
    for channel in found[0].numpy():
        np.testing.assert_allclose(channel, brightness, atol=1e-6)
    assert torch.equal(found[1], x[1])


def test_blur_is_scipys_gauss():
    x = images(3, 24, 40)
    draw = {"changed": torch.tensor([True, True, False]), "sigma": torch.tensor([0.05, 0.02, 0.08])}
    found = Blur(sigma=(0.01, 0.1)).build()(x, draw)
    for case in (0, 1):
        # torch's `reflect` does not repeat the border; SciPy calls that `mirror`.
        expected = gaussian_filter(
            x[case].numpy(), draw["sigma"][case].item() * 24, axes=(1, 2), mode="mirror", radius=8
        )
        np.testing.assert_allclose(found[case].numpy(), expected, atol=1e-5)
    assert torch.equal(found[2], x[2])


@pytest.mark.parametrize("size", [64, 128])
def test_a_blur_is_as_wide_as_its_share_of_the_image(size):
    x = torch.zeros(1, 3, size, size)
    x[..., size // 2, size // 2] = 1
    draw = {"changed": torch.tensor([True]), "sigma": torch.tensor([0.04])}
    row = Blur(sigma=(0.01, 0.1)).build()(x, draw)[0, 0].sum(dim=0)
    places = torch.arange(size) - size // 2
    assert (row * places**2).sum().sqrt().item() / size == pytest.approx(0.04, rel=0.02)


def test_a_blur_of_hardly_any_width_is_the_image():
    x = images(1, 16, 16)
    draw = {"changed": torch.tensor([True]), "sigma": torch.tensor([0.0005])}
    torch.testing.assert_close(Blur().build()(x, draw), x, rtol=0, atol=1e-6)
    with pytest.raises(ValidationError, match="smaller number first"):
        Blur(sigma=(0.1, 0.01))
