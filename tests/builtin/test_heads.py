"""Heads: FusionM4Net's layers, one linear layer for all labels, and batches of one case."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from mmfuse import Label, Labels, Scores
from mmfuse.builtin.heads import Linear, Mlp

torch.set_num_threads(1)

LABELS = Labels([Label("diagnosis", ("a", "b", "c")), Label("streaks", ("no", "yes"))])


def test_the_default_head_is_fusionm4nets():
    torch.manual_seed(0)
    head = Mlp().build(64, LABELS)
    blocks = []
    width = 64
    for out in (512, 128):
        blocks += [nn.Linear(width, out), nn.BatchNorm1d(out), nn.SiLU(), nn.Dropout(0.3)]
        width = out
    reference = nn.ModuleList([nn.Sequential(*blocks), nn.Linear(128, 5)])
    assert [tuple(p.shape) for p in head.parameters()] == [tuple(p.shape) for p in reference.parameters()]
    reference.load_state_dict(dict(zip(reference.state_dict(), head.state_dict().values(), strict=True)))
    x = torch.randn(8, 64)
    for mode in (True, False):
        head.train(mode), reference.train(mode)
        torch.manual_seed(3)
        scores = head(x)
        torch.manual_seed(3)
        assert isinstance(scores, Scores)
        torch.testing.assert_close(scores.logits, reference[1](reference[0](x)))


def test_one_layer_equals_a_classifier_a_label():
    head = Mlp(widths=(7,)).build(4, LABELS).eval()
    x = torch.randn(6, 4)
    hidden = head.layers(x)
    for part in LABELS.slices.values():
        own = nn.Linear(7, part.stop - part.start)
        own.load_state_dict({"weight": head.classifier.weight[part], "bias": head.classifier.bias[part]})
        torch.testing.assert_close(own(hidden), head(x).logits[:, part])


def test_linear_head():
    head = Linear().build(4, LABELS)
    x = torch.randn(6, 4)
    weight, bias = (p.detach().numpy() for p in head.parameters())
    np.testing.assert_allclose(head(x).logits.detach().numpy(), x.numpy() @ weight.T + bias, atol=1e-5)


def test_cases_keep_apart():
    head = Mlp().build(5, LABELS).eval()
    x = torch.randn(4, 5)
    torch.testing.assert_close(head(x[1:2]).logits, head(x).logits[1:2])
