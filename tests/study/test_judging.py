"""What a study says, from scores alone: families, words, controls that reach, the best of several."""

from dataclasses import replace

import numpy as np
import pytest

from mmfuse import Design, Label, Labels, ScoreTable, Speaker, SpecError, Study, judge, paired_difference, verdict
from mmfuse.study.shelf import put
from mmfuse.study.variants import LATE

LABELS = Labels([Label("d", ("a", "b")), Label("e", ("x", "y"))])
N = 400


def truth(n=N, seed=0):
    return np.random.default_rng(seed).integers(0, 2, (n, 2))


def scores_of(strength, seed, n=N, quiet=0):
    """Logits that lean to the truth by `strength` (one number a label)."""
    targets = truth(n)
    rng = np.random.default_rng(seed)
    lean = np.repeat(np.asarray(strength, dtype=float), 2) * LABELS.one_hot(targets)
    logits = lean + rng.normal(size=(n, LABELS.columns))
    logits[:quiet] = np.nan
    return logits[None]


def table_of(sources, n=N):
    ids = np.array([f"c{i:04d}" for i in range(n)])
    split = np.array(["valid", "test"])[(np.arange(n) >= 100).astype(int)]
    return ScoreTable(sources, ids, ids, split, np.zeros(n, int), truth(n), LABELS, "eye")


def study_of(folder, given, design=None, seeds=1):
    """`given`: {name: (role, strength)}."""
    speakers = []
    for place, (name, (role, strength)) in enumerate(given.items()):
        keys = []
        for seed in range(seeds):
            key = f"{place}-{seed}"
            put(folder, key, table_of({"s": scores_of(strength, 100 * place + seed)}), {})
            keys.append((key,))
        speakers.append(Speaker(name, role, "s", tuple(keys)))
    (folder / "cases").mkdir()
    table_of({}).save(folder / "cases" / "00.npz")
    return Study(folder, design or Design(seeds=seeds), "eye", next(iter(given)), speakers)


