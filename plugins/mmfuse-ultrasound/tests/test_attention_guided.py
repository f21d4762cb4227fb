"""The attention-guided fusion against NumPy, softmax rows, presence, pictures, identity start, and refusals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from mmfuse import Features, FlowShape, SpecError
from mmfuse.testing import check
from mmfuse_ultrasound import AttentionGuided
from mmfuse_ultrasound.fusions import Reconstruction
from mmfuse_ultrasound.modules.attention import attend, rows
from mmfuse_ultrasound.modules.places import grid_of, sine_codes

torch.set_num_threads(1)

FLOWS = {
    "photo": FlowShape(10, ((6, 6, 6), (8, 3, 3))),
    "type": FlowShape(12, ((4, 5, 3), (8, 2, 1))),  # `type` is an attribute of every torch module
    "a.b": FlowShape(9, ((5, 4, 4), (7, 2, 2))),
}
TABLE = {"table": FlowShape(5)}
SMALL = {"width": 8, "heads": 2}


def draw(flows, cases=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        m: Features(
            torch.randn(cases, flow.width, generator=generator),
            tuple(torch.randn(cases, *shape, generator=generator) for shape in flow.maps),
        )
        for m, flow in flows.items()
    }


def everyone(flows, cases=4):
    return {m: torch.ones(cases, dtype=torch.bool) for m in flows}


def built(part, flows, seed=0):
    """With weights moved a little: gates that are zero would hide what attention does."""
    torch.manual_seed(seed)
    module = part.build(flows).eval()
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return module


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def norm(x, state, name):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((x**2).mean(-1, keepdims=True) - x.mean(-1, keepdims=True) ** 2 + 1e-5)
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def by_head(x, heads=2):
    return np.stack(np.split(x, heads, axis=-1))


def test_one_scale_is_the_formula():
    """LN(T + g_i softmax(Q Kᵀ/√d) V + g_x softmax(Q K'ᵀ/√d) V'), a mean over places, one linear layer a modality."""
    flows = {m: FLOWS[m] for m in ("photo", "type")}
    part = AttentionGuided(**SMALL, scales=1, global_learning=False, positions="learned")
    module, features = built(part, flows), draw(flows, cases=1)
    state = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    placed, asked = {}, {}
    for m in flows:
        own = f"places.0.of-{m}"
        x = features[m].maps[-1][0].numpy().reshape(8, -1).T @ state[f"{own}.project.weight"].T
        placed[m] = norm(x + state[f"{own}.project.bias"], state, f"{own}.norm")
        coded = placed[m] + state[f"local.0.codes.of-{m}.learned.0"]
        kinds = {"queries": coded, "keys": coded, "values": placed[m]}
        asked[m] = {k: by_head(v @ state[f"local.0.ask.{k}.weight"].T) for k, v in kinds.items()}
    expected = []
    for m, other in (("photo", "type"), ("type", "photo")):
        total = placed[m]
        for kind, whose in (("intra", m), ("inter", other)):
            logits = asked[m]["queries"] @ asked[whose]["keys"].transpose(0, 2, 1) / np.sqrt(4)
            found = np.concatenate(list(softmax(logits) @ asked[whose]["values"]), axis=-1)
            total = total + state[f"local.0.gates.{kind}-of-{m}"] * found
        pooled = norm(total, state, f"local.0.norms.of-{m}").mean(0)
        expected.append(pooled @ state[f"merge.of-{m}.weight"].T + state[f"merge.of-{m}.bias"])
    with torch.no_grad():
        given = module(features, everyone(flows, 1)).vector[0].numpy()
    np.testing.assert_allclose(given, np.concatenate(expected), atol=1e-5)


def test_softmax_rows_sum_to_one_over_what_is_present_and_are_what_attention_mixes_by():
    torch.manual_seed(0)
    q, k, v = torch.randn(4, 5, 8), torch.randn(4, 7, 8), torch.randn(4, 7, 8)
    seen = torch.rand(4, 7) < 0.5
    seen[0], seen[1] = True, False
    by_heads = list(rows(q, k, 2, seen))
    for one in by_heads:
        torch.testing.assert_close(one.sum(-1), seen.any(1)[:, None].float().expand(4, 5))
        assert not one.masked_select(~seen[:, None].expand_as(one)).any()
    mixed = torch.cat([one @ half for one, half in zip(by_heads, v.chunk(2, dim=-1), strict=True)], dim=-1)
    torch.testing.assert_close(attend(q, k, v, 2, seen), mixed)
    torch.testing.assert_close(attend(q, k, v, 2), attend(q, k, v, 2, torch.ones_like(seen)))
    assert not attend(q, k, v, 2, seen)[1].any()


def test_pictures_sum_to_one_over_what_is_present():
    module, features, present = built(AttentionGuided(**SMALL), FLOWS), draw(FLOWS, 8), {}
    patterns = torch.tensor(list(itertools.product([True, False], repeat=3)))
    present = {m: patterns[:, k] for k, m in enumerate(FLOWS)}
    pictures = module(features, present).attention
    assert set(pictures) == {f"{m}/{kind}" for m in FLOWS for kind in ("intra", "inter")}
    assert pictures["photo/intra"].shape == (8, 6, 6)
    assert pictures["type/inter"].shape == (8, 5, 3)
    for m, here in present.items():
        beside = patterns.sum(1) > 1
        torch.testing.assert_close(pictures[f"{m}/intra"].sum((1, 2)), here.float())
        torch.testing.assert_close(pictures[f"{m}/inter"].sum((1, 2)), (here & beside).float())
        assert not pictures[f"{m}/intra"].requires_grad
        assert float(pictures[f"{m}/inter"].min()) >= 0


def test_a_picture_of_one_scale_is_the_mean_of_the_rows():
    flows = {m: FLOWS[m] for m in ("photo", "type")}
    module = built(AttentionGuided(**SMALL, scales=1), flows)
    features, present = draw(flows), everyone(flows)
    with torch.no_grad():
        places = {m: module.places[0][f"of-{m}"](features[m].maps[-1], present[m]) for m in flows}
        _, asked = module.local[0](places, present)
        own = torch.stack(list(rows(asked["photo"].queries, asked["photo"].keys, 2))).mean((0, 2))
        others = torch.stack(list(rows(asked["type"].queries, asked["photo"].keys, 2))).mean((0, 2))
        pictures = module(features, present).attention
    torch.testing.assert_close(pictures["photo/intra"].flatten(1), own)
    torch.testing.assert_close(pictures["photo/inter"].flatten(1), others)


PARTS = [
    AttentionGuided(**SMALL),
    AttentionGuided(**SMALL, global_learning=False, positions="sine"),
    AttentionGuided(**SMALL, inter=False, depth=2, positions="learned"),
    AttentionGuided(**SMALL, intra=False, scales=1, places=4),
    AttentionGuided(**SMALL, local_learning=False),
    *(AttentionGuided(**SMALL, reconstruction=Reconstruction(by=by)) for by in ("erase", "random", "cross")),
]


@pytest.mark.parametrize(
    "part", PARTS, ids=lambda part: ",".join(f"{k}={v}" for k, v in part if k in part.model_fields_set)
)
def test_it_keeps_the_contract_with_three_modalities(part):
    check(part)


@pytest.mark.parametrize("names", [["photo"], ["photo", "type"], ["photo", "type", "a.b"]], ids=len)
@pytest.mark.parametrize("part", PARTS, ids=lambda part: str(PARTS.index(part)))
def test_content_of_what_is_absent_changes_nothing_with_1_2_and_3_modalities(part, names):
    """Bit by bit, whatever stands there, NaN included; in every pattern of presence the answer is finite."""
    flows = {m: FLOWS[m] for m in names}
    module = built(part, flows)
    patterns = torch.tensor(list(itertools.product([True, False], repeat=len(names))))
    present = {m: patterns[:, k] for k, m in enumerate(names)}
    plain, other = draw(flows, len(patterns)), draw(flows, len(patterns), seed=1)
    for fill in (None, torch.nan):
        changed = {}
        for m, here in present.items():
            levels = [
                torch.where(here.view(-1, *[1] * (x.dim() - 1)), x, y if fill is None else fill)
                for x, y in zip((plain[m].vector, *plain[m].maps), (other[m].vector, *other[m].maps), strict=True)
            ]
            changed[m] = Features(levels[0], tuple(levels[1:]))
        for training in (True, False):
            module.train(training)
            answers = []
            for features in (plain, changed):
                torch.manual_seed(5)
                fused = module(features, present)
                answers.append([fused.vector, *fused.attention.values(), *fused.losses.values()])
                answers[-1] += [tensor for view in fused.views.values() for tensor in view]
            for one, again in zip(*answers, strict=True):
                assert torch.equal(one, again)
                assert torch.isfinite(one).all()


@pytest.mark.parametrize("names", [["photo"], ["photo", "type"], ["photo", "type", "a.b"]], ids=len)
def test_an_absent_modality_is_as_if_it_had_never_been(names):
    """Two of three present is what the two alone give: no stand-in is heard."""
    whole = built(AttentionGuided(**SMALL), FLOWS)
    features = draw(FLOWS)
    alone = AttentionGuided(**SMALL).build({m: FLOWS[m] for m in names}).eval()
    kept = {name: tensor for name, tensor in whole.state_dict().items() if name in alone.state_dict()}
    alone.load_state_dict(kept)
    present = {m: torch.full((4,), m in names) for m in FLOWS}
    one = whole(features, present).vector
    other = alone({m: features[m] for m in names}, everyone(names)).vector
    torch.testing.assert_close(one, other, atol=2e-5, rtol=0)


def test_it_starts_as_means_of_normed_places():
    """Gates are zero at the start: attention, in whatever direction, changes nothing yet."""
    torch.manual_seed(0)
    module, features = AttentionGuided(**SMALL, global_learning=False).build(FLOWS).eval(), draw(FLOWS)
    present = everyone(FLOWS)
    before = module(features, present).vector
    with torch.no_grad():
        for scale in module.local:
            scale.ask.queries.weight.mul_(-3)
    assert torch.equal(before, module(features, present).vector)
    means = []
    for i, (scale, local) in enumerate(zip(module.places, module.local, strict=True)):
        means.append(local.norms["of-photo"](scale["of-photo"](features["photo"].maps[i], present["photo"])).mean(1))
    expected = module.merge["of-photo"](torch.cat(means, dim=1))
    torch.testing.assert_close(before[:, 8:16], expected)  # sorted: a.b, photo, type


def test_a_table_joins_by_its_vector_alone():
    flows = {"photo": FLOWS["photo"], **TABLE}
    module = built(AttentionGuided(**SMALL), flows)
    features, present = draw(flows), everyone(flows)
    one = module(features, present)
    assert set(one.attention) == {"photo/intra"}  # nobody is there to look at it from beside
    features["table"] = Features(features["table"].vector + 1)
    assert not torch.allclose(one.vector, module(features, present).vector)


def test_maps_of_one_pixel():
    flows = {"a": FlowShape(4, ((3, 1, 1),)), "b": FlowShape(4, ((3, 2, 2),))}
    for by in ("none", "erase", "random", "cross"):
        module = built(AttentionGuided(**SMALL, reconstruction=Reconstruction(by=by)), flows).train()
        fused = module(draw(flows), everyone(flows))
        assert torch.isfinite(fused.vector).all()
        assert all(torch.isfinite(loss) for loss in fused.losses.values())
    assert module.eval()(draw(flows), everyone(flows)).attention["a/intra"].tolist() == [[[1.0]]] * 4


def test_places_keep_proportion_and_number():
    assert grid_of(28, 28, 196) == (14, 14)
    assert grid_of(7, 7, 196) == (7, 7)
    assert grid_of(1, 1000, 196) == (1, 196)
    assert grid_of(1000, 1, 196) == (196, 1)
    assert grid_of(40, 20, 50) == (10, 5)
    for height, width, most in itertools.product((1, 2, 9, 30), (1, 5, 56), (1, 2, 17, 100)):
        rows_, columns = grid_of(height, width, most)
        assert 1 <= rows_ * columns <= max(1, most)
        assert rows_ <= height
        assert columns <= width


def test_codes_tell_places_apart_and_match_over_grids():
    fine, coarse = sine_codes((9, 9), 16), sine_codes((3, 3), 16)
    assert torch.cdist(fine, fine).add(torch.eye(81)).min() > 0.1
    nearest = torch.cdist(coarse, fine).argmin(1)
    centres = [9 * row + column for row in (1, 4, 7) for column in (1, 4, 7)]
    assert nearest.tolist() == centres


@pytest.mark.parametrize(
    ("knobs", "names", "found"),
    [
        ({}, ["table"], "no encoder gives maps: table"),
        ({"global_learning": False}, ["photo", "table"], "encoders of table give no maps"),
        ({"scales": 3}, ["photo", "type"], "photo 2, type 2"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_mend(knobs, names, found):
    flows = {name: {**FLOWS, **TABLE}[name] for name in names}
    with pytest.raises(SpecError) as refusal:
        AttentionGuided(**SMALL, **knobs).build(flows)
    (fault,) = refusal.value.faults
    assert found in fault.found
    assert fault.mend


def test_what_can_have_no_maps_is_objected_to_before_anything_is_built():
    tables = {"meta": "table", "embedding": "vector"}
    assert "can give maps" in AttentionGuided().objections(tables)[0]
    assert AttentionGuided(local_learning=False).objections(tables) == ()
    assert AttentionGuided().objections({"photo": "image", **tables}) == ()
    assert "global_learning" in AttentionGuided(global_learning=False).objections({"photo": "image", **tables})[0]


@pytest.mark.parametrize(
    "knobs",
    [
        {"width": 10, "heads": 4},
        {"local_learning": False, "global_learning": False},
        {"local_learning": False, "reconstruction": {"by": "random"}},
        {"intra": False, "inter": False, "reconstruction": {"by": "erase"}},
        {"reconstruction": {"by": "erase", "dropped": 1.0}},
        {"reconstruction": {"rho": 0.3}},
    ],
)
def test_knobs_that_contradict_each_other_are_refused(knobs):
    with pytest.raises(ValidationError):
        AttentionGuided(**knobs)


def test_what_it_reads_of_frozen_encoders():
    assert AttentionGuided().needs == ("vector", "maps")
    assert AttentionGuided(global_learning=False).needs == ("maps",)
    assert AttentionGuided(local_learning=False).needs == ("vector",)
    assert AttentionGuided(scales=2).map_levels == (-2, -1)
