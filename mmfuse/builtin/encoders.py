"""Encoders: any timm model for images, `mlp` and `linear` for tables and vectors, `pixels` for the image as it is.

Each normalises its own input (law 4): an image comes as RGB in [0, 1]. Nothing here imports torch or timm before
`build`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from mmfuse import Encoder, SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

Widths = tuple[Annotated[int, Field(ge=1)], ...]


class Timm(Encoder):
    """Any image model of timm, without its classifier."""

    model: str = "resnet50"
    """timm's name, with or without the tag of its weights: `resnet50`, `vit_tiny_patch16_224.augreg_in21k_ft_in1k` …"""
    normalise: Literal["model", "imagenet", "none"] = "model"
    """Mean and standard deviation a colour: those the model's own weights were trained with, ImageNet's, or none (stay
    in [0, 1])."""
    channels: Literal["rgb", "bgr"] = "rgb"
    """Order in which the model sees the colours; each keeps its own mean and standard deviation."""
    levels: tuple[Annotated[int, Field(ge=0, le=7)], ...] = ()
    """Maps to give, fine → coarse: level l is the last map that is 2^l times smaller than the image (C3 to C5 of a
    ResNet: 3, 4, 5; a vision transformer has one level, 4 for patches of 14 or 16 pixels). Empty: none, the vector is
    all."""
    tokens: bool = False
    """Give the places of the last map as tokens: of a vision transformer its patches, normalised, without class and
    register tokens."""
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Chance that a residual branch is dropped in training (stochastic depth)."""
    recompute: bool = False
    """What the blocks hold for the gradient is computed again when it is needed: much less memory, about a third more
    time; where all of it learns. Running statistics of batch norm then move twice a step."""

    @field_validator("levels")
    @classmethod
    def _fine_to_coarse(cls, given: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(given)))

    @property
    def gives(self) -> tuple[str, ...]:
        return ("vector", *(("maps",) if self.levels else ()), *(("tokens",) if self.tokens else ()))

    def build(self, shape: tuple[int, ...]) -> nn.Module:
        """(3, height, width) → a module: (batch, 3, height, width) in [0, 1] → `Features`.

        The vector is the model's own pooling.

        Raises: SpecError for a name that timm has not, a size the model cannot take, or levels it has not.
        """
        from mmfuse.builtin.modules.encoders import TimmEncoder
        from mmfuse.builtin.modules.timm_models import create

        size = _image_size(shape, self.name)
        return TimmEncoder(
            create(self.model, size, self.drop_path, self.recompute),
            size,
            normalise=self.normalise,
            bgr=self.channels == "bgr",
            levels=self.levels,
            tokens=self.tokens,
        )

    def stages(self, module: nn.Module) -> Mapping[str, int]:
        """Stem, then the stages (of a vision transformer, the blocks) as timm groups them."""
        from mmfuse.builtin.modules.timm_models import stages

        return stages(module)

    def check_start(self, module: nn.Module | None, weights: str) -> None:
        """Looks at the model's name, whether its published weights are to be had, and at the header of a file.

        Raises: SpecError as `start` does.
        """
        from mmfuse.builtin.modules.encoders import TimmEncoder
        from mmfuse.builtin.modules.timm_models import check_file, check_name, check_published

        check_name(self.model)
        if weights == "pretrained":
            check_published(self.model)
        elif weights != "none":
            own = module if isinstance(module, TimmEncoder) else None
            if not check_file(own and own.model, self.model, weights) and own is not None:
                self.start(own, weights)

    def start(self, module: nn.Module, weights: str) -> None:
        """Loads timm's published weights (`pretrained`) or those of a safetensors file, whose classifier is left out.

        Raises: SpecError if they cannot be fetched, are stored in a format that can run code, or do not fit (with
        counts of what matched).
        """
        from mmfuse.builtin.modules.encoders import TimmEncoder
        from mmfuse.builtin.modules.timm_models import load_file, load_published

        if not isinstance(module, TimmEncoder):
            raise TypeError(f"start of encoder '{self.name}' takes what its build gave, not {type(module).__name__}")
        if weights == "pretrained":
            load_published(module.model, self.model, module.size)
        else:
            load_file(module.model, self.model, module.size, weights)


class Mlp(Encoder):
    """Layers of linear, norm, activation and dropout, for tables and vectors."""

    widths: Annotated[Widths, Field(min_length=1)] = (256, 128)
    """Width of each layer; the last is the vector's."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """After each activation."""
    norm: Literal["batch", "layer", "none"] = "batch"
    """Before each activation; `batch` uses running statistics where a batch holds one case."""
    activation: Literal["silu", "relu", "gelu"] = "silu"
    """Of each layer."""

    @property
    def gives(self) -> tuple[str, ...]:
        return ("vector",)

    def build(self, shape: tuple[int, ...]) -> nn.Module:
        """(width,) → a module: (batch, width) → `Features` whose vector is (batch, widths[-1]).

        Raises: SpecError for an image's shape.
        """
        from mmfuse.builtin.modules.encoders import VectorEncoder
        from mmfuse.builtin.modules.layers import perceptron

        return VectorEncoder(
            perceptron(_row_width(shape, self.name), self.widths, self.norm, self.activation, self.dropout)
        )


class Linear(Encoder):
    """One linear layer, for tables and vectors."""

    width: Annotated[int, Field(ge=1)] = 128
    """Of the vector."""

    @property
    def gives(self) -> tuple[str, ...]:
        return ("vector",)

    def build(self, shape: tuple[int, ...]) -> nn.Module:
        """(width,) → a module: (batch, width) → `Features` whose vector is (batch, `width`).

        Raises: SpecError for an image's shape.
        """
        from torch import nn

        from mmfuse.builtin.modules.encoders import VectorEncoder

        return VectorEncoder(nn.Linear(_row_width(shape, self.name), self.width))


class Pixels(Encoder):
    """The image itself as its only map, for fusions that mix inside the encoders."""

    normalise: Literal["none", "imagenet"] = "none"
    """Mean and standard deviation a colour: none (stay in [0, 1]) or ImageNet's."""

    @property
    def gives(self) -> tuple[str, ...]:
        return ("vector", "maps")

    def build(self, shape: tuple[int, ...]) -> nn.Module:
        """(3, height, width) → a module: images → `Features` with one map, the image, and its mean a colour as the
        vector."""
        from mmfuse.builtin.modules.encoders import PixelEncoder

        _image_size(shape, self.name)
        return PixelEncoder(self.normalise)


def _image_size(shape: tuple[int, ...], name: str) -> tuple[int, int]:
    if len(shape) != 3 or shape[0] != 3:
        raise SpecError(
            f"encoder '{name}' was given cases of shape {tuple(shape)}",
            "images of shape (3, height, width)",
            "use `mlp` or `linear` for tables and vectors",
            "network.encoders",
        )
    return shape[1], shape[2]


def _row_width(shape: tuple[int, ...], name: str) -> int:
    if len(shape) != 1:
        raise SpecError(
            f"encoder '{name}' was given cases of shape {tuple(shape)}",
            "rows of shape (width,), as tables and vectors are",
            "use `timm` for images",
            "network.encoders",
        )
    return shape[0]
