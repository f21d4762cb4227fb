"""NT-Xent within and across modalities against NumPy, who takes part, and two processes against one."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmfuse import Features, Fused, Label, Labels, Outputs
from mmfuse.testing import check
from mmfuse_skin.modules.contrast import nt_xent
from mmfuse_skin.pretexts import CrossModalContrast, PseudoLabels

LABELS = Labels([Label("two", ("a", "b"))])
WIDTHS = {"clinic": 6, "derm": 5, "fluo": 4}


def outputs(present, seed, grad=False):
    """One draw: features of each modality."""
    generator = torch.Generator().manual_seed(seed)
    cases = len(next(iter(present.values())))
    features = {m: Features(torch.randn(cases, WIDTHS[m], generator=generator).requires_grad_(grad)) for m in present}
    return Outputs({}, {}, features, Fused(torch.zeros(cases, 3)), {m: torch.tensor(p) for m, p in present.items()})


def built(part, modalities, seed=0):
    torch.manual_seed(seed)
    return part.build({**{m: WIDTHS[m] for m in modalities}, "fused": 9}, LABELS, 20).train()


def losses(part, present, seed=0):
    draws = [outputs(present, 1), outputs(present, 2)]
    return built(part, present, seed)(draws, torch.arange(len(draws[0].fused.vector)), lambda tensor: tensor), draws


# ── an independent computation ──────────────────────────────────────────────────────────────────────────────────────


def by_hand(one, other, temperature):
    """Chen et al. 2020, eq. 1, anchor by anchor."""
    z = [row / np.linalg.norm(row) for row in np.concatenate([one, other])]
    n, terms = len(one), []
    for i in range(2 * n):
        partner = i + n if i < n else i - n
        others = sum(np.exp(z[i] @ z[k] / temperature) for k in range(2 * n) if k != i)
        terms.append(-np.log(np.exp(z[i] @ z[partner] / temperature) / others))
    return np.mean(terms)


def projected(state, prefix, depth, rows):
    """Linear, batch norm by the batch's own mean and variance, ReLU, as often as there are layers."""
    x = rows
    for layer in range(depth + 1):
        x = x @ state[f"{prefix}.{3 * layer}.weight"].T
        x = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5)
        if layer < depth:
            norm = f"{prefix}.{3 * layer + 1}"
            x = np.maximum(x * state[f"{norm}.weight"] + state[f"{norm}.bias"], 0)
    return x


def numpy_losses(part, module, draws, present):
    """The losses by name, case by case, from the projectors' weights."""
    state = {name: tensor.double().numpy() for name, tensor in module.state_dict().items()}
    names, depth, terms = sorted(present), len(part.hidden), {}
    z = {}
    for number, name in enumerate(names):
        there = np.flatnonzero(present[name])
        rows = np.concatenate([draw.features[name].vector.detach().double().numpy()[there] for draw in draws])
        for kind in ("inner", "outer"):
            if len(there) > 1 and f"{kind}.{number}.0.weight" in state:
                made = projected(state, f"{kind}.{number}", depth, rows)
                z[kind, name] = [dict(zip(there, half, strict=True)) for half in np.split(made, 2)]
        if part.within:
            one, other = z["inner", name]
            terms[f"within {name}"] = part.within * by_hand(list(one.values()), list(other.values()), part.temperature)
    pairings = {"same-view": [(0, 0), (1, 1)], "crossed": [(0, 1), (1, 0)], "all": [(0, 0), (0, 1), (1, 0), (1, 1)]}
    for one, other in itertools.combinations(names, 2):
        both = [case for case in range(len(present[one])) if present[one][case] and present[other][case]]
        found = [
            by_hand([z["outer", one][i][c] for c in both], [z["outer", other][j][c] for c in both], part.temperature)
            for i, j in pairings[part.pairing]
        ]
        terms[f"across {one} {other}"] = part.across * np.mean(found)
    return terms


PRESENT = {
    "clinic": [True, True, False, True, True, False, True, True],
    "derm": [True, False, True, True, True, True, True, False],
    "fluo": [True, True, True, True, False, False, True, False],
}


@pytest.mark.parametrize("modalities", [("clinic", "derm"), ("clinic", "derm", "fluo")], ids=len)
@pytest.mark.parametrize("whole", [True, False], ids=["all present", "some absent"])
@pytest.mark.parametrize("pairing", ["same-view", "crossed", "all"])
def test_it_is_what_numpy_makes_of_it(modalities, whole, pairing):
    part = CrossModalContrast(pairing=pairing, hidden=(7, 5), width=4, temperature=0.3, within=0.7, across=1.5)
    present = {m: [True] * 8 if whole else PRESENT[m] for m in modalities}
    found, draws = losses(part, present)
    expected = numpy_losses(part, built(part, present), draws, present)
    assert set(found) == set(expected)
    for name, term in found.items():
        assert float(term.detach()) == pytest.approx(expected[name], rel=2e-4), name


def test_known_values():
    four = torch.eye(4)
    # Each anchor: its partner at cosine 1, six others at 0.
    assert float(nt_xent(four, four, 1.0)) == pytest.approx(-np.log(np.e / (np.e + 6)), abs=1e-6)
    assert float(nt_xent(four[:0], four[:0], 1.0)) == 0
    assert float(nt_xent(four[:1], four[:1], 1.0)) == pytest.approx(0, abs=1e-6)
    assert float(nt_xent(four, four.roll(1, 0), 1.0)) > float(nt_xent(four, four, 1.0))


def test_sm3s_own_sum():
    """NT-Xent of each modality, and half of the two terms across (same view)."""
    found, _ = losses(CrossModalContrast(hidden=(4,), width=3), {m: [True] * 6 for m in ("clinic", "derm")})
    assert set(found) == {"within clinic", "within derm", "across clinic derm"}


