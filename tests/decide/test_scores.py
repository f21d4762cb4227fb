"""The score table: self-sufficient, the same after a round trip, and read as stages read it."""

from __future__ import annotations

import numpy as np
import pytest

from mmfuse import Label, Labels, PartError, RunError
from mmfuse.decide.scores import ScoreTable, log_scores, mean_of_views, stack

from .cohorts import LABELS, cohort


def test_probabilities_are_the_mean_over_views_of_the_softmax():
    table, _ = cohort(absent=0.2)
    p = table.probabilities("fused")
    logits = table.sources["fused"]
    for case in range(len(table)):
        if np.isnan(logits[0, case, 0]):
            assert np.isnan(p[case]).all()
            continue
        for part in LABELS.slices.values():
            e = np.exp(logits[:, case, part])
            np.testing.assert_allclose(p[case, part], (e / e.sum(axis=1, keepdims=True)).mean(axis=0))
    np.testing.assert_allclose(mean_of_views(log_scores(p), LABELS), p, atol=1e-12)


def test_round_trip_is_bit_for_bit_and_deterministic(tmp_path):
    table, _ = cohort(absent=0.2)
    labels = Labels([Label("größe", ("a", "b", "c"), "col", "b", True, 2.0), Label("ja/nein", ("ja", "nein"))])
    table = ScoreTable(
        **{**vars(table), "labels": labels, "sources": {"fused": table.sources["fused"].astype(np.float32)}}
    )
    table.save(tmp_path / "scores.npz")
    again = ScoreTable.load(tmp_path / "scores.npz")
    again.save(tmp_path / "again.npz")
    assert (tmp_path / "scores.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    assert again.labels == labels
    assert again.case_is == "lesion"
    assert again.sources["fused"].dtype == np.float32
    for name in ("ids", "groups", "split", "folds", "targets", "prior"):
        np.testing.assert_array_equal(getattr(again, name), getattr(table, name))
    np.testing.assert_array_equal(again.sources["fused"], table.sources["fused"])


def test_the_training_prior_stays_with_the_cases_taken():
    table, _ = cohort()
    expected = LABELS.prior(table.targets[table.split == "train"])
    np.testing.assert_array_equal(table.prior, expected)
    taken = table.take(table.split == "test")
    assert len(taken) == 30
    np.testing.assert_array_equal(taken.prior, expected)
    np.testing.assert_array_equal(taken.take(np.array([3, 1])).ids, taken.ids[[3, 1]])


def test_faults_are_named(tmp_path):
    table, _ = cohort()
    with pytest.raises(RunError, match="did you mean 'fused'"):
        table.probabilities("fuesd")
    with pytest.raises(PartError, match=r"'x' has shape \(1, 3, 5\)"):
        table.with_source("x", np.zeros((1, 3, 5)))
    table.save(tmp_path / "scores.npz")
    content = (tmp_path / "scores.npz").read_bytes()
    for broken in (content[: len(content) // 2], b"", b"text"):
        (tmp_path / "scores.npz").write_bytes(broken)
        with pytest.raises(RunError, match=r"scores\.npz"):
            ScoreTable.load(tmp_path / "scores.npz")
    with pytest.raises(RunError, match=r"absent\.npz"):
        ScoreTable.load(tmp_path / "absent.npz")
    with (tmp_path / "pickled.npz").open("wb") as file:
        np.savez(file, about=np.array([{"a": 1}], dtype=object))
    with pytest.raises(RunError, match=r"pickled\.npz"):
        ScoreTable.load(tmp_path / "pickled.npz")


def test_stack():
    table, _ = cohort(absent=0.2)
    sources = {**table.sources, "one": table.sources["derm"][:1]}
    by_view = stack(sources, ["fused", "one"], LABELS, per_view=True)
    assert by_view.shape == (2, 2, 120, 5)
    np.testing.assert_allclose(by_view[0], LABELS.log_softmax(sources["fused"]))
    np.testing.assert_array_equal(by_view[1, 0], by_view[1, 1])
    means = stack(sources, ["fused", "one"], LABELS, per_view=False)
    assert means.shape == (2, 1, 120, 5)
    np.testing.assert_allclose(np.exp(means[0, 0]), table.probabilities("fused"))
    with pytest.raises(PartError, match="'fused' has 2 views"):
        stack({**sources, "three": np.zeros((3, 120, 5))}, ["three", "fused"], LABELS, per_view=True)
