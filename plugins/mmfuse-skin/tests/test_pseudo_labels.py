"""Clusters: recovered where there are some, never empty, balanced where that is asked for, named alike from epoch to
epoch; a collapse is told.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from mmfuse import Features, Fused, Label, Labels, Outputs, Scores, SpecError
from mmfuse_skin.modules.clustering import balanced, clustered, means, plus_plus, repaired
from mmfuse_skin.modules.pseudo_labels import evenness
from mmfuse_skin.pretexts import PseudoLabels

LABELS = Labels([Label("two", ("a", "b")), Label("four", ("a", "b", "c", "d"))])
WIDTHS = {"clinic": 4, "fused": 6}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def blobs(sizes, width=12, spread=0.05, seed=0):
    """Unit vectors about random directions, shuffled; and who belongs where."""
    centres = functional.normalize(torch.randn(len(sizes), width, generator=generator(seed)), dim=1)
    truth = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    noise = spread * torch.randn(len(truth), width, generator=generator(seed + 1))
    order = torch.randperm(len(truth), generator=generator(seed + 2))
    return functional.normalize(centres[truth] + noise, dim=1)[order], truth[order]


def same_partition(one, other):
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len(set(one.tolist())) == len(set(other.tolist()))


# ── k-means ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(5))
def test_what_is_apart_is_found(seed):
    vectors, truth = blobs([30, 40, 10, 60], seed=seed)
    assert same_partition(clustered(vectors, 4, None, generator(seed), 10), truth)


def test_one_round_by_hand():
    vectors, _ = blobs([9, 9, 9], spread=0.8)
    start = torch.arange(27) % 3
    found = clustered(vectors, 3, start, generator(), 1)
    x = vectors.numpy()
    centres = np.stack([x[start.numpy() == k].sum(axis=0) for k in range(3)])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    assert found.tolist() == np.argmin(((x[:, None] - centres) ** 2).sum(axis=2), axis=1).tolist()
    np.testing.assert_allclose(means(vectors, start, 3).numpy(), centres, atol=1e-6)


def test_starts_are_drawn_by_squared_distance():
    vectors = functional.normalize(torch.tensor([[1.0, 0], [1, 0.001], [0, 1], [-1, 0]]), dim=1)
    second = []
    for seed in range(400):
        first, other = plus_plus(vectors, 2, generator(seed))
        if torch.equal(first, vectors[0]):
            second.append((vectors == other).all(dim=1).nonzero()[0].item())
    assert 60 < len(second) < 140
    assert 1 not in second
    # Squared distances 2 and 4: the opposite case is drawn in two of three.
    assert np.mean([case == 3 for case in second]) == pytest.approx(2 / 3, abs=0.13)


def test_no_start_twice_while_there_are_others():
    vectors = functional.normalize(torch.tensor([[1.0, 0]] * 30 + [[0, 1.0], [-1, 0.0]]), dim=1)
    for seed in range(20):
        assert len({tuple(row) for row in plus_plus(vectors, 3, generator(seed)).tolist()}) == 3
    assert plus_plus(vectors[:30], 3, generator()).shape == (3, 2)


def test_the_same_seed_the_same_clusters():
    vectors, _ = blobs([20, 20, 20], spread=1.0)
    one, again, other = (clustered(vectors, 5, None, generator(seed), 3) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


# ── planted collapses ───────────────────────────────────────────────────────────────────────────────────────────────


def directions(*degrees):
    angle = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def test_an_empty_cluster_takes_the_case_that_fits_worst():
    centres, nowhere = directions(0.0, 90.0), torch.zeros(1, 2)
    cases = directions(10.0, 30.0, 40.0, 80.0)
    alike = cases @ torch.cat([centres, nowhere]).T
    assert repaired(cases, alike, torch.tensor([0, 0, 0, 1])).tolist() == [0, 0, 2, 1]
    # The worst one is all that its cluster has: the next is taken.
    lonely = directions(10.0, 30.0, 20.0, 150.0)
    alike = lonely @ torch.cat([centres, nowhere]).T
    assert repaired(lonely, alike, torch.tensor([0, 0, 0, 1])).tolist() == [0, 2, 0, 1]
    untouched = torch.tensor([0, 1, 2, 1])
    assert torch.equal(repaired(cases, alike, untouched), untouched)


def test_empty_clusters_are_filled_from_different_places():
    cases = directions(0.0, 5.0, 90.0, 92.0, 94.0, -80.0)
    alike = torch.cat([cases @ directions(0.0).T, torch.zeros(6, 2)], dim=1)
    assert repaired(cases, alike, torch.zeros(6, dtype=torch.long)).tolist() == [0, 0, 0, 0, 1, 2]


def test_a_planted_collapse_is_repaired_and_then_found():
    truth = torch.arange(120) % 4
    noise = 0.05 * torch.randn(120, 4, generator=generator())
    vectors = functional.normalize(torch.eye(4)[truth] + noise, dim=1)
    found = clustered(vectors, 4, torch.zeros(120, dtype=torch.long), generator(), 10)
    assert same_partition(found, truth)


@pytest.mark.parametrize("k", [2, 5])
def test_even_of_one_point_no_cluster_is_empty(k):
    vectors = functional.normalize(torch.ones(40, 8), dim=1)
    sizes = torch.bincount(clustered(vectors, k, None, generator(), 10), minlength=k)
    assert (sizes > 0).all()
    assert clustered(vectors[:k], k, None, generator(), 10).unique().numel() == k


@pytest.mark.parametrize(("sizes", "k"), [([95, 2, 2, 1], 4), ([120, 1], 3), ([100], 5)])
def test_balance_of_a_planted_collapse(sizes, k):
    vectors, _ = blobs(sizes)
    nearest = torch.bincount(clustered(vectors, k, None, generator(3), 10), minlength=k)
    even = torch.bincount(clustered(vectors, k, None, generator(3), 10, epsilon=0.05), minlength=k)
    assert even.max() <= -(-sum(sizes) // k)
    assert even.min() >= 1
    assert evenness(even) > 0.97
    assert evenness(nearest) < evenness(even)


def test_balance_costs_nothing_where_clusters_are_equal():
    vectors, truth = blobs([25, 25, 25])
    assert same_partition(clustered(vectors, 3, None, generator(), 10, epsilon=0.05), truth)


def test_the_surest_stay_where_they_would_be():
    """Three cases like the first cluster, one of them least: it is the one that moves."""
    alike = torch.tensor([[0.9, 0.0], [0.8, 0.0], [0.1, 0.0], [0.0, 0.9]])
    assert balanced(alike, 0.2).tolist() == [0, 0, 1, 1]


# ── the objective ───────────────────────────────────────────────────────────────────────────────────────────────────


def outputs(vectors, logits, tokens=None):
    present = {"clinic": torch.ones(len(vectors), dtype=torch.bool)}
    scores = {"fused": Scores(logits, tokens)}
    return Outputs(scores, {}, {"clinic": Features(vectors)}, Fused(vectors), present)


def made(part=None, cases=120):
    torch.manual_seed(0)
    return (part or PseudoLabels()).build(WIDTHS, LABELS, cases)


def embedding(vectors, tokens=None):
    return lambda of: of(outputs(vectors, torch.zeros(len(vectors), 6), tokens))


def test_the_head_learns_the_numbers():
    module, (vectors, truth) = made(PseudoLabels(temperature=0.5)), blobs([30, 30, 30, 30])
    assert module.begin_epoch(1, embedding(vectors)) == ()
    assert same_partition(module.assigned[:, 1], truth)
    position = torch.tensor([5, 70, 3])
    logits = torch.randn(3, 6, generator=generator())
    logits[1] = torch.nan  # a source that abstains
    found = module([outputs(vectors[position], logits)], position, lambda tensor: tensor)
    for number, (name, columns) in enumerate(LABELS.slices.items()):
        numbers = module.assigned[position, number].numpy()
        z = logits[:, columns].double().numpy() / 0.5
        expected = [-np.log(np.exp(z[i, numbers[i]]) / np.exp(z[i]).sum()) for i in (0, 2)]
        assert float(found[f"clusters {name}"]) == pytest.approx(np.mean(expected) / 2, rel=1e-5)


def test_numbers_stay_from_epoch_to_epoch():
    module, (vectors, _) = made(), blobs([40, 30, 30, 20])
    module.begin_epoch(1, embedding(vectors))
    before = module.assigned.clone()
    turn = torch.linalg.qr(torch.randn(12, 12, generator=generator(9)))[0]
    module.begin_epoch(2, embedding(vectors @ turn))  # the encoder has moved everything
    assert torch.equal(module.assigned, before)
    again = made()
    again.load_state_dict(module.state_dict())
    again.begin_epoch(3, embedding(vectors))
    assert torch.equal(again.assigned, before)


def test_vectors_a_label_where_the_head_gives_them():
    one, two = blobs([60, 60], seed=1), blobs([30, 30, 30, 30], seed=2)
    module = made()
    module.begin_epoch(1, embedding(torch.ones(120, 6), torch.stack([one[0], 7 * two[0]], dim=1)))
    assert same_partition(module.assigned[:, 0], one[1])
    assert same_partition(module.assigned[:, 1], two[1])


def test_a_collapse_is_told():
    vectors, _ = blobs([119, 1], spread=0.01)
    told = made().begin_epoch(1, embedding(vectors))
    assert any("'two'" in text and "99.2%" in text and "balanced = true" in text for text in told)
    same = torch.ones(120, 5) + 1e-4 * torch.rand(120, 5)
    assert sum("as good as one" in text for text in made().begin_epoch(1, embedding(same))) == 2
    assert not made(PseudoLabels(told_above=1)).begin_epoch(1, embedding(vectors))[1:]
    even = made(PseudoLabels(balanced=True))
    assert not [text for text in even.begin_epoch(1, embedding(vectors)) if "collapsed" in text]


def test_what_cannot_be_is_refused_with_its_mend():
    part = PseudoLabels()
    with pytest.raises(SpecError, match="the card has none"):
        part.build(WIDTHS, Labels([]), 10)
    with pytest.raises(SpecError, match="nothing fuses"):
        part.build({"clinic": 4, "derm": 4}, LABELS, 10)
    with pytest.raises(SpecError, match="3 cases for 4 clusters"):
        part.build(WIDTHS, LABELS, 3)
    headless = outputs(torch.ones(9, 6), torch.zeros(9, 6))._replace(scores={})
    with pytest.raises(SpecError, match="the network has none"):
        made(cases=9).begin_epoch(1, lambda of: of(headless))