# ── who takes part ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_absent_is_neither_anchor_nor_negative():
    part, present = CrossModalContrast(hidden=(5,), width=3), {m: PRESENT[m] for m in ("clinic", "derm")}
    module = built(part, present)
    one, two = outputs(present, 1, grad=True), outputs(present, 2, grad=True)
    first = module([one, two], torch.arange(8), lambda tensor: tensor)
    sum(first.values()).backward()
    for draw in (one, two):
        for name, features in draw.features.items():
            there = torch.tensor(present[name])
            assert features.vector.grad[there].abs().sum(dim=1).gt(0).all()
            assert not features.vector.grad[~there].any()
    spoilt = outputs(present, 1)
    for name, features in spoilt.features.items():
        features.vector[~torch.tensor(present[name])] = torch.nan
    again = built(part, present)([spoilt, two], torch.arange(8), lambda tensor: tensor)
    assert {name: term.item() for name, term in again.items()} == {name: term.item() for name, term in first.items()}


@pytest.mark.parametrize("there", [0, 1])
def test_a_modality_that_hardly_occurs_costs_nothing(there):
    present = {"clinic": [True] * 6, "derm": [index < there for index in range(6)]}
    found, _ = losses(CrossModalContrast(hidden=(5,), width=3), present)
    assert found["within derm"].item() == found["across clinic derm"].item() == 0
    assert found["within clinic"].item() > 0
    sum(found.values()).backward()


def test_weights_choose_the_terms():
    present = {m: [True] * 4 for m in WIDTHS}
    assert len(losses(CrossModalContrast(hidden=(3,), width=2), present)[0]) == 6
    assert all(name.startswith("across") for name in losses(CrossModalContrast(within=0, hidden=()), present)[0])
    assert all(name.startswith("within") for name in losses(CrossModalContrast(across=0, hidden=()), present)[0])
    alone, both = {"derm": "image"}, {"clinic": "image", "derm": "image"}
    assert "nothing to learn" in CrossModalContrast(within=0, across=0).objections(both)[0]
    assert "two encoded" in CrossModalContrast(within=0).objections(alone)[0]
    assert not CrossModalContrast().objections(alone)


def test_half_precision_around_it_changes_little():
    z = torch.randn(6, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert float(nt_xent(z, z.roll(1, 0), 0.1)) == float(nt_xent(z, z.roll(1, 0), 0.1).float())
        half = float(nt_xent(z, z.roll(1, 0), 0.1))
    assert half == pytest.approx(float(nt_xent(z, z.roll(1, 0), 0.1)), rel=1e-6)


@pytest.mark.parametrize("part", [CrossModalContrast(hidden=(8,), width=4), CrossModalContrast(across=0, hidden=())])
def test_keeps_the_contract(part):
    check(part)


@pytest.mark.parametrize("part", [PseudoLabels(), PseudoLabels(balanced=True, temperature=0.5)])
def test_pseudo_labels_keep_it_too(part):
    check(part)


# ── several processes ───────────────────────────────────────────────────────────────────────────────────────────────

RANK = """
import sys
import torch, torch.distributed as dist
from mmfuse.net.gathering import gather
sys.path.insert(0, sys.argv[4])
from test_contrast import PRESENT, CrossModalContrast, built, outputs

rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)
mine = slice(rank * 8 // world, (rank + 1) * 8 // world)
whole = [outputs(PRESENT, seed) for seed in (1, 2)]
leaves, draws = [], []
for draw in whole:
    features = {m: f._replace(vector=f.vector[mine].clone().requires_grad_()) for m, f in draw.features.items()}
    leaves += [f.vector for f in features.values()]
    draws.append(draw._replace(features=features, present={m: p[mine] for m, p in draw.present.items()}))
module = built(CrossModalContrast(hidden=(5,), width=4), PRESENT)
loss = sum(module(draws, torch.arange(8)[mine], gather).values())
loss.backward()
# As distributed training does: gradients of weights are a mean over processes; so are those behind the features.
weights = [p.grad for p in module.parameters()]
for grad in weights:
    dist.all_reduce(grad)
    grad /= world
torch.save({"loss": loss.detach(), "weights": weights, "features": [leaf.grad / world for leaf in leaves]},
           f"{folder}/{world}-{rank}.pt")
dist.destroy_process_group()
"""


def test_two_processes_give_loss_and_gradient_of_one(tmp_path):
    script, here = tmp_path / "rank.py", str(Path(__file__).parent)
    script.write_text(RANK)

    def start(rank, world):
        return subprocess.Popen([sys.executable, str(script), str(rank), str(world), str(tmp_path), here])

    running = [start(0, 2), start(1, 2)]
    whole = [outputs(PRESENT, seed, grad=True) for seed in (1, 2)]
    module = built(CrossModalContrast(hidden=(5,), width=4), PRESENT)
    loss = sum(module(whole, torch.arange(8), lambda tensor: tensor).values())
    loss.backward()
    one = {
        "loss": loss.detach(),
        "weights": [p.grad for p in module.parameters()],
        "features": [features.vector.grad for draw in whole for features in draw.features.values()],
    }
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    two = [torch.load(tmp_path / f"2-{rank}.pt", weights_only=True) for rank in (0, 1)]
    for part in two:
        torch.testing.assert_close(part["loss"], one["loss"])
        for mine, whole in zip(part["weights"], one["weights"], strict=True):
            torch.testing.assert_close(mine, whole, rtol=1e-4, atol=1e-6)
    for first, second, whole in zip(two[0]["features"], two[1]["features"], one["features"], strict=True):
        torch.testing.assert_close(torch.cat([first, second]), whole, rtol=1e-4, atol=1e-6)
