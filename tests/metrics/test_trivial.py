"""Constant predictors beside a metric, figures over folds, and the lint of an evaluation's own figures."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from mmfuse import MEASURES, Label, Labels, Measure, Metric, ScoreTable, evaluate
from mmfuse.commands.further import show_together
from mmfuse.metrics import macro_auc_within
from mmfuse.metrics.within import average_precision_within
from mmfuse.show import Screen

SIGNS = Labels([Label(name, ("no", "yes")) for name in ("one", "two", "three")])


class Bits(Metric):
    """Share of right bits, beside calling nothing and calling everything."""

    @property
    def by_label(self):
        return False

    def trivial(self, labels, prior):
        nothing = np.tile([1.0, 0.0], len(labels))
        return {"nothing": nothing, "everything": 1 - nothing, "prior": prior}

    def score(self, p, targets, labels, weight):
        return 1 - MEASURES["hamming"].score(p, targets, labels, weight)


def table(folds=None, split="test", n=90, seed=0):
    rng = np.random.default_rng(seed)
    targets = (rng.random((n, 3)) < 0.3).astype(int)
    logits = 2 * SIGNS.one_hot(targets) + rng.normal(size=(n, 6))
    ids = np.array([f"c{i}" for i in range(n)])
    prior = np.array([0.8, 0.2] * 3)
    folds = np.full(n, -1) if folds is None else folds
    return ScoreTable({"net": logits[None]}, ids, ids, np.full(n, split), folds, targets, SIGNS, prior=prior)


def test_a_metric_stands_beside_its_trivial_predictors():
    held = table()
    made = evaluate(held, metrics={**MEASURES, "bits": Bits()})
    assert made["trivial_together"]["nothing"]["bits"] == pytest.approx((held.targets == 0).mean())
    assert made["trivial_together"]["everything"]["bits"] == pytest.approx((held.targets == 1).mean())
    assert made["trivial_of"] == {"nothing": ["bits"], "everything": ["bits"]}
    assert list(made["trivial"]) == ["majority", "prior", "nothing", "everything"]


def test_one_name_for_two_predictors_is_told_apart():
    other = Measure(
        Bits().score, by_label=False, trivial=lambda labels, prior: {"nothing": np.full(labels.columns, 0.5)}
    )
    made = evaluate(table(), metrics={"bits": Bits(), "other": other})
    assert made["trivial_of"]["nothing"] == ["bits"]
    assert made["trivial_of"]["nothing (other)"] == ["other"]


@pytest.mark.parametrize("given", [np.zeros(6), np.ones(5) / 5, np.full(6, np.nan), "word"])
def test_what_is_no_predictor_is_named_and_costs_nothing_else(given):
    bad = Measure(MEASURES["accuracy"].score, trivial=lambda labels, prior: {"odd": given})
    made = evaluate(table(), metrics={"bad": bad})
    assert "bad" in made["failed"]
    assert "odd" not in made["trivial"]
    assert made["sources"]["net"]["one"]["bad"] is not None


def by_hand(score, p, truth, folds, pairs):
    total = whole = 0.0
    for fold in np.unique(folds):
        here = folds == fold
        share = truth[here].sum() * ((~truth[here]).sum() if pairs else 1)
        if share and (~truth[here]).any():
            total, whole = total + share * score(truth[here], p[here]), whole + share
    return total / whole


def test_within_folds_is_what_each_fold_gives():
    folds = np.arange(90) % 4
    held = table(folds)
    p, truth = held.probabilities("net"), held.targets == 1
    auc = macro_auc_within(p, held.targets, SIGNS, None, folds)[0]
    precision = average_precision_within(p, held.targets, SIGNS, None, folds)[0]
    for index in range(3):
        chance = p[:, 2 * index + 1]
        assert auc[index] == pytest.approx(by_hand(roc_auc_score, chance, truth[:, index], folds, True))
        assert precision[index] == pytest.approx(
            by_hand(average_precision_score, chance, truth[:, index], folds, False)
        )


def test_on_train_cases_of_one_fold_are_compared():
    """A constant that is added to the logits of one fold's network moves no figure that ranks."""
    folds = np.arange(90) % 3
    held = table(folds, split="train")
    made = evaluate(held, "train")
    held.sources["net"][0][folds == 1, 1::2] += 3.0
    moved = evaluate(held, "train")
    for label in SIGNS.names:
        one, other = made["sources"]["net"][label], moved["sources"]["net"][label]
        for metric in ("macro-auc", "average-precision"):
            assert other[metric] == pytest.approx(one[metric])
        assert other["by_class"]["yes"] == pytest.approx(one["by_class"]["yes"])
    assert made["within_folds"]
    assert not evaluate(table())["within_folds"]


def test_a_plugins_metric_that_ranks_is_the_mean_over_folds():
    folds = np.repeat([0, 1], [30, 60])
    held = table(folds, split="train")

    class Ranks(Bits):
        @property
        def ranks(self):
            return True

    made = evaluate(held, "train", metrics={"ranks": Ranks(), "bits": Bits()})
    assert made["together"]["net"]["ranks"] == pytest.approx(made["together"]["net"]["bits"])
    first = evaluate(held.take(folds == 0), "train", metrics={"bits": Bits()})["together"]["net"]["bits"]
    second = evaluate(held.take(folds == 1), "train", metrics={"bits": Bits()})["together"]["net"]["bits"]
    assert made["together"]["net"]["ranks"] == pytest.approx((30 * first + 60 * second) / 90)


def test_an_evaluation_finds_nothing_in_figures_of_mmfuse():
    assert evaluate(table())["lint"] == []


def test_an_evaluation_finds_a_metric_that_is_not_what_its_name_says():
    made = evaluate(
        table(), metrics={**MEASURES, "kappa": Measure(lambda p, t, labels, w: np.full((len(w), 3), 0.999))}
    )
    assert any("net, one: kappa 0.999 is larger than accuracy" in text for text in made["lint"])
    several = evaluate(table(), metrics={"accuracy": Bits()})
    assert any("'accuracy' of 3 labels does not say which" in text for text in several["lint"])


def test_a_metric_may_say_how_it_is_to_be_read(capsys):
    said = Measure(Bits().score, by_label=False, remark="high wherever most bits are unset")
    made = evaluate(table(), metrics={"bits": said, "others": Bits()})
    assert made["remarks"] == {"bits": "high wherever most bits are unset"}
    show_together(Screen(), made, {}, {})
    assert "bits: high wherever most bits are unset" in capsys.readouterr().out
