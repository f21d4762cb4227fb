"""Steps: uint8 RGB in, the same kind out; the given image is left as it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from pydantic import ValidationError

from mmfuse import TableError
from mmfuse.builtin.steps import BorderCrop, Grey, Mirror, Resize


def image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


sides = st.integers(1, 40)


@settings(max_examples=50, deadline=None)
@given(sides, sides, st.sampled_from([BorderCrop(), BorderCrop(fraction=0.2), Resize(size=7), Grey(), Mirror(),
                                      Resize(size=(5, 9), aspect="pad"), Resize(size=6, aspect="crop")]))  # fmt: skip
def test_every_step_keeps_the_kind_and_the_image(height, width, step):
    given_image = image(height, width)
    kept = given_image.copy()
    made = step.apply(given_image)
    assert made.dtype == np.uint8
    assert made.ndim == 3
    assert made.shape[2] == 3
    assert made.size
    assert (given_image == kept).all()
    assert (step.apply(given_image) == made).all()


def test_names():
    assert [step.name for step in (BorderCrop, Resize, Grey, Mirror)] == ["border-crop", "resize", "grey", "mirror"]


def test_border_crop():
    pixels = image(20, 40)
    assert (BorderCrop(pixels=3).apply(pixels) == pixels[3:17, 3:37]).all()
    assert (BorderCrop(fraction=0.1).apply(pixels) == pixels[2:18, 4:36]).all()
    assert (BorderCrop().apply(pixels) == pixels).all()


@pytest.mark.parametrize("margin", [10, 11, 500])
def test_a_crop_that_leaves_nothing_is_refused(margin):
    assert BorderCrop(pixels=9).apply(image(20, 40)).shape == (2, 22, 3)
    with pytest.raises(TableError, match="leaves nothing of 40 × 20"):
        BorderCrop(pixels=margin).apply(image(20, 40))


def test_resize():
    pixels = image(20, 40)
    expected = np.asarray(Pillow.fromarray(pixels).resize((16, 8), Pillow.Resampling.BILINEAR))
    assert (Resize(size=(8, 16)).apply(pixels) == expected).all()
    assert Resize(size=12).apply(pixels).shape == (12, 12, 3)


def test_grey_is_luma_in_all_channels():
    pixels = image(9, 11)
    made = Grey().apply(pixels)
    expected = pixels.astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(made - expected[..., None]).max() <= 0.5 + 1e-9
    assert (Grey().apply(made) == made).all()


def test_mirror_twice_is_nothing():
    pixels = image(4, 5)
    assert (Mirror().apply(pixels)[:, 0] == pixels[:, -1]).all()
    assert (Mirror().apply(Mirror().apply(pixels)) == pixels).all()


@pytest.mark.parametrize(("step", "knobs"), [
    (BorderCrop, {"pixels": -1}), (BorderCrop, {"fraction": 0.5}), (BorderCrop, {"pixels": 2, "fraction": 0.1}),
    (Resize, {"size": 0}), (Resize, {"size": (4,)}), (Resize, {"aspect": "squash"}), (Grey, {"strength": 1}),
])  # fmt: skip
def test_knobs_are_checked(step, knobs):
    with pytest.raises(ValidationError):
        step(**knobs)
