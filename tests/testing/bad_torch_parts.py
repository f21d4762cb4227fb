"""Planted bad parts with torch modules: each breaks one check of the kit and, as far as may be, no other."""

import torch
from torch import nn

from mmfuse import Augmentation, Encoder, FeatureFusion, Features, Fused, Head, Loss


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


class BatchMean(Encoder):
    """Takes the batch's mean away."""

    def build(self, shape):
        return Net(lambda net, x: flat(net, x - x.mean(dim=0, keepdim=True)), layer=nn.LazyLinear(4))


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


# ── heads, losses, augmentations ──────────────────────────────────────────────────────────────────────────────────────


class GoodHead(Head):
    """A good head."""

    def build(self, width, labels):
        return nn.Linear(width, labels.columns)


class OneLabelHead(Head):
    """Answers the first label alone."""

    def build(self, width, labels):
        return nn.Linear(width, len(labels[0].classes))


class BatchHead(Head):
    """Takes the batch's mean away."""

    def build(self, width, labels):
        return Net(lambda net, x: net.layer(x - x.mean(dim=0)), layer=nn.Linear(width, labels.columns))


class InPlaceHead(Head):
    """Writes into its input."""

    def build(self, width, labels):
        return Net(lambda net, x: net.layer(x.mul_(2)), layer=nn.Linear(width, labels.columns))


class IdleHead(Head):
    """Has a layer that nothing reads."""

    def build(self, width, labels):
        return Net(lambda net, x: net.layer(x), layer=nn.Linear(width, labels.columns), idle=nn.Linear(2, 2))


class ForgetsHead(Head):
    """Scales by a random number that is not in its state."""

    def build(self, width, labels):
        scale = float(torch.rand(1))
        return Net(lambda net, x: net.layer(x) * scale, layer=nn.Linear(width, labels.columns))


class LeftBehindHead(Head):
    """Keeps a tensor that no device move takes along."""

    def build(self, width, labels):
        net = nn.Linear(width, labels.columns)
        net.shift = torch.ones(4)
        return net


class LossOf(Loss):
    """A good loss: the squared distance to one-hot answers."""

    def build(self, labels, counts):
        return Net(lambda net, outputs, targets, progress: self.terms(labels, outputs, targets))

    def terms(self, labels, outputs, targets):
        return {name: self.of(labels, scores.logits, targets) for name, scores in outputs.scores.items()}

    def of(self, labels, logits, targets):
        total = logits.new_zeros(()) + 0 * logits[~logits.isnan()].sum()
        for index, columns in enumerate(labels.slices.values()):
            rows = (targets[:, index] >= 0) & ~logits[:, columns.start].isnan()
            if rows.any():
                total = total + nn.functional.cross_entropy(logits[rows, columns], targets[rows, index])
        return total


class NanLoss(LossOf):
    """Counts sources that abstain."""

    def of(self, labels, logits, targets):
        return super().of(labels, logits, targets) + 0 * logits.sum()


class UnknownLoss(LossOf):
    """Takes an unknown label for the first class."""

    def of(self, labels, logits, targets):
        return super().of(labels, logits, targets.clamp(min=0))


class OffsetLoss(LossOf):
    """Costs one where nothing is known."""

    def of(self, labels, logits, targets):
        return super().of(labels, logits, targets) + 1


class Backwards(LossOf):
    """Prefers wrong answers."""

    def of(self, labels, logits, targets):
        return -super().of(labels, logits, targets)


class DiceLoss(LossOf):
    """Rolls dice."""

    def of(self, labels, logits, targets):
        return super().of(labels, logits, targets) + 0 * torch.rand(())


class LeftBehindLoss(LossOf):
    """Keeps a tensor that no device move takes along."""

    def build(self, labels, counts):
        net = super().build(labels, counts)
        net.prior = torch.as_tensor(counts)
        return net


class Brighten(Augmentation):
    """A good augmentation: adds a little light."""

    def build(self):
        return self.Module()

    class Module(nn.Module):
        """Its module."""

        def draw(self, cases, generator):
            return {"light": torch.rand(cases, generator=generator) * 0.2}

        def forward(self, images, draw):
            return (images + draw["light"].view(-1, 1, 1, 1)).clamp(0, 1)


class GlobalDraw(Brighten):
    """Draws from torch's global generator."""

    class Module(Brighten.Module):
        """Its module."""

        def draw(self, cases, generator):
            return {"light": torch.rand(cases) * 0.2}


class Overexposed(Brighten):
    """Leaves [0, 1]."""

    class Module(Brighten.Module):
        """Its module."""

        def forward(self, images, draw):
            return images + draw["light"].view(-1, 1, 1, 1)


class SharedLight(Brighten):
    """Adds the batch's mean light."""

    class Module(Brighten.Module):
        """Its module."""

        def forward(self, images, draw):
            return (images + draw["light"].mean()).clamp(0, 1)


class PaintsOver(Brighten):
    """Writes into its input."""

    class Module(Brighten.Module):
        """Its module."""

        def forward(self, images, draw):
            return images.add_(draw["light"].view(-1, 1, 1, 1)).clamp_(0, 1)
