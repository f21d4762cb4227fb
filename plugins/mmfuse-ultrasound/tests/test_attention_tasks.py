"""The drawn tasks of `benchmarks/attention_tasks.py`: they hold what they say, and attention finds it (slow)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import mmfuse
from mmfuse.testing import check

FILE = Path(__file__).parents[3] / "benchmarks" / "attention_tasks.py"


@pytest.fixture(scope="module")
def tasks():
    given = importlib.util.spec_from_file_location("attention_tasks", FILE)
    module = importlib.util.module_from_spec(given)
    sys.modules[given.name] = module
    given.loader.exec_module(module)
    yield module
    del sys.modules[given.name]


def marked(tasks, picture):
    """The place that stands out most."""
    side, patch = tasks.ROWS, tasks.PATCH
    means = np.abs(picture.reshape(side, patch, side, patch, 3).mean((1, 3)) - 0.5).sum(-1)
    return int(means.argmax())


def test_the_label_is_whether_both_marks_stand_at_one_place_and_no_image_tells_it_alone(tasks):
    rng = mmfuse.generator(1, "test")
    counts = np.zeros((2, tasks.PLACES))
    for label in (0, 1) * 300:
        photo, sound = (marked(tasks, picture) for picture in tasks.correspondence(rng, label, "train"))
        assert (photo == sound) == bool(label)
        counts[label, photo] += 1
    # 300 marks in each class over the places: no place is a class's own
    assert np.abs(counts[0] - counts[1]).max() < 4 * np.sqrt(2 * 300 / tasks.PLACES)


def test_the_bright_spot_names_the_class_in_training_and_is_not_there_at_test(tasks):
    rng = mmfuse.generator(1, "test")
    for label in (0, 1):
        pictures = {split: tasks.spurious(rng, label, split)[0] for split in ("train", "valid", "test")}
        patch = {split: picture - 0.5 for split, picture in pictures.items()}
        for split in ("train", "valid"):
            row, column = divmod(marked(tasks, pictures[split]), tasks.ROWS)
            spot = patch[split].reshape(tasks.ROWS, tasks.PATCH, tasks.ROWS, tasks.PATCH, 3).mean((1, 3))[row, column]
            assert spot[0 if label else 2] > 0.3
        assert np.abs(patch["test"].mean((0, 1))).max() < 0.05


def test_the_encoder_of_all_arms_keeps_the_contract(tasks):
    check(tasks.PatchEncoder(), shape=(3, tasks.SIZE, tasks.SIZE))


@pytest.mark.slow
def test_attention_finds_what_pooled_vectors_cannot_hold(tasks, tmp_path):
    whole = tasks.TASKS["correspondence"]
    arms = {arm: whole.arms[arm] for arm in ("local alone", "concat")}
    tasks.TASKS["correspondence"] = whole._replace(arms=arms)
    try:
        scores = tasks.fitted("correspondence", tasks.write(tmp_path, whole.draw), 0)
    finally:
        tasks.TASKS["correspondence"] = whole
    gap = mmfuse.paired_difference(scores, "local alone", "concat", metric="accuracy", on="valid")
    assert gap.value > 0.25
    assert gap.low > 0.1
