"""Whether fusion helps: against every single modality at once, and what else could explain it in the same sentence."""

import numpy as np
import pytest

from mmfuse import Design, Label, Labels, ScoreTable, Speaker, Study, judge, paired_difference
from mmfuse.study.classical import holm
from mmfuse.study.headlines import Claim
from mmfuse.study.paired import Difference
from mmfuse.study.shelf import put

ONE = Labels([Label("d", ("a", "b"))])
TWO = Labels([Label("d", ("a", "b")), Label("e", ("x", "y"))])
N, VALID = 700, 200


def scores_of(labels, truth, strength, seed):
    """Logits that lean to the truth by one strength on `valid` and another on `test`, each a number a label."""
    rng = np.random.default_rng(seed)
    on_valid, on_test = (np.repeat(np.broadcast_to(np.asarray(s, float), len(labels)), 2) for s in strength)
    lean = np.where((np.arange(N) < VALID)[:, None], on_valid, on_test)
    return (lean * labels.one_hot(truth) + rng.normal(size=(N, labels.columns)))[None]


def study_of(folder, given, labels=ONE, seeds=1, failed=(), **design):
    """`given`: {name: (role, strength on `valid`, on `test`)}."""
    truth = np.random.default_rng(0).integers(0, 2, (N, len(labels)))
    ids = np.array([f"c{i:04d}" for i in range(N)])
    split = np.array(["valid", "test"])[(np.arange(N) >= VALID).astype(int)]

    def table(sources):
        return ScoreTable(sources, ids, ids, split, np.zeros(N, int), truth, labels, "eye")

    speakers = []
    for place, (name, (role, *strength)) in enumerate(given.items()):
        keys = [(f"{place}-{seed}",) for seed in range(seeds)]
        for seed, (key,) in enumerate(keys):
            put(folder, key, table({"s": scores_of(labels, truth, strength, 100 * place + seed)}), {})
        speakers.append(Speaker(name, role, "s", tuple(keys)))
    speakers += [Speaker(name, "single", failure="no such luck") for name in failed]
    (folder / "cases").mkdir(parents=True)
    table({}).save(folder / "cases" / "00.npz")
    return Study(folder, Design(seeds=seeds, **design), "eye", next(iter(given)), speakers)


PLANTED = {
    "fused": ("variant", 2.0, 2.0),
    "clinical alone": ("single", 1.5, 1.0),  # the better one on `valid`, the weaker one on `test`
    "dermoscopy alone": ("single", 1.2, 2.2),
    "clinical shuffled": ("control", 2.0, 2.0),
}


def of(judged, name="fused", label=""):
    return next(one for one in judged.headlines if (one.name, one.label) == (name, label))


def test_to_beat_the_weaker_single_modality_is_not_to_help(tmp_path):
    """What `valid` chose is beaten; the other is better than fused, and a control reaches it: in one sentence."""
    judged = judge(study_of(tmp_path, PLANTED))
    (best,) = [c for c in judged.contests if c.in_family and c.other == "clinical alone"]
    assert best.word == "helps"
    assert best.remark == "not against each single modality"
    found = of(judged)
    assert found.word != "helps"
    assert [*found.differences] == ["dermoscopy alone", "clinical alone"]
    figures = {line.name: line.figures["macro-auc"] for line in judged.lines}
    assert figures["dermoscopy alone"] > figures["fused"] > figures["clinical alone"]
    told = found.sentence
    assert "\n" not in told
    assert told.startswith("whether fused helps cannot be told with these cases: macro-auc -0.0")
    for name in ("dermoscopy alone", "clinical alone"):
        assert f"{found.differences[name]} against {name}" in told
    better = f"dermoscopy alone ({figures['dermoscopy alone']:.3f}) is better on `test` than fused"
    assert f"{better} ({figures['fused']:.3f}) and than clinical alone ({figures['clinical alone']:.3f})" in told
    assert "clinical alone" in told.split("which was chosen on `valid`")[0]
    assert "the control 'clinical shuffled' reaches fused" in told


