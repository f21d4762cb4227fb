"""Near-copies are found in every position, through compression and scale; different pictures are not."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from mmfuse.data.workers import in_threads
from mmfuse.study.probing.copies import TURNS, frequencies, near_copies, position, turned
from mmfuse.study.probing.facts import SIDE, facts_of

DATA = os.environ.get("MMFUSE_DATA")


def pictures(n, seed=0):
    """(n, 32, 32) smooth ones."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (n, 6, 6)).astype(np.uint8)
    return np.stack([np.asarray(Image.fromarray(c).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for c in coarse])


@pytest.mark.parametrize("turn", range(8))
def test_turning_frequencies_is_turning_the_picture(turn):
    some = pictures(3)
    assert np.allclose(turned(frequencies(some), turn), frequencies(position(some, turn)), atol=0.1)


def test_frequencies_are_the_cosine_transform():
    from scipy.fft import dctn

    some = pictures(2)
    ours, theirs = frequencies(some), dctn(some.astype(float), axes=(1, 2))[:, :8, :8] / 4
    ours[:, 0, 0] = theirs[:, 0, 0] = 0
    assert np.allclose(ours, theirs, rtol=1e-3, atol=0.5)


@pytest.mark.parametrize("turn", range(8))
def test_a_copy_is_found_in_every_position(turn):
    some = pictures(40)
    noise = np.random.default_rng(1).normal(0, 3, (SIDE, SIDE))
    copy = np.clip(position(some[7:8], turn) * 0.8 + 20 + noise, 0, 255).astype(np.uint8)
    split = np.array(["train"] * 40 + ["test"])
    found = near_copies(np.concatenate([some, copy]), split)
    assert [(c.one, c.other, c.turn) for c in found] == [(7, 40, TURNS[turn])]


def test_only_across_splits_and_only_what_is_in_one():
    some = np.repeat(pictures(1), 2, axis=0)
    assert len(near_copies(some, np.array(["train", "valid"]))) == 1
    assert near_copies(some, np.array(["train", "train"])) == []
    assert near_copies(some, np.array(["train", ""])) == []
    assert near_copies(some[:0], np.array([], dtype=str)) == []


def test_pictures_of_one_grey_and_common_frames_are_no_copies():
    grey = np.full((20, SIDE, SIDE), 90, dtype=np.uint8)
    split = np.array(["train", "test"] * 10)
    assert near_copies(grey, split) == []
    framed = pictures(20, seed=3)
    y, x = np.mgrid[:SIDE, :SIDE] - 15.5
    framed = np.where(np.hypot(x, y) > 14, 0, 120 + framed // 8).astype(np.uint8)  # round, dark outside, as fundi are
    assert near_copies(framed, split) == []


@pytest.mark.parametrize("size", [48, 50, 97])
def test_a_file_written_again_mirrored_smaller_and_lighter_is_a_copy(tmp_path, size):
    rng = np.random.default_rng(size)
    image = Image.fromarray(rng.integers(0, 255, (7, 7, 3)).astype(np.uint8)).resize(
        (size, size), Image.Resampling.BICUBIC
    )
    image.save(tmp_path / "one.png")
    other = ImageEnhance.Brightness(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)).enhance(0.85)
    other.resize((size * 2 // 3, size * 2 // 3)).save(tmp_path / "other.jpg", quality=60)
    small = np.stack([facts_of(tmp_path / name).small for name in ("one.png", "other.jpg")])
    (found,) = near_copies(small, np.array(["train", "test"]))
    assert found.turn == "mirrored left to right"


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="MMFUSE_DATA names no folder of real data")
@pytest.mark.parametrize("name", ["milk10k", "odir5k", "busbra"])
def test_real_lesions_and_eyes_are_not_taken_for_each_other(name):
    """All pairs of a set as if each picture stood in a split of its own; two eyes of one person may look alike."""
    files = sorted(path for path in Path(DATA, name).rglob("*") if path.suffix in (".jpg", ".png"))
    small = np.stack([facts.small for facts in in_threads(facts_of, files) if facts is not None])
    found = near_copies(small, np.array([str(i) for i in range(len(small))]))
    assert all(files[c.one].stem.split("_")[0] == files[c.other].stem.split("_")[0] for c in found)
    assert len(found) <= 1
