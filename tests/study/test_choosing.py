"""By what something is chosen: plugins' metrics, `valid`, inner folds of `train`; on `test` never in silence."""

from dataclasses import replace

import numpy as np
import pytest
from eyes import CARD, PLAN, columns, spec_of

import mmfuse
from mmfuse import MEASURES, Catalog, Design, Metric, SpecError, Study, Table, Variant, check_metric, compare, hookimpl

from mmfuse import interval, intervals, judge, over_seeds, paired_difference, verdict  # isort: skip
from mmfuse.study.choosing import Grounds, best_of, best_single, grounds
from mmfuse.study.designs import inner_numbers, inner_split
from tests.study.tables import noisy

QUICK = {**PLAN["training"], "epochs": 1}


class Misses(Metric):
    """Cases that are answered wrong, in per cent: smaller is better."""

    @property
    def larger_is_better(self):
        return False

    def score(self, p, targets, labels, weight):
        return 100 * (1 - MEASURES["accuracy"].score(p, targets, labels, weight))


class AllRight(Metric):
    """Share of cases of which every label is right."""

    @property
    def by_label(self):
        return False

    def score(self, p, targets, labels, weight):
        return MEASURES["exact-match"].score(p, targets, labels, weight)


class Broken(Metric):
    """Fails."""

    def score(self, p, targets, labels, weight):
        raise ValueError("no such luck")


class Nearest(Metric):
    """Mean probability of the positive class; a half is ideal."""

    @property
    def ideal(self):
        return 0.5

    def score(self, p, targets, labels, weight):
        return np.stack([weight @ p[:, part.stop - 1] / weight.sum(axis=1) for part in labels.slices.values()], axis=1)


class Brings:
    @hookimpl
    def mmfuse_parts(self):
        return [Misses, AllRight, Broken, Nearest]


CATALOG = Catalog(Brings(), installed=True)


def variant(name="fused", **more):
    return Variant(name, "variant", spec_of(**{"training": QUICK, **more}))


def carried_out(folder, variants, design, cells=None, watch=mmfuse.silent):
    table = Table.of(cells or columns(n=80))
    card = mmfuse.load_card(CARD)
    return compare(variants, table, card, folder, folder / "study", design, catalog=CATALOG, watch=watch)


