"""`attention-resnet`: at its start the pretrained network to the last bit, and gates where they belong."""

from __future__ import annotations

from itertools import product
from threading import Thread

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional

from mmfuse import SpecError, Timm
from mmfuse.testing import checks
from mmfuse_fundus import AttentionResnet

SIZE = (3, 64, 64)
KINDS = list(product(("channel", "spatial", "both", "none"), ("last", "all")))


def images(cases=2, seed=1):
    return torch.rand(cases, *SIZE, generator=torch.Generator().manual_seed(seed))


def scrambled(model, seed=0):
    """A network whose every weight and statistic matters, as a trained one's: timm starts branches at zero."""
    torch.manual_seed(seed)
    net = timm.create_model(model, num_classes=5)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if value.is_floating_point() and value.dim() < 2:
                value.copy_(torch.rand_like(value) + 0.5 if "var" in name else value + 0.3 * torch.rand_like(value))
    return net.eval()


@pytest.mark.parametrize(("kind", "blocks"), KINDS)
def test_contract(kind, blocks):
    for one in checks(AttentionResnet(model="resnet10t", attention=kind, blocks=blocks, levels=(4, 5))):
        one()


@pytest.mark.parametrize("model", ["resnet18", "resnet26d", "resnext50_32x4d"])
@pytest.mark.parametrize(("kind", "blocks"), KINDS)
def test_it_starts_as_the_pretrained_network(tmp_path, model, kind, blocks):
    net = scrambled(model)
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    part = AttentionResnet(model=model, attention=kind, blocks=blocks, levels=(2, 3, 4, 5))
    module = part.build(SIZE).eval()
    part.start(module, str(tmp_path / "weights.safetensors"))
    x = images()
    with torch.no_grad():
        given = module(x)
        mean, std = (torch.tensor(net.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
        last, maps = net.forward_intermediates((x - mean) / std, indices=[1, 2, 3, 4])
        expected = net.forward_head(last, pre_logits=True)
    assert float((given.vector - expected).abs().max()) <= 1e-5
    for one, other in zip(given.maps, maps, strict=True):
        assert float((one - other).abs().max()) <= 1e-5
    assert given.vector.abs().max() > 1e-2


def test_the_default_is_a_resnet50_whose_last_block_has_both():
    module = AttentionResnet().build(SIZE)
    names = [type(gate).__name__ for gate in module.plain.model.layer4[2].se]
    assert names == ["ChannelGate", "SpatialGate"]
    assert sum(name.endswith("mix.weight") for name in module.state_dict()) == 1
    plain = sum(weight.numel() for weight in timm.create_model("resnet50", num_classes=0).parameters())
    added = sum(weight.numel() for weight in module.parameters()) - plain
    assert added == 2048 * 128 + 128 + 128 * 2048 + 2048 + 2 * 7 * 7


@pytest.mark.parametrize(("model", "blocks"), [("resnet18", 8), ("resnet50", 16)])
def test_all_blocks(model, blocks):
    module = AttentionResnet(model=model, attention="channel", blocks="all").build(SIZE)
    assert sum(name.endswith("excite.weight") for name in module.state_dict()) == blocks


@pytest.mark.parametrize("model", ["resnet18", "resnet26"])
def test_gates_are_their_papers_formulas_within_the_residual_branch(model):
    """The last block computed by hand: relu(x + s(c(F(x)))), c and s twice a sigmoid."""
    module = AttentionResnet(model=model, levels=(4, 5)).build(SIZE).eval()
    module.plain.model.load_state_dict(scrambled(model).state_dict(), strict=False)
    block = module.plain.model.layer4[-1]
    channel, spatial = block.se
    with torch.no_grad():
        for weight in block.se.parameters():
            weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)) * 0.1)
        given = module(images())
        x = given.maps[0]
        for before in module.plain.model.layer4[:-1]:
            x = before(x)
        y = functional.relu(block.bn1(block.conv1(x)))
        y = block.bn2(block.conv2(y))
        if model == "resnet26":
            y = block.bn3(block.conv3(functional.relu(y)))
        squeezed = functional.relu(y.mean(dim=(2, 3)) @ channel.squeeze.weight[:, :, 0, 0].T + channel.squeeze.bias)
        gate = 2 / (1 + torch.exp(-(squeezed @ channel.excite.weight[:, :, 0, 0].T + channel.excite.bias)))
        y = y * gate[:, :, None, None]
        pooled = torch.stack([y.mean(dim=1), y.max(dim=1).values], dim=1)
        place = 2 / (1 + torch.exp(-functional.conv2d(pooled, spatial.mix.weight, padding=3)))
        expected = functional.relu(x + y * place)
    torch.testing.assert_close(given.maps[1], expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(given.vector, expected.mean(dim=(2, 3)), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(given.attention["spatial"], place[:, 0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("kind", "blocks"), KINDS)
def test_attention_is_where_there_is_a_spatial_gate(kind, blocks):
    module = AttentionResnet(model="resnet10t", attention=kind, blocks=blocks).build(SIZE).eval()
    given = module(images(3))
    if kind in ("channel", "none"):
        assert given.attention == {}
    else:
        assert given.attention["spatial"].shape == (3, 2, 2)
        torch.testing.assert_close(given.attention["spatial"], torch.ones(3, 2, 2))
        assert not any(gate.kept for gate in module._spatial())


def test_threads_do_not_take_each_others_attention():
    module = AttentionResnet(model="resnet10t", attention="spatial").build((3, 32, 32)).eval()
    torch.nn.init.normal_(module.plain.model.layer4[-1].se[0].mix.weight)
    batches = [images(1 + k, seed=k)[:, :, :32, :32] for k in range(4)]
    found = {}

    def work(k):
        with torch.no_grad():
            found[k] = [module(batches[k]).attention["spatial"] for _ in range(10)]

    threads = [Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, batch in enumerate(batches):
        with torch.no_grad():
            expected = module(batch).attention["spatial"]
        assert all(torch.allclose(one, expected, atol=1e-5) for one in found[k])


def test_gates_learn_from_their_start():
    module = AttentionResnet(model="resnet10t", blocks="all").build(SIZE)
    module.plain.model.load_state_dict(scrambled("resnet10t").state_dict(), strict=False)
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    first = module(images())
    for _ in range(2):
        optimiser.zero_grad()
        module(images()).vector.square().sum().backward()
        optimiser.step()
    gates = {name: weight for name, weight in module.named_parameters() if ".se." in name}
    assert len(gates) == 4 * 5
    assert all(weight.grad.abs().max() > 0 for weight in gates.values())
    assert first.attention["spatial"].requires_grad


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"model": "tf_efficientnet_lite0"}, ["no ResNet but a EfficientNet", "model = 'resnet50'"]),
        ({"model": "seresnet50"}, ["attention of its own"]),
        ({"model": "resnet500"}, ["did you mean"]),
    ],
)
def test_refusals(knobs, words):
    with pytest.raises(SpecError) as error:
        AttentionResnet(**knobs).build(SIZE)
    assert all(word in str(error.value) for word in words)


def test_a_kernel_without_a_middle_is_refused_with_all_other_knobs():
    with pytest.raises(ValueError, match="has no middle; take 7"):
        AttentionResnet(kernel=6)


def test_a_model_with_attention_of_its_own_may_stay_as_it_is():
    plain, other = AttentionResnet(model="seresnet18", attention="none"), Timm(model="seresnet18", levels=(5,))
    one, two = plain.build(SIZE).eval(), other.build(SIZE).eval()
    one.take(two)
    assert torch.equal(one(images()).vector, two(images()).vector)


def test_weights_of_another_network_leave_it_as_it_was(tmp_path):
    save_file(timm.create_model("resnet18").state_dict(), tmp_path / "weights.safetensors")
    part = AttentionResnet(model="resnet10t")
    module = part.build(SIZE)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(SpecError, match="of the"):
        part.start(module, str(tmp_path / "weights.safetensors"))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
