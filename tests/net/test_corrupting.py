"""Corruptions: each by its own formula, the same for a case in every batch, growing with severity, gone without it."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d

from mmfuse import CORRUPTIONS, SpecError
from mmfuse import corrupted as corrupted_by
from mmfuse.net.altering import Reading
from mmfuse.net.corrupting import unaltered
from mmfuse.seeds import generator

GRID = 14
GRADED = [name for name, one in CORRUPTIONS.items() if len(one.levels) > 1]
CHANGING = [name for name, one in CORRUPTIONS.items() if not one.removes]


def corrupted(modality, name, severity, **options):
    return corrupted_by(modality, name, CORRUPTIONS[name], severity, **options)


def reading(ids=("a", "b", "c"), height=56, width=70):
    """Grey pictures that go with the id, and another modality."""
    pictures = [np.repeat(generator(5, case).random((1, height, width), np.float32), 3, axis=0) for case in ids]
    inputs = {"scan": torch.from_numpy(np.stack(pictures)), "other": torch.ones(len(ids), 4)}
    return Reading(np.array(ids), inputs, {name: torch.ones(len(ids), dtype=torch.bool) for name in inputs})


def spoilt(name, severity=1, read=None, **options):
    return corrupted("scan", name, severity, **options)(read or reading()).inputs["scan"]


@pytest.mark.parametrize("name", CHANGING)
def test_kind_and_neighbours(name):
    before = reading()
    kept = before.inputs["scan"].clone()
    after = corrupted("scan", name, 1)(before)
    made = after.inputs["scan"]
    assert made.shape == kept.shape
    assert made.dtype == torch.float32
    assert made.min() >= 0
    assert made.max() <= 1
    assert not torch.equal(made, kept)
    assert torch.equal(before.inputs["scan"], kept)
    assert torch.equal(after.inputs["other"], before.inputs["other"])
    assert after.present["scan"].all()
    assert (made[:, 0] == made[:, 2]).all()  # grey stays grey


@pytest.mark.parametrize("name", CHANGING)
def test_a_case_is_spoilt_alike_in_every_batch(name):
    together = spoilt(name)
    for place, case in enumerate("abc"):
        alone = spoilt(name, read=reading((case,)))
        torch.testing.assert_close(alone[0], together[place], rtol=0, atol=1e-6)
    torch.testing.assert_close(spoilt(name, read=reading(("c", "a"))), together[[2, 0]], rtol=0, atol=1e-6)


def test_seeds_and_modalities_draw_apart():
    assert not torch.equal(spoilt("noise"), spoilt("noise", seed=1))
    read = reading()
    same = read._replace(inputs={"scan": read.inputs["scan"], "second": read.inputs["scan"]}, present=read.present)
    assert not torch.equal(corrupted("second", "noise", 1)(same).inputs["second"], spoilt("noise"))


@pytest.mark.parametrize("name", GRADED)
def test_more_severity_is_further_from_the_truth(name):
    clean = reading().inputs["scan"]
    gaps = [float((spoilt(name, severity) - clean).abs().mean()) for severity in (1, 2, 3)]
    assert gaps[0] < gaps[1] < gaps[2]


def test_noise_and_speckle_by_their_formulas():
    clean = reading().inputs["scan"]
    for name, made in (("noise", lambda x, n: x + 0.1 * n), ("speckle", lambda x, n: x * (1 + 0.3 * n))):
        for place, case in enumerate("abc"):
            field = generator(0, "stress", "scan", name, case).standard_normal((56, 70), np.float32)
            expected = np.clip(made(clean[place].numpy(), field), 0, 1)
            np.testing.assert_allclose(spoilt(name, 2)[place].numpy(), expected, atol=1e-6)


def test_blur_is_scipys():
    clean = reading(height=120, width=150).inputs["scan"]
    sigma = 0.02 * 120
    radius = int(np.ceil(3 * sigma))
    expected = clean.numpy()
    for axis in (2, 3):
        expected = gaussian_filter1d(expected, sigma, axis=axis, mode="mirror", radius=radius)
    found = spoilt("blur", 3, reading(height=120, width=150))
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-6)
    assert spoilt("blur", 3, reading(height=2, width=1)).shape == (3, 3, 2, 1)


def test_darkening_and_patches():
    clean = reading().inputs["scan"]
    torch.testing.assert_close(spoilt("darkening", 2), clean * 0.5)
    black, before = (spoilt("patches", 2)[0, 0] == 0).numpy(), None
    tiles = black.reshape(GRID, 4, GRID, 5)
    assert (tiles.all(axis=(1, 3)) == tiles.any(axis=(1, 3))).all()
    assert tiles.all(axis=(1, 3)).sum() == 98
    for severity in (1, 2, 3):  # what is taken at one severity is taken at the next
        now = (spoilt("patches", severity)[0, 0] == 0).numpy()
        assert before is None or (now | ~before).all()
        before = now


def test_whole_images():
    clean, shuffled = reading().inputs["scan"], spoilt("shuffled")
    assert torch.equal(shuffled.flatten(1).sort().values, clean.flatten(1).sort().values)
    corners = clean[0, 0].reshape(GRID, 4, GRID, 5)[:, 0, :, 0].flatten().sort().values
    assert torch.equal(shuffled[0, 0].reshape(GRID, 4, GRID, 5)[:, 0, :, 0].flatten().sort().values, corners)
    odd = reading(height=61, width=73)
    assert torch.equal(spoilt("shuffled", read=odd)[:, :, 56:], odd.inputs["scan"][:, :, 56:])
    one, other = spoilt("static"), spoilt("static", read=reading()._replace(inputs={"scan": clean * 0}))
    assert torch.equal(one, other)  # nothing of the image is left
    gone = corrupted("scan", "absent", 1)(reading())
    assert not gone.present["scan"].any()
    assert gone.present["other"].all()


def test_clean_is_clean_and_the_unknown_is_named():
    read = reading()
    assert unaltered(read) is read
    with pytest.raises(SpecError, match="severity 4 of 'noise'"):
        corrupted("scan", "noise", 4)
