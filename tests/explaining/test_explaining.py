"""Explanations against computations of our own: completeness, Grad-CAM's formula, curves of a known region."""

import sys

import numpy as np
import pytest
import torch
from fits import PART, SPLIT, N, columns, fitted, subject_of
from tiny_parts import ConvNet, Flat, Lin, Numbers, Picture, make_cases, make_spec, two_pictures

from mmfuse.errors import PartError, PluginError, SpecError, TableError
from mmfuse.events import Notice
from mmfuse.explaining.attributing import BASELINES, grad_cam, integrated_gradients, last_map
from mmfuse.explaining.deleting import control, deletion, stretch
from mmfuse.explaining.explanations import Question, explain
from mmfuse.net.features import Features, Fused, Scores
from mmfuse.net.predicting import fit_network
from mmfuse.parts import Encoder, FeatureFusion, Head
from mmfuse.spec import TrainingSection

IG = Question(method="integrated-gradients")


@pytest.fixture(scope="module", params=["learnt", "frozen and shared"])
def ready(request):
    torch.set_num_threads(1)
    frozen = request.param != "learnt"
    # gradients go through frozen encoders in full precision
    training = TrainingSection(epochs=2, batch=8, frozen_precision="32-true")
    return fitted(*two_pictures(frozen=frozen, share=frozen, training=training))


def test_the_twin_answers_as_the_network_does(ready):
    network, cases = ready
    p = cases.labels.log_softmax(network.predict(cases)["fused"])[0]
    for position in (0, 5, N - 1):
        subject = subject_of(network, cases, position)
        # what is frozen is kept in lower precision; what is explained runs in full
        np.testing.assert_allclose(subject.log_p("fused", PART).detach()[0], p[position], atol=2e-2)
        one = {m: subject.inputs[m].expand(3, *subject.inputs[m].shape[1:]) for m in subject.modalities[:1]}
        again = subject.log_p("fused", PART, one).detach()
        np.testing.assert_allclose(again, subject.log_p("fused", PART).detach().expand(3, 2), atol=1e-5)


@pytest.mark.parametrize("baseline", [*BASELINES])
def test_integrated_gradients_sum_to_the_difference(ready, baseline):
    network, cases = ready
    subject = subject_of(network, cases, 5)
    names = ("age", "one", "two")
    found = integrated_gradients(subject, names, "fused", 1, PART, baseline, 200)
    blank = {m: BASELINES[baseline](subject.inputs[m]) for m in ("one", "two")}
    blank["age"] = torch.zeros_like(subject.inputs["age"])
    with torch.no_grad():
        expected = (subject.log_p("fused", PART) - subject.log_p("fused", PART, blank))[0, 1]
    assert {m: tuple(t.shape) for m, t in found.items()} == {"age": (1,), "one": (3, 8, 8), "two": (3, 8, 8)}
    assert sum(t.sum() for t in found.values()) == pytest.approx(expected.item(), abs=2e-2 * max(1, abs(expected)))
    assert found["one"].abs().sum() > 0  # a frozen encoder blocks nothing
    assert all(
        parameter.grad is None for member in network.members.values() for parameter in member.network.parameters()
    )


def test_grad_cam_is_its_formula(ready):
    network, cases = ready
    subject = subject_of(network, cases, 5)
    found = grad_cam(subject, "two", "fused", 1, PART)
    encoder = subject.network.encoder("two")
    assert last_map(subject, "two") == (encoder.stem, False)
    held = []
    hook = encoder.stem.register_forward_hook(lambda module, given, out: held.append(out.requires_grad_()))
    with torch.enable_grad():
        inputs = {"two": subject.inputs["two"].clone().requires_grad_()}
        subject.log_p("fused", PART, inputs)[0, 1].backward(inputs=list(held))
    hook.remove()
    level = held[0]
    weights = level.grad.mean(dim=(2, 3), keepdim=True)
    expected = torch.relu((weights * level).sum(dim=1))[0]
    torch.testing.assert_close(found, expected.detach(), atol=1e-6, rtol=1e-4)
    assert found.min() >= 0


def test_an_explanation_holds_what_the_case_has(ready):
    network, cases = ready
    told = []
    found = explain(network, cases, ["case0", "case5"], IG, told.append)
    assert [one.case for one in found] == ["case0", "case5"]
    assert set(found[0].pictures) == {"two"}
    assert set(found[1].pictures) == {"one", "two"}
    assert found[1].pictures["one"].shape == (8, 8, 3)
    expected = np.random.default_rng(5).integers(0, 256, (3, 8, 8), dtype=np.uint8).transpose(1, 2, 0)
    np.testing.assert_array_equal(found[1].pictures["one"], expected)
    assert {(o.modality, o.kind, o.map.shape) for o in found[1].overlays} == {
        ("one", "integrated-gradients", (8, 8)),
        ("two", "integrated-gradients", (8, 8)),
    }
    assert [bars.names for bars in found[1].bars] == [("age:0",)]
    assert any(isinstance(e, Notice) and e.text.startswith("case case0 has no 'one'") for e in told)
    target = found[1].targets[0]
    p = cases.labels.softmax(network.predict(cases)["fused"])[0, 5]
    assert (target.label, target.name, target.source) == ("y", "ab"[int(p.argmax())], "fused")
    assert target.p == pytest.approx(p.max(), abs=1e-2)