def test_what_is_better_than_each_helps_with_the_largest_p_value(tmp_path):
    study = study_of(tmp_path, {**PLANTED, "fused": ("variant", 4.0, 4.0), "clinical shuffled": ("control", 0.1, 0.1)})
    judged = judge(study)
    found = of(judged)
    assert found.word == "helps"
    assert found.sentence.startswith("fused helps, against each single modality: macro-auc +")
    assert "control" not in found.sentence
    assert "dermoscopy alone" in found.sentence.split("; but ")[1]  # better than what `valid` chose
    (table,) = study.tables()
    gaps = {name: paired_difference(table, "fused", name, metric="macro-auc") for name in found.differences}
    assert found.differences == gaps
    assert found.p_holm == pytest.approx(max(gap.p for gap in gaps.values()))  # alone in its family
    (best,) = [c for c in judged.contests if c.in_family and c.other == "clinical alone"]
    assert best.remark == ""


def test_to_be_worse_than_one_is_to_hurt(tmp_path):
    given = {**PLANTED, "dermoscopy alone": ("single", 1.2, 5.0)}
    judged = judge(study_of(tmp_path, given))
    found = of(judged)
    assert found.word == "hurts"
    worst = found.differences["dermoscopy alone"]
    assert found.p_holm == pytest.approx(min(1.0, 2 * worst.p))
    assert "fused hurts, against a single modality" in found.sentence


def test_the_family_corrects_the_claim(tmp_path):
    """Each claim takes the place of the best single modality; the family does not grow."""
    given = {f"v{i}": ("variant", 2.0, 2.0) for i in range(4)} | {
        "left alone": ("single", 1.5, 1.6), "right alone": ("single", 1.4, 1.6)
    }  # fmt: skip
    study = study_of(tmp_path, given, TWO)
    judged = judge(study)
    (table,) = study.tables()
    family = [c for c in judged.contests if c.in_family]
    others = [c.difference.p for c in family if "alone" not in c.other]
    claims = []
    for one in judged.headlines:
        gaps = [paired_difference(table, one.name, s, metric="macro-auc", label=one.label)
                for s in ("left alone", "right alone")]  # fmt: skip
        behind = [gap.p for gap in gaps if gap.value < 0]
        claims.append(min(1.0, 2 * min(behind)) if behind else max(gap.p for gap in gaps))
    assert len(others) + len(claims) == len(family)
    expected = holm([*others, *claims])[len(others) :]
    np.testing.assert_allclose([one.p_holm for one in judged.headlines], expected)
    for one in judged.headlines:
        assert one.word != "helps" or one.p_holm <= 0.05
    blocked = [one for one in judged.headlines if "not after Holm" in one.sentence]
    assert all(one.word == "cannot tell with these cases" and one.p_holm > 0.05 for one in blocked)
    assert {(one.name, one.label) for one in judged.headlines} == {
        (f"v{i}", q) for i in range(4) for q in ("", "d", "e")
    }
    assert "of v0" in of(judged, "v1").sentence or of(judged, "v1").word == "cannot tell with these cases"


def test_seeds_are_meant_in_headlines_too(tmp_path):
    given = {**PLANTED, "fused": ("variant", 3.0, 3.0), "dermoscopy alone": ("single", 1.2, 1.4)}
    found = of(judge(study_of(tmp_path, given, seeds=3)))
    assert all("3 seeds" in gap.covers for gap in found.differences.values())
    assert found.word == "helps"


def test_labels_have_headlines_of_their_own(tmp_path):
    given = {
        "fused": ("variant", (3.5, 1.0), (3.5, 1.0)),
        "left alone": ("single", (1.0, 1.0), (1.0, 1.0)),
        "right alone": ("single", (1.0, 0.1), (1.0, 0.1)),
    }
    judged = judge(study_of(tmp_path, given, TWO))
    assert of(judged, label="d").word == "helps"
    assert of(judged, label="e").word != "helps"
    assert "fused helps on d" in of(judged, label="d").sentence
    assert " on e " in of(judged, label="e").sentence


def test_a_single_modality_that_could_not_be_fitted_leaves_the_question_open(tmp_path):
    given = {"fused": ("variant", 4.0, 4.0), "left alone": ("single", 1.0, 1.0)}
    found = of(judge(study_of(tmp_path, given, failed=("right alone",))))
    assert found.word == "cannot tell with these cases"
    assert "right alone could not be fitted and is not compared" in found.sentence


