"""Steps on ultrasound images: borders go, shadows stay, the order of greys stays, and black stays black."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from mmfuse.testing import checks
from mmfuse_ultrasound import SpeckleContrast, UltrasoundCrop


def speckle(height=120, width=160, seed=0, mean=90.0):
    """Rayleigh speckle, grey in three channels."""
    grey = np.random.default_rng(seed).rayleigh(mean / 1.25, (height, width)).clip(20, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def framed(scan, top=0, bottom=0, left=0, right=0, border=0):
    return np.pad(scan, ((top, bottom), (left, right), (0, 0)), constant_values=border)


@pytest.mark.parametrize("part", [UltrasoundCrop(), SpeckleContrast()], ids=lambda part: part.name)
def test_contract(part):
    for one in checks(part):
        one()


@pytest.mark.parametrize("border", [0, 9])
def test_borders_are_cut(border):
    scan = speckle()
    image = framed(scan, 10, 20, 30, 5, border)
    assert (UltrasoundCrop().apply(image) == scan).all()
    assert (UltrasoundCrop().apply(scan) == scan).all()


def test_text_and_scales_beyond_a_gap_go_with_the_border():
    scan = speckle()
    image = framed(scan, top=30, right=24)
    image[8:16, 20:60] = 255
    image[30:140, -8:-4] = 255
    assert (UltrasoundCrop().apply(image) == scan).all()


def test_a_deep_shadow_is_no_border():
    image = framed(speckle(), bottom=80)  # two fifths of the depth without an echo
    assert UltrasoundCrop().apply(image).shape == image.shape
    assert UltrasoundCrop(most=0.45).apply(image).shape == (120, 160, 3)
    cyst = speckle()
    cyst[40:90, 10:150] = 3
    assert UltrasoundCrop().apply(cyst).shape == cyst.shape


@pytest.mark.parametrize("value", [0, 7, 255])
def test_an_image_of_one_grey_stays_as_it_is(value):
    image = np.full((30, 40, 3), value, dtype=np.uint8)
    for step in (UltrasoundCrop(), SpeckleContrast()):
        assert (step.apply(image) == image).all()


def test_contrast_is_one_rising_map():
    image = (speckle(mean=60) // 2).astype(np.uint8)
    made = SpeckleContrast(gain=8).apply(image)
    for grey in np.unique(image):
        assert len(np.unique(made[image == grey])) == 1
    order = [int(made[image == grey][0]) for grey in np.unique(image)]
    assert order == sorted(order)
    assert np.percentile(made, 99) == pytest.approx(255, abs=1)


def test_contrast_against_the_formula():
    image = speckle(seed=3, mean=110)
    low, high = np.percentile(image[..., 0], [1, 99])
    assert high - low > 255 / 2
    expected = 255 * np.clip((image.astype(float) - low) / (high - low), 0, 1) ** 0.8
    assert np.abs(SpeckleContrast(gamma=0.8).apply(image) - expected).max() <= 0.5 + 1e-9


def test_a_dark_image_is_not_blown_up():
    image = (speckle() // 12).astype(np.uint8)
    made = SpeckleContrast(gain=2.0).apply(image)
    assert made.max() <= 2 * image.max()
    # the ratio of deviation to mean is what speckle is known by: a stretch from near black keeps it
    scale = [picture.std() / picture.mean() for picture in (image.astype(float), made.astype(float))]
    assert scale[1] == pytest.approx(scale[0], rel=0.25)


def test_black_corners_of_a_sector_say_nothing():
    scan = speckle()
    corners = framed(scan, left=60, right=60)
    inner = SpeckleContrast().apply(corners)[:, 60:-60]
    assert (inner == SpeckleContrast().apply(scan)).all()


@pytest.mark.parametrize(
    ("step", "knobs"),
    [
        (UltrasoundCrop, {"most": 0.5}),
        (UltrasoundCrop, {"dark": 256}),
        (SpeckleContrast, {"low": 49, "high": 51}),
        (SpeckleContrast, {"gain": 0.5}),
        (SpeckleContrast, {"clahe": True}),
    ],
)
def test_knobs_are_checked(step, knobs):
    with pytest.raises(ValidationError):
        step(**knobs)
