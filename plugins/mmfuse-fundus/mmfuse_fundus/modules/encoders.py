"""What `attention-resnet` builds: timm's ResNet with gates at the end of its residual branches, where timm's own blocks
leave a place for them (`se`). All gates start at exactly 1."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mmfuse import Features, SpecError

WHERE = "network.encoders"


class ChannelGate(nn.Module):
    """x · 2σ(W2 relu(W1 mean over places)), a factor a channel (Hu et al. 2018, eq. 2-4, but for the 2)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        squeezed = max(1, channels // reduction)
        self.squeeze, self.excite = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)
        nn.init.zeros_(self.excite.weight)
        nn.init.zeros_(self.excite.bias)  # type: ignore[arg-type]  # it has one

    def forward(self, x: Tensor) -> Tensor:
        squeezed = torch.relu(self.squeeze(x.mean(dim=(2, 3), keepdim=True)))
        return x * (2 * torch.sigmoid(self.excite(squeezed)))


class SpatialGate(nn.Module):
    """x · 2σ(conv([mean, maximum over channels])), a factor a place (Woo et al. 2018, eq. 3, but for the 2)."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)
        nn.init.zeros_(self.mix.weight)
        self.kept: dict[int, Tensor] = {}
        """The factors of the call that is under way, by thread: a block hands on nothing but its map, and networks
        answer from several threads."""

    def forward(self, x: Tensor) -> Tensor:
        said = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        factor = 2 * torch.sigmoid(self.mix(said))
        self.kept[threading.get_ident()] = factor[:, 0]
        return x * factor

    def taken(self) -> Tensor:
        """(batch, height, width) factors of this thread's last call, which are forgotten."""
        return self.kept.pop(threading.get_ident())


class AttentionEncoder(nn.Module):
    """A plain encoder of a timm ResNet (`Timm.build`), its blocks given gates: images → `Features`.

    Raises: SpecError when made of another model.
    """

    def __init__(self, plain: nn.Module, name: str, kind: str, blocks: str, reduction: int, kernel: int) -> None:
        super().__init__()
        self.plain: Any = plain
        _check(self.plain.model, name, kind)
        self.kind = kind
        for block in _blocks(self.plain.model, blocks) if kind != "none" else []:
            block.se = _gates(block, kind, reduction, kernel)

    def forward(self, images: Tensor) -> Features:
        given: Features = self.plain(images)
        seen = [gate.taken() for gate in self._spatial()]
        return given._replace(attention={"spatial": seen[-1]}) if seen else given

    def take(self, twin: nn.Module) -> None:
        """Takes over every weight of the same encoder without gates; the gates stay as they are."""
        own = self.plain.state_dict()
        self.plain.load_state_dict(own | twin.state_dict())

    def _spatial(self) -> list[SpatialGate]:
        """In the order in which an image goes through them."""
        return [module for module in self.plain.model.modules() if isinstance(module, SpatialGate)]


def _check(model: Any, name: str, kind: str) -> None:  # noqa: ANN401  # timm's models share no type
    from timm.models.resnet import ResNet

    if not isinstance(model, ResNet):
        raise SpecError(
            f"timm's {name} is no ResNet but a {type(model).__name__}",
            "a model of timm's ResNet family, whose residual blocks have a place for attention",
            "model = 'resnet50', or the encoder `timm`",
            f"{WHERE}.model",
        )
    if kind != "none" and any(block.se is not None for block in _blocks(model, "all")):
        raise SpecError(
            f"timm's {name} has attention of its own",
            "a ResNet without",
            "model = 'resnet50', or the encoder `timm`",
            f"{WHERE}.model",
        )


def _blocks(model: Any, which: str) -> list[Any]:  # noqa: ANN401
    found = [block for stage in (model.layer1, model.layer2, model.layer3, model.layer4) for block in stage]
    return {"all": found, "last": found[-1:]}[which]


def _gates(block: Any, kind: str, reduction: int, kernel: int) -> nn.Module:  # noqa: ANN401
    channels = (block.bn2 if block.expansion == 1 else block.bn3).num_features
    gates: dict[str, Callable[[], list[nn.Module]]] = {
        "channel": lambda: [ChannelGate(channels, reduction)],
        "spatial": lambda: [SpatialGate(kernel)],
        "both": lambda: [ChannelGate(channels, reduction), SpatialGate(kernel)],
    }
    made: list[nn.Module] = gates[kind]()
    return nn.Sequential(*made)
