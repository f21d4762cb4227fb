"""One objective without labels for mmfuse. torch is imported inside `build`, so that listing the parts stays fast."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

import mmfuse

if TYPE_CHECKING:
    from torch import Tensor, nn

    Join = Callable[[Tensor], Tensor]


class NewPart(mmfuse.Pretext):
    """The fused vectors of two draws of a case agree, and those of all cases do not shrink to one point."""

    spread: Annotated[float, Field(gt=0)] = 1.0
    """Weight of keeping the vectors apart."""

    @property
    def draws(self) -> int:
        return 2

    def build(self, widths: Mapping[str, int], labels: mmfuse.Labels, cases: int) -> nn.Module:
        """(outputs of two draws, position of each case, gather) → {"agree", "spread": scalar}."""
        from torch import nn

        spread = self.spread

        class Agreement(nn.Module):
            def begin_epoch(self, epoch: int, embed: Callable[..., Tensor]) -> tuple[str, ...]:
                return ()  # sentences for the user; embed(of) is `of(outputs)` of all cases

            def forward(self, draws: Sequence[mmfuse.Outputs], position: Tensor, gather: Join) -> dict[str, Tensor]:
                # all processes join what they hold: they must do so alike
                one, two = (gather(outputs.fused.vector) for outputs in draws)
                narrow = (1 - one.std(dim=0)).clamp(min=0).mean()
                return {"agree": (one - two).square().mean(), "spread": spread * narrow}

        return Agreement()


@mmfuse.hookimpl
def mmfuse_parts() -> list[type[mmfuse.Part]]:
    return [NewPart]
