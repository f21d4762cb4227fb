"""The softmax over labels: the head's columns, the loss by hand, what both say of cases with several diseases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pairs import network

from mmfuse import EffectiveBatch, Features, Fused, Label, Labels, Outputs, Scores, SpecError
from mmfuse.testing import checks
from mmfuse_fundus import CategoricalOverLabels, SoftmaxOverLabels

LABELS = Labels(
    [Label("n", ("0", "1")), Label("d", ("yes", "no"), positive="yes"), Label("g", ("0", "1")), Label("c", ("0", "1"))]
)
POSITIVE = [1, 2, 5, 7]
"""Columns of the positive classes."""


@pytest.mark.parametrize(
    "part",
    [
        SoftmaxOverLabels(),
        SoftmaxOverLabels(widths=(), activation="gelu"),
        CategoricalOverLabels(),
        CategoricalOverLabels(target="first"),
    ],
    ids=str,
)
def test_contract(part):
    for one in checks(part, labels=LABELS):
        one()


# ── head ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def head(scale=1.0):
    torch.manual_seed(0)
    module = SoftmaxOverLabels(widths=(8,), dropout=0.0).build(5, LABELS).eval()
    with torch.no_grad():
        module.classifier.weight.mul_(scale)
    return module


@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
def test_columns_are_one_softmax_over_labels(scale):
    module, x = head(scale), torch.randn(6, 5, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = module(x).logits.numpy()
        z = module.classifier(module.layers(x)).double().numpy()
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    shown = LABELS.softmax(logits)
    np.testing.assert_allclose(shown[:, POSITIVE], p, atol=1e-6)
    np.testing.assert_allclose(shown[:, [0, 3, 4, 6]], 1 - p, atol=1e-6)
    np.testing.assert_allclose(shown[:, POSITIVE].sum(axis=1), 1, atol=1e-5)
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(np.exp(logits[:, 0]) + np.exp(logits[:, 1]), 1, atol=1e-6)


def test_one_label_at_most_is_called_at_a_half():
    shown = LABELS.softmax(head(50.0)(torch.randn(200, 5)).logits.detach().numpy())[:, POSITIVE]
    assert (shown > 0.5).sum(axis=1).max() == 1


@pytest.mark.parametrize(
    "labels", [Labels([Label("a", ("0", "1"))]), Labels([Label("a", ("0", "1")), Label("b", ("x", "y", "z"))])]
)
def test_other_labels_are_refused(labels):
    counts = np.ones(labels.columns)
    targets = np.zeros((3, len(labels)), dtype=int)
    for call in (
        lambda: SoftmaxOverLabels().build(4, labels),
        lambda: SoftmaxOverLabels().cautions(labels, targets),
        lambda: CategoricalOverLabels().build(labels, counts),
    ):
        with pytest.raises(SpecError, match="two labels or more of two classes each") as error:
            call()
        assert "`mlp`" in str(error.value)
    if len(labels) == 2:
        assert "'b' has 3" in str(error.value)


# ── loss ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

TARGETS = torch.tensor([[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 1, 0, 0], [0, -1, 1, 1], [-1, -1, -1, -1]])
"""Positive is 1, but 0 for the second label: cases with d; n; d, g and c; none; g and c with d unknown; unknown."""


def outputs(logits, views=None, **more):
    vector = torch.zeros(len(logits), 1)
    present = {"left": torch.ones(len(logits), dtype=torch.bool)}
    scores = {"fused": Scores(logits), **{name: Scores(side) for name, side in more.items()}}
    return Outputs(scores, views or {}, {"left": Features(vector)}, Fused(vector), present)


def logits(seed=1):
    return torch.randn(len(TARGETS), 8, generator=torch.Generator().manual_seed(seed))


def by_hand(given, first=False, weights=(1.0, 1.0, 1.0, 1.0)):
    """The mean over cases that have a positive label, each written out."""
    p = LABELS.softmax(given.double().numpy())[:, POSITIVE]
    true = [[1], [0], [1, 2, 3], [], [2, 3], []]
    known = [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3], [0, 2, 3], []]
    values = []
    for case, positive in enumerate(true):
        share = positive[:1] if first else positive
        if share:
            total = p[case, known[case]].sum()
            values.append(-sum(weights[d] * np.log(p[case, d] / total) for d in share) / len(share))
    return np.mean(values)


@pytest.mark.parametrize("target", ["normalised", "first"])
def test_the_loss_by_hand(target):
    module = CategoricalOverLabels(target=target).build(LABELS, np.ones(8))
    given = logits()
    found = module(outputs(given), TARGETS, 0.0)
    assert found["fused"].item() == pytest.approx(by_hand(given, target == "first"), rel=1e-5)


@pytest.mark.parametrize("target", ["normalised", "first"])
def test_terms_of_parts_of_a_batch_add_up_to_those_of_the_whole(target):
    module = CategoricalOverLabels(target=target).build(LABELS, np.ones(8))
    there = torch.tensor([True, True, False, True, True, True])
    present = {"left": there, "right": torch.ones(6, dtype=torch.bool)}
    given, side = logits(), torch.where(there[:, None], logits(2), torch.nan)
    view = {"again": (Scores(logits(3)), torch.linspace(0.0, 1.0, 6))}
    whole = module(outputs(given, view, left=side), TARGETS, 0.0)
    effective, total = EffectiveBatch(TARGETS, present), {}
    for rows in (slice(0, 1), slice(1, 4), slice(4, 6)):
        part = {name: (Scores(scores.logits[rows]), weight[rows]) for name, (scores, weight) in view.items()}
        made = outputs(given[rows], part, left=side[rows])._replace(effective=effective)
        for name, term in module(made, TARGETS[rows], 0.0).items():
            total[name] = total.get(name, 0) + term
    for name, term in whole.items():
        torch.testing.assert_close(total[name], term, rtol=1e-6, atol=1e-7)


def test_of_its_own_head_it_is_plain_cross_entropy():
    """-Σ q log softmax(z), as any library computes it from the head's logits before its columns."""
    module, x = head(), torch.randn(6, 5, generator=torch.Generator().manual_seed(3))
    z = module.classifier(module.layers(x))
    targets = torch.tensor([[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 1, 0, 1], [1, 0, 0, 0], [0, 1, 1, 0]])
    true = torch.stack([targets[:, 0], 1 - targets[:, 1], targets[:, 2], targets[:, 3]], dim=1).float()
    expected = torch.nn.functional.cross_entropy(z, true / true.sum(dim=1, keepdim=True))
    found = CategoricalOverLabels().build(LABELS, np.ones(8))(outputs(module(x).logits), targets)
    torch.testing.assert_close(found["fused"], expected)


