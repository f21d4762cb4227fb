"""Feature reconstruction: which places go, that originals teach and do not learn, and how draws follow the seed."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from mmfuse import Features, FlowShape
from mmfuse_ultrasound import AttentionGuided
from mmfuse_ultrasound.fusions import Reconstruction
from mmfuse_ultrasound.modules.rebuilding import AtRandom, MostAttended, OneModality, Rebuilder, highest

torch.set_num_threads(1)

GRIDS = [{"a": (2, 3), "b": (2, 2)}, {"a": (1, 2), "b": (1, 1)}]


def places(cases=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [{m: torch.randn(cases, r * c, 8, generator=generator) for m, (r, c) in scale.items()} for scale in GRIDS]


def present(cases=5):
    return {
        "a": torch.tensor([True, True, False, True, False])[:cases],
        "b": torch.tensor([True, False, True, True, False]),
    }


def test_the_most_attended_go_one_at_least_and_never_all():
    score = torch.tensor([[0.1, 0.4, 0.2, 0.3], [0.4, 0.1, 0.3, 0.2]])
    there = torch.tensor([True, True])
    assert highest(score, 0.5, there).tolist() == [[False, True, False, True], [True, False, True, False]]
    assert highest(score, 0.01, there).sum(1).tolist() == [1, 1]
    assert highest(score, 0.99, there).sum(1).tolist() == [3, 3]
    assert highest(score, 0.5, torch.tensor([False, True])).sum(1).tolist() == [0, 2]
    assert not highest(torch.ones(2, 1), 0.5, there).any()


def test_erase_goes_by_both_kinds_of_attention():
    intra, inter = torch.tensor([[0.6, 0.4, 0.0]]), torch.tensor([[0.0, 0.4, 0.6]])
    looks = [{"intra": {"a": intra}, "inter": {"a": inter}}]
    taken = MostAttended(0.3).taken([{"a": torch.zeros(1, 3, 8)}], looks, {"a": torch.tensor([True])})
    assert taken[0]["a"].tolist() == [[False, True, False]]


def test_random_takes_as_many_at_other_places():
    both = [
        kind(0.3).taken(places(), [{"intra": {m: x.mean(-1) for m, x in s.items()}} for s in places()], present())
        for kind in (MostAttended, AtRandom)
    ]
    for erased, drawn in zip(*both, strict=True):
        for m in erased:
            assert erased[m].sum(1).tolist() == drawn[m].sum(1).tolist()


def rebuilder(dropping, seed=0):
    torch.manual_seed(seed)
    return Rebuilder(GRIDS, dropping, 8, 2)


def test_what_is_kept_stays_and_what_is_rebuilt_does_not_see_itself():
    """The rebuilt places depend on the kept ones alone: other originals at the places taken change nothing there."""
    module, there = rebuilder(AtRandom(0.4)), present()
    torch.manual_seed(1)
    first = module(places(), [], there)
    torch.manual_seed(1)
    taken = AtRandom(0.4).taken(places(), [], there)
    other = [
        {m: torch.where(taken[i][m][..., None], 7.0 * torch.randn_like(x), x) for m, x in scale.items()}
        for i, scale in enumerate(places())
    ]
    torch.manual_seed(1)
    second = module(other, [], there)
    for i, scale in enumerate(places()):
        for m, x in scale.items():
            here = taken[i][m][..., None].expand_as(x)
            assert torch.equal(first.places[i][m][~here], x[~here])
            assert torch.equal(first.places[i][m][here], second.places[i][m][here])
    assert first.loss != second.loss


def test_the_loss_is_one_minus_cosine_over_the_places_taken():
    module, there, given = rebuilder(AtRandom(0.4)), present(), places()
    torch.manual_seed(1)
    rebuilt = module(given, [], there)
    distances = [
        1 - functional.cosine_similarity(rebuilt.places[i][m], x, dim=-1)[(rebuilt.places[i][m] != x).any(-1)]
        for i, scale in enumerate(given)
        for m, x in scale.items()
    ]
    torch.testing.assert_close(rebuilt.loss, torch.cat(distances).mean())


def test_originals_get_no_gradient_where_they_are_targets():
    """Places taken away enter as targets alone: what is left of them in the gradient would be the target's."""
    given = [{m: x.requires_grad_() for m, x in scale.items()} for scale in places()]
    torch.manual_seed(1)
    taken = AtRandom(0.4).taken(given, [], present())
    module = rebuilder(AtRandom(0.4))
    torch.manual_seed(1)
    module(given, [], present()).loss.backward()
    for scale, gone in zip(given, taken, strict=True):
        for m, x in scale.items():
            if x.grad is not None:
                assert not x.grad[gone[m]].any()
    assert given[0]["a"].grad[~taken[0]["a"] & present()["a"][:, None]].any()


