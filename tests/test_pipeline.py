"""The whole, on tiny cohorts: what is fitted, predicted and refused, and that nothing speaks about what it learnt."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from cohort import CARD, CATALOG, NETWORK, TRAINING, TWO_STAGES, cases_of, columns, pipeline_of, spec_of

import mmfuse
from mmfuse.errors import SpecError, TableError
from mmfuse.events import EpochEnded, Notice, StepEnded, StepStarted
from mmfuse.hooks import hookimpl

ALONE = {"network": "", "decisions": {"stage": {"use": "straight", "features": ["table", "vector"]}}}


@pytest.fixture(scope="module", autouse=True)
def one_torch_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def fitted():
    pipeline = pipeline_of(decisions=TWO_STAGES)
    return pipeline.fit(cases_of(pipeline.spec, n=80))


@pytest.fixture
def cases(fitted):
    return cases_of(fitted.spec, n=80)


def test_every_source_speaks_about_every_case_it_can(fitted, cases):
    table = fitted.scores
    assert list(table.sources) == ["fused", "meta", "emb", "mixed", "stage", "final"] == [*fitted.wiring.all_sources]
    present = np.array([cell is not None for cell in cases.table["e0"]])
    for name in table.sources:
        p = table.probabilities(name)
        spoken = ~np.isnan(p).any(axis=1)
        np.testing.assert_array_equal(spoken, present if name == "emb" else np.ones(80, bool))
        np.testing.assert_allclose(p[spoken, :2].sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(p[spoken, 2:].sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(table.split, cases.table["split"])
    assert (table.folds[table.split == "train"] >= 0).all()
    assert (table.folds[table.split != "train"] == -1).all()
    assert (table.case_is, table.labels) == ("lesion", cases.labels)


def test_new_cases_are_answered_as_in_fitting(fitted, cases):
    test = np.flatnonzero(fitted.scores.split == "test")
    new = fitted.sources(cases.take(test))
    for name in fitted.scores.sources:
        np.testing.assert_allclose(new.probabilities(name), fitted.scores.probabilities(name)[test], atol=1e-6)
    np.testing.assert_array_equal(fitted.predict_proba(cases.take(test)), new.probabilities("final"))


def test_classes_follow_probabilities_and_the_score_is_theirs(fitted, cases):
    test = cases.take(np.flatnonzero(fitted.scores.split == "test"))
    p, classes = fitted.predict_proba(test), fitted.predict(test)
    assert list(classes) == ["sign", "grade"]
    np.testing.assert_array_equal(classes["sign"], np.array(["no", "yes"], dtype=object)[p[:, :2].argmax(axis=1)])
    recalls = []
    for label, name in enumerate(("sign", "grade")):
        truth = [cases.labels[label].classes[k] if k >= 0 else None for k in test.targets[:, label]]
        hits = {}
        for said, true in zip(classes[name], truth, strict=True):
            if true is not None:
                hits.setdefault(true, []).append(said == true)
        recalls.append(np.mean([np.mean(found) for found in hits.values()]))
    assert fitted.score(test) == pytest.approx(np.mean(recalls))


def renamed(cells):
    """The same cells of other people."""
    return {**cells, "id": [f"new {name}" for name in cells["id"]], "patient": [f"new {i}" for i in cells["patient"]]}


def test_a_case_with_nothing_has_no_prediction():
    pipeline = pipeline_of(network={"encoders": {"vector": "linear"}, "head": "linear"})
    pipeline.fit(cases_of(pipeline.spec))
    cells = columns(n=4)
    for name in ("e0", "e1", "e2"):
        cells[name] = [None, "1", "2", "3"]
    new = cases_of(pipeline.spec, renamed(cells))
    assert pipeline.predict(new)["sign"][0] is None
    assert np.isnan(pipeline.predict_proba(new)[0]).all()
    assert np.isfinite(pipeline.predict_proba(new)[1:]).all()
    assert pipeline.flags(new)[0] == "nothing is present"


@pytest.mark.parametrize("plan", [{"decisions": TWO_STAGES}, ALONE], ids=["network", "metadata alone"])
def test_what_training_never_saw_is_flagged(plan, tmp_path):
    pipeline = pipeline_of(**plan)
    pipeline.fit(cases_of(pipeline.spec))
    cells = columns(n=4)
    cells["age"], cells["sex"], cells["e0"] = ["0", "1e6", "0", "0"], ["f", "f", "x", None], ["0", "0", "0", "0"]
    new = cases_of(pipeline.spec, renamed(cells))
    flags = pipeline.flags(new)
    assert (flags[0], flags[3]) == ("", "")
    assert flags[1].startswith("age 1e+06 (training: ")
    assert flags[2] == "sex 'x' (not in training)"
    pipeline.save(tmp_path / "run")
    assert mmfuse.Pipeline.load(tmp_path / "run", catalog=pipeline.catalog, device="cpu").flags(new) == flags


def test_what_some_fold_has_seen_is_not_flagged():
    network = {"encoders": {"table": {"use": "linear", "weights": "none"}}, "head": "linear"}
    pipeline = pipeline_of(network=network, training={**TRAINING, "serve": "folds"})
    cases = cases_of(pipeline.spec)
    pipeline.fit(cases)
    train = pipeline.scores.split == "train"
    told = {flag for flag, here in zip(pipeline.flags(cases), train, strict=True) if here}
    assert told == {"was in training"}  # extremes included


def test_a_word_among_numbers_stops_the_work_before_it_begins():
    """Also in a test case, and in a table that only a second stage reads."""
    told = []
    pipeline = pipeline_of(told.append, decisions=TWO_STAGES)
    cells = columns()
    cells["age"][-1] = "sixty"
    with pytest.raises(TableError, match=r"'sixty' \(1, in row 61"):
        pipeline.fit(cases_of(pipeline.spec, cells))
    assert not [event for event in told if isinstance(event, StepStarted)]


def test_new_cases_need_no_labels(fitted):
    cells = columns(n=6)
    for name in ("sign", "grade", "split", "half"):
        del cells[name]
    new = mmfuse.Cases(mmfuse.Table.of(cells), fitted.spec.card, labelled=False)
    assert fitted.predict_proba(new).shape == (6, 5)
    assert np.isnan(fitted.score(new))


def test_metadata_alone_needs_no_network_and_no_torch():
    code = """
    import sys
    sys.path.insert(0, sys.argv[1])
    import numpy as np
    from cohort import cases_of, pipeline_of
    pipeline = pipeline_of(network="", decisions={"stage": {"use": "straight", "features": ["table", "vector"]}})
    cases = cases_of(pipeline.spec)
    pipeline.steps(np.array(["train", "valid"]))
    assert "sklearn" not in sys.modules and "scipy" not in sys.modules, "before anything is fitted"
    pipeline.fit(cases)
    assert pipeline.network is None and list(pipeline.scores.sources) == ["stage"]
    assert np.isfinite(pipeline.predict_proba(cases)).all()
    print([name for name in ("torch", "timm", "kornia", "xgboost") if name in sys.modules])
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(Path(__file__).parent)]
    out = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (out.stdout.strip(), out.stderr) == ("[]", "")


