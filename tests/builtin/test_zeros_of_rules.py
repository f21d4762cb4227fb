"""Decisions where probabilities are exactly 0: what is 0 to all who count stays 0, and nothing becomes NaN."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import log_loss

from mmfuse import Label, Labels
from mmfuse.builtin.decisions import Mean, Product, Simplex, Temperature, Vote, Weighted

LABELS = Labels([Label("grade", ("a", "b", "c"), weight=2.0), Label("sign", ("no", "yes"))])
ALL = [
    Simplex(step=0.25),
    Simplex(step=0.25, mix="probabilities", scope="label", objective="balanced-accuracy"),
    Simplex(objective="log-loss"),
    Simplex(objective="log-loss", mix="probabilities", scope="label"),
    Weighted(shares=(3, 1, 0)),
    Weighted(shares=(3, 1, 0), mix="logits"),
    Mean(),
    Product(),
    Vote(),
    Temperature(),
]


def logs(p):
    with np.errstate(divide="ignore"):
        return np.log(p)


def voted(seed, cases=60, sources=3, views=1, of=5):
    """Shares of five votes: many zeros, many ties."""
    rng = np.random.default_rng(seed)
    targets = np.stack([rng.integers(0, len(label.classes), cases) for label in LABELS], axis=1)
    p = np.empty((sources, views, cases, LABELS.columns))
    for index, part in enumerate(LABELS.slices.values()):
        size = part.stop - part.start
        for place in np.ndindex(sources, views, cases):
            lean = np.full(size, 0.4) + 1.2 * (np.arange(size) == targets[place[2], index])
            p[*place, part] = rng.multinomial(of, rng.dirichlet(lean)) / of
    return p, targets


@pytest.mark.parametrize("part", ALL, ids=repr)
@pytest.mark.parametrize("seed", range(4))
def test_what_is_zero_to_all_who_count_stays_zero(part, seed):
    p, targets = voted(seed, views=2 if part.per_view else 1)
    scores = logs(p)
    scores[0, :, :5] = np.nan
    scores[:, :, 5] = np.nan
    rule = part.fit(scores, targets, LABELS, np.ones(len(targets)))
    found = rule(scores, LABELS)
    assert np.isnan(found[5]).all()
    rest = np.delete(np.arange(len(found)), 5)
    assert np.isfinite(found[rest]).all()
    for block in LABELS.slices.values():
        np.testing.assert_allclose(found[rest][:, block].sum(axis=1), 1, rtol=1e-12)
    nowhere = (np.nan_to_num(np.exp(scores)) == 0).all(axis=(0, 1))
    assert nowhere[rest].any()
    assert (found[rest][nowhere[rest]] == 0).all()
    if part in (Mean(), Vote()):  # every source counts: what one of them allows is not 0
        assert (found[rest][~nowhere[rest]] > 0).all()


@pytest.mark.parametrize("part", [Product(), Simplex(), Temperature()], ids=repr)
def test_sources_that_exclude_each_other_have_an_answer(part):
    p = np.array([[[[1.0, 0, 0, 1, 0]]], [[[0, 1.0, 0, 0, 1]]]])
    rule = part.fit(logs(np.repeat(p, 4, axis=2)), np.zeros((4, 2), int), LABELS, np.ones(4))
    found = rule(logs(p), LABELS)[0]
    assert np.isfinite(found).all()
    assert found[2] == 0
    if part == Product():
        np.testing.assert_allclose(found, [0.5, 0.5, 0, 0.5, 0.5])


@pytest.mark.parametrize("mix", ["logits", "probabilities"])
@pytest.mark.parametrize("scope", ["global", "label"])
@pytest.mark.parametrize("seed", range(8))
def test_the_search_counts_the_hits_that_its_rule_has(seed, mix, scope):
    """Zeros everywhere: the weights that are found hit as often as the best of all do."""
    p, targets = voted(seed, cases=30, views=1 + seed % 2 if mix == "logits" else 1)
    scores = logs(LABELS.normalise(p * np.random.default_rng(seed).uniform(0.5, 1, p.shape)))

    def hit(rule):
        right = LABELS.argmax(rule(scores, LABELS)) == targets
        return right.mean(axis=0)

    found = hit(Simplex(step=0.25, mix=mix, scope=scope).fit(scores, targets, LABELS, np.ones(30)))
    tried = [w for w in itertools.product(range(5), repeat=3) if sum(w) == 4]
    each = np.array([hit(Weighted(shares=w, mix=mix).fit(scores, targets, LABELS, np.ones(30))) for w in tried])
    share = LABELS.weights / LABELS.weights.sum()
    if scope == "global":
        assert found @ share == pytest.approx((each @ share).max())
    else:
        np.testing.assert_allclose(found, each.max(axis=0))


def test_a_temperature_keeps_zeros_and_ties_and_has_the_least_log_loss():
    """A zero stays a zero at every temperature: its cases do not move the temperature, and others do as ever."""
    p, targets = voted(3, cases=300, sources=1)
    rule = Temperature().fit(logs(p), targets, LABELS, np.ones(300))
    found = rule(logs(p), LABELS)
    np.testing.assert_array_equal(found == 0, p[0, 0] == 0)
    for index, part in enumerate(LABELS.slices.values()):
        given, truth = p[0, 0][:, part], targets[:, index]
        possible = given[np.arange(300), truth] > 0
        losses = {}
        for t in np.geomspace(0.05, 20, 400):
            tempered = given ** (1 / t)
            tempered /= tempered.sum(axis=1, keepdims=True)
            losses[t] = log_loss(truth[possible], tempered[possible], labels=range(given.shape[1]))
        assert rule.temperatures[index] == pytest.approx(min(losses, key=losses.get), rel=0.02)
    order = np.lexsort((found[:, 4], p[0, 0][:, 4]))
    same = np.diff(p[0, 0][order, 4]) == 0
    assert (np.diff(found[order, 4])[same] == 0).all()


def test_one_source_that_rules_a_class_out_does_not_overrule_all_others_in_a_product():
    p = np.array([[0.0, 0.5, 0.5, 0, 1], [0.98, 0.01, 0.01, 1, 0], [0.98, 0.01, 0.01, 1, 0]])[:, None, None]
    found = Product().fit(logs(p), np.zeros((0, 2), int), LABELS, np.empty(0))(logs(p), LABELS)[0]
    plain = np.exp(np.log(np.maximum(p, 1e-12)).mean(axis=0))[0, 0]
    for part in LABELS.slices.values():
        np.testing.assert_allclose(found[part], plain[part] / plain[part].sum())
