"""Tiny parts for the tests of the torch room: they code against the roles alone."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from mmfuse.builtin.losses import CrossEntropy
from mmfuse.card import Card, CasesSection
from mmfuse.data.cases import Cases
from mmfuse.data.table import Table
from mmfuse.learnt import Learnt
from mmfuse.net.features import Features, Fused
from mmfuse.parts import Augmentation, Encoder, FeatureFusion, Head, Modality, Reader
from mmfuse.spec import NetworkSection, Plan, Spec, TrainingSection
from mmfuse.wiring import wire


@dataclasses.dataclass(frozen=True, eq=False)
class NumbersReader(Reader, Learnt):
    column: str
    mean: float

    @property
    def shape(self):
        return (1,)

    def read(self, rows):
        values = rows.numbers(self.column)
        return (values - self.mean)[:, None].astype(np.float32), ~np.isnan(values)


class Numbers(Modality):
    """One number; its mean is learnt only if `centred`."""

    reader: ClassVar = NumbersReader
    column: str
    centred: bool = False

    @property
    def columns(self):
        return (self.column,)

    def fit(self, rows):
        return NumbersReader(self.column, float(np.nanmean(rows.numbers(self.column))) if self.centred else 0.0)


@dataclasses.dataclass(frozen=True, eq=False)
class PictureReader(Reader, Learnt):
    column: str
    size: int

    @property
    def shape(self):
        return (3, self.size, self.size)

    @property
    def dtype(self):
        return "uint8"

    def read(self, rows):
        words = rows.text(self.column)
        out = np.zeros((len(words), *self.shape), np.uint8)
        for i, word in enumerate(words):
            if word is not None:
                out[i] = np.random.default_rng(int(word)).integers(0, 256, self.shape, dtype=np.uint8)
        return out, np.array([word is not None for word in words], dtype=bool)


class Picture(Modality):
    """A picture of noise, by its number."""

    reader: ClassVar = PictureReader
    column: str
    size: int = 8

    @property
    def columns(self):
        return (self.column,)

    @property
    def is_image(self):
        return True

    def fit(self, rows):
        return PictureReader(self.column, self.size)


class Flat(Encoder):
    """A linear layer on everything."""

    width: int = 4

    def build(self, shape):
        return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), self.width))


class ConvNet(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.top = nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width))

    def forward(self, images):
        level = self.stem(images)
        coarse = nn.functional.avg_pool2d(level, 4)
        vector = self.top(coarse.mean(dim=(2, 3)))
        attention = {"picture/place": coarse.mean(dim=1)}
        return Features(vector, (level, coarse), coarse.flatten(2).transpose(1, 2), attention)


class Conv(Encoder):
    """Convolution, batch norm, maps of two levels and tokens."""

    width: int = 4
    starts: ClassVar[list[str]] = []

    def build(self, shape):
        return ConvNet(self.width)

    def start(self, module, weights):
        self.starts.append(weights)
        with torch.no_grad():
            module.top[0].bias.fill_(7.0)


class Memo(Encoder):
    """Remembers each number it was shown, and nothing else."""

    size: int = 64

    def build(self, shape):
        size = self.size

        class Lookup(nn.Module):
            def __init__(self):
                super().__init__()
                self.table = nn.Embedding(size, 8)
                nn.init.zeros_(self.table.weight)

            def forward(self, given):
                return self.table(given[:, 0].round().long())

        return Lookup()


class Side(FeatureFusion):
    """Side by side, all that it reads."""

    reads_all: bool = False

    @property
    def needs(self):
        return ("vector", "maps", "tokens") if self.reads_all else ("vector",)

    def build(self, flows):
        reads_all = self.reads_all

        class SideBySide(nn.Module):
            def forward(self, features, present):
                parts = [given.vector for given in features.values()]
                if reads_all:
                    parts += [level.mean(dim=(2, 3)) for given in features.values() for level in given.maps]
                    parts += [given.tokens.sum(dim=1) for given in features.values() if given.tokens is not None]
                return torch.cat(parts, dim=1)

        return SideBySide()


class Coarse(FeatureFusion):
    """The places of the coarsest maps, weighed one by one; modalities without maps by their vector."""

    declares: tuple[int, ...] = (-1,)

    @property
    def needs(self):
        return ("vector", "maps")

    @property
    def map_levels(self):
        return self.declares

    def build(self, flows):
        widths = {name: int(np.prod(flow.maps[-1])) if flow.maps else flow.width for name, flow in flows.items()}

        class Weighed(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.ModuleDict({name: nn.Linear(width, 3) for name, width in widths.items()})

            def forward(self, features, present):
                read = {name: (f.maps[-1] if f.maps else f.vector).flatten(1) for name, f in features.items()}
                return sum(self.layers[name](read[name]) for name in sorted(read))

        return Weighed()


class Loud(FeatureFusion):
    """A mean with a second view and a loss of its own."""

    def build(self, flows):
        class Mean(nn.Module):
            def forward(self, features, present):
                vectors = torch.stack([given.vector for given in features.values()])
                mean = vectors.mean(dim=0)
                weight = torch.full((len(mean),), 0.5)
                return Fused(mean, {"first": (vectors[0], weight)}, {"spread": vectors.var(dim=0).mean()})

        return Mean()


class Lin(Head):
    """A linear layer."""

    normed: bool = False

    def build(self, width, labels):
        norm = nn.BatchNorm1d(width) if self.normed else nn.Identity()
        return nn.Sequential(norm, nn.Linear(width, labels.columns))


class Brighten(Augmentation):
    """Adds one drawn number to all pixels of a case."""

    def build(self):
        class Add(nn.Module):
            def draw(self, cases, generator):
                return {"by": torch.rand(cases, generator=generator) + 1.0}

            def forward(self, images, draw):
                return images + draw["by"][:, None, None, None]

        return Add()


def make_spec(modalities, encoders, *, labels=None, fusion="", head=None, side_heads=False, **plan):
    """A spec of tiny parts."""
    training = plan.pop("training", TrainingSection(epochs=2, batch=8))
    if training.loss == "":
        training = training.model_copy(update={"loss": CrossEntropy()})
    network = NetworkSection(
        encoders=encoders,
        fusion=fusion,
        head=Lin() if head is None else head,
        side_heads=side_heads,
        weights=plan.pop("network_weights", ""),
    )
    card = Card(cases=CasesSection(id="id"), labels=labels or {"y": ["a", "b"]}, modalities=modalities)
    return Spec(card=card, plan=Plan(network=network, training=training, **plan))


def make_cases(spec, columns, n):
    """Cases from columns; the id is the row."""
    table = Table.of({"id": [f"case{i}" for i in range(n)], **{k: [*map(_cell, v)] for k, v in columns.items()}})
    return Cases(table, spec.card)


def _cell(value):
    return None if value is None else str(value)


def two_pictures(fusion=None, *, side_heads=True, weights="none", frozen=False, share=False, **options):
    """Two pictures and a number, all with side heads."""
    encoders = {
        "picture": {"part": Conv(), "weights": weights, "frozen": frozen, "share": share},
        "numbers": {"part": Flat(), "weights": "none"},
    }
    modalities = {"one": Picture(column="one"), "two": Picture(column="two"), "age": Numbers(column="age")}
    spec = make_spec(modalities, encoders, fusion=fusion or Side(), side_heads=side_heads, **options)
    return spec, wire(spec)
