"""Two drawn eyes and a network of plan and card, for tests of pair fusions and of whole networks."""

from __future__ import annotations

import torch

import mmfuse
from mmfuse import Features, FlowShape, FusionNetwork

MAPS = ((4, 6, 5), (6, 3, 4))
FLOW = FlowShape(7, MAPS)
EYES = ("left", "right")
SHAPE = (3, 64, 64)

CARD = """
[cases]
id = "id"
[labels]
normal = ["0", "1"]
diabetes = ["0", "1"]
glaucoma = ["0", "1"]
[modalities]
left = { use = "image", column = "left", size = 64 }
right = { use = "image", column = "right", size = 64 }
"""


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def features(cases: int = 3, flow: FlowShape = FLOW) -> dict[str, Features]:
    """Of either eye, with values below and above zero."""
    return {
        eye: Features(noise(cases, flow.width, seed=k), tuple(noise(cases, *shape, seed=10 + k) for shape in flow.maps))
        for k, eye in enumerate(EYES)
    }


def who(left: bool = True, right: bool = True, cases: int = 3) -> dict[str, torch.Tensor]:
    return {"left": torch.full((cases,), left), "right": torch.full((cases,), right)}


def exchanged(given: dict) -> dict:
    return {"left": given["right"], "right": given["left"]}


def network(plan: str) -> FusionNetwork:
    """The network of a plan in TOML on two eyes of 64 px and three labels, in eval mode."""
    import tomllib

    spec = mmfuse.load(tomllib.loads(plan), tomllib.loads(CARD))
    built = FusionNetwork(spec, mmfuse.wire(spec), dict.fromkeys(EYES, SHAPE), spec.card.label_set)
    return built.eval()
