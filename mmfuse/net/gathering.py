"""What all processes of a training hold, joined; gradients find their way back to the process that they came from."""

from __future__ import annotations

import torch
import torch.distributed
from torch import Tensor
from torch.distributed.nn.functional import all_gather


def gather(tensor: Tensor) -> Tensor:
    """(batch, …) → (batches of all processes, …), in the order of ranks; the tensor itself where there is one process.

    All processes must call it with equal shapes.
    """
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return tensor
    return torch.cat(all_gather(tensor)) if torch.distributed.get_world_size() > 1 else tensor