def without_valid(n=80):
    cells = columns(n=n)
    cells["patient"] = [f"p{i // 2}" for i in range(n)]
    cells["split"] = ["test" if i // 2 % 4 == 0 else "train" for i in range(n)]
    return cells


# ── metrics of plugins ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_plugins_metric_has_intervals_and_tests_like_any_other():
    table = noisy(120)
    wrong, right = interval(table, "s0", metric=Misses()), interval(table, "s0", metric="accuracy")
    assert wrong.value == pytest.approx(100 * (1 - right.value))
    assert wrong.low < wrong.value < wrong.high
    assert intervals(table, metrics=["accuracy", Misses()])["s0"]["d"]["misses"] == interval(
        table, "s0", metric=Misses(), label="d"
    )
    gap = paired_difference(table, "s0", "s1", metric=Misses())
    plain = paired_difference(table, "s0", "s1", metric="accuracy")
    assert gap.value == pytest.approx(-100 * plain.value)
    # what is not known to be a mean over cases is taken to speak of classes: fewer degrees of freedom, a wider interval
    assert gap.low < -100 * plain.high
    assert -100 * plain.low < gap.high
    assert gap.p > plain.p
    assert (gap.metric, gap.ideal) == ("misses", -np.inf)
    seeds = over_seeds([table, noisy(120)], "s0", metric=Misses())
    assert seeds.value == pytest.approx(wrong.value)


def test_its_direction_is_its_own():
    gap = replace(paired_difference(noisy(120), "s0", "s1", metric=Misses()), low=-9.0, high=-3.0)
    assert verdict(gap).word == "helps"
    assert verdict(replace(gap, low=3.0, high=9.0)).word == "hurts"


def test_one_that_fails_is_named():
    with pytest.raises(mmfuse.PartError, match=r"metric 'broken': ValueError: no such luck"):
        interval(noisy(60), "s0", metric=Broken())


def test_compare_by_a_plugins_metric(tmp_path):
    design = Design(metric="misses", baselines=False, controls=False)
    study = carried_out(tmp_path, [variant(), variant("longer", training={**QUICK, "epochs": 12})], design)
    judged = judge(study, catalog=CATALOG)
    figures = {line.name: line.figures for line in judged.lines if line.label == "both"}
    for name in ("fused", "longer"):
        assert figures[name]["misses"] == pytest.approx(100 * (1 - figures[name]["accuracy"]))
    means = {line.name: line.figures["misses"] for line in judged.lines if line.label == ""}
    assert judged.best == min(means, key=means.__getitem__)
    together = judge(study, "all-right", catalog=CATALOG)
    assert {contest.label for contest in together.contests} == {""}
    assert all("all-right" not in line.figures for line in together.lines if line.label)


@pytest.mark.parametrize(("word", "found"), [("mises", "did you mean 'misses'"), ("nearest", "neither more nor less")])
def test_what_cannot_be_compared_by_is_refused(word, found):
    with pytest.raises(SpecError, match=found):
        check_metric(word, CATALOG)


def test_an_epoch_is_chosen_by_a_plugins_metric():
    spec = mmfuse.load({**PLAN, "training": {**QUICK, "best": {"metric": "misses"}}}, CARD, catalog=CATALOG)
    assert isinstance(spec.plan.training.best.metric, Misses)
    assert mmfuse.load(mmfuse.dump(spec) and PLAN, CARD, catalog=CATALOG)
    told = []
    cases = mmfuse.Cases(Table.of(columns(n=80)), mmfuse.load_card(CARD))
    mmfuse.Pipeline(spec, catalog=CATALOG, device="cpu", watch=told.append).fit(cases)
    epochs = [event for event in told if isinstance(event, mmfuse.EpochEnded)]
    assert all("misses" in event.valid for event in epochs)
    with pytest.raises(SpecError, match="no metric is called 'mises'"):
        mmfuse.load({**PLAN, "training": {**QUICK, "best": {"metric": "mises"}}}, CARD, catalog=CATALOG)


def test_epochs_are_compared_by_the_direction_of_the_metric():
    from mmfuse.net.watching import Watched

    labels = mmfuse.load_card(CARD).label_set
    less, near = Watched(Misses(), ("fused",), labels), Watched(Nearest(), ("fused",), labels)
    assert less.better(1.0, 2.0)
    assert not less.better(2.0, 1.0)
    assert near.better(0.4, 0.7)
    assert not near.better(0.9, 0.4)
    assert near.better(0.9, float("nan"))


def test_the_words_for_epochs_are_those_of_the_metrics():
    from typing import get_args

    from mmfuse.metrics import METRICS
    from mmfuse.spec import Epochs

    assert set(get_args(Epochs)) == {"", *METRICS}


# ── inner folds ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_inner_folds_lie_in_train_and_keep_groups_whole():
    cases = mmfuse.Cases(Table.of(without_valid()), mmfuse.load_card(CARD))
    split = cases.table["split"].astype(object)
    numbers = inner_numbers(cases, split, Design(inner=3), 0, 0)
    assert ((numbers >= 0) == (split == "train")).all()
    for number in range(3):
        words = inner_split(split, numbers, number)
        assert not (words[split == "test"] != "").any()
        assert ((words == "test") == (numbers == number)).all()
        assert not set(cases.groups[words == "test"]) & set(cases.groups[words == "train"])


def test_without_valid_a_variant_is_chosen_on_inner_folds(tmp_path):
    design = Design(select="log-loss", metric="log-loss", baselines=False, controls=False, inner=2)
    good = variant("longer", training={**QUICK, "epochs": 20})
    study = carried_out(tmp_path, [variant(), good], design, without_valid())
    judged = judge(Study.load(tmp_path / "study"), catalog=CATALOG)
    assert (judged.chosen, judged.chosen_on) == ("longer", "inner folds of `train`")
    assert judged.best == ""
    assert judged.warnings == []
    inner = study.inner_table()
    held = mmfuse.Cases(Table.of(without_valid()), mmfuse.load_card(CARD))
    assert set(inner.ids) == set(held.ids[held.table["split"] == "train"])
    assert not np.isnan(inner.probabilities("longer")).any()
    assert sorted(set(inner.folds)) == [0, 1]
    before = {path.name for path in (tmp_path / "study" / "variants").iterdir()}
    carried_out(tmp_path, [variant(), good], design, without_valid())
    assert {path.name for path in (tmp_path / "study" / "variants").iterdir()} == before
    assert len(before) == 6  # two variants, each once on test and on two inner folds


def test_what_is_chosen_on_inner_folds_does_not_depend_on_test(tmp_path):
    """Other labels of the test cases: the same choice from the same inner scores."""
    cells = without_valid()
    design = Design(select="log-loss", metric="log-loss", baselines=False, controls=False, inner=2)
    both = [variant(), variant("longer", training={**QUICK, "epochs": 20})]
    one = carried_out(tmp_path / "a", both, design, cells)
    turned = np.array(cells["split"]) == "test"
    other = {**cells, "both": np.where(turned, np.where(np.array(cells["both"]) == "yes", "no", "yes"), cells["both"])}
    two = carried_out(tmp_path / "b", both, design, other)
    a, b = one.inner_table(), two.inner_table()
    assert np.allclose(a.probabilities("longer"), b.probabilities("longer"), atol=1e-6)
    assert judge(one, catalog=CATALOG).chosen == judge(two, catalog=CATALOG).chosen


def test_the_best_single_modality_is_chosen_on_train_where_there_is_no_valid(tmp_path):
    study = carried_out(tmp_path, [variant()], Design(controls=False, inner=2), without_valid())
    inner = study.inner_table()
    assert set(inner.sources) == {"left alone", "right alone"}
    found = grounds(study.tables(), inner, study.named("single"))
    assert found.on == "inner"
    assert judge(study, catalog=CATALOG).warnings == [] or "log-loss" in judge(study, catalog=CATALOG).warnings[0]
    assert not any("beware" in note for note in study.notes)


def test_what_is_chosen_on_test_is_said_loudly(tmp_path):
    told = []
    design = Design(controls=False, inner=0)
    study = carried_out(tmp_path, [variant()], design, without_valid(), watch=told.append)
    assert any("the best single modality is chosen on `test`" in note for note in study.notes)
    assert any(
        isinstance(event, mmfuse.Notice) and event.level == "warning" and "chosen on `test`" in event.text
        for event in told
    )
    bare = replace(study, notes=[])
    assert any("chosen on `test`" in text for text in judge(bare, catalog=CATALOG).warnings)


@pytest.mark.parametrize(
    ("design", "words"),
    [
        ({"inner": 0}, "without `valid` and without inner folds"),
        ({"select_on": "valid"}, "--select-on valid, and no case is `valid`"),
    ],
)
def test_nothing_is_selected_on_test(tmp_path, design, words):
    with pytest.raises(SpecError, match=words):
        carried_out(tmp_path, [variant()], Design(select="accuracy", **design), without_valid())


def test_where_the_metric_cannot_choose_log_loss_does_and_it_is_said():
    table = noisy(120, split="valid").take(np.arange(12))
    found = Grounds([table], "valid")
    assert best_of(found, ["s0", "s1"], "macro-auc") == ""
    name, why = best_single(found, ["s0", "s1"], "macro-auc", "d")
    assert name == best_of(found, ["s0", "s1"], "log-loss")
    assert "macro-auc is undefined on `valid`: the best single modality on d is chosen by log-loss" in why


@pytest.mark.parametrize(
    ("design", "words"),
    [
        ({"refold": "all"}, "--refold all without --folds"),
        ({"select_on": "inner"}, "--select-on inner without --select"),
    ],
)
def test_what_would_have_no_effect_is_refused(design, words):
    with pytest.raises(SpecError, match=words):
        Design(**design)


def test_nothing_is_chosen_by_how_certain_it_sounds():
    with pytest.raises(SpecError, match="neither more nor less"):
        check_metric("entropy")
