"""First weights are looked at before anything is trained: names, files, runs, and a hub that is asked once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from mmfuse.builtin.modules import hub
from mmfuse.net.starting import plan_faults, start_faults
from mmfuse.toml import load
from tests.tiny_parts import make_cases

MODEL = "test_resnet"


@pytest.fixture
def made(tmp_path):
    for i in range(4):
        Image.fromarray(np.full((32, 32, 3), 40 * i, np.uint8)).save(tmp_path / f"{i}.png")

    def make(**line):
        card = {
            "cases": {"id": "id", "root": str(tmp_path)},
            "labels": {"y": ["a", "b"]},
            "modalities": {
                "photo": {"use": "image", "column": "image", "size": 32},
                "again": {"use": "image", "column": "image", "size": 32},
            },
        }
        network = {
            "encoders": {"image": {"use": "timm", "model": MODEL, "weights": "none", **line}},
            "head": "linear",
            "fusion": "concat",
        }
        spec = load({"network": network}, card)
        cells = {"image": [f"{i}.png" for i in range(4)], "y": ["a", "b", "a", "b"]}
        return spec, make_cases(spec, cells, 4)

    return make


@pytest.fixture(autouse=True)
def nothing_asked():
    hub.trouble.cache_clear()
    hub.failures.cache_clear()
    yield
    hub.trouble.cache_clear()
    hub.failures.cache_clear()


def told(spec, cases):
    return "\n".join(map(str, start_faults(spec, cases, np.arange(4))))


def test_a_sound_plan_has_none(made):
    before = torch.random.get_rng_state()
    assert not start_faults(*made(), np.arange(4))
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_unknown_model_is_named_with_the_nearest(made):
    spec, cases = made(model="resnet5")
    assert "timm has no model 'resnet5'" in told(spec, cases)
    assert "did you mean" in told(spec, cases)
    assert plan_faults(spec.plan)
    spec, cases = made(model="resnet18.nobody")
    assert "timm has no weights 'nobody' for resnet18" in told(spec, cases)


@pytest.mark.parametrize("name", ["gone.safetensors", "gone.pth", "gone", "gone#photo"])
def test_weights_that_are_nowhere(made, tmp_path, name):
    spec, cases = made(weights=str(tmp_path / name))
    assert told(spec, cases).count("there are no weights at") == 1
    assert len(plan_faults(spec.plan)) == 1


def test_a_file_of_another_format_or_cut_off(made, tmp_path):
    torch.save({}, tmp_path / "w.pth")
    assert "first weights of this format are not read" in told(*made(weights=str(tmp_path / "w.pth")))
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    spec, cases = made(weights=str(tmp_path / "cut.safetensors"))
    assert "cannot be read" in told(spec, cases)
    assert "cannot be read" in str(plan_faults(spec.plan)[0])


def test_a_file_of_this_network_passes_by_its_header_alone_and_one_of_another_does_not(made, tmp_path, monkeypatch):
    import timm

    from mmfuse.builtin.modules import timm_models

    save_file(timm.create_model(MODEL).state_dict(), tmp_path / "own.safetensors")
    save_file(timm.create_model("test_vit").state_dict(), tmp_path / "other.safetensors")
    found = told(*made(weights=str(tmp_path / "other.safetensors")))
    assert "0 of the" in found
    assert "are in the file by name and shape" in found
    monkeypatch.setattr(timm_models, "read_safetensors", None)
    assert not start_faults(*made(weights=str(tmp_path / "own.safetensors")), np.arange(4))


def test_a_hub_that_does_not_answer_is_asked_once_and_told_in_one_line(made, monkeypatch, tmp_path):
    asked = []

    class Session:
        def head(self, url, timeout):
            asked.append(timeout)
            raise ConnectionError("no route\nto host")

    monkeypatch.setattr(hub, "get_session", Session)
    monkeypatch.setattr(hub, "cached_file", lambda config: None)
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
    spec, cases = made(weights="pretrained")
    part = spec.plan.network.encoders["image"].part
    module = part.build((3, 32, 32))
    for _ in range(3):
        found = told(spec, cases)
        assert "could not be fetched from the model hub: it does not answer (ConnectionError: no route)" in found
        with pytest.raises(Exception, match="it does not answer"):
            part.start(module, "pretrained")
    assert asked == [hub.SECONDS]


def test_what_lies_on_this_machine_needs_no_hub(made, monkeypatch, tmp_path):
    import timm

    network = timm.create_model(MODEL, num_classes=0)
    save_file(timm.create_model(MODEL).state_dict() | network.state_dict(), tmp_path / "model.safetensors")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "cached_file", lambda config: tmp_path / "model.safetensors")
    spec, cases = made(weights="pretrained")
    assert not start_faults(spec, cases, np.arange(4))
    part = spec.plan.network.encoders["image"].part
    module = part.build((3, 32, 32))
    part.start(module, "pretrained")
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in module.model.state_dict().items())


def test_a_run_of_another_network(made, tmp_path):
    from mmfuse.net.predicting import fit_network
    from mmfuse.wiring import wire

    spec, cases = made()
    training = spec.plan.training.model_copy(update={"epochs": 1})
    spec = spec.model_copy(update={"plan": spec.plan.model_copy(update={"training": training})})
    fitted, _ = fit_network(spec, wire(spec), cases, np.full(4, "train"), None, device="cpu")
    fitted.save(tmp_path / "run" / "network")
    assert not start_faults(*made(weights=str(tmp_path / "run")), np.arange(4))
    assert "no encoder of 'eye'" in told(*made(weights=f"{tmp_path / 'run'}#eye"))
    assert "tensors do not fit" in told(*made(weights=str(tmp_path / "run"), model="test_vit"))
