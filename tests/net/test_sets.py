"""Several images of a case: pooled as the formulas say, one image as if there were no sets, and their order, what is
absent and what is known beforehand change nothing."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest
import torch
from tiny_parts import Brighten, Conv, Flat, Numbers, Picture, PictureReader, Side, make_cases, make_spec

from mmfuse.errors import SpecError
from mmfuse.net.altering import exchanged
from mmfuse.net.assembling import Assembler
from mmfuse.net.batches import read_batch
from mmfuse.net.corrupting import Corruption, corrupted
from mmfuse.net.features import Features
from mmfuse.net.predicting import fit_network
from mmfuse.net.presence import Present
from mmfuse.net.sets import POOLS, Several, case_of, changed_rows, gathered, pooled
from mmfuse.parts import FlowShape, Reader
from mmfuse.spec import PredictionSection, TrainingSection
from mmfuse.wiring import wire

N = 12
SPLIT = np.array(["train"] * 10 + ["valid"] * 2, dtype=object)
CPU = torch.device("cpu")
NAMES = ("p1", "p2", "p3", "p4", "p5")


@dataclasses.dataclass(frozen=True, eq=False)
class PicturesReader(PictureReader):
    paths: tuple[str, ...] = ()

    def apart(self, rows):
        return rows.apart(self.paths)

    def read(self, rows):
        given = [rows.text(name) for name in self.paths]
        rows = rows._of(*rows._table.names).with_columns(
            {self.column: [next(filter(None, cells), None) for cells in zip(*given, strict=True)]}
        )
        return super().read(_Texts(rows))


class _Texts:
    def __init__(self, table):
        self.text = table.__getitem__


class Pictures(Picture):
    """Several pictures of noise a case."""

    reader: ClassVar[type[Reader]] = PicturesReader
    column: str = "p1"
    names: tuple[str, ...] = NAMES

    @property
    def columns(self):
        return self.names

    @property
    def several(self):
        return True

    def fit(self, rows):
        return PicturesReader(self.column, self.size, self.names)


def sets(seed=0):
    """For each case its pictures' numbers: one to five, the third case none."""
    rng = np.random.default_rng(seed)
    found = [rng.choice(500, size=size, replace=False).tolist() for size in rng.integers(1, 6, N)]
    return [*found[:2], [], *found[3:]]


def columns(found, places=None):
    """The cells of these sets, from the first place on or at the given ones."""
    cells = {name: [None] * N for name in NAMES}
    for i, some in enumerate(found):
        for place, one in zip(places[i] if places else range(5), some, strict=False):
            cells[NAMES[place]][i] = one
    labels = np.array(["a", "b"])[np.arange(N) % 2]
    return {**cells, "age": range(N), "y": labels}


def spec_of(modality=None, *, pool="mean", frozen=False, fusion=None, size=8, **options):
    encoders = {
        "photos": {"part": Conv(), "weights": "none", "frozen": frozen, "pool": pool},
        "age": {"part": Flat(), "weights": "none"},
    }
    modalities = {"photos": modality or Pictures(size=size), "age": Numbers(column="age")}
    training = options.pop("training", TrainingSection(epochs=2, batch=4, frozen_precision="32-true"))
    plan = {"side_heads": True, "training": training, **options}
    return make_spec(modalities, encoders, fusion=fusion or Side(), **plan)


def fitted(spec, cells):
    cases = make_cases(spec, cells, N)
    network, scores = fit_network(spec, wire(spec), cases, SPLIT, None, device="cpu")
    return network, cases, scores


def same(one, other):
    assert one.keys() == other.keys()
    for source, scores in one.items():
        np.testing.assert_array_equal(scores, other[source])


# ── pooling ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def pooled_by(module, found, width=6):
    """(cases, width) by our own way: numpy over lists."""
    rng = np.random.default_rng(1)
    vectors = [rng.normal(size=(len(some), width)).astype(np.float32) for some in found if some]
    of = np.repeat(np.arange(len(vectors)), [len(some) for some in vectors])
    who = Present(torch.ones(len(vectors), dtype=torch.bool), CPU)
    given = Features(torch.from_numpy(np.concatenate(vectors)))
    with torch.no_grad():
        made = pooled(given, torch.from_numpy(of), who, module, FlowShape(width)).vector.numpy()
    return made, vectors


@pytest.mark.parametrize(("pool", "own"), [("mean", np.mean), ("max", np.max)])
def test_means_and_largest_are_what_they_say(pool, own):
    made, vectors = pooled_by(POOLS[pool](6), sets())
    np.testing.assert_allclose(made, np.stack([own(some, axis=0) for some in vectors]), rtol=1e-5, atol=1e-6)


