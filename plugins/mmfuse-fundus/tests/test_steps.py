"""The steps on drawn discs whose place is known: dark, off-centre, cut, letterboxed, marked; and on no disc at all."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmfuse.testing import checks
from mmfuse_fundus import BenGraham, Clahe, DiscCrop
from mmfuse_fundus.disc import find_disc


def photograph(height=400, width=600, y=200.0, x=300.0, radius=150.0, bright=180.0, noise=0.0, dark=0.0):
    """A reddish disc that darkens towards its rim, with vessels, on a dark ground."""
    rows, columns = np.mgrid[:height, :width]
    away = np.hypot(rows - y, columns - x) / radius
    glow = np.where(away <= 1, bright * (1 - 0.5 * away**2) * (0.9 + 0.1 * np.sin(columns / 7)), 0)
    image = dark + glow[..., None] * np.array([1.0, 0.55, 0.3])
    image = image + np.random.default_rng(0).normal(0, noise, image.shape) if noise else image
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "part",
    [DiscCrop(), DiscCrop(square=False, margin=0.1), Clahe(), BenGraham(), BenGraham(inside=0.0, sigma=0.09)],
    ids=str,
)
def test_contract(part):
    for one in checks(part):
        one()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"bright": 25.0},
        {"bright": 25.0, "noise": 1.5, "dark": 4.0},
        {"noise": 6.0, "dark": 12.0},
        {"y": 170.0, "x": 430.0},
        {"radius": 60.0},
        {"height": 800, "width": 1200, "y": 350.0, "x": 650.0, "radius": 325.0},
        {"height": 400, "width": 302, "x": 151.0},
    ],
    ids=str,
)
def test_the_disc_is_found(given):
    at = {"y": 200.0, "x": 300.0, "radius": 150.0} | given
    out = DiscCrop().apply(photograph(**given))
    disc = find_disc(photograph(**given))
    error = 0.05 * at["radius"]
    assert disc.radius == pytest.approx(at["radius"], abs=error)
    assert (disc.rows.start + disc.rows.stop) / 2 == pytest.approx(at["y"], abs=error)
    assert (disc.columns.start + disc.columns.stop) / 2 == pytest.approx(at["x"], abs=error)
    assert out.shape[0] == out.shape[1]
    assert out.shape[0] == pytest.approx(2 * at["radius"], abs=2 * error)


def test_writing_and_bars_beside_the_disc_are_cut_off():
    image = photograph()
    image[10:30, 10:90] = 255
    image[390:400] = 90
    out = DiscCrop().apply(image)
    assert out.shape == DiscCrop().apply(photograph()).shape
    assert (out[0, 0] == 0).all()


def test_a_notch_on_the_rim_does_not_move_the_crop():
    image = photograph()
    image[195:205, 450:470] = 150
    assert DiscCrop().apply(image).shape[1] == pytest.approx(300, abs=8)


@pytest.mark.parametrize("cut", ["top", "left"])
def test_a_cut_disc_is_completed_on_the_side_of_the_cut(cut):
    whole = photograph(height=320, width=320, y=160.0, x=160.0)
    image = whole[60:] if cut == "top" else whole[:, 60:]
    out = DiscCrop().apply(image)
    assert out.shape[0] == out.shape[1] == pytest.approx(300, abs=6)
    edge = out[:45] if cut == "top" else out[:, :45]
    assert not edge.any()
    middle = out[out.shape[0] // 2, out.shape[1] // 2].astype(int)
    np.testing.assert_allclose(middle, whole[160, 160].astype(int), atol=25)


def test_a_letterboxed_disc_keeps_its_shape():
    """Cut at top and bottom by black bars: the square is filled from the bars, nothing is stretched."""
    image = photograph(height=400, width=600, radius=180.0)
    image[:70] = image[330:] = 0
    out = DiscCrop().apply(image)
    assert out.shape[0] == out.shape[1] == pytest.approx(360, abs=8)
    chords = out.max(axis=2) > 20
    assert chords.any(axis=1).sum() == pytest.approx(260, abs=4)
    assert chords.any(axis=0).sum() == pytest.approx(360, abs=8)
    narrow = DiscCrop(square=False).apply(image)
    assert narrow.shape[0] == pytest.approx(260, abs=6)


@pytest.mark.parametrize(
    "image",
    [
        photograph(height=302, width=302, y=151.0, x=151.0, radius=151.0),
        np.zeros((50, 70, 3), dtype=np.uint8),
        np.full((50, 70, 3), 200, dtype=np.uint8),
        np.random.default_rng(1).integers(0, 256, (90, 80, 3), dtype=np.uint8),
        photograph()[120:280, 220:380],
        photograph(bright=5.0),
    ],
    ids=["cropped already", "black", "white", "noise", "no rim in it", "nothing seen"],
)
def test_what_needs_no_crop_stays_as_it_is(image):
    assert np.array_equal(DiscCrop().apply(image), image)


def test_a_margin_is_a_share_of_the_radius():
    assert DiscCrop(margin=0.2).apply(photograph()).shape[0] == pytest.approx(360, abs=8)


def test_clahe_changes_lightness_alone():
    image = photograph(noise=3.0)
    out = Clahe().apply(image)
    before, after = (cv2.cvtColor(x, cv2.COLOR_RGB2LAB).astype(int) for x in (image, out))
    disc = np.hypot(*(np.mgrid[:400, :600] - np.array([200, 300])[:, None, None])) < 120
    assert np.abs(after[disc][:, 1:] - before[disc][:, 1:]).mean() < 3
    assert after[disc][:, 0].std() > 1.15 * before[disc][:, 0].std()
    expected = cv2.createCLAHE(2.0, (8, 8)).apply(np.ascontiguousarray(before[..., 0].astype(np.uint8)))
    assert np.abs(after[disc][:, 0] - expected[disc]).mean() < 2


def test_ben_graham_is_its_formula():
    """4 I - 4 Gauss(I, σ) + 128 with the Gaussian written out, σ a share of the drawn disc's radius."""
    image = photograph(height=160, width=160, y=80.0, x=80.0, radius=75.0, noise=4.0)
    sigma = find_disc(image).radius * 0.06
    out = BenGraham(sigma=0.06, inside=0.0).apply(image)
    reach = 25
    kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    blurred = image.astype(float)
    for axis in (0, 1):
        pad = [(reach, reach) if a == axis else (0, 0) for a in range(3)]
        blurred = np.apply_along_axis(np.convolve, axis, np.pad(blurred, pad, mode="reflect"), kernel, mode="valid")
    expected = np.clip(4.0 * image - 4 * blurred + 128, 0, 255)
    assert np.abs(out - expected).max() <= 1.5
    assert find_disc(image).radius == pytest.approx(75, abs=2)


