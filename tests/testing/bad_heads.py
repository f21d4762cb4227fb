"""Planted bad heads, losses and augmentations: each breaks one check of the kit and, as far as may be, no other."""

import torch
from bad_encoders import Net
from torch import nn

from mmfuse import Augmentation, Head, Loss


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


class DividesByProgress(LossOf):
    """Has no meaning at the first step."""

    def build(self, labels, counts):
        def forward(net, outputs, targets, progress):
            share = torch.tensor(progress) / progress if progress else torch.tensor(float("nan"))
            return {name: share * term for name, term in self.terms(labels, outputs, targets).items()}

        return Net(forward)


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


class Weightless(LossOf):
    """Says that it weighs cases, and does not."""

    weighs_cases = True


class Normalised(LossOf):
    """Divides by the sum of the weights."""

    weighs_cases = True

    def terms(self, labels, outputs, targets):
        kept = outputs.weight * torch.ones(len(targets)) > 0
        scores = {name: given._replace(logits=given.logits[kept]) for name, given in outputs.scores.items()}
        return super().terms(labels, outputs._replace(scores=scores), targets[kept])


class Averaged(LossOf):
    """Says that the terms of batches add up, and takes means of its own batch."""

    accumulates = True


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
