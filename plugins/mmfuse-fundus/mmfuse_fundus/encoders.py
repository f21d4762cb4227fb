"""The encoder `attention-resnet`: a ResNet of timm whose residual branches are weighed by learned attention.

At its start every gate is exactly 1, so the network computes what the pretrained one computes. Nothing here imports
torch or timm before `build`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from mmfuse import Encoder, Timm

if TYPE_CHECKING:
    from torch import nn


class AttentionResnet(Encoder):
    """A ResNet of timm with channel attention, spatial attention or both in its residual branches.

    What is public of BFPC-Net (Li, Xu, Yang, Han, Micromachines 13(6):947, 2022, doi:10.3390/mi13060947) says "ResNet50
    with attention" and cites SE; a re-implementer speaks of a residual attention module in place of the last block.
    Which kind and where is therefore a knob. Channel attention: Hu, Shen, Sun, "Squeeze-and-excitation networks", 2018,
    arXiv 1709.01507, eq. 2-4. Spatial attention and the order channel → spatial: Woo et al., "CBAM", 2018, arXiv
    1807.06521, eq. 1-3 (its channel attention adds the maximum; here it is SE's). Unlike there, a gate is twice the
    sigmoid of a last layer that starts at zero: exactly 1, in (0, 2).
    """

    model: str = "resnet50"
    """timm's name of a ResNet (also ResNeXt, wide, with or without the tag of its weights) without attention of its
    own."""
    attention: Literal["channel", "spatial", "both", "none"] = "both"
    """`both` is the only order that has been described for this model, `channel` is what its authors cite; `none` is
    the plain ResNet, for ablations."""
    blocks: Literal["last", "all"] = "last"
    """Which residual blocks have it: the very last one, as the re-implementer says, or all. `last` trains few new
    weights, which suits some thousand patients."""
    reduction: Annotated[int, Field(ge=1)] = 16
    """Channel attention squeezes C channels to C / `reduction` (at least 1); 16 as in the paper of SE."""
    kernel: Annotated[int, Field(ge=1, le=31)] = 7
    """Side of the spatial attention's convolution, odd; 7 as in the paper of CBAM."""
    levels: tuple[Annotated[int, Field(ge=1, le=5)], ...] = (5,)
    """Maps to give, fine → coarse: level l is 2^l times smaller than the image; 2 to 5 are C2 to C5. Pair fusions read
    the last one. Empty: none."""
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Chance that a residual branch is dropped in training (stochastic depth)."""

    @field_validator("kernel")
    @classmethod
    def _has_a_middle(cls, given: int) -> int:
        if given % 2 == 0:
            raise ValueError(f"a kernel of {given} has no middle; take {given + 1}")
        return given

    def build(self, shape: tuple[int, ...]) -> nn.Module:
        """(3, height, width) → a module: (batch, 3, height, width) in [0, 1] → `Features`: the mean over places of the
        last map, maps by `levels`, and, with spatial attention, `attention["spatial"]` (batch, h, w) in (0, 2) of the
        last block that has it.

        Raises: SpecError for a name that timm has not, one that is no ResNet or has attention of its own, or a
        size that the model cannot take.
        """
        from mmfuse_fundus.modules.encoders import AttentionEncoder

        return AttentionEncoder(
            self._plain().build(shape), self.model, self.attention, self.blocks, self.reduction, self.kernel
        )

    def start(self, module: nn.Module, weights: str) -> None:
        """Loads timm's published weights (`pretrained`) or those of a safetensors file into all but the attention.

        Raises: SpecError if they cannot be fetched or do not fit, as `timm` does.
        """
        from mmfuse_fundus.modules.encoders import AttentionEncoder

        if not isinstance(module, AttentionEncoder):
            raise TypeError(f"start of encoder '{self.name}' takes what its build gave, not {type(module).__name__}")
        plain = self._plain()
        twin = plain.build((3, *module.plain.size))
        plain.start(twin, weights)
        module.take(twin)

    def _plain(self) -> Timm:
        """The same ResNet without attention."""
        return Timm(model=self.model, levels=self.levels, drop_path=self.drop_path)
