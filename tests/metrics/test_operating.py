"""Operating points: the threshold that a plain search finds, what is not fitted, and that a run keeps them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmfuse import OperatingPoints, evaluate
from mmfuse.decide.scores import ScoreTable
from mmfuse.errors import RunError, SpecError
from mmfuse.labels import Label, Labels
from mmfuse.metrics.operating import COUNTERPART, Rule, choose_threshold, read_rule

LABELS = Labels([Label("sign", ("no", "yes")), Label("grade", ("low", "high", "odd"), positive="high")])


def sides(truth, called):
    with np.errstate(invalid="ignore"):
        return {
            "sensitivity": (truth & called).sum() / truth.sum(),
            "specificity": (~truth & ~called).sum() / (~truth).sum(),
            "ppv": (truth & called).sum() / called.sum(),
            "npv": (~truth & ~called).sum() / (~called).sum() if (~called).any() else np.nan,
        }


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=6, max_size=40),
    st.sampled_from([*COUNTERPART]),
    st.sampled_from([0.3, 0.5, 0.8, 0.9, 0.95, 1.0]),
)
def test_no_threshold_does_better(cases, figure, least):
    chance, truth = np.array([k / 12 for k, _ in cases]), np.array([yes for _, yes in cases])
    if truth.all() or not truth.any():
        return
    found = choose_threshold(chance, truth, Rule(figure, least))
    tried = {t: sides(truth, chance >= t) for t in np.unique(chance)}
    kept = {t: told for t, told in tried.items() if told[figure] >= least - 1e-12}
    if not kept:
        assert np.isnan(found)
        return
    other = COUNTERPART[figure]
    best = max(kept.values(), key=lambda told: (round(told[other], 9), round(told[figure], 9)))
    told = sides(truth, chance >= found)
    assert told[figure] >= least - 1e-12
    assert told[other] == pytest.approx(best[other])
    np.testing.assert_allclose(told[figure], best[figure])


def test_the_threshold_lies_midway_and_of_equals_is_the_higher():
    chance, truth = np.array([0.1, 0.4, 0.6, 0.9]), np.array([False, False, True, True])
    assert choose_threshold(chance, truth, Rule("sensitivity", 0.95)) == pytest.approx(0.5)
    assert choose_threshold(chance, truth, Rule("sensitivity", 0.5)) == pytest.approx(0.5)
    chance, truth = np.array([0.1, 0.4, 0.6, 0.9]), np.array([True, False, True, True])
    assert choose_threshold(chance, truth, Rule("sensitivity", 1.0)) == 0.0
    assert choose_threshold(chance, truth, Rule("ppv", 0.9)) == pytest.approx(0.5)


@pytest.mark.parametrize("text", ["sensitivity>=0.95", " npv >= 1 ", "ppv >= .5"])
def test_rules_are_read(text):
    assert read_rule(text).least in (0.95, 1.0, 0.5)


@pytest.mark.parametrize("text", ["recall >= 0.9", "sensitivity > 0.9", "sensitivity >= 95", "specificity >= 0", ""])
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(SpecError, match="is no operating point") as refused:
        read_rule(text)
    assert "sensitivity >= 0.95" in str(refused.value)


def table(n=200, positives=None):
    rng = np.random.default_rng(0)
    targets = np.stack([rng.integers(0, 2, n), rng.integers(0, 3, n)], axis=1)
    if positives is not None:
        targets[:, 0] = np.arange(n) < positives
    logits = rng.normal(size=(2, n, LABELS.columns)) + LABELS.one_hot(targets)
    logits[1, ::9] = np.nan
    ids = np.array([f"c{i}" for i in range(n)])
    split = np.array(["valid", "test"])[rng.permutation(n) % 2]
    sources = {"good": logits[:1], "gaps": logits[1:]}
    return ScoreTable(sources, ids, ids, split, np.full(n, -1), targets, LABELS)


def fitted(scores, rules):
    valid = scores.take(scores.split == "valid")
    spoken = {name: valid.probabilities(name) for name in valid.sources}
    return OperatingPoints.fit(rules, spoken, valid.targets, valid.labels)


RULES = {"sign": "sensitivity >= 0.9", "grade": "specificity >= 0.8"}


def test_every_source_keeps_its_rule_where_it_was_fitted():
    scores = table()
    points = fitted(scores, RULES)
    assert not points.left_out
    for source in scores.sources:
        told = evaluate(scores, "valid", points=points)["sources"][source]
        assert told["sign"]["at"]["sensitivity"] >= 0.9
        assert told["grade"]["at"]["specificity"] >= 0.8
        assert told["grade"]["at"]["positive"] == "high"
        for label in RULES:
            at = told[label]["at"]
            for name in ("sensitivity", "specificity", "ppv", "npv"):
                assert at[name] == pytest.approx(at[f"fitted_{name}"])
        assert told["sign"]["at"]["fitted_positives"] == told["sign"]["positives"]


def test_calls_and_figures_of_test_are_by_the_stored_threshold(tmp_path):
    scores = table()
    fitted(scores, RULES).save(tmp_path / "operating.json")
    points = OperatingPoints.load(tmp_path / "operating.json")
    assert points == fitted(scores, RULES)
    chosen = scores.take(scores.split == "test")
    p = chosen.probabilities("gaps")
    calls = points.calls("gaps", p, LABELS)
    silent = np.isnan(p[:, 0])
    assert {*calls} == {*RULES}
    assert all(word is None for word in calls["sign"][silent])
    called = calls["sign"][~silent] == "yes"
    np.testing.assert_array_equal(called, p[~silent, 1] >= points.of("gaps")["sign"].threshold)
    expected = sides(chosen.targets[~silent, 0] == 1, called)
    result = evaluate(scores, "test", points=points)
    assert json.loads(json.dumps(result)) == result
    at = result["sources"]["gaps"]["sign"]["at"]
    assert {name: at[name] for name in expected} == pytest.approx(expected)


def test_what_is_not_fitted_says_why():
    scores = table(positives=12)  # about half of them in valid
    points = fitted(scores, {"sign": "sensitivity >= 0.9"})
    assert points.of("good") == {}
    assert "fewer than 10" in points.left_out["sign of good"]
    scores = table()
    empty = OperatingPoints.fit(RULES, {"good": np.empty((0, 5))}, np.empty((0, 2), dtype=int), LABELS)
    assert {*empty.left_out} == {*RULES}
    assert all("no case to fit it on" in why for why in empty.left_out.values())
    flat = {"flat": np.tile([0.5, 0.5, 0.2, 0.4, 0.4], (100, 1))}
    points = OperatingPoints.fit({"sign": "ppv >= 0.9"}, flat, scores.targets[:100], LABELS)
    assert points.left_out == {"sign of flat": "no threshold keeps ppv >= 0.9"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"points": {"a": {"b": {"rule": 1}}}, "left_out": {}}'])
def test_a_broken_file_is_refused(tmp_path, text):
    (tmp_path / "operating.json").write_text(text)
    with pytest.raises(RunError, match="cannot be read"):
        OperatingPoints.load(tmp_path / "operating.json")
