"""A comparison carried out: the same cases for all, nothing fitted twice, one failure that stops nothing."""

import json
from dataclasses import replace

import numpy as np
import pytest
from eyes import CARD, PLAN, columns, spec_of

import mmfuse
from mmfuse import Catalog, Design, RunError, SpecError, Study, Table, TableError, Variant, compare
from mmfuse.study.designs import outer_splits
from mmfuse.study.shelf import stored

CATALOG = Catalog()
QUICK = {**PLAN["training"], "epochs": 1}


def variant(name="fused", **more):
    return Variant(name, "variant", spec_of(**{"training": QUICK, **more}))


def carried_out(folder, variants, design=None, cells=None, **options):
    table = Table.of(cells or columns(n=80))
    card = mmfuse.load_card(CARD)
    plain = Design(baselines=False, controls=False)
    return compare(variants, table, card, folder, folder / "study", design or plain, catalog=CATALOG, **options)


def keys(folder):
    return {path.name: path.stat().st_mtime_ns for path in (folder / "study" / "variants").iterdir()}


def test_the_second_time_only_what_is_new_is_fitted(tmp_path):
    mean = {**PLAN["network"], "fusion": "mean"}
    carried_out(tmp_path, [variant()])
    before = keys(tmp_path)
    assert len(before) == 1
    study = carried_out(tmp_path, [variant(), variant("mean", network=mean)])
    after = keys(tmp_path)
    assert before.items() <= after.items()
    assert len(after) == 2
    assert [speaker.name for speaker in study.standing] == ["fused", "mean"]
    carried_out(tmp_path, [variant("another name")])
    assert keys(tmp_path) == after


@pytest.mark.parametrize("change", ["cell", "label", "split", "knob"])
def test_whatever_decides_the_scores_is_in_the_key(tmp_path, change):
    cells = columns(n=80)
    carried_out(tmp_path, [variant()], cells=cells)
    if change == "cell":
        cells["l0"] = ["7.5", *cells["l0"][1:]]
    if change == "label":
        cells["both"] = [{"yes": "no", "no": "yes"}[cells["both"][0]], *cells["both"][1:]]
    if change == "split":
        cells["split"] = np.roll(cells["split"], 1)
    plan = variant(training={**QUICK, "lr": 0.01}) if change == "knob" else variant()
    carried_out(tmp_path, [plan], cells=cells)
    assert len(keys(tmp_path)) == 2


def test_a_column_that_nothing_reads_is_not_in_the_key(tmp_path):
    carried_out(tmp_path, [variant()])
    carried_out(tmp_path, [variant()], cells={**columns(n=80), "remark": ["x"] * 80})
    assert len(keys(tmp_path)) == 1


def test_one_that_fails_is_named_and_the_rest_stand(tmp_path):
    wrong = variant("wrong", network={**PLAN["network"], "encoders": {"left": {"use": "mlp", "widths": [4]},
                    "right": {"use": "mlp", "widths": [6]}}, "fusion": "sum"})  # fmt: skip
    study = carried_out(tmp_path, [variant(), wrong, variant("again")])
    assert [speaker.name for speaker in study.failed] == ["wrong"]
    assert "width" in study.failed[0].failure
    assert [speaker.name for speaker in Study.load(tmp_path / "study").standing] == ["fused", "again"]
    assert set(study.tables()[0].sources) == {"fused", "again"}


def test_other_labels_are_another_study(tmp_path):
    other = Variant("other", "variant", spec_of(card={**CARD, "labels": {"both": ["no", "yes"]}}))
    assert "other labels" in carried_out(tmp_path, [variant(), other]).failed[0].failure


def test_all_speak_of_the_same_test_cases(tmp_path):
    cells = columns(n=80, absent=0.2)
    design = Design(seeds=2)
    study = carried_out(tmp_path, [variant()], design, cells=cells)
    roles = {speaker.name: speaker.role for speaker in study.standing}
    assert roles == {
        "fused": "variant", "left alone": "single", "right alone": "single", "metadata only": "metadata",
        "logistic, late": "logistic", "logistic, concatenated": "logistic", "left shuffled": "control",
        "right shuffled": "control", "presence alone": "control",
        next(name for name in roles if "slots" in name): "control",
    }  # fmt: skip
    tables = study.tables()
    assert len(tables) == 2
    held = np.array(cells["case"])[np.array(cells["split"]) == "test"]
    for table in tables:
        assert set(table.ids[table.split == "test"]) == set(held)
        assert not (table.split == "train").any()
    one, two = (table.probabilities("fused") for table in tables)
    assert not np.allclose(one, two)
    alike = [table.probabilities("metadata only") for table in tables]
    assert np.array_equal(*alike)


def test_stored_scores_are_those_of_the_pipeline(tmp_path):
    study = carried_out(tmp_path, [variant()])
    cases = mmfuse.Cases(Table.of(columns(n=80)), mmfuse.load_card(CARD))
    fitted = mmfuse.Pipeline(spec_of(training=QUICK), device="cpu").fit(cases)
    scores = stored(tmp_path / "study", study.standing[0].keys[0][0])
    assert np.allclose(scores.probabilities("fused"), fitted.scores.probabilities("fused"), atol=1e-6, equal_nan=True)