def test_a_side_head_reads_its_own_input_alone(ready):
    network, cases = ready
    (found,) = explain(network, cases, ["case5"], Question(source="two", wanted="a", method="integrated-gradients"))
    assert {overlay.modality for overlay in found.overlays} == {"two"}
    (looks,) = explain(network, cases, ["case5"], Question(source="two", method="attention"))
    assert {overlay.modality for overlay in looks.overlays} == {"two"}
    assert not found.bars
    assert found.targets[0].name == "a"


# ── attention ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class LooksNet(ConvNet):
    """Its attention is the mean brightness."""

    def forward(self, images):
        return Features(super().forward(images).vector, attention={"bright": images.mean(dim=1)})


class Looks(Encoder):
    """A convolution that says where it looked."""

    def build(self, shape):
        return LooksNet(4)


class Says(FeatureFusion):
    """Side by side, with whatever attention the knobs make."""

    key: str = "one/inter"
    sign: float = 1.0

    def build(self, flows):
        key, sign = self.key, self.sign

        class Talk(torch.nn.Module):
            def forward(self, features, present):
                vector = torch.cat([given.vector for given in features.values()], dim=1)
                square = torch.arange(6.0).view(1, 2, 3).expand(len(vector), 2, 3)
                return Fused(vector, attention={key: sign * square, "between/inputs": square[:, 0]})

        return Talk()


