"""What every head keeps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mmfuse import Head, Label, Labels, Scores
from mmfuse.testing import modules
from mmfuse.testing.kit import Given, need

LABELS = Labels(
    [Label("two", ("a", "b")), Label("three", ("a", "b", "c")), Label("four", ("a", "b", "c", "d"), weight=0.5)]
)
"""The kit's labels: 2, 3 and 4 classes."""
_WIDTH = 10


def labels_of(given: Given) -> Labels:
    """Those that the caller named, for a part that refuses some kinds; else the kit's."""
    return LABELS if given.labels is None else given.labels


def _build(part: Head, given: Given) -> Callable[[], nn.Module]:
    return lambda: part.build(_WIDTH, labels_of(given))


def _logits(module: nn.Module, vector: Tensor) -> Tensor:
    given = module(vector)
    return given.logits if isinstance(given, Scores) else given


def gives_finite_logits_over_all_columns_for_1_and_3_cases(part: Head, given: Given) -> None:
    module, columns = modules.made(_build(part, given)).eval(), labels_of(given).columns
    for cases in (1, 3):
        with torch.no_grad():
            logits = _logits(module, modules.noise(cases, _WIDTH))
        expected = f"({cases}, {columns}): {cases} cases, all classes of all labels"
        need(
            logits.shape == (cases, columns),
            f"logits {tuple(logits.shape)}",
            expected,
            "end with labels.columns",
        )
        need(bool(torch.isfinite(logits).all()), "logits are not finite", "finite numbers")


def keeps_cases_apart(part: Head, given: Given) -> None:
    module = modules.made(_build(part, given)).eval()
    vector = modules.noise(3, _WIDTH)
    with torch.no_grad():
        among, alone = _logits(module, vector)[:1], _logits(module, vector[:1])
    found = f"case 1 differs by {modules.difference(alone, among)} alone and among 3"
    need(modules.same(alone, among), found, "0", "no normalisation over the batch in eval mode")


def leaves_its_input_and_the_random_state_alone(part: Head, given: Given) -> None:
    module = modules.made(_build(part, given)).eval()
    vector = modules.noise(3, _WIDTH)
    before = vector.clone()
    with modules.leaving_random_state_alone(), torch.no_grad():
        module(vector)
    need(torch.equal(vector, before), "changes its input in place", "the input left alone", "x = x * 2, not x.mul_(2)")


def lets_the_gradient_reach_every_trainable_weight(part: Head, given: Given) -> None:
    module = modules.made_to_learn(_build(part, given))
    with modules.seeded(2):
        modules.every_weight_learns(module, [_logits(module, modules.noise(6, _WIDTH))])


def comes_back_from_its_state_dict(part: Head, given: Given) -> None:
    modules.state_comes_back(_build(part, given), lambda m: [_logits(m, modules.noise(3, _WIDTH))])


def moves_to_a_device_whole(part: Head, given: Given) -> None:
    module = modules.made(_build(part, given))
    modules.moves_with_its_tensors(module)
    modules.runs_on_cuda(module, lambda m, device: [_logits(m, modules.noise(3, _WIDTH).to(device))])


CHECKS = {
    "head": (
        gives_finite_logits_over_all_columns_for_1_and_3_cases,
        keeps_cases_apart,
        leaves_its_input_and_the_random_state_alone,
        lets_the_gradient_reach_every_trainable_weight,
        comes_back_from_its_state_dict,
        moves_to_a_device_whole,
    )
}
USED = {"head": lambda part, given: _build(part, given)()}