def test_ben_graham_masks_the_rim_in_grey():
    out = BenGraham(inside=0.9).apply(photograph(noise=3.0))
    away = np.hypot(*(np.mgrid[:400, :600] - np.array([200, 300])[:, None, None]))
    assert (out[away > 0.95 * 150] == 128).all()
    assert (out[away < 0.85 * 150] != 128).mean() > 0.5
    assert not (BenGraham(inside=0.0).apply(photograph(noise=3.0))[np.abs(away - 150) < 2] == 128).all()


def test_ben_graham_does_not_depend_on_the_resolution():
    """σ follows the radius, so a photograph twice as large gives the same picture."""
    small = photograph(height=200, width=200, y=100.0, x=100.0, radius=90.0)
    large = cv2.resize(small, (400, 400), interpolation=cv2.INTER_CUBIC)
    one = BenGraham(sigma=0.09).apply(small).astype(int)
    other = cv2.resize(BenGraham(sigma=0.09).apply(large), (200, 200), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(one - other).mean() < 2.5


@pytest.mark.slow
def test_real_photographs(data):
    """ODIR-5K's images here are cropped to the disc: hardly any is touched, and none loses more than a rim."""
    from PIL import Image

    touched = 0
    paths = sorted((data / "odir5k" / "images").glob("*.jpg"))[:300]
    for path in paths:
        image = np.asarray(Image.open(path).convert("RGB"))
        out = DiscCrop().apply(image)
        touched += out.shape != image.shape or not np.array_equal(out, image)
        assert out.shape[0] > 0.9 * image.shape[0]
    assert touched < 0.05 * len(paths)