class Points(Head):
    """Linear, with a matrix."""

    def build(self, width, labels):
        class Answer(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.linear = torch.nn.Linear(width, labels.columns)

            def forward(self, vector):
                return Scores(self.linear(vector), attention={"labels": torch.ones(len(vector), 2, 2)})

        return Answer()


def looking(fusion, head=None, **options):
    modalities = {"one": Picture(column="one"), "two": Picture(column="two"), "age": Numbers(column="age")}
    encoders = {"picture": {"part": Looks(), "weights": "none"}, "numbers": {"part": Flat(), "weights": "none"}}
    return fitted(make_spec(modalities, encoders, fusion=fusion, head=head or Lin(), **options))


def test_attention_becomes_maps_and_matrices():
    network, cases = looking(Says(), Points())
    (found,) = explain(network, cases, ["case5"], Question(method="attention"))
    by = {(o.modality, o.kind): o for o in found.overlays}
    assert set(by) == {("one", "bright"), ("two", "bright"), ("one", "inter")}
    np.testing.assert_allclose(by["one", "bright"].map, found.pictures["one"].mean(axis=2) / 255, atol=1e-6)
    np.testing.assert_array_equal(by["one", "inter"].map, np.arange(6.0).reshape(2, 3))
    assert "not why" in by["one", "inter"].caption
    assert by["one", "inter"].target is None
    assert set(found.matrices) == {"between/inputs", "fused head/labels"}
    assert found.matrices["between/inputs"].shape == (1, 3)
    (absent,) = explain(network, cases, ["case0"], Question(method="attention"))
    assert {o.modality for o in absent.overlays} == {"two"}


def test_attention_that_breaks_its_contract_is_refused_by_its_key():
    for fusion, words in ((Says(sign=-1.0), "nothing below zero"), (Says(key="two/x"), "")):
        network, cases = looking(fusion)
        if words:
            with pytest.raises(PartError, match=f"attention 'one/inter'.*{words}|one/inter") as error:
                explain(network, cases, ["case5"], Question(method="attention"))
            assert words in str(error.value)
        else:
            assert explain(network, cases, ["case5"], Question(method="attention"))


def test_networks_of_folds_are_explained_by_their_mean():
    spec, wiring = two_pictures()
    training = spec.plan.training.model_copy(update={"serve": "folds", "epochs": 1})
    spec = spec.model_copy(update={"plan": spec.plan.model_copy(update={"training": training})})
    cases = make_cases(spec, columns(), N)
    folds = np.where(SPLIT == "train", np.arange(N) // 2 % 2, -1)
    network, _ = fit_network(spec, wiring, cases, SPLIT, folds, device="cpu")
    alone = [
        explain(type(network)(spec, wiring, {name: member}), cases, ["case5"], Question(wanted="a"))[0]
        for name, member in network.members.items()
    ]
    (together,) = explain(network, cases, ["case5"], Question(wanted="a"))
    expected = np.mean([one.overlays[0].map for one in alone], axis=0)
    np.testing.assert_allclose(together.overlays[0].map, expected, atol=1e-6)
    assert together.targets[0].p == pytest.approx(np.mean([one.targets[0].p for one in alone]), abs=1e-5)


# ── deletion ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def of_corner(pictures):
    """A probability that hangs on the upper left quarter alone."""
    return pictures[:, :, :14, :14].mean(dim=(1, 2, 3)).double().numpy()


def curve_of(image, shown, how="black"):
    return deletion(of_corner, image, shown, control(of_corner, image, how=how, seed=0), how=how, seed=0)


def test_deletion_tells_a_map_of_the_right_place_from_others():
    image, right = torch.ones(1, 3, 28, 28), np.zeros((4, 4))
    right[:2, :2] = 1
    good = curve_of(image, right)
    assert (good.share[0], good.share[-1], good.p[0], good.p[-1]) == (0, 1, 1, 0)
    np.testing.assert_allclose(good.random.mean(axis=0), 1 - good.share, atol=0.1)
    # its 49 of 196 places are taken first, so p falls four times as fast: 1/2 - 1/8
    assert good.area == pytest.approx(0.375, abs=0.03)
    assert good.beaten == 1
    assert curve_of(image, 1 - right).area < -0.3
    assert abs(curve_of(image, np.ones((4, 4))).area) < 0.1
    again = curve_of(image, right)
    np.testing.assert_array_equal(again.random, good.random)
    with pytest.raises(SpecError, match="'noise'"):
        curve_of(image, right, "noise")


def test_blurring_takes_what_is_small():
    image = torch.zeros(1, 3, 32, 32)
    image[..., ::2] = 1
    taken = BASELINES["blur"](image)
    assert taken.shape == image.shape
    assert (taken[..., 6:-6] - 0.5).abs().max() < 0.06
    flat = torch.full((1, 3, 32, 32), 0.3)
    torch.testing.assert_close(BASELINES["blur"](flat), flat)


def test_a_map_is_stretched_over_its_picture():
    shown = stretch(np.array([[0.0, 1.0]]), (4, 8))
    assert shown.shape == (4, 8)
    assert (np.diff(shown, axis=1) >= 0).all()
    assert shown[0, 0] == 0
    assert shown[0, -1] == 1


def test_curves_stand_beside_every_map(ready):
    network, cases = ready
    (found,) = explain(network, cases, ["case5"], Question(deletion="black", wanted="b"))
    for overlay in found.overlays:
        (curve,) = overlay.deletions
        assert curve.about == "y = b"
        assert curve.p[0] == pytest.approx(found.targets[0].p, abs=1e-5)
        np.testing.assert_allclose(curve.random[:, [0, -1]], curve.p[[0, -1]] + 0 * curve.random[:, [0, -1]], atol=1e-5)


# ── refusals ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_unknown_is_named(ready):
    network, cases = ready
    with pytest.raises(TableError, match=r"'case99'.*"):
        explain(network, cases, ["case1", "case99"])
    with pytest.raises(SpecError) as error:
        explain(network, cases, ["case1"], Question(("z",), "c", "final", "lime"))
    assert {fault.where for fault in error.value.faults} == {"--label", "--source", "--method"}
    with pytest.raises(SpecError, match="no class 'c'"):
        explain(network, cases, ["case1"], Question(wanted="c"))
    with pytest.raises(SpecError, match="'grey'"):
        explain(network, cases, ["case1"], Question(baseline="grey"))
    with pytest.raises(SpecError, match="no network"):
        explain(None, cases, ["case1"])
    with pytest.raises(TableError, match=r"case case0.*none of one"):
        explain(network, cases, ["case0"], Question(source="one"))


def test_without_captum_attention_is_still_shown(monkeypatch):
    network, cases = looking(Says())
    monkeypatch.setitem(sys.modules, "captum", None)
    told = []
    (found,) = explain(network, cases, ["case5"], Question(), told.append)
    assert {overlay.kind for overlay in found.overlays} == {"bright", "inter"}
    assert any("mmfuse[explain]" in event.text for event in told if isinstance(event, Notice))
    with pytest.raises(PluginError, match=r"pip install 'mmfuse\[explain\]'"):
        explain(network, cases, ["case5"], Question(method="grad-cam"))


def test_an_encoder_without_a_map_is_told_apart():
    modalities = {"one": Picture(column="one")}
    network, cases = fitted(make_spec(modalities, {"picture": {"part": Flat(), "weights": "none"}}))
    told = []
    (found,) = explain(network, cases, ["case5"], Question(method="grad-cam"), told.append)
    assert not found.overlays
    assert any("works with any encoder" in event.text for event in told if isinstance(event, Notice))
    assert explain(network, cases, ["case5"])[0].overlays
    told.clear()
    assert not explain(network, cases, ["case5"], Question(method="attention"), told.append)[0].overlays
    assert any("gives attention over 'one'" in event.text for event in told if isinstance(event, Notice))
