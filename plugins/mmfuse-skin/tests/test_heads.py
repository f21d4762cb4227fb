"""The head `label-relation`: torch's own layer with the same weights, its attention, labels one and many."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from mmfuse import Label, Labels
from mmfuse.testing import check
from mmfuse_skin.heads import LabelRelation

LABELS = Labels([Label("two", ("a", "b")), Label("three", ("a", "b", "c")), Label("again", ("a", "b"))])


def built(part=None, labels=LABELS, width=10):
    torch.manual_seed(3)
    return (part or LabelRelation(width=16)).build(width, labels)


def torchs_layer(module, knobs):
    """torch.nn.TransformerEncoderLayer, its defaults but for the sizes, with the module's weights."""
    layer = nn.TransformerEncoderLayer(
        knobs.width, knobs.attention_heads, knobs.ffn, knobs.dropout, batch_first=True
    ).eval()
    layer.self_attn.load_state_dict(module.attention.state_dict())
    pairs = [(layer.linear1, module.ffn[0]), (layer.linear2, module.ffn[3])]
    pairs += [(layer.norm1, module.after_attention), (layer.norm2, module.after_ffn)]
    for one, other in pairs:
        one.load_state_dict(other.state_dict())
    return layer


@pytest.mark.parametrize("attention_heads", [1, 4])
def test_it_is_torchs_layer_over_the_labels(attention_heads):
    knobs = LabelRelation(width=16, attention_heads=attention_heads, ffn=20)
    module = built(knobs).eval()
    nn.init.normal_(module.after_attention.weight)
    x = torch.randn(5, 10)
    scores = module(x)
    projected = torch.stack([projector(x) for projector in module.projectors], dim=1)
    expected = torchs_layer(module, knobs)(projected)
    torch.testing.assert_close(scores.tokens, expected, rtol=1e-4, atol=1e-5)
    logits = torch.cat([layer(expected[:, i]) for i, layer in enumerate(module.classifiers)], dim=1)
    torch.testing.assert_close(scores.logits, logits, rtol=1e-4, atol=1e-5)


def test_attention_by_hand():
    module = built().eval()
    x = torch.randn(2, 10)
    weights = module(x).attention["labels"]
    assert weights.shape == (2, 3, 3)
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(2, 3))
    tokens = torch.stack([projector(x) for projector in module.projectors], dim=1)
    w, b = module.attention.in_proj_weight, module.attention.in_proj_bias
    query, key = tokens @ w[:16].T + b[:16], tokens @ w[16:32].T + b[16:32]
    torch.testing.assert_close(weights, (query @ key.transpose(1, 2) / 4).softmax(dim=2), rtol=1e-4, atol=1e-5)
    assert not module.train()(x).attention


def test_one_label_looks_at_itself():
    scores = built(labels=Labels([Label("only", ("a", "b", "c"))])).eval()(torch.randn(4, 10))
    assert scores.logits.shape == (4, 3)
    assert torch.equal(scores.attention["labels"], torch.ones(4, 1, 1))


def test_published_size():
    """Eight projectors of 4096 to 512 and the layer: some 18 million weights, as published."""
    published = Labels([Label(f"l{k}", tuple("abcde"[:n])) for k, n in enumerate((5, 3, 2, 3, 3, 3, 3, 2))])
    count = sum(p.numel() for p in built(LabelRelation(), published, 4096).parameters())
    layer = 4 * (512 * 512 + 512) + 2 * 512 * 128 + 128 + 512 + 4 * 512
    assert count == 8 * (4096 * 512 + 512) + layer + 24 * 512 + 24


def test_labels_have_vectors_of_their_own_only_where_asked_for():
    assert not [name for name, _ in built().named_parameters() if "embedding" in name]
    module = built(LabelRelation(width=16, label_embedding=True))
    assert module.embedding.shape == (3, 16)


def test_knobs_are_checked():
    with pytest.raises(ValidationError, match="cannot be divided among 3"):
        LabelRelation(width=16, attention_heads=3)


@pytest.mark.parametrize(
    "part", [LabelRelation(width=16), LabelRelation(width=16, attention_heads=2, label_embedding=True, dropout=0)]
)
def test_keeps_the_contract(part):
    check(part)
    check(part, labels=Labels([Label("only", ("a", "b"))]))