def test_weights_of_labels_sources_and_views():
    heavy = Labels(
        [Label(one.name, one.classes, positive=one.positive, weight=1 + (one.name == "g")) for one in LABELS]
    )
    module = CategoricalOverLabels().build(heavy, np.ones(8))
    one, other = logits(), logits(2)
    silent = other.clone()
    silent[0] = torch.nan
    weights = tuple(w / 1.25 for w in (1.0, 1.0, 2.0, 1.0))
    found = module(outputs(one, left=other), TARGETS)
    assert found["fused"].item() == pytest.approx(by_hand(one, weights=weights) / 2, rel=1e-5)
    assert found["left"].item() == pytest.approx(by_hand(other, weights=weights) / 2, rel=1e-5)
    kept = module(outputs(one, left=silent), TARGETS)["left"].item()
    assert kept == pytest.approx(module(outputs(one[1:], left=other[1:]), TARGETS[1:])["left"].item(), rel=1e-5)
    view = {"erased": (Scores(one), torch.full((6,), 0.25))}
    found = CategoricalOverLabels().build(LABELS, np.ones(8))(outputs(one, view), TARGETS)
    assert found["view/erased"].item() == pytest.approx(by_hand(one) / 4, rel=1e-5)


def test_gradients_are_finite_where_nothing_teaches():
    given = logits().requires_grad_()
    CategoricalOverLabels().build(LABELS, np.ones(8))(outputs(given), TARGETS)["fused"].backward()
    assert torch.isfinite(given.grad).all()
    assert not given.grad[[3, 5]].any()
    assert not given.grad[4, 2:4].any()
    assert given.grad[[0, 1, 2, 4]].any(dim=1).all()


# ── cautions ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def odir():
    """The counts of ODIR-5K's 3,500 patients: 2,914 with one label, 557 with two, 29 with three."""
    labels = Labels([Label(name, ("0", "1")) for name in "NDGCAHMO"])
    targets = np.zeros((3500, 8), dtype=int)
    targets[:, 0] = 1
    targets[2914:, 1] = 1
    targets[3471:, 2] = 1
    return labels, targets


def test_the_cap_is_stated():
    (text,) = SoftmaxOverLabels().cautions(*odir())
    assert "586 of 3500 training cases" in text
    assert "85.05%" in text
    assert "3500 of 4115" in text
    assert "83.26%" in text


def test_what_becomes_of_several_labels_is_stated():
    labels, targets = odir()
    (text,) = CategoricalOverLabels().cautions(labels, targets)
    assert "586 of 3500" in text
    (text,) = CategoricalOverLabels(target="first").cautions(labels, targets)
    assert "615 of 4115 are taught as absent" in text
    targets[:10] = 0
    assert "10 training cases without a positive label" in CategoricalOverLabels().cautions(labels, targets)[1]


def test_nothing_is_said_of_one_label_a_case():
    labels, targets = odir()
    assert SoftmaxOverLabels().cautions(labels, targets[:2914]) == ()
    assert CategoricalOverLabels().cautions(labels, targets[:2914]) == ()


def test_a_network_learns_by_them():
    net = network("""
[network]
encoders.image = { use = "timm", model = "resnet10t", weights = "none", share = true }
fusion = "symmetric-pair"
head = { use = "softmax-over-labels", widths = [16], dropout = 0.0 }
""")
    labels = Labels([Label(name, ("0", "1")) for name in ("normal", "diabetes", "glaucoma")])
    loss = CategoricalOverLabels().build(labels, np.ones(6))
    targets = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    net.train()
    images = {eye: torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(k)) for k, eye in enumerate("lr")}
    given = {"left": images["l"], "right": images["r"]}
    here = dict.fromkeys(given, torch.ones(4, dtype=torch.bool))
    values = []
    for _ in range(25):
        optimiser.zero_grad()
        value = loss(net(given, here), targets)["fused"]
        value.backward()
        optimiser.step()
        values.append(value.item())
    assert values[-1] < 0.3 * values[0]
