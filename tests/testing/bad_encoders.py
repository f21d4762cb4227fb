"""Planted bad encoders and fusions: each breaks one check of the kit and, as far as may be, no other."""

import tempfile
from pathlib import Path

import torch
from torch import nn

from mmfuse import Encoder, FeatureFusion, Features, Fused, SpecError


class Net(nn.Module):
    """A module whose forward is the function it is given."""

    def __init__(self, function, **modules):
        super().__init__()
        for name, module in modules.items():
            setattr(self, name, module)
        self.function = function

    def forward(self, *given):
        return self.function(self, *given)


def flat(net, x):
    return net.layer(x.flatten(1))


class Good(Encoder):
    """A good encoder."""

    def build(self, shape):
        return Net(flat, layer=nn.LazyLinear(4))


class NoPooling(Encoder):
    """Gives a map for a vector."""

    def build(self, shape):
        return Net(lambda net, x: net.layer(x), layer=nn.Conv2d(3, 4, 3))


class CoarseFirst(Encoder):
    """Gives maps coarse → fine."""

    def build(self, shape):
        def forward(net, x):
            fine = net.layer(x)
            return Features(fine.mean(dim=(2, 3)), (fine[..., ::2, ::2], fine))

        return Net(forward, layer=nn.Conv2d(3, 4, 3))


class Overclaims(Encoder):
    """Says that it gives maps."""

    @property
    def gives(self):
        return ("vector", "maps")

    def build(self, shape):
        return Net(flat, layer=nn.LazyLinear(4))


class BatchMean(Encoder):
    """Takes the batch's mean away."""

    def build(self, shape):
        return Net(lambda net, x: flat(net, x - x.mean(dim=0, keepdim=True)), layer=nn.LazyLinear(4))


class NoMethod(Encoder):
    """Builds nothing."""


class Restless(Encoder):
    """Another part after it was built."""

    width: int = 4

    def build(self, shape):
        self.__dict__["width"] = self.width + 1
        return Net(flat, layer=nn.LazyLinear(4))


class ReadsFile(Encoder):
    """Takes its width from a file."""

    def build(self, shape):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "width.txt"
            path.write_text("4")
            width = int(path.read_text())
        return Net(flat, layer=nn.LazyLinear(width))


class InPlace(Encoder):
    """Writes into its input."""

    def build(self, shape):
        return Net(lambda net, x: flat(net, x.mul_(2)), layer=nn.LazyLinear(4))


class Dice(Encoder):
    """Rolls torch's global dice in eval mode."""

    def build(self, shape):
        return Net(lambda net, x: flat(net, x) + 0 * torch.rand(1), layer=nn.LazyLinear(4))


class Idle(Encoder):
    """Has a layer that nothing reads."""

    def build(self, shape):
        return Net(flat, layer=nn.LazyLinear(4), idle=nn.Linear(2, 2))


class Forgets(Encoder):
    """Scales by a random number that is not in its state."""

    def build(self, shape):
        net = Net(lambda net, x: flat(net, x) * net.scale, layer=nn.LazyLinear(4))
        net.scale = float(torch.rand(1))
        return net


class LeftBehind(Encoder):
    """Keeps a tensor that no device move takes along."""

    def build(self, shape):
        net = Net(lambda net, x: flat(net, x) + net.shift, layer=nn.LazyLinear(4))
        net.shift = torch.ones(4)
        return net


# ── fusions ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def joined(features):
    return torch.cat([features[name].vector for name in sorted(features)], dim=1)


class FusionOf(FeatureFusion):
    """A good fusion: joined, through a linear layer."""

    def forward_of(self, net, features, present):
        return net.layer(joined(features))

    def build(self, flows):
        return Net(
            lambda net, f, p: self.forward_of(net, f, p), layer=nn.Linear(sum(flow.width for flow in flows.values()), 5)
        )


class FlatFusion(FusionOf):
    """Gives one number a case."""

    def forward_of(self, net, features, present):
        return net.layer(joined(features))[:, 0]


class SilentReader(FusionOf):
    """Reads maps and says nothing of it."""

    def forward_of(self, net, features, present):
        places = torch.stack([f.maps[0].mean(dim=(1, 2, 3)) for f in features.values()])
        return net.layer(joined(features)) + places.mean(dim=0)[:, None]


class OtherLevel(FusionOf):
    """Reads another map than it says."""

    @property
    def needs(self):
        return ("maps",)

    @property
    def map_levels(self):
        return (-1,)

    def forward_of(self, net, features, present):
        return net.layer(joined(features)) + sum(f.maps[0].amax(dim=(1, 2, 3)) for f in features.values())[:, None]


class MapsOnly(FusionOf):
    """Reads the coarsest map of every modality, whether there is one or not."""

    @property
    def needs(self):
        return ("maps",)

    def build(self, flows):
        width = sum(flow.maps[-1][0] for flow in flows.values())
        return Net(lambda net, f, p: self.forward_of(net, f, p), layer=nn.Linear(width, 5))

    def forward_of(self, net, features, present):
        return net.layer(torch.cat([features[name].maps[-1].mean(dim=(2, 3)) for name in sorted(features)], dim=1))


class MapsOrRefusal(MapsOnly):
    """As before, and says what it lacks. A good fusion, of flows alike."""

    def build(self, flows):
        if not all(flow.maps for flow in flows.values()):
            raise SpecError("reads maps", "an encoder that gives them for every modality", "levels = [5]")
        return super().build(flows)


class BatchFusion(FusionOf):
    """Adds the batch's mean."""

    def forward_of(self, net, features, present):
        fused = net.layer(joined(features))
        return fused + fused.mean(dim=0)


class DiceFusion(FusionOf):
    """Rolls dice in eval mode."""

    def forward_of(self, net, features, present):
        return net.layer(joined(features)) + 0 * torch.rand(1)


class DividesByNobody(FusionOf):
    """Divides by who is present, first modality apart."""

    def forward_of(self, net, features, present):
        others = torch.stack([present[name].float() for name in sorted(present)[1:]]).sum(dim=0)
        return net.layer(joined(features)) / others[:, None]


class ByOrder(FusionOf):
    """Joins in the order of the call."""

    def forward_of(self, net, features, present):
        return net.layer(torch.cat([each.vector for each in features.values()], dim=1))


class SaysSymmetric(FusionOf):
    """Says it is symmetric, and is not."""

    @property
    def symmetric(self):
        return True


class NoMend(FusionOf):
    """Crashes on unequal widths."""

    def forward_of(self, net, features, present):
        return net.layer(torch.cat([sum(features[name].vector for name in features)] * len(features), dim=1))


class IdleFusion(FusionOf):
    """Has a weight that nothing reads."""

    def build(self, flows):
        net = super().build(flows)
        net.idle = nn.Linear(2, 2)
        return net


class WrongView(FusionOf):
    """Gives a view of another width."""

    def forward_of(self, net, features, present):
        fused = net.layer(joined(features))
        return Fused(fused, {"half": (fused[:, :2], fused.new_ones(len(fused)))})


class ForgetsFusion(FusionOf):
    """Scales by a random number that is not in its state."""

    def build(self, flows):
        net = super().build(flows)
        scale = float(torch.rand(1))
        inner = net.function
        net.function = lambda *given: inner(*given) * scale
        return net


class LeftBehindFusion(FusionOf):
    """Keeps a tensor that no device move takes along."""

    def build(self, flows):
        net = super().build(flows)
        net.shift = torch.ones(5)
        return net
