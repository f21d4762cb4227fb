"""Checks that need the whole network: what is absent changes nothing, whatever its content (law 3)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmfuse import (
    Card,
    CasesSection,
    Encoder,
    EncoderLine,
    FeatureFusion,
    FusionNetwork,
    Head,
    LabelLine,
    Modality,
    NetworkSection,
    Plan,
    Spec,
    wire,
)
from mmfuse.testing import modules
from mmfuse.testing.kit import need


class _Input(Modality):
    """A modality of the kit's networks; it is never read."""

    name = "kit-input"

    @property
    def columns(self) -> tuple[str, ...]:
        return ()


class _Flat(Encoder):
    """The input, flattened, through one linear layer."""

    name = "kit-flat"
    width: int = 6

    def build(self, shape: tuple[int, ...]) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(self.width))


class _Join(FeatureFusion):
    """All vectors side by side."""

    name = "kit-join"

    def build(self, flows: object) -> nn.Module:
        return _Joined()


class _Joined(nn.Module):
    def forward(self, features: dict[str, tuple[Tensor, ...]], present: dict[str, Tensor]) -> Tensor:
        return torch.cat([features[name][0] for name in sorted(features)], dim=1)


class _Answer(Head):
    """One linear layer."""

    name = "kit-answer"

    def build(self, width: int, labels: object) -> nn.Module:
        return nn.Linear(width, 5)


def network(
    encoders: dict[str, tuple[Encoder, tuple[int, ...]]], fusion: FeatureFusion | None = None, head: Head | None = None
) -> FusionNetwork:
    """A network of the parts under test and plain ones elsewhere, over labels of 2 and 3 classes."""
    card = Card(
        cases=CasesSection(id="id"),
        labels={"two": LabelLine(classes=("a", "b")), "three": LabelLine(classes=("a", "b", "c"))},
        modalities={name: _Input() for name in encoders},
    )
    lines = {name: EncoderLine(part=part, weights="none") for name, (part, _) in encoders.items()}
    section = NetworkSection(encoders=lines, fusion=fusion or _Join(), head=head or _Answer(), side_heads=True)
    spec = Spec(card=card, plan=Plan(network=section))
    with modules.seeded(0):
        return FusionNetwork(spec, wire(spec), {name: shape for name, (_, shape) in encoders.items()}, card.label_set)


def flat() -> Encoder:
    """A plain encoder."""
    return _Flat()


def absent_content_changes_nothing(part: Encoder, shape: tuple[int, ...]) -> None:
    """Refuses if what stands in an absent cell reaches any output, in training or in prediction."""
    built = network({"tested": (part, shape), "other": (_Flat(), (4,))})
    present = {"tested": torch.tensor([True, False, True, True]), "other": torch.tensor([True, True, False, True])}
    _compare(built, {"tested": shape, "other": (4,)}, present)


def fusion_copes_with_absence(part: FeatureFusion, encoders: Mapping[str, Encoder], shape: tuple[int, ...]) -> None:
    """Runs every presence pattern through a network; refuses what is not finite, or moves with absent content.

    `encoders` {modality: what gives its features of an input of `shape`}.
    """
    names = tuple(encoders)
    built = network({name: (encoder, shape) for name, encoder in encoders.items()}, fusion=part)
    patterns = [[bool(number >> k & 1) for k in range(len(names))] for number in range(1, 2 ** len(names))]
    present = {name: torch.tensor([pattern[k] for pattern in patterns]) for k, name in enumerate(names)}
    _compare(built, dict.fromkeys(names, shape), present)


def _compare(built: FusionNetwork, shapes: dict[str, tuple[int, ...]], present: dict[str, Tensor]) -> None:
    cases = len(next(iter(present.values())))
    for mode in (True, False):
        answers = []
        for seed in (1, 2):
            inputs = {}
            for name, shape in shapes.items():
                here = present[name].view(-1, *[1] * len(shape))
                inputs[name] = torch.where(
                    here, modules.noise(cases, *shape), 1e3 * modules.noise(cases, *shape, seed=seed)
                )
            built.train(mode)
            with modules.seeded(5), torch.no_grad():
                answers.append(built(inputs, present).scores["fused"].logits)
        need(
            bool(torch.isfinite(answers[0]).all()),
            "`fused` is not finite for some presence pattern",
            "finite logits where anything is present",
        )
        need(
            torch.equal(*answers),
            f"`fused` moves by {modules.difference(*answers)} with the content of absent cells",
            "0: what is absent is never looked at",
            "use the stand-in or the presence mask",
        )
