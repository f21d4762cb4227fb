"""Splits and folds: groups whole, classes spread, deterministic, and no row order in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmfuse import Card, Cases, Label, Labels, SpecError, SplitSection, Table, TableError, assign, fold_numbers
from mmfuse.card import CasesSection
from mmfuse.data.dates import days

LABELS = Labels([Label("a", ("x", "y")), Label("b", ("p", "q", "r"))])


def cases(groups=None, n=None, **columns) -> Cases:
    n = n or len(groups)
    table = Table.of({"id": [f"c{i}" for i in range(n)], **({"g": groups} if groups is not None else {}), **columns})
    labels = {"y": sorted(set(columns["y"]) - {None})} if "y" in columns else {}
    return Cases(table, Card(cases=CasesSection(id="id", group="g" if groups is not None else ""), labels=labels))


def whole(groups, split) -> bool:
    return all(len(set(split[groups == group])) == 1 for group in set(groups.tolist()))


drawn = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@settings(max_examples=50, deadline=None)
@given(drawn, st.integers(20, 120), st.integers(2, 6))
def test_folds_keep_groups_whole_and_spread_classes(rng, n, k):
    groups = rng.integers(0, n // 2, n).astype(str)
    targets = np.stack([rng.integers(-1, 2, n), rng.choice(3, n, p=[0.7, 0.25, 0.05])], axis=1)
    if len(set(groups)) < k:
        return
    folds = fold_numbers(groups, targets, LABELS, k, 0)
    assert folds.shape == (n,)
    assert set(folds.tolist()) <= set(range(k))
    assert whole(groups, folds)
    counts = LABELS.one_hot(targets)
    per_fold = np.stack([counts[folds == f].sum(axis=0) for f in range(k)])
    largest = np.bincount(np.unique(groups, return_inverse=True)[1]).max()
    assert (np.ptp(per_fold, axis=0) <= 4 * largest).all()
    order = rng.permutation(n)
    np.testing.assert_array_equal(fold_numbers(groups[order], targets[order], LABELS, k, 0), folds[order])


@settings(max_examples=30, deadline=None)
@given(drawn, st.integers(2, 8))
def test_with_one_label_and_single_cases_folds_are_as_even_as_can_be(rng, k):
    n = int(rng.integers(k, 200))
    targets = rng.choice(3, (n, 1), p=[0.6, 0.3, 0.1])
    labels = Labels([Label("b", ("p", "q", "r"))])
    folds = fold_numbers(np.arange(n).astype(str), targets, labels, k, 3)
    per_fold = np.stack([np.bincount(targets[folds == f, 0], minlength=3) for f in range(k)])
    assert (np.ptp(per_fold, axis=0) <= 1).all()
    assert np.ptp(per_fold.sum(axis=1)) <= 1


def test_folds_differ_by_seed_and_by_nothing_else():
    groups = np.arange(60).astype(str)
    targets = np.stack([np.arange(60) % 2, np.arange(60) % 3], axis=1)
    one, again, other = (fold_numbers(groups, targets, LABELS, 5, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_a_class_of_k_cases_is_in_every_fold():
    targets = np.zeros((50, 2), dtype=int)
    targets[:5, 1] = 2
    folds = fold_numbers(np.arange(50).astype(str), targets, LABELS, 5, 0)
    assert sorted(folds[:5].tolist()) == [0, 1, 2, 3, 4]


def test_without_labels_folds_are_even():
    groups = np.repeat(np.arange(20), 3).astype(str)
    for labels, targets in ((Labels(()), np.zeros((60, 0), int)), (LABELS, np.full((60, 2), -1))):
        folds = fold_numbers(groups, targets, labels, 4, 0)
        assert np.bincount(folds).tolist() == [15, 15, 15, 15]
        assert whole(groups, folds)


def test_fewer_groups_than_folds():
    with pytest.raises(TableError, match="2 groups for 3 folds"):
        fold_numbers(np.array(["a", "a", "b"]), np.zeros((3, 2), int), LABELS, 3, 0)


@settings(max_examples=30, deadline=None)
@given(drawn, st.booleans())
def test_drawn_splits_meet_their_fractions(rng, stratify):
    n = 400
    groups = rng.integers(0, 150, n).astype(str)
    given_cases = cases(groups.tolist(), y=rng.choice(["u", "v", "w"], n, p=[0.8, 0.15, 0.05]).tolist())
    section = SplitSection(fractions={"train": 0.6, "valid": 0.2, "test": 0.2}, stratify=stratify)
    split = assign(given_cases, section)
    assert whole(given_cases.groups, split)
    for name, share in section.fractions.items():
        assert abs((split == name).mean() - share) < 0.04
        if stratify:
            rare = given_cases.targets[:, 0] == 2
            assert abs((split[rare] == name).sum() - share * rare.sum()) <= 4
    order = rng.permutation(n)
    np.testing.assert_array_equal(assign(given_cases.take(order), section), split[order])


def test_fractions_may_leave_out_a_split_and_some_cases():
    heard = []
    split = assign(cases(n=100), SplitSection(fractions={"train": 0.5, "test": 0.3}), heard.append)
    assert {name: int((split == name).sum()) for name in ("train", "valid", "test", "")} == {
        "train": 50, "valid": 0, "test": 30, "": 20,
    }  # fmt: skip
    assert "20 cases are in no split" in heard[0].text
    with pytest.raises(SpecError, match=r"sum to 1\.2"):
        assign(cases(n=10), SplitSection(fractions={"train": 0.8, "test": 0.4}))


def test_the_seed_of_the_card_decides():
    one, other = (assign(cases(n=100), SplitSection(seed=seed)) for seed in (0, 1))
    assert (one != other).any()


def test_a_column_decides_alone_and_synonyms_are_told():
    heard = []
    given_cases = cases(n=5, s=["train", "VAL", "testing", None, "dev"])
    assert assign(given_cases, SplitSection(column="s"), heard.append).tolist() == [
        "train",
        "valid",
        "test",
        "",
        "valid",
    ]
    texts = " ".join(event.text for event in heard)
    assert "'testing' is read as 'test'" in texts
    assert "'VAL' is read as 'valid'" in texts
    assert "1 cases are in no split" in texts
    with pytest.raises(TableError, match=r"2 cells name no split: 'held' \(2\)"):
        assign(cases(n=3, s=["train", "held", "held"]), SplitSection(column="s"))
    with pytest.raises(TableError, match="did you mean 's"):
        assign(cases(n=1, split=["train"]), SplitSection(column="splits"))


def test_groups_across_a_split_column_are_named():
    groups = [f"p{i // 2}" for i in range(14)]
    with pytest.raises(TableError, match=r"7 groups straddle two splits: 'p0' in train and test; .*'p4'.*; …"):
        assign(cases(groups, s=["train", "test"] * 7), SplitSection(column="s"))
    assert assign(cases(["a", "a"], s=["train", None]), SplitSection(column="s")).tolist() == ["train", ""]


@pytest.mark.parametrize("form", ["{y}-{m:02}-{d:02}", "{d}/{m}/{y}", "{d}.{m}.{y}", "{y}{m:02}{d:02}", "{m}/{d}/{y}"])
def test_by_date_the_latest_are_test(form):
    rng = np.random.default_rng(0)
    when = [
        (2000 + int(y), int(m), int(d))
        for y, m, d in zip(rng.integers(0, 20, 200), rng.integers(1, 13, 200), rng.integers(1, 29, 200), strict=True)
    ]
    groups = [f"p{i}" for i in rng.integers(0, 120, 200)]
    dated = cases(groups, day=[form.format(y=y, m=m, d=d) for y, m, d in when])
    split = assign(dated, SplitSection(by="day"))
    assert whole(dated.groups, split)
    latest = {group: max(w for w, g in zip(when, groups, strict=True) if g == group) for group in groups}
    ends = {name: [latest[g] for g in dated.groups[split == name]] for name in ("train", "valid", "test")}
    assert max(ends["train"]) <= min(ends["valid"])
    assert max(ends["valid"]) <= min(ends["test"])
    assert abs((split == "train").mean() - 0.7) < 0.03


def test_dates_that_cannot_be_read_are_listed():
    assert days(["2020", "2020-03", None], "")[0][:2].tolist() == [737425, 737485]
    assert "proves" in days(["3/4/2020"], "")[1]
    with pytest.raises(
        TableError, match=r"2 cells are no dates: 'soon' \(1\), '2020-13-01' \(1\)|2 cells are no dates"
    ):
        days(["soon", "2020-13-01"], "t.csv, column day")
    with pytest.raises(TableError, match="both occur"):
        days(["13/1/2020", "1/13/2020"], "")
    with pytest.raises(TableError, match="no date for any case of the group in rows 3"):
        assign(cases(["a", "b", "a"], day=["2020", None, None]), SplitSection(by="day"))


def test_a_site_left_out_is_test_whole():
    sites = ["1", "1.0", "2", "3", None, "3"] * 20
    heard = []
    left = cases(n=120, site=sites)
    split = assign(left, SplitSection(leave_out="site", values=("1",)), heard.append)
    np.testing.assert_array_equal(split == "test", [site in ("1", "1.0") for site in sites])
    assert (split == "train").sum() == round(80 * 0.7 / 0.85)
    assert (split == "valid").sum() == 80 - round(80 * 0.7 / 0.85)
    assert "20 empty cells" in heard[0].text


def test_who_shares_a_group_with_a_left_out_case_is_in_no_split():
    heard = []
    left = cases(["p", "p", "q", "r"], site=["a", "b", "b", "b"])
    split = assign(left, SplitSection(leave_out="site", values=("a",), fractions={"train": 0.5}), heard.append)
    assert split.tolist() == ["test", "", "train", "train"]
    assert heard[0].level == "warning"


def test_leaving_out_what_is_not_there():
    with pytest.raises(TableError, match="did you mean 'berlin'"):
        assign(cases(n=2, site=["berlin", "rome"]), SplitSection(leave_out="site", values=("berlim",)))
    with pytest.raises(SpecError, match="without `values`"):
        assign(cases(n=1, site=["a"]), SplitSection(leave_out="site"))