PLANTED = {
    "fused": ("variant", (3.0, 1.5)),
    "other": ("variant", (3.0, 1.5)),
    "left alone": ("single", (0.3, 1.5)),
    "right alone": ("single", (0.2, 0.1)),
    LATE: ("logistic", (1.0, 1.0)),
    "left in all slots": ("control", (3.2, 1.5)),
    "left shuffled": ("control", (0.1, 0.1)),
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return study_of(tmp_path_factory.mktemp("planted"), PLANTED)


def found(judged, one, other, label):
    return next(c for c in judged.contests if (c.one, c.other, c.label) == (one, other, label))


def test_the_family_is_what_was_named_and_only_that(planted):
    judged = judge(planted)
    family = {(c.one, c.other) for c in judged.contests if c.in_family and c.label == "d"}
    assert family == {("fused", "left alone"), ("fused", LATE), ("other", "fused"), ("other", "left alone"),
                      ("other", LATE)}  # fmt: skip
    rest = {(c.one, c.other) for c in judged.contests if not c.in_family and c.label == "d"}
    assert rest == {("fused", "right alone"), ("fused", "left in all slots"), ("fused", "left shuffled")}
    assert all(np.isnan(c.p_holm) for c in judged.contests if not c.in_family)
    assert {c.label for c in judged.contests} == {"", "d", "e"}


def test_differences_are_those_of_paired_difference_and_holm_makes_them_no_smaller(planted):
    judged = judge(planted)
    (table,) = planted.tables()
    for contest in judged.contests:
        plain = paired_difference(table, contest.one, contest.other, metric="macro-auc", label=contest.label)
        assert contest.difference.value == pytest.approx(plain.value)
        assert (contest.difference.low, contest.difference.high) == pytest.approx((plain.low, plain.high))
        if contest.in_family:
            assert contest.p_holm >= plain.p
        else:
            assert contest.word == verdict(plain, 0.02).word


def test_what_is_planted_helps_and_what_is_not_does_not(planted):
    judged = judge(planted)
    assert found(judged, "fused", "left alone", "d").word == "helps"
    assert found(judged, "fused", "left alone", "e").word != "helps"
    assert found(judged, "other", "fused", "d").word != "helps"


def test_a_control_that_reaches_is_named_and_one_that_does_not_is_not(planted):
    told = "\n".join(judge(planted).reached)
    assert "'left in all slots' reaches fused on d" in told
    assert "shuffled" not in told


def test_what_holm_does_not_bear_out_is_no_help(tmp_path):
    many = {f"v{i}": ("variant", (1.0, 1.0)) for i in range(6)} | {"left alone": ("single", (0.75, 0.75))}
    judged = judge(study_of(tmp_path, many))
    plain = [c for c in judged.contests if c.in_family and verdict(c.difference, 0.02).word in ("helps", "hurts")]
    assert any(c.p_holm > 0.05 for c in plain)
    for contest in judged.contests:
        if contest.in_family and contest.word in ("helps", "hurts"):
            assert contest.p_holm <= 0.05


def test_the_best_single_modality_is_that_of_the_label(tmp_path):
    given = {
        "fused": ("variant", (2.0, 2.0)),
        "left alone": ("single", (2.0, 0.0)),
        "right alone": ("single", (0, 2.0)),
    }
    judged = judge(study_of(tmp_path, given))
    assert [c.other for c in judged.contests if c.in_family and c.label == "d"] == ["left alone"]
    assert [c.other for c in judged.contests if c.in_family and c.label == "e"] == ["right alone"]


def test_the_best_of_several_is_optimistic_unless_it_was_chosen(tmp_path):
    given = {f"v{i}": ("variant", (1.0, 1.0)) for i in range(5)}
    judged = judge(study_of(tmp_path / "a", given))
    assert judged.best
    assert 0 < judged.optimism < 0.1
    two = judge(study_of(tmp_path / "b", dict(list(given.items())[:2])))
    assert two.optimism < judged.optimism
    chosen = judge(study_of(tmp_path / "c", given, Design(select="accuracy")))
    assert chosen.chosen in given
    assert (chosen.best, chosen.optimism) == ("", 0.0)


def test_optimism_is_about_what_the_best_of_equals_gains(tmp_path):
    """Of K sources that are equally good, the best exceeds what it is worth by the mean maximum of their errors."""
    given = {f"v{i}": ("variant", (1.0, 1.0)) for i in range(8)}
    study = study_of(tmp_path, given)
    judged = judge(study)
    values = [line.figures["macro-auc"] for line in judged.lines if line.label == ""]
    assert judged.optimism == pytest.approx(max(values) - np.mean(values), abs=2 * np.std(values))


def test_seeds_are_meant_and_spread(tmp_path):
    given = {"fused": ("variant", (1.5, 1.5)), "left alone": ("single", (1.0, 1.0))}
    study = study_of(tmp_path, given, seeds=3)
    judged = judge(study)
    tables = study.tables()
    each = [paired_difference(table, "fused", "left alone", metric="macro-auc", label="d").value for table in tables]
    assert found(judged, "fused", "left alone", "d").difference.value == pytest.approx(np.mean(each))
    line = next(line for line in judged.lines if line.name == "fused" and line.label == "d")
    assert line.spread["macro-auc"] > 0
    assert line.interval.low < line.figures["macro-auc"] < line.interval.high


def test_classes_alone_are_asked_for_no_probabilities(tmp_path):
    study = study_of(tmp_path, {"fused": ("variant", (2.0, 2.0)), "readers": ("outside", (1.0, 1.0))})
    study.speakers[1] = Speaker("readers", "outside", "s", study.speakers[1].keys, classes_only=True)
    judged = judge(study)
    readers = [line for line in judged.lines if line.name == "readers"]
    assert all("macro-auc" not in line.figures and "accuracy" in line.figures for line in readers)
    assert not any("readers" in (c.one, c.other) for c in judged.contests)
    by_accuracy = judge(study, "accuracy")
    assert any(c.one == "readers" and c.other == "fused" for c in by_accuracy.contests)


@pytest.mark.parametrize("metric", ["macro-au", "calibration-slope"])
def test_a_metric_that_compares_nothing_is_refused(planted, metric):
    with pytest.raises(SpecError, match="no metric to compare by"):
        judge(planted, metric)


def test_who_answers_one_label_of_two_is_compared_on_that_one_and_it_is_said(tmp_path):
    study = study_of(tmp_path, {"fused": ("variant", (1.0, 1.0)), "reader": ("outside", (3.0, np.nan))})
    judged = judge(study)
    assert {c.label for c in judged.contests} == {"d"}  # a mean over that label alone would be the same question twice
    assert not judged.best  # means over different labels say nothing of which is better
    assert any("'reader' answers d alone" in text for text in judged.warnings)


def test_a_label_that_nobody_answers_is_named_and_not_shown(tmp_path):
    judged = judge(study_of(tmp_path, {"a": ("outside", (1.0, np.nan)), "b": ("outside", (2.0, np.nan))}))
    assert {line.label for line in judged.lines} == {"", "d"}
    assert "nobody answers e" in judged.warnings


def test_classes_alone_have_no_area_and_that_is_said(tmp_path):
    study = study_of(tmp_path, {"fused": ("variant", (1.0, 1.0)), "reader": ("outside", (3.0, 3.0))})
    study.speakers[1] = replace(study.speakers[1], classes_only=True)
    assert any("'reader' gave classes without probabilities" in text for text in judge(study).warnings)
    assert not judge(study, "accuracy").warnings
