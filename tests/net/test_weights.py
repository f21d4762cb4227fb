"""First weights: from a part, a file, a run; and what does not fit is named."""

import pytest
import torch
from tiny_parts import Conv, NumbersReader, PictureReader, Side, two_pictures

from mmfuse.errors import RunError, SpecError
from mmfuse.events import Notice
from mmfuse.net.fitted import FittedNetwork, Member
from mmfuse.net.network import FusionNetwork
from mmfuse.net.training import Trained
from mmfuse.net.weights import content_hash, start_weights
from mmfuse.wiring import wire

SHAPES = {"one": (3, 8, 8), "two": (3, 8, 8), "age": (1,)}


class Wide(Conv):
    """The same with more channels."""

    width: int = 6


def started(name="network", part=None, **options):
    spec, wiring = two_pictures(Side(), **options)
    if part is not None:
        line = spec.plan.network.encoders["picture"].model_copy(update={"part": part})
        encoders = {**spec.plan.network.encoders, "picture": line}
        network = spec.plan.network.model_copy(update={"encoders": encoders})
        spec = spec.model_copy(update={"plan": spec.plan.model_copy(update={"network": network})})
        wiring = wire(spec)
    network = FusionNetwork(spec, wiring, SHAPES, spec.card.label_set, name)
    events = []
    start_weights(network, spec, wiring, events.append)
    return network, events, spec, wiring


@pytest.fixture
def run(tmp_path):
    network, _, spec, wiring = started("run")
    readers = {"one": PictureReader("one", 8), "two": PictureReader("two", 8), "age": NumbersReader("age", 0.0)}
    member = Member(network, readers, Trained(1, 1, 0.5, frozenset({("age", "one")})), (1.0, 2.0))
    FittedNetwork(spec, wiring, {"network": member}).save(tmp_path / "run" / "network")
    return tmp_path / "run", network


def weight(network, modality):
    return network.encoder(modality).state_dict()["stem.0.weight"]


@pytest.mark.parametrize(
    ("weights", "share", "calls"), [("none", False, 0), ("pretrained", False, 2), ("pretrained", True, 1)]
)
def test_a_part_starts_each_module_once(weights, share, calls, monkeypatch):
    monkeypatch.setattr(Conv, "starts", [])
    network, *_ = started(weights=weights, share=share)
    assert Conv.starts == [weights] * calls
    assert (network.encoder("one").top[0].bias == 7).all() == (calls > 0)


def test_a_file_goes_to_the_part(tmp_path, monkeypatch):
    monkeypatch.setattr(Conv, "starts", [])
    (tmp_path / "some.safetensors").write_bytes(b"any")
    started(weights=str(tmp_path / "some.safetensors"))
    assert Conv.starts == [str(tmp_path / "some.safetensors")] * 2


def test_an_encoder_of_a_run(run):
    folder, source = run
    network, *_ = started("new", weights=str(folder))
    assert torch.equal(weight(network, "one"), weight(source, "one"))
    assert torch.equal(weight(network, "two"), weight(source, "two"))
    network, *_ = started("new", weights=f"{folder}#two")
    assert torch.equal(weight(network, "one"), weight(source, "two"))
    network, *_ = started("new", weights=f"{folder}#two", share=True)
    assert torch.equal(weight(network, "one"), weight(source, "two"))


def test_what_is_not_there_or_does_not_fit_is_named(run):
    folder, _ = run
    with pytest.raises(SpecError, match="there are no weights at 'nowhere'"):
        started(weights="nowhere")
    with pytest.raises(SpecError, match="no encoder of 'tow'"):
        started(weights=f"{folder}#tow")
    with pytest.raises(RunError, match=r"of another shape \(stem\.0\.weight is \(4, 3, 3, 3\), not \(6, 3, 3, 3\)"):
        started(weights=str(folder), part=Wide())
    with pytest.raises(SpecError, match="is a part of a run"):
        started(weights=str(folder / "network"))


def test_a_whole_network_where_it_fits(run):
    folder, source = run
    network, events, *_ = started("new", network_weights=str(folder))
    assert content_hash(network) == content_hash(source)
    assert "tensors come from" in next(event.text for event in events if isinstance(event, Notice))
    network, events, *_ = started("new", network_weights=str(folder), part=Wide())
    assert torch.equal(network.encoder("age")[1].weight, source.encoder("age")[1].weight)
    assert "differ in shape" in events[0].text
    with pytest.raises(SpecError, match="no weights at"):
        started(network_weights="nowhere")


def test_the_hash_is_of_content():
    one, two, other = (started(name)[0] for name in ("a", "a", "b"))
    assert content_hash(one) == content_hash(two) != content_hash(other)
