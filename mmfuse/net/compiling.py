"""Encoders compiled while they learn (`training.compile`): torch's compiler makes one kernel of many small operations.

What a network answers is never compiled: its numbers are those of any other run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mmfuse.errors import SpecError
from mmfuse.net.freezing import IMAGE_BATCH
from mmfuse.net.network import FusionNetwork

COMPILER = ("torch._dynamo", "torch._inductor")
"""Modules of the errors that torch's compiler raises."""


@contextmanager
def compiling(network: FusionNetwork, wanted: bool) -> Iterator[None]:
    """Within it, where it is `wanted`, image encoders that learn run compiled in training mode. That happens when they
    first run, and once more when a batch is of another size."""
    chosen = {m: network.encoder(m) for m in network.modalities if wanted and not network.is_frozen(m)}
    network.compiled = {
        network.keys[m]: compiled(encoder, m)
        for m, encoder in chosen.items()
        if len(network.shapes[m]) + 1 == IMAGE_BATCH
    }
    try:
        yield
    finally:
        network.compiled = {}


def compiled(encoder: nn.Module, modality: str) -> Callable[[Tensor], Any]:
    """The encoder's forward pass, compiled. It raises SpecError where the compiler fails."""
    run = torch.compile(encoder.forward)

    def forward(images: Tensor) -> Any:  # noqa: ANN401  # whatever the encoder gives
        try:
            return run(images)
        except RuntimeError as error:
            if not type(error).__module__.startswith(COMPILER):
                raise
            found = f"the encoder of '{modality}' cannot be compiled: {(str(error).splitlines() or [''])[0]}"
            expected = "an encoder and a compiler (a C++ compiler, or Triton on CUDA) that torch.compile can use"
            raise SpecError(found, expected, "training.compile = false", "training.compile") from error

    return forward