def test_steps_are_what_fitting_does():
    seen = []
    pipeline = pipeline_of(seen.append, decisions=TWO_STAGES)
    cases = cases_of(pipeline.spec)
    steps = pipeline.steps(np.array(cases.table["split"]))
    assert steps.networks == ("network", "fold 1", "fold 2")
    assert steps.stages == ("mixed (on valid)", "stage (on train)", "final (on valid)")
    pipeline.fit(cases)
    started = [event.name for event in seen if isinstance(event, StepStarted)]
    assert started == [*steps.networks, "decisions"]
    assert [event.name for event in seen if isinstance(event, StepEnded)] == started
    epochs = {(event.network, event.epoch) for event in seen if isinstance(event, EpochEnded)}
    assert epochs == {(name, epoch) for name in steps.networks for epoch in (1, 2)}
    assert [event for _, event in pipeline.events] == seen


@pytest.mark.parametrize(
    ("training", "decisions", "networks"),
    [
        ({}, {}, ("network",)),
        ({"serve": "folds"}, {}, ("fold 1", "fold 2")),
        ({"folds": {"column": "half", "predict": ["b"]}}, TWO_STAGES, ("network", "fold 1")),
    ],
)
def test_the_networks_that_are_trained_are_those_foretold(training, decisions, networks):
    seen = []
    pipeline = pipeline_of(seen.append, training={**TRAINING, "epochs": 1, **training}, decisions=decisions)
    cases = cases_of(pipeline.spec)
    assert pipeline.steps(np.array(cases.table["split"])).networks == networks
    pipeline.fit(cases)
    assert tuple(e.name for e in seen if isinstance(e, StepStarted) and e.name != "decisions") == networks
    speaks = ~np.isnan(pipeline.scores.probabilities("fused")).any(axis=1)
    train, b = np.array(cases.table["split"]) == "train", np.array(cases.table["half"]) == "b"
    expected = ~train if networks == ("network",) else ~train | b if "folds" in training else np.ones(60, bool)
    np.testing.assert_array_equal(speaks, expected)