def test_cross_rebuilds_from_the_others_and_shows_one_a_case():
    module, there = rebuilder(OneModality(0.3)), present()
    torch.manual_seed(2)
    rebuilt = module(places(), [], there)
    touched = torch.stack([rebuilt.touched[m] for m in ("a", "b")])
    assert touched.sum(0).tolist() == [1, 0, 0, 1, 0]  # both are there in the first and the fourth
    changed = places()
    changed[0]["a"], changed[1]["a"] = changed[0]["a"] + 3, changed[1]["a"] - 3
    torch.manual_seed(2)
    again = module(changed, [], there)
    for case in (0, 3):
        name = "a" if rebuilt.touched["a"][case] else "b"
        same = torch.equal(rebuilt.places[0][name][case], again.places[0][name][case])
        assert same == (name == "a")  # `a` is rebuilt from `b`, which is as it was


FLOWS = {"a": FlowShape(6, ((5, 4, 4), (7, 2, 2))), "b": FlowShape(6, ((5, 4, 4), (7, 2, 2)))}


def fused(by, seed=0, training=True, **knobs):
    torch.manual_seed(0)
    part = AttentionGuided(width=8, heads=2, dropout=0.0, reconstruction=Reconstruction(by=by, **knobs))
    module = part.build(FLOWS).train(training)
    generator = torch.Generator().manual_seed(3)
    features = {
        m: Features(
            torch.randn(5, 6, generator=generator), tuple(torch.randn(5, *s, generator=generator) for s in f.maps)
        )
        for m, f in FLOWS.items()
    }
    torch.manual_seed(seed)
    return module(features, present())


@pytest.mark.parametrize("by", ["erase", "random", "cross"])
def test_training_gets_a_loss_and_a_weighted_view_and_prediction_neither(by):
    given = fused(by, rebuild=0.25, classify=0.75)
    vector, weight = given.views["rebuilt"]
    assert vector.shape == given.vector.shape
    whole = [0.75, 0.75, 0.75, 0.75, 0.0]
    assert weight.tolist() == ([0.75, 0.0, 0.0, 0.75, 0.0] if by == "cross" else whole)
    heard = weight > 0
    assert not torch.isclose(vector, given.vector).all(1)[heard].any()
    torch.testing.assert_close(given.losses["reconstruction"] * 4, fused(by, rebuild=1.0).losses["reconstruction"])
    assert fused(by, classify=0.0).views == {}
    answering = fused(by, training=False)
    assert answering.views == {}
    assert answering.losses == {}
    torch.testing.assert_close(answering.vector, given.vector)


def test_draws_follow_torchs_own_generator_as_dropout_does():
    for by in ("random", "cross"):
        first, again, other = fused(by, 1), fused(by, 1), fused(by, 2)
        assert torch.equal(first.views["rebuilt"][0], again.views["rebuilt"][0])
        assert not torch.equal(first.views["rebuilt"][0], other.views["rebuilt"][0])
    assert torch.equal(fused("erase", 1).views["rebuilt"][0], fused("erase", 2).views["rebuilt"][0])


def test_cross_of_one_modality_has_nothing_to_rebuild_from():
    part = AttentionGuided(width=8, heads=2, reconstruction=Reconstruction(by="cross"))
    module = part.build({"a": FLOWS["a"]}).train()
    maps = tuple(torch.randn(3, *shape) for shape in FLOWS["a"].maps)
    given = module({"a": Features(torch.randn(3, 6), maps)}, {"a": torch.ones(3, dtype=torch.bool)})
    assert given.losses == {}
    assert given.views == {}


@pytest.mark.parametrize("by", ["erase", "random", "cross"])
def test_what_its_loss_counts_is_how_many_places_were_taken(by):
    """And so the losses of two halves of a batch make that of the whole."""
    flows = {m: FlowShape(6, ((4, 5, 7), (4, 2, 3))) for m in ("a", "b")}
    part = AttentionGuided(width=8, heads=2, places=9, reconstruction=Reconstruction(by=by, dropped=0.3))
    module = part.build(flows).train()
    seen = []

    def taken(places, looks, present, own=module.rebuilder.dropping.taken):
        seen.append(own(places, looks, present))
        return seen[-1]

    module.rebuilder.dropping.taken = taken
    there = present()
    generator = torch.Generator().manual_seed(0)
    features = {
        m: Features(
            torch.randn(5, 6, generator=generator), tuple(torch.randn(5, *s, generator=generator) for s in f.maps)
        )
        for m, f in flows.items()
    }
    whole = module(features, there).losses["reconstruction"]
    counts = part.loss_counts(flows, there)["reconstruction"]
    found = torch.stack([taken.sum(1) for scale in seen[0] for taken in scale.values()]).sum(0)
    assert counts.tolist() == found.tolist()
    assert counts.sum() > 0
    if by != "random":
        halves = []
        for rows in (slice(0, 2), slice(2, 5)):
            some = {m: Features(f.vector[rows], tuple(level[rows] for level in f.maps)) for m, f in features.items()}
            halves.append(module(some, {m: mask[rows] for m, mask in there.items()}).losses["reconstruction"])
        own = torch.stack([counts[:2].sum(), counts[2:].sum()])
        torch.testing.assert_close((torch.stack(halves) * own).sum() / own.sum(), whole, rtol=1e-5, atol=1e-6)


def test_without_reconstruction_nothing_is_counted():
    flows = {m: FlowShape(6, ((4, 5, 7),)) for m in ("a", "b")}
    assert AttentionGuided(width=8, heads=2).loss_counts(flows, present()) == {}