def test_attention_starts_as_the_mean_and_is_the_paper_s_formula():
    torch.manual_seed(0)
    module = POOLS["attention"](6)
    made, vectors = pooled_by(module, sets())
    np.testing.assert_allclose(made, np.stack([some.mean(axis=0) for some in vectors]), rtol=1e-5, atol=1e-6)
    torch.nn.init.normal_(module.weight.weight)
    made, vectors = pooled_by(module, sets())
    hidden, weight = module.hidden.weight.detach().numpy(), module.weight.weight.detach().numpy()[0]
    for own, some in zip(made, vectors, strict=True):
        exp = np.exp(weight @ np.tanh(hidden @ some.T))
        np.testing.assert_allclose(own, (exp / exp.sum()) @ some, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("pool", POOLS)
def test_gradients_reach_every_image(pool):
    torch.manual_seed(0)
    module, rows = POOLS[pool](4), torch.randn(5, 4, requires_grad=True)
    who = Present(torch.ones(2, dtype=torch.bool), CPU)
    made = pooled(Features(rows), torch.tensor([0, 0, 0, 1, 1]), who, module, FlowShape(4)).vector
    (made**2).sum().backward()
    assert torch.isfinite(rows.grad).all()
    reached = rows.grad.abs().sum(dim=1) > 0 if pool != "max" else rows.grad.abs().sum(dim=0) > 0
    assert reached.all()


def test_what_is_hidden_is_not_gathered():
    given = Several(torch.arange(6.0)[:, None], torch.tensor([0, 0, 1, 2, 2, 2]))
    rows, of = gathered(given, Present(torch.tensor([False, True, True]), CPU))
    assert rows[:, 0].tolist() == [2, 3, 4, 5]
    assert of.tolist() == [0, 1, 1, 1]
    assert changed_rows(given, lambda tensor: tensor + 1).rows[:, 0].tolist() == [1, 2, 3, 4, 5, 6]


# ── the set of one ────────────────────────────────────────────────────────────────────────────────────────────────────

AUGMENTED = {"augment": {"brighten": {"part": Brighten(), "on": "photos"}}}
VIEWS = {"prediction": PredictionSection(views=("identity", "flip-x", "rotate-90"))}


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("how", ["learnt", "frozen", "fixed draws"])
def test_the_set_of_one_is_the_single_image_to_the_bit(pool, how):
    views = 3 if how == "fixed draws" else 0
    training = TrainingSection(epochs=3, batch=4, modality_dropout=0.3, feature_views=views)
    options = {"pool": pool, "frozen": how != "learnt", "training": training, **AUGMENTED, **VIEWS}
    singles = [some[:1] for some in sets()]
    rng = np.random.default_rng(3)
    anywhere = columns(singles, [[rng.integers(5)] for _ in range(N)])
    one, cases, told = fitted(spec_of(Picture(column="p1"), **options), columns(singles))
    other, sets_of_one, said = fitted(spec_of(**options), anywhere)
    same(told, said)
    same(one.predict(cases), other.predict(sets_of_one))
    weights = (network.members["network"].network.state_dict() for network in (one, other))
    first, second = weights
    assert all(torch.equal(first[name], second[name]) for name in first)


# ── what changes nothing ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("frozen", [False, True])
def test_the_order_of_a_set_changes_nothing(pool, frozen):
    found, rng = sets(), np.random.default_rng(5)
    spec = spec_of(pool=pool, frozen=frozen, **AUGMENTED, **VIEWS)
    network, cases, told = fitted(spec, columns(found))
    assert (network.presence(cases)["photos"] == [bool(some) for some in found]).all()
    shuffled = columns(found, [rng.permutation(5).tolist() for _ in range(N)])
    _, other, said = fitted(spec, shuffled)
    same(told, said)
    same(network.predict(cases), network.predict(other))


def test_a_further_image_changes_the_case_and_no_other():
    found = sets()
    network, cases, _ = fitted(spec_of(), columns(found))
    more = [*found[:4], [*found[4][:4], 499], *found[5:]]
    before, after = network.predict(cases), network.predict(make_cases(network.spec, columns(more), N))
    moved = np.abs(before["photos"] - after["photos"]).max(axis=(0, 2)) > 1e-4
    assert np.flatnonzero(moved[np.arange(N) != 2]).tolist() == [3]  # the fourth without the absent third
    assert np.isnan(before["photos"][0, 2]).all()
    assert np.isfinite(before["fused"]).all()


def test_a_case_without_images_is_absent_whatever_stands_there():
    """Hidden by hand: the images of cases that have none may be anything."""
    network, cases, _ = fitted(spec_of(), columns(sets()))
    member = network.members["network"]
    data = Assembler(network.spec, network.wiring, cases, lambda event: None).unknown(member.readers)
    batch = read_batch(data, np.arange(N)).to(CPU)
    hidden = {**batch.present, "photos": batch.present["photos"] & (torch.arange(N) % 2 == 0)}
    given = batch.inputs["photos"]
    gone = ~hidden["photos"][case_of(given)]
    changed = Several(torch.where(gone[:, None, None, None], torch.rand(1) + 7, given.rows), given.of)
    with torch.no_grad():
        one = member.network(batch.inputs, hidden).scores["fused"].logits
        two = member.network({**batch.inputs, "photos": changed}, hidden).scores["fused"].logits
    assert torch.equal(one, two)


# ── known beforehand, altered, refused ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_each_image_is_kept_once_and_pooled_afterwards(pool):
    found = sets()
    found[5] = [*found[0][:1], *found[1][:1]]
    spec = spec_of(pool=pool, frozen=True, **VIEWS)
    network, cases, _ = fitted(spec, columns(found))
    member = network.members["network"]
    inputs = Assembler(spec, network.wiring, cases, lambda event: None)
    known = inputs.data(member.network, member.readers, ("identity", "flip-x")).known["photos"]
    assert len(known["flip-x"]["vector"]) == sum(map(len, found))
    each = known["identity"]["vector"].take(slice(None))
    vectors, present = network.embed(cases, "photos")
    ends = np.cumsum([0, *map(len, found)])
    own = {"mean": np.mean, "max": np.max}[pool]
    for i, some in enumerate(found):
        if some:
            expected = own(each[ends[i] : ends[i + 1]], axis=0)
            np.testing.assert_allclose(vectors[i], expected, rtol=1e-5, atol=1e-6)
    assert present.tolist() == [bool(some) for some in found]
    assert not vectors[2].any()
    np.testing.assert_array_equal(each[0], each[ends[5]])  # the same picture in two cases
    altered, there = network.embed(cases, "photos", altered=lambda read: read)
    np.testing.assert_allclose(altered, vectors, atol=1e-5)
    assert (there == present).all()
    plain, again = network.predict(cases), network.predict(cases, altered=lambda read: read)
    for source, scores in plain.items():
        np.testing.assert_allclose(again[source], scores, atol=1e-5)


def test_augmented_images_of_a_case_share_its_draw():
    spec = spec_of(**AUGMENTED)
    network, cases, _ = fitted(spec, columns(sets()))
    from mmfuse.net.augmenting import Augmenter

    data = Assembler(spec, network.wiring, cases, lambda event: None).unknown(network.members["network"].readers)
    batch = read_batch(data, np.arange(N)).to(CPU)
    before = batch.inputs["photos"]
    Augmenter(network.wiring, (), CPU).change(batch, torch.Generator().manual_seed(0))
    by = (batch.inputs["photos"].rows - before.rows)[:, 0, 0, 0]
    drawn = [by[before.of == case] for case in range(N) if case != 2]
    assert all(torch.allclose(some, some[:1], atol=1e-5) for some in drawn)
    assert len({round(float(some[0]), 4) for some in drawn}) == N - 1


def test_corruptions_reach_every_image_and_taking_away_takes_all():
    network, cases, _ = fitted(spec_of(), columns(sets()))
    lighter = Corruption("lighter", (0.5,), lambda image, level, rng: (image + level * rng.random()).clamp(0, 1))
    before = network.predict(cases)
    after = network.predict(cases, altered=corrupted("photos", "lighter", lighter, 1))
    there = np.arange(N) != 2
    assert (np.abs(before["photos"] - after["photos"]).max(axis=(0, 2))[there] > 0).all()
    gone = Corruption("gone", (1.0,), lambda image, level, rng: image, removes=True)
    assert np.isnan(network.predict(cases, altered=corrupted("photos", "gone", gone, 1))["photos"]).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("pool", POOLS)
def test_sets_on_cuda_answer_as_on_a_cpu(pool):
    spec = spec_of(pool=pool, **AUGMENTED, training=TrainingSection(epochs=2, batch=4, precision="32-true"))
    cases = make_cases(spec, columns(sets()), N)
    network, _ = fit_network(spec, wire(spec), cases, SPLIT, None, device="cuda")
    told = network.predict(cases)
    network.members["network"].network.to(CPU)
    for source, scores in network.predict(cases).items():
        np.testing.assert_allclose(told[source], scores, atol=1e-3)


def test_sets_can_be_exchanged():
    found = sets()
    encoders = {"pictures": {"part": Conv(), "weights": "none"}}
    names = {"left": ("p1", "p2"), "right": ("p3", "p4", "p5")}
    spec = make_spec({name: Pictures(names=some) for name, some in names.items()}, encoders, fusion=Side())
    cells = columns(found)
    network, cases, _ = fitted(spec, cells)
    turned = {**cells, "p1": cells["p3"], "p2": cells["p4"], "p3": cells["p1"], "p4": cells["p2"], "p5": [None] * N}
    few = [i for i in range(N) if len(found[i]) < 5]
    after = network.predict(cases.take(few), altered=exchanged("left", "right"))
    expected = network.predict(make_cases(spec, turned, N).take(few))
    np.testing.assert_allclose(after["fused"], expected["fused"], atol=1e-5)


def test_fusions_of_maps_refuse_sets_before_anything_is_built():
    with pytest.raises(
        SpecError, match="'side' reads vector and maps and tokens, and 'photos' holds several images a case"
    ):
        wire(spec_of(fusion=Side(reads_all=True)))


def test_a_second_stage_reads_no_vectors_that_attention_pooled():
    from mmfuse.builtin.decisions import Mean
    from mmfuse.spec import DecisionLine

    line = DecisionLine(part=Mean(), reads="fused", features="photos")
    with pytest.raises(SpecError, match=r"'photos' is an image whose encoder learns \(so does pool"):
        wire(spec_of(frozen=True, pool="attention", decisions={"last": line}))