def test_the_seed_decides_every_number():
    def scores(**plan):
        pipeline = pipeline_of(**plan, decisions=TWO_STAGES)
        return pipeline.fit(cases_of(pipeline.spec)).scores

    first, same, other = scores(seed=1), scores(seed=1), scores(seed=2)
    for name in first.sources:
        np.testing.assert_array_equal(first.sources[name], same.sources[name])
    assert (first.sources["fused"] != other.sources["fused"]).any()
    assert (first.folds != other.folds).any()


def test_a_further_decision_changes_no_other():
    def scores(decisions):
        pipeline = pipeline_of(decisions=decisions, training={**TRAINING, "epochs": 1})
        return pipeline.fit(cases_of(pipeline.spec)).scores

    less, more = (
        scores({"stage": TWO_STAGES["mixed"]}),
        scores({"other": TWO_STAGES["mixed"], "stage": TWO_STAGES["mixed"]}),
    )
    for name in ("emb", "stage"):
        test = less.split != "train"
        np.testing.assert_array_equal(less.sources[name][:, test], more.sources[name][:, test])


def test_memories_of_noise_are_at_chance_about_training_cases():
    """Labels are drawn; a network and a nearest neighbour learn them by heart, and what the engine says is chance."""
    cells = columns(n=120, signal=0.0, unknown=0.0, absent=0.0)
    cells["split"] = ["train" if i // 2 % 4 else "valid" for i in range(120)]
    wide = {"use": "mlp", "widths": [256, 256], "dropout": 0.0}
    pipeline = pipeline_of(
        network={**NETWORK, "encoders": {"table": wide, "vector": wide}, "side_heads": False},
        training={**TRAINING, "epochs": 50, "batch": 64, "best": {"metric": ""}, "weight_decay": 0.0},
        decisions={
            "heart": {"use": "nearest", "reads": ["fused"], "features": ["table", "vector"]},
            "mixed": {"use": "simplex", "reads": ["fused", "heart"], "step": 0.25, "learn": "train"},
        },
    )
    cases = cases_of(pipeline.spec, cells)
    pipeline.fit(cases)
    train = pipeline.scores.split == "train"
    known_by_heart = pipeline.sources(cases)

    def hits(table, source):
        return (cases.labels.argmax(table.probabilities(source)) == cases.targets)[train].mean(axis=0)

    for source in ("fused", "heart", "mixed"):
        assert (np.abs(hits(pipeline.scores, source) - (1 / 2, 1 / 3)) < 0.13).all(), source
        assert (hits(known_by_heart, source) > 0.75).all(), source


def test_signal_is_found():
    pipeline = pipeline_of(training={**TRAINING, "epochs": 15}, decisions=TWO_STAGES)
    cells = columns(n=240, signal=3.0)
    cases = cases_of(pipeline.spec, cells)
    pipeline.fit(cases)
    assert pipeline.score(cases.take(np.flatnonzero(pipeline.scores.split == "test"))) > 0.75


def test_unlearnable_cases_are_refused_before_anything_is_trained():
    pipeline = pipeline_of()
    cells = columns()
    with pytest.raises(TableError, match="label 'sign' is known for no training case"):
        pipeline.fit(cases_of(pipeline.spec, {**cells, "sign": [None] * 60}))
    with pytest.raises(TableError, match="training cases: 0 of"):
        pipeline.fit(cases_of(pipeline.spec, {**cells, "split": ["test"] * 60}))
    bare = {**CARD, "labels": {}}
    unlabelled = mmfuse.load({"network": {**NETWORK, "head": ""}}, bare, catalog=CATALOG)
    with pytest.raises(SpecError, match="neither a head nor a decision"):
        mmfuse.Pipeline(unlabelled, catalog=CATALOG).fit(cases_of(unlabelled, cells))


def test_a_label_of_one_class_is_told():
    pipeline = pipeline_of(**ALONE)
    cells = columns(unknown=0.0)
    cells["sign"] = [
        "no" if split == "train" else sign for split, sign in zip(cells["split"], cells["sign"], strict=True)
    ]
    pipeline.fit(cases_of(pipeline.spec, cells))
    (told,) = [event for _, event in pipeline.events if isinstance(event, Notice) and "one class" in event.text]
    assert "'sign' has one class among the training cases ('no')" in told.text


def test_a_split_of_one_s_own():
    pipeline = pipeline_of(**ALONE)
    cases = cases_of(pipeline.spec)
    own = ["train"] * 40 + ["test"] * 20
    assert list(pipeline.fit(cases, own).scores.split) == own
    with pytest.raises(TableError, match="the words 'trian'"):
        pipeline.fit(cases, ["trian"] * 60)
    with pytest.raises(TableError, match=r"shape \(2,\)"):
        pipeline.fit(cases, ["train", "test"])


def test_events_are_of_the_last_fit():
    pipeline = pipeline_of(**ALONE)
    cases = cases_of(pipeline.spec)
    first = len(pipeline.fit(cases).events)
    assert len(pipeline.fit(cases).events) == first > 0


def test_a_pipeline_that_is_not_fitted_says_so(tmp_path):
    pipeline = pipeline_of(**ALONE)
    for act in (pipeline.predict, pipeline.score, pipeline.sources, pipeline.flags):
        with pytest.raises(SpecError, match=r"call fit\(cases\), or Pipeline\.load"):
            act(cases_of(pipeline.spec))
    with pytest.raises(SpecError, match="not fitted"):
        pipeline.save(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_watcher_that_fails_is_told_and_training_goes_on():
    class Broken:
        @hookimpl
        def mmfuse_watch(self, event):
            raise OSError("no ink")

    seen = []
    catalog = mmfuse.Catalog(Broken(), *CATALOG._given, installed=False)
    pipeline = mmfuse.Pipeline(spec_of(**ALONE), catalog=catalog, watch=seen.append)
    pipeline.fit(cases_of(pipeline.spec))
    warned = [event.text for event in seen if isinstance(event, Notice) and event.level == "warning"]
    assert warned == ["plugin 'Broken' no longer watches: mmfuse_watch: OSError: no ink"]
    assert pipeline.decisions is not None


def test_patterns_of_columns_reach_the_network():
    card = {"modalities": {**CARD["modalities"], "emb": {"use": "vector", "numeric": ["e*"]}}}
    pipeline = pipeline_of(card=card, training={**TRAINING, "epochs": 1})
    assert pipeline.fit(cases_of(pipeline.spec)).network is not None


def test_the_loss_that_is_meant_is_named():
    assert spec_of().plan.training.loss.name == "cross-entropy"
    bare = spec_of().model_copy(
        update={"plan": spec_of().plan.model_copy(update={"training": mmfuse.TrainingSection()})}
    )
    assert mmfuse.Pipeline(bare, catalog=CATALOG).spec.plan.training.loss.name == "cross-entropy"
