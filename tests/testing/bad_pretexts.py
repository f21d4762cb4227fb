"""Planted bad objectives: each breaks one check of the kit and, as far as may be, no other."""

import torch
from bad_encoders import Net
from torch import nn

from mmfuse import Pretext


def agree(net, draws, position, gather):
    """Fused vectors are near a point, weighted by presence."""
    there = gather(torch.stack(list(draws[0].present.values()), dim=1).any(dim=1).float())
    vector = net.layer(gather(draws[0].fused.vector))
    return {"agree": (vector.square().mean(dim=1) * there).mean()}


def pretext(forward=agree, begin=lambda net, epoch, embed: (), **modules):
    class Objective(Net):
        def begin_epoch(self, epoch, embed):
            return begin(self, epoch, embed)

    return Objective(forward, **modules)


class Good(Pretext):
    """A good objective."""

    def build(self, widths, labels, cases):
        return pretext(layer=nn.Linear(widths["fused"], 3))


class NoDraws(Good):
    """Reads no batch at all."""

    @property
    def draws(self):
        return 0


class OneTerm(Pretext):
    """Gives a loss for each case."""

    def build(self, widths, labels, cases):
        def forward(net, draws, position, gather):
            return {"each": net.layer(gather(draws[0].fused.vector)).square().mean(dim=1)}

        return pretext(forward, layer=nn.Linear(widths["fused"], 3))


class MeanOfNothing(Pretext):
    """Takes the mean over cases that have `other`."""

    def build(self, widths, labels, cases):
        def forward(net, draws, position, gather):
            features, there = gather(draws[0].features["other"].vector), gather(draws[0].present["other"])
            return {"other": net.layer(features)[there].square().mean()}

        return pretext(forward, layer=nn.Linear(widths["other"], 3))


class IdlePretext(Pretext):
    """Has a layer that nothing reads."""

    def build(self, widths, labels, cases):
        return pretext(layer=nn.Linear(widths["fused"], 3), idle=nn.Linear(2, 2))


class JoinsPresent(Pretext):
    """Joins the rows that are there: processes with others would wait for ever."""

    def build(self, widths, labels, cases):
        def forward(net, draws, position, gather):
            rows = gather(draws[0].features["other"].vector[draws[0].present["other"]])
            return {"other": net.layer(rows).square().sum() / 12}

        return pretext(forward, layer=nn.Linear(widths["other"], 3))


class Mute(Pretext):
    """Tells nothing where sentences are due."""

    def build(self, widths, labels, cases):
        return pretext(begin=lambda net, epoch, embed: None, layer=nn.Linear(widths["fused"], 3))


class ForgetsPlaces(Pretext):
    """Remembers a number that is in no buffer."""

    def build(self, widths, labels, cases):
        def begin(net, epoch, embed):
            net.factor = float(embed(lambda outputs: outputs.fused.vector).abs().sum())
            return ()

        def forward(net, draws, position, gather):
            return {name: term * net.factor for name, term in agree(net, draws, position, gather).items()}

        made = pretext(forward, begin, layer=nn.Linear(widths["fused"], 3))
        made.factor = 1.0
        return made


class WritesOver(Pretext):
    """Scales the network's vectors in place."""

    def build(self, widths, labels, cases):
        def forward(net, draws, position, gather):
            draws[0].fused.vector.data.mul_(2)
            return agree(net, draws, position, gather)

        return pretext(forward, layer=nn.Linear(widths["fused"], 3))


class LeftBehindPretext(Pretext):
    """Keeps a tensor that is no buffer."""

    def build(self, widths, labels, cases):
        made = pretext(layer=nn.Linear(widths["fused"], 3))
        made.places = torch.zeros(3)
        return made
