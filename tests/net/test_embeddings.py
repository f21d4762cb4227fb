"""Features of frozen encoders: computed once, found again by content, never confused."""

import time

import numpy as np
import pytest
import torch
from tiny_parts import Picture, make_cases, make_spec, two_pictures
from torch import nn

from mmfuse.data.cache import stores
from mmfuse.data.inputs import Block
from mmfuse.events import Progress
from mmfuse.net.assembling import Assembler, fit_readers, known_once, same
from mmfuse.net.batches import in_order
from mmfuse.net.embeddings import frozen_features
from mmfuse.net.network import FusionNetwork
from mmfuse.net.sights import Sight
from mmfuse.net.working import answering_batch, answers
from mmfuse.parts import Encoder, FlowShape
from mmfuse.wiring import wire

CPU = torch.device("cpu")


class Counted(nn.Module):
    calls = 0

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images):
        type(self).calls += len(images)
        return images.mean(dim=(2, 3)) * self.scale


class Counting(Encoder):
    """Counts the images it sees."""

    def build(self, shape):
        return Counted()


class Seen(nn.Module):
    def __init__(self, sign):
        super().__init__()
        self.sign = sign

    def forward(self, images):
        return images.mean(dim=(2, 3)) * self.sign


@pytest.fixture
def given():
    Counted.calls = 0
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (10, 3, 6, 6), dtype=np.uint8)
    images[7] = images[2]
    present = np.arange(10) != 4
    return images, Block.memory(images, present), Picture(column="one", size=6).fit(None)


def vectors(module, part, block, reader, view="identity", watch=lambda event: None):
    found = frozen_features(
        module,
        part,
        block,
        reader,
        sight=Sight(view),
        flow=FlowShape(3),
        levels=("vector",),
        precision="32-true",
        batch=4,
        what="one",
        watch=watch,
    )
    return found["vector"].take(slice(None))


def test_each_picture_is_encoded_once(given):
    images, block, reader = given
    module, events = Counted().eval(), []
    found = vectors(module, Counting(), block, reader, watch=events.append)
    expected = images.mean(axis=(2, 3)) / 255
    expected[4] = 0
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found.dtype == np.float32
    assert Counted.calls == 1 + 8  # a probe, and what is present and distinct
    assert [event.done for event in events if isinstance(event, Progress)][-1] == 8
    again = vectors(module, Counting(), block, reader)
    assert np.array_equal(found, again)
    assert Counted.calls == 9 + 1
    assert len(stores()) == 1


def test_weights_views_and_behaviour_part_the_caches(given):
    _images, block, reader = given
    first = vectors(Counted().eval(), Counting(), block, reader)
    module = Counted().eval()
    with torch.no_grad():
        module.scale.fill_(2.0)
    assert np.allclose(vectors(module, Counting(), block, reader), 2 * first)
    vectors(module, Counting(), block, reader, view="flip-x")
    assert len(stores()) == 3
    # no weights, the same knobs, other code: the answer to a probe tells them apart
    plus, minus = (vectors(Seen(sign), Counting(), block, reader) for sign in (1.0, -1.0))
    assert np.allclose(plus, -minus)


def test_a_modality_that_nobody_has_runs_no_encoder(given):
    images, _, reader = given
    found = vectors(Counted().eval(), Counting(), Block.memory(images, np.zeros(10, bool)), reader)
    assert Counted.calls == 1  # the probe
    assert found.shape == (10, 3)
    assert not found.any()


def test_networks_share_what_is_the_same(given):
    spec = make_spec({"one": Picture(column="one")}, {"one": {"part": Counting(), "frozen": True, "weights": "none"}})
    wiring = wire(spec)
    cases = make_cases(spec, {"one": range(8), "y": ["a", "b"] * 4}, 8)
    assembler = Assembler(spec, wiring, cases, lambda event: None)
    found = []
    for name in ("network", "fold 1"):
        readers = fit_readers(spec, wiring, cases, np.arange(5))
        network = FusionNetwork(spec, wiring, {"one": (3, 8, 8)}, cases.labels, name).eval()
        found.append(assembler.data(network, readers, ("identity", "flip-y")))
    assert found[0].blocks["one"] is found[1].blocks["one"]
    assert found[0].known["one"]["flip-y"]["vector"] is found[1].known["one"]["flip-y"]["vector"]
    assert set(found[0].known["one"]) == {"identity", "flip-y"}


def test_only_what_never_changes_is_known_once():
    for frozen, expected in [(True, True), (False, False), (("stem",), False)]:
        assert known_once(two_pictures(frozen=frozen)[1], "one") is expected


def test_readers_are_compared_by_what_they_learnt():
    assert same(Picture(column="one").fit(None), Picture(column="one").fit(None))
    assert not same(Picture(column="one").fit(None), Picture(column="two").fit(None))


class Noted(nn.Module):
    """Keeps a note of its last pass, as encoders do that show attention."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)

    def forward(self, images):
        self.note = self.conv(images)
        time.sleep(0.002)
        return self.note.mean(dim=(2, 3))


def test_many_threads_give_the_same_bits_and_modules_of_their_own():
    torch.manual_seed(0)
    module, images = Noted().eval(), torch.rand(40, 3, 9, 9)
    jobs = in_order(np.arange(40), 4)

    def run():
        return np.concatenate([*answers(module, lambda some: images[some], lambda m, x: m(x).numpy(), jobs, CPU, True)])

    one = run()
    torch.set_num_threads(3)
    many = run()
    assert torch.get_num_threads() == 3
    assert np.array_equal(one, many)
    with torch.no_grad():
        module.conv.weight += 1
    assert not np.array_equal(many, run())
    assert answering_batch(64, CPU, True) == 8
    assert answering_batch(64, CPU, False) == 64

    def failing(twin, given):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(answers(module, lambda some: images[some], failing, jobs, CPU, True))
    assert torch.get_num_threads() == 3


def test_features_that_the_disk_changed_are_computed_anew(given):
    _, block, reader = given
    told = []
    whole = vectors(Counted(), Counting(), block, reader)
    (folder,) = [folder for folder in stores() if folder.name.startswith("vectors")]
    data = bytearray((folder / "rows.bin").read_bytes())
    data[5] ^= 1
    (folder / "rows.bin").write_bytes(data)
    before = Counted.calls
    again = vectors(Counted(), Counting(), block, reader, watch=told.append)
    assert (again == whole).all()
    assert Counted.calls - before == 1 + 1, "the probe, and the one row"
    assert any("1 rows of the cache were damaged" in getattr(event, "text", "") for event in told)