# ── outer folds ───────────────────────────────────────────────────────────────────────────────────────────────────────


def cases_in_pairs(n=80):
    cells = columns(n=n)
    cells["patient"] = [f"p{i // 2}" for i in range(n)]
    cells["split"] = [["train", "train", "valid", "test"][i // 2 % 4] for i in range(n)]
    return mmfuse.Cases(Table.of(cells), mmfuse.load_card(CARD))


@pytest.mark.parametrize("refold", ["outside-test", "all"])
def test_outer_folds_cover_the_pool_once_and_keep_groups_whole(refold):
    cases = cases_in_pairs()
    split = cases.table["split"]
    splits = outer_splits(cases, split, Design(folds=4, refold=refold), seed=0)
    assert len(splits) == 4
    pool = np.isin(split.astype(str), ("train", "valid") if refold == "outside-test" else ("train", "valid", "test"))
    assert (sum((words == "test").astype(int) for words in splits) == pool).all()
    for words in splits:
        assert {"train", "valid", "test"} <= set(words)
        by_group = {}
        for group, word in zip(cases.groups, words, strict=True):
            by_group.setdefault(group, set()).add(word)
        assert all(len(found) == 1 for found in by_group.values())
        assert ((words == "") == ~pool).all()


def test_without_valid_there_is_none_in_the_folds():
    cases = cases_in_pairs()
    split = np.where(cases.table["split"] == "valid", "train", cases.table["split"]).astype(object)
    assert not any((words == "valid").any() for words in outer_splits(cases, split, Design(folds=3), seed=0))


def test_no_test_cases_are_refused_without_folds():
    cases = cases_in_pairs()
    split = np.full(len(cases), "train", dtype=object)
    with pytest.raises(TableError, match="no case is `test`"):
        outer_splits(cases, split, Design(), seed=0)


def test_scores_of_folds_stand_side_by_side(tmp_path):
    study = carried_out(tmp_path, [variant()], Design(folds=2, baselines=False, controls=False))
    (table,) = study.tables()
    held = table.take(table.split == "test")
    assert sorted(set(held.folds)) == [0, 1]
    assert len(set(held.ids)) == len(held) == 60
    assert not np.isnan(held.probabilities("fused")).any()


@pytest.mark.parametrize("wrong", [{"seeds": 0}, {"folds": 1}, {"delta": 0.0}])
def test_a_design_that_cannot_be_is_refused(wrong):
    with pytest.raises(SpecError):
        Design(**wrong)


# ── on disk ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_study_is_read_as_it_was_written(tmp_path):
    study = carried_out(tmp_path, [variant()], Design(seeds=2, baselines=False, controls=False, select="accuracy"))
    assert Study.load(tmp_path / "study") == study


def test_what_is_no_study_is_named(tmp_path):
    with pytest.raises(RunError, match="is no study"):
        Study.load(tmp_path)
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(RunError, match="cannot be read"):
        Study.load(tmp_path)
    (tmp_path / "study.json").write_text(json.dumps({"format": 99, "speakers": []}))
    with pytest.raises(RunError, match="format 99"):
        Study.load(tmp_path)


def test_scores_of_other_cases_are_refused(tmp_path):
    study = carried_out(tmp_path, [variant()])
    key = study.standing[0].keys[0][0]
    scores = stored(tmp_path / "study", key)
    renamed = replace(scores, ids=np.array([f"x{name}" for name in scores.ids]))
    renamed.save(tmp_path / "study" / "variants" / key / "scores.npz")
    with pytest.raises(RunError, match="speaks of other cases: none is called e0"):
        study.tables()


def test_fits_are_told_apart_wherever_they_are_heard(tmp_path, monkeypatch):
    """Two variants, two seeds, two folds: eight streams for who watches, for plugins, and in the study's folder."""
    heard, told = [], []

    class Plugin:
        @mmfuse.hookimpl
        def mmfuse_watch(self, event):
            heard.append(event)

    monkeypatch.setattr(f"{__name__}.CATALOG", Catalog(Plugin()))
    mean = {**PLAN["network"], "fusion": "mean"}
    design = Design(seeds=2, folds=2, baselines=False, controls=False)
    carried_out(tmp_path, [variant(), variant("mean", network=mean)], design, watch=told.append)
    wanted = {(name, seed, fold) for name in ("fused", "mean") for seed in (1, 2) for fold in (1, 2)}
    for events in (told, heard):
        epochs = [event.fit for event in events if isinstance(event, mmfuse.EpochEnded)]
        assert {(fit.variant, fit.seed, fit.fold) for fit in epochs} == wanted
        assert {fit.run for fit in epochs} == {"study"}
    stored = set()
    for place in (tmp_path / "study" / "variants").iterdir():
        lines = [json.loads(line) for line in (place / "events.jsonl").read_text().splitlines()]
        fits = {json.dumps(line.get("fit"), sort_keys=True) for line in lines}
        assert len(fits) == 1
        assert "EpochEnded" in {line["event"] for line in lines}
        stored |= fits
    assert {tuple(json.loads(fit)[name] for name in ("variant", "seed", "fold")) for fit in stored} == wanted
