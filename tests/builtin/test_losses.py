"""Losses: against formulas written out in NumPy, with unknown labels, silent sources, views, weights and smoothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from mmfuse import Features, Fused, Label, Labels, Outputs, Scores, SpecError
from mmfuse.builtin.losses import CrossEntropy, Focal

torch.set_num_threads(1)

LABELS = Labels([Label("diagnosis", ("a", "b", "c"), weight=2.0), Label("streaks", ("no", "yes"))])
COUNTS = np.array([6.0, 3.0, 0.0, 8.0, 2.0])
BALANCED = np.array([9 / (3 * 6), 9 / (3 * 3), 0.0, 10 / (2 * 8), 10 / (2 * 2)])


def outputs(scores, views=None):
    vector = torch.zeros(len(next(iter(scores.values()))), 1)
    present = {"m": torch.ones(len(vector), dtype=torch.bool)}
    return Outputs(
        {name: Scores(value) for name, value in scores.items()},
        {name: (Scores(value), weight) for name, (value, weight) in (views or {}).items()},
        {"m": Features(vector)},
        Fused(vector),
        present,
    )


def batch(cases=9, seed=0):
    rng = np.random.default_rng(seed)
    targets = np.stack([rng.integers(-1, 3, cases), rng.integers(-1, 2, cases)], axis=1)
    fused, clinic = rng.normal(size=(2, cases, 5)).astype(np.float32) * 3
    clinic[rng.random(cases) < 0.3] = np.nan
    return fused, clinic, targets


def by_hand(logits, targets, term, case_weight=None):
    """The mean over labels of the mean over cases of term(probabilities, class, columns), one case after another."""
    means = []
    for index, part in enumerate(LABELS.slices.values()):
        values = []
        for case in range(len(logits)):
            z = logits[case, part].astype(float)
            if targets[case, index] < 0 or np.isnan(z).any():
                continue
            p = np.exp(z) / np.exp(z).sum()
            values.append(term(p, targets[case, index], part) * (1 if case_weight is None else case_weight[case]))
        means.append(np.mean(values) if values else 0.0)
    return np.average(means, weights=LABELS.weights)


def entropy(weight, smoothing):
    def term(p, true, part):
        q = np.full(len(p), smoothing / len(p))
        q[true] += 1 - smoothing
        return -(weight[part] * q * np.log(p)).sum()

    return term


def test_plain_cross_entropy_is_torchs_mean():
    fused, _, targets = batch()
    loss = CrossEntropy().build(LABELS, COUNTS)(outputs({"fused": torch.tensor(fused)}), torch.tensor(targets), 0.0)
    expected = sum(
        label.weight
        / 3
        * functional.cross_entropy(torch.tensor(fused[:, part]), torch.tensor(targets[:, i]), ignore_index=-1)
        for i, (label, part) in enumerate(zip(LABELS, LABELS.slices.values(), strict=True))
    )
    assert list(loss) == ["fused"]
    torch.testing.assert_close(loss["fused"], expected.float())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_cross_entropy_over_sources_and_labels(smoothing, class_weight):
    fused, clinic, targets = batch()
    part = CrossEntropy(smoothing=smoothing, class_weight=class_weight)
    given_ = outputs({"fused": torch.tensor(fused), "clinic": torch.tensor(clinic)})
    loss = part.build(LABELS, COUNTS)(given_, torch.tensor(targets), 0.5)
    term = entropy(BALANCED if class_weight == "balanced" else np.ones(5), smoothing)
    assert loss["fused"].item() == pytest.approx(by_hand(fused, targets, term) / 2, rel=1e-5)
    assert loss["clinic"].item() == pytest.approx(by_hand(clinic, targets, term) / 2, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_focal(gamma, class_weight):
    fused, clinic, targets = batch(seed=1)
    weight = BALANCED if class_weight == "balanced" else np.ones(5)

    def term(p, true, part):
        return -weight[part][true] * (1 - p[true]) ** gamma * np.log(p[true])

    given_ = outputs({"fused": torch.tensor(fused), "clinic": torch.tensor(clinic)})
    loss = Focal(gamma=gamma, class_weight=class_weight).build(LABELS, COUNTS)(given_, torch.tensor(targets), 0.5)
    assert loss["fused"].item() == pytest.approx(by_hand(fused, targets, term) / 2, rel=1e-4)
    assert loss["clinic"].item() == pytest.approx(by_hand(clinic, targets, term) / 2, rel=1e-4)


def test_balanced_weights_average_one_over_the_training_cases():
    counts = np.array([6.0, 3.0, 1.0, 8.0, 2.0])
    module = CrossEntropy(class_weight="balanced").build(LABELS, counts)
    for weight, part in zip(module.term.weight.numpy(), LABELS.slices.values(), strict=True):
        assert np.average(weight[: len(counts[part])], weights=counts[part]) == pytest.approx(1)
    capped = CrossEntropy(class_weight="balanced", largest_weight=1.5).build(LABELS, counts)
    np.testing.assert_allclose(capped.term.weight[0].numpy(), [10 / 18, 10 / 9, 1.5], rtol=1e-6)


def test_sources_weigh_as_told():
    fused, clinic, targets = batch()
    given_ = outputs({"fused": torch.tensor(fused), "clinic": torch.tensor(clinic)})
    loss = CrossEntropy(sources={"fused": 3.0}).build(LABELS, COUNTS)(given_, torch.tensor(targets), 0.0)
    term = entropy(np.ones(5), 0.0)
    assert loss["fused"].item() == pytest.approx(by_hand(fused, targets, term) * 3 / 4, rel=1e-5)
    assert loss["clinic"].item() == pytest.approx(by_hand(clinic, targets, term) / 4, rel=1e-5)
    with pytest.raises(SpecError, match="did you mean 'clinic'"):
        CrossEntropy(sources={"clinc": 3.0}).build(LABELS, COUNTS)(given_, torch.tensor(targets), 0.0)


def test_views_enter_with_their_weight_a_case():
    fused, clinic, targets = batch()
    weight = np.linspace(0, 2, 9).astype(np.float32)
    weight[np.isnan(clinic).any(1)] = np.nan
    views = {"again": (torch.tensor(clinic), torch.tensor(weight))}
    given_ = outputs({"fused": torch.tensor(fused), "left": torch.tensor(fused)}, views)
    loss = CrossEntropy(sources={"view/again": 0.5}).build(LABELS, COUNTS)(given_, torch.tensor(targets), 0.0)
    expected = by_hand(clinic, targets, entropy(np.ones(5), 0.0), weight) / 2 * 0.5
    assert list(loss) == ["fused", "left", "view/again"]
    assert loss["view/again"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("part", [CrossEntropy(class_weight="balanced", smoothing=0.1), Focal(gamma=0.5)], ids=repr)
def test_nobody_known_is_zero_with_a_gradient_of_zero(part):
    logits = torch.randn(4, 5, requires_grad=True)
    silent = torch.where(torch.tensor([True, True, False, False])[:, None], torch.nan, logits)
    targets = torch.tensor([[0, 1], [2, 0], [-1, -1], [-1, -1]])
    loss = part.build(LABELS, COUNTS)(outputs({"clinic": silent}), targets, 0.0)
    assert loss["clinic"].item() == 0
    loss["clinic"].backward()
    assert torch.equal(logits.grad, torch.zeros(4, 5))


@pytest.mark.parametrize(
    "part", [CrossEntropy(class_weight="balanced", smoothing=0.1), Focal(), Focal(gamma=0.3)], ids=repr
)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.sampled_from([1.0, 30.0, 1000.0]))
def test_gradients_are_finite_and_unknown_cells_have_none(part, seed, size):
    fused, clinic, targets = batch(cases=6, seed=seed)
    leaf = torch.tensor(fused * size, requires_grad=True)
    weight = torch.rand(6)
    silent = torch.where(torch.isnan(torch.tensor(clinic)), torch.nan, leaf)
    silent.retain_grad()
    loss = part.build(LABELS, COUNTS)(outputs({"clinic": silent}, {"v": (silent, weight)}), torch.tensor(targets), 0.0)
    total = sum(loss.values())
    assert torch.isfinite(total)
    total.backward()
    assert torch.isfinite(silent.grad).all()
    assert torch.isfinite(leaf.grad).all()
    for index, columns in enumerate(LABELS.slices.values()):
        assert (leaf.grad[:, columns][targets[:, index] < 0] == 0).all()


@pytest.mark.parametrize("part", [CrossEntropy(smoothing=0.1), Focal()], ids=repr)
def test_half_precision_logits_are_computed_in_full(part):
    fused, _, targets = batch()
    half = torch.tensor(fused).bfloat16()
    module = part.build(LABELS, COUNTS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = module(outputs({"fused": half}), torch.tensor(targets), 0.0)["fused"]
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, module(outputs({"fused": half.float()}), torch.tensor(targets), 0.0)["fused"])


@pytest.mark.parametrize("part", [CrossEntropy(), Focal()], ids=repr)
def test_learning_drives_it_to_zero(part):
    targets = torch.tensor([[0, 1], [2, 0], [1, -1]])
    logits = torch.zeros(3, 5, requires_grad=True)
    module = part.build(LABELS, COUNTS)
    optimiser = torch.optim.Adam([logits], lr=0.5)
    for _ in range(60):
        optimiser.zero_grad()
        loss = module(outputs({"fused": logits}), targets, 0.0)["fused"]
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.01
    assert logits[0, :3].argmax() == 0
    assert logits[1, 3:].argmax() == 0


def test_every_case_counts_by_its_weight():
    fused, clinic, targets = batch()
    weight = np.random.default_rng(3).uniform(0, 2, len(fused)).astype(np.float32)
    views = {"again": (torch.tensor(fused), torch.full((len(fused),), 0.5))}
    given = outputs({"fused": torch.tensor(fused), "clinic": torch.tensor(clinic)}, views)
    module = CrossEntropy(class_weight="balanced").build(LABELS, COUNTS)
    terms = module(given._replace(weight=torch.tensor(weight)), torch.tensor(targets), 0.0)
    term = entropy(BALANCED, 0.0)
    for name, logits, share in (
        ("fused", fused, weight),
        ("clinic", clinic, weight),
        ("view/again", fused, weight / 2),
    ):
        assert float(terms[name]) == pytest.approx(by_hand(logits, targets, term, share) / 2, rel=1e-4)
    alike = module(given._replace(weight=torch.ones(len(fused))), torch.tensor(targets), 0.0)
    assert all(torch.equal(alike[name], value) for name, value in module(given, torch.tensor(targets), 0.0).items())
