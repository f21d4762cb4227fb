"""Several tables carried out: learnt on one, tested on another, nothing fitted twice, one failure that stops none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from eyes import CARD, PLAN, columns, spec_of

import mmfuse
from mmfuse import Catalog, Design, Domain, RunError, SpecError, Table, TableError, Transfer, Variant, across, transfer
from mmfuse.study.ledger import Ledger

CATALOG = Catalog()
QUICK = {**PLAN["training"], "epochs": 1}
PLAIN = Design(baselines=False, controls=False)


@pytest.fixture(autouse=True)
def _state(tmp_path, monkeypatch):
    monkeypatch.setenv("MMFUSE_CACHE", str(tmp_path / "state"))


def domain(folder, name="a", seed=0, n=80, card=CARD, variants=("fused",), cells=None, **more):
    whole = columns(n=n, seed=seed)
    whole = {**whole, **(cells or {})}
    for column in ("case", "patient"):
        whole[column] = [f"{name}-{word}" for word in whole[column]]
    spec = spec_of(card=card, training=QUICK, **more)
    table = Table.of(whole, source=f"{name}.csv")
    return Domain(name, tuple(Variant(word, "variant", spec) for word in variants), table, spec.card, folder)


def fits(folder):
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.glob("*/variants/*")}


def held(study):
    (table,) = study.tables()
    return table.take(table.split == "test")


def test_learnt_on_one_and_tested_on_the_other(tmp_path):
    here, there = domain(tmp_path), domain(tmp_path, "b", seed=1, n=60)
    result = transfer(here, there, tmp_path / "out", PLAIN, catalog=CATALOG)
    assert [pair.title for pair in result.cells] == ["a", "a → b"]
    home, away = (result.study(pair) for pair in result.cells)
    assert sorted(held(home).ids) == sorted(np.array(here.table["case"])[here.table["split"] == "test"])
    assert sorted(held(away).ids) == sorted(there.table["case"])
    truth = dict(zip(there.table["case"], there.table["both"], strict=True))
    said = [held(away).labels[0].classes[target] for target in held(away).targets[:, 0]]
    assert said == [truth[case] for case in held(away).ids]
    fitted = mmfuse.Pipeline(here.variants[0].spec, device="cpu").fit(here.cases())
    new = fitted.sources(there.cases())
    row = {case: index for index, case in enumerate(new.ids)}
    order = [row[case] for case in held(away).ids]
    assert np.allclose(held(away).probabilities("fused"), new.probabilities("fused")[order], atol=1e-5)
    assert Transfer.load(tmp_path / "out") == result


def test_only_the_cases_that_the_card_calls_test(tmp_path):
    there = domain(tmp_path, "b", seed=1)
    result = transfer(domain(tmp_path), there, tmp_path / "out", PLAIN, on="test", catalog=CATALOG)
    wanted = np.array(there.table["case"])[there.table["split"] == "test"]
    assert sorted(held(result.study(result.cells[1])).ids) == sorted(wanted)


def test_the_second_time_nothing_is_fitted_and_nothing_is_counted(tmp_path):
    here, there = domain(tmp_path), domain(tmp_path, "b", seed=1)
    for _ in range(2):
        result = transfer(here, there, tmp_path / "out", PLAIN, catalog=CATALOG)
        before = fits(tmp_path / "out")
        away = held(result.study(result.cells[1]))
        assert Ledger().looks(away).times == 1
    assert len(before) == 2
    more = domain(tmp_path, variants=("fused", "again"))
    transfer(more, there, tmp_path / "out", PLAIN, catalog=CATALOG)
    assert fits(tmp_path / "out") == before


def test_cases_that_stand_in_both_are_left_out_and_said(tmp_path):
    here, there = domain(tmp_path), domain(tmp_path, "b", seed=1)
    twice = [*here.table["case"][:5], *there.table["case"][5:]]
    there = replace(there, table=there.table.with_columns({"case": twice}))
    result = transfer(here, there, tmp_path / "out", PLAIN, catalog=CATALOG)
    study = result.study(result.cells[1])
    assert len(held(study)) == 75
    assert any("b: 5 of 80 cases stand in a too" in note for note in study.notes)
    alike = transfer(here, there, tmp_path / "local", PLAIN, local_ids=True, catalog=CATALOG)
    assert len(held(alike.study(alike.cells[1]))) == 80


def test_seeds_and_simpler_answers_speak_of_the_other_table_too(tmp_path):
    design = Design(seeds=2)
    result = transfer(domain(tmp_path), domain(tmp_path, "b", seed=1), tmp_path / "out", design, catalog=CATALOG)
    home, away = (result.study(pair) for pair in result.cells)
    names = {speaker.name for speaker in away.standing}
    assert names == {"fused", "left alone", "right alone", "metadata only", "logistic, late", "logistic, concatenated"}
    assert names < {speaker.name for speaker in home.standing}
    one, two = (table.probabilities("fused") for table in away.tables())
    assert not np.allclose(one, two)
    judged = {pair: mmfuse.judge(result.study(pair)) for pair in result.cells}
    assert {(contest.one, contest.other) for contest in judged[result.cells[1]].contests if contest.in_family} >= {
        ("fused", "logistic, late")
    }
    assert {shift.name for shift in mmfuse.shifts(result, judged)} == names


def test_without_test_cases_of_its_own_the_other_table_stands_alone(tmp_path):
    split = np.where(columns(n=80)["split"] == "test", "train", columns(n=80)["split"])
    here = domain(tmp_path, cells={"split": split})
    result = transfer(here, domain(tmp_path, "b", seed=1), tmp_path / "out", Design(baselines=False), catalog=CATALOG)
    assert [pair.title for pair in result.cells] == ["a → b"]
    assert len(held(result.study(result.cells[0]))) == 80
    assert not result.study(result.cells[0]).named("control")
    assert "a has no test cases of its own" in result.notes


def test_weights_that_learnt_the_answers_are_refused_there_and_stand_here(tmp_path):
    """A run that learnt from cases of `b` may start nothing that is tested on them; elsewhere it may."""
    one = {"cases": {"id": "case"}, "labels": CARD["labels"], "split": CARD["split"],
           "modalities": {"left": CARD["modalities"]["left"], "right": CARD["modalities"]["right"]}}  # fmt: skip
    there = domain(tmp_path, "b", seed=1, card=one)
    mmfuse.Pipeline(there.variants[0].spec, device="cpu").fit(there.cases()).save(tmp_path / "run")
    network = {**PLAN["network"], "weights": str(tmp_path / "run")}
    result = transfer(domain(tmp_path, card=one, network=network), there, tmp_path / "out", PLAIN, catalog=CATALOG)
    home, away = (result.study(pair) for pair in result.cells)
    assert [speaker.name for speaker in home.standing] == ["fused"]
    assert "learnt from the labels of cases that are now `test`" in away.failed[0].failure


def test_what_is_chosen_inside_the_training_cases_is_chosen_so_for_the_other_table(tmp_path):
    split = np.where(columns(n=80)["split"] == "valid", "train", columns(n=80)["split"])
    here, there = domain(tmp_path, cells={"split": split}), domain(tmp_path, "b", seed=1)
    design = Design(controls=False, inner=2)
    result = transfer(here, there, tmp_path / "out", design, catalog=CATALOG)
    home, away = (result.study(pair).inner_table() for pair in result.cells)
    assert set(home.sources) == set(away.sources) == {"left alone", "right alone"}
    assert set(away.ids) == set(np.array(here.table["case"])[split == "train"])
    assert np.array_equal(home.probabilities("left alone"), away.probabilities("left alone"), equal_nan=True)


# ── several ───────────────────────────────────────────────────────────────────────────────────────────────────────────

OTHER = {**CARD, "labels": {"one": ["no", "yes"]}}


def test_each_table_by_itself_and_across_those_that_are_alike(tmp_path):
    domains = [domain(tmp_path), domain(tmp_path, "b", seed=1), domain(tmp_path, "c", seed=2, card=OTHER)]
    result = across(domains, tmp_path / "out", PLAIN, catalog=CATALOG)
    assert [pair.title for pair in result.cells] == ["a", "a → b", "b", "b → a", "c"]
    assert any("a and c are compared apart: the label 'both'" in note for note in result.notes)
    by_title = {pair.title: held(result.study(pair)) for pair in result.cells}
    assert set(by_title["a → b"].ids) == set(by_title["b"].ids)
    assert set(by_title["b → a"].ids) == set(by_title["a"].ids)
    before = fits(tmp_path / "out")
    assert len(before) == 5
    more = [replace(one, variants=domain(tmp_path, one.name, card=CARD if one.name != "c" else OTHER,
            variants=("fused", "again")).variants) for one in domains]  # fmt: skip
    across(more, tmp_path / "out", PLAIN, catalog=CATALOG)
    assert fits(tmp_path / "out") == before


def test_a_table_that_fails_is_named_and_the_others_stand(tmp_path):
    bad = domain(tmp_path, "bad", card=OTHER, cells={"one": ["perhaps"] * 80})
    none = replace(domain(tmp_path, "none", card=OTHER), variants=(), refused={"pair": "needs two images"})
    some = replace(domain(tmp_path, "some", card=OTHER), refused={"pair": "needs two images"})
    lost = domain(tmp_path, "lost", seed=3, cells={"both": [None] * 80})
    result = across([domain(tmp_path), bad, none, some, lost], tmp_path / "out", PLAIN, catalog=CATALOG)
    failed = {pair.title: pair.failure for pair in result.cells if pair.failure}
    assert "'perhaps' is no class" in failed["bad"]
    assert "needs two images" in failed["none"]
    assert {"a", "some"} <= {pair.title for pair in result.standing}
    study = result.study(next(pair for pair in result.cells if pair.title == "some"))
    assert [(speaker.name, speaker.failure) for speaker in study.failed] == [("pair", "needs two images")]
    assert any("the reference here is fused" in note for note in study.notes)


def test_where_no_table_can_be_used_it_is_refused(tmp_path):
    with pytest.raises(SpecError, match="'perhaps' is no class"):
        across([domain(tmp_path, cells={"both": ["perhaps"] * 80})], tmp_path / "out", PLAIN, catalog=CATALOG)


def test_folds_stay_within_a_table(tmp_path):
    design = replace(PLAIN, folds=2)
    domains = [domain(tmp_path), domain(tmp_path, "b", seed=1)]
    result = across(domains, tmp_path / "out", design, catalog=CATALOG)
    assert [pair.title for pair in result.cells] == ["a", "b"]
    assert any("outer folds" in note for note in result.notes)
    with pytest.raises(SpecError, match="outer folds together with a second table"):
        transfer(*domains, tmp_path / "other", design, catalog=CATALOG)


def test_what_cannot_be_told_apart_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("x")
    one = replace(domain(tmp_path), table=Table.of(columns(n=8), source=str(tmp_path / "a.csv")))
    near = replace(one, name="b", table=Table.of(columns(n=8), source=str(Path(tmp_path) / "." / "a.csv")))
    with pytest.raises(TableError, match="two tables are one file"):
        transfer(one, near, tmp_path / "out", PLAIN, catalog=CATALOG)
    with pytest.raises(TableError, match="two tables are one name: a"):
        across([domain(tmp_path), domain(tmp_path, "A")], tmp_path / "out", PLAIN, catalog=CATALOG)
    with pytest.raises(SpecError, match="a table is called 'x/y'"):
        across([domain(tmp_path, "x/y")], tmp_path / "out", PLAIN, catalog=CATALOG)


def test_what_is_no_transfer_is_named(tmp_path):
    with pytest.raises(RunError, match=r"transfer.json: cannot be read"):
        Transfer.load(tmp_path)
    (tmp_path / "transfer.json").write_text('{"format": 99}')
    with pytest.raises(RunError, match="format 99"):
        Transfer.load(tmp_path)