def test_no_fusion_no_headline(tmp_path):
    assert judge(study_of(tmp_path, {"a": ("variant", 2.0, 2.0), "b": ("variant", 2.0, 2.0)})).headlines == []


@pytest.mark.parametrize(("metric", "better"), [("log-loss", "clinical alone"), ("accuracy", "clinical alone")])
def test_better_is_what_the_metric_calls_better(tmp_path, metric, better):
    given = {
        "fused": ("variant", 1.0, 1.0),
        "clinical alone": ("single", 1.0, 2.5),
        "dermoscopy alone": ("single", 1.0, 0.2),
    }
    found = of(judge(study_of(tmp_path, given), metric))
    assert next(iter(found.differences)) == better
    assert f"{better} (" in found.sentence
    assert "is better on `test` than fused" in found.sentence


def gap(value, p, half=0.01):
    return Difference(value, value - half, value + half, 100, p, metric="accuracy")


def test_the_p_value_of_a_claim():
    claim = Claim("fused", "", {"a": gap(0.1, 0.001), "b": gap(0.05, 0.02), "c": gap(0.2, 0.0001)})
    assert claim.p == 0.02
    assert [*claim.gains] == ["b", "a", "c"]
    assert Claim("fused", "", {"a": gap(0.1, 0.001), "b": gap(-0.05, 0.02), "c": gap(-0.2, 0.01)}).p == 0.03
    assert np.isnan(Claim("fused", "", {"a": gap(0.1, 0.001), "b": gap(0.05, np.nan)}).p)


def test_the_level_is_kept_where_fusion_is_as_good_as_the_best_of_two():
    """The better of two is equalled, the other beaten: among 300 studies the claim stands in at most 5 %."""
    rng, claimed = np.random.default_rng(5), 0
    for _ in range(300):
        n = 150
        truth = rng.integers(0, 2, (n, 1))
        lean = [1.6, 1.6, 0.4]
        sources = {
            name: (np.stack([np.zeros(n), (2 * truth[:, 0] - 1) * s / 2 + rng.normal(size=n)], axis=1))[None]
            for name, s in zip(("fused", "a", "b"), lean, strict=True)
        }
        ids = np.arange(n).astype(str)
        table = ScoreTable(sources, ids, ids, np.full(n, "test"), np.full(n, -1), truth, ONE)
        gaps = {name: paired_difference(table, "fused", name, metric="macro-auc") for name in ("a", "b")}
        claim = Claim("fused", "", gaps)
        claimed += claim.p <= 0.05 and all(one.low > 0 for one in gaps.values())
    assert claimed / 300 <= 0.05


def test_equivalence_says_that_it_is_not_adjusted(tmp_path):
    same = {f"v{i}": ("variant", 2.0, 2.0) for i in range(2)} | {"left alone": ("single", 2.0, 2.0)}
    judged = judge(study_of(tmp_path, same, delta=0.2))
    found = [c for c in judged.contests if c.in_family]
    assert all(c.word == "no difference larger than δ" for c in found)
    assert all(c.remark == "by its own 95 % interval, not adjusted for the family" for c in found)
    assert "by no more than 0.2" in of(judged, "v0").sentence
    assert "not adjusted for the family" in of(judged, "v0").sentence


def test_a_control_that_reaches_is_named_for_every_label_and_every_variant(tmp_path):
    """On a label where nothing seems to help, and beside a variant that is not the reference."""
    given = {
        "fused": ("variant", 2.0, 2.0), "gated": ("variant", 3.0, 3.0), "left alone": ("single", 1.5, (2.6, 0.5)),
        "left shuffled": ("control", 3.0, 3.0),
    }  # fmt: skip
    judged = judge(study_of(tmp_path, given, TWO))
    assert of(judged, "gated", "e").word == "helps"
    assert of(judged, "fused", "d").word != "helps"
    for one in judged.headlines:
        assert f"the control 'left shuffled' reaches {one.name}" in one.sentence
    assert len(judged.headlines) == 6


def test_a_control_that_is_beaten_is_not_named(tmp_path):
    given = {**PLANTED, "gated": ("variant", 4.0, 4.0), "clinical shuffled": ("control", 0.1, 0.1)}
    assert not any("control" in one.sentence for one in judge(study_of(tmp_path, given)).headlines)
