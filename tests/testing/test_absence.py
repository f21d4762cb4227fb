"""The check that runs through a network bites on a network that looks at what is absent."""

import pytest
import torch
from torch import nn

from mmfuse import Fused, Outputs, Scores
from mmfuse.testing import Refusal, networks


class Looks(nn.Module):
    """Answers from the content of every cell."""

    def forward(self, inputs, present):
        total = sum(values.flatten(1).sum(dim=1, keepdim=True) for values in inputs.values())
        return Outputs({"fused": Scores(total.expand(-1, 5))}, {}, {}, Fused(total), present)


def test_a_network_that_looks_at_absent_cells_is_refused():
    present = {"a": torch.tensor([True, False]), "b": torch.tensor([True, True])}
    with pytest.raises(Refusal, match="content of absent cells"):
        networks._compare(Looks(), {"a": (3,), "b": (2,)}, present)
