"""What every objective without labels keeps: finite named losses whoever is absent, calls that every process makes
alike, and a state that holds all it remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mmfuse import Features, Fused, Labels, Outputs, Pretext, Scores
from mmfuse.testing import modules
from mmfuse.testing.heads import labels_of
from mmfuse.testing.kit import Given, need

_CASES = 12
_WIDTHS = {"one": 6, "other": 7, "third": 6}
_FUSED = 9
_PATTERNS = {"all": (1, 1, 1), "one modality everywhere": (1, 0, 0), "no modality in common": (2, 3, 0)}
"""By modality: 1 present in all cases, 0 in none, 2 in the first half, 3 in the second."""


def _made(part: Pretext, given: Given, seed: int = 0) -> nn.Module:
    widths = {**_WIDTHS, "fused": _FUSED}
    return modules.made(lambda: part.build(widths, labels_of(given), _CASES), seed)


def _outputs(labels: Labels, seed: int, pattern: str = "all", grad: bool = False) -> Outputs:
    """What a network could give for all cases."""

    def noise(*shape: int, plus: int) -> Tensor:
        return (2 * modules.noise(_CASES, *shape, seed=100 * seed + plus) - 1).requires_grad_(grad)

    half = torch.arange(_CASES) < _CASES // 2
    masks = (torch.zeros(_CASES, dtype=torch.bool), torch.ones(_CASES, dtype=torch.bool), half, ~half)
    present = {name: masks[kind] for name, kind in zip(_WIDTHS, _PATTERNS[pattern], strict=True)}
    features = {name: Features(noise(width, plus=number)) for number, (name, width) in enumerate(_WIDTHS.items())}
    fused = Scores(noise(labels.columns, plus=7), noise(len(labels), 5, plus=8))
    side = {name: Scores(noise(labels.columns, plus=10 + number)) for number, name in enumerate(_WIDTHS)}
    return Outputs({"fused": fused, **side}, {}, features, Fused(noise(_FUSED, plus=9)), present)


def _draws(part: Pretext, labels: Labels, pattern: str = "all", grad: bool = False) -> list[Outputs]:
    return [_outputs(labels, 1 + number, pattern, grad) for number in range(part.draws)]


def _begun(part: Pretext, given: Given, seed: int = 0, epoch: int = 1) -> nn.Module:
    """A module that has begun an epoch."""
    module, outputs = _made(part, given, seed).train(), _outputs(labels_of(given), 50)
    with modules.seeded(4):
        module.begin_epoch(epoch, lambda of: of(outputs).detach())  # type: ignore[operator]  # the role's contract
    return module


def _losses(
    module: nn.Module, draws: Sequence[Outputs], gather: Callable[[Tensor], Tensor] = lambda tensor: tensor
) -> dict[str, Tensor]:
    position = torch.arange(_CASES).flip(0)
    with modules.seeded(5):
        losses = module(draws, position, gather)
    need(isinstance(losses, dict) and bool(losses), f"gave {type(losses).__name__}", "{name: scalar}, which are summed")
    return losses  # type: ignore[no-any-return]


def tells_its_draws_and_what_speaks_against_it(part: Pretext, given: Given) -> None:
    need(isinstance(part.draws, int) and part.draws >= 1, f"draws = {part.draws!r}", "1 or more readings of a batch")
    for uses in ({"a": "image"}, {"a": "image", "b": "table"}):
        told = part.objections(uses)
        need(isinstance(told, tuple), f"objections gave {type(told).__name__}", "a tuple of sentences", 'return ("…",)')


def gives_finite_losses_and_gradients_whoever_is_absent(part: Pretext, given: Given) -> None:
    for pattern in _PATTERNS:
        module, draws = _begun(part, given), _draws(part, labels_of(given), pattern, grad=True)
        for name, term in _losses(module, draws).items():
            need(term.shape == (), f"loss '{name}' {tuple(term.shape)}", "one number", "take the mean over cases")
            found = f"loss '{name}' is {float(term.detach())}, present: {pattern}"
            need(bool(torch.isfinite(term)), found, "a finite number", "mind the mean of nothing")
            if term.requires_grad:
                term.backward(retain_graph=True)  # type: ignore[no-untyped-call]
        grads = [tensor.grad for tensor in modules.tensors(draws) if tensor.grad is not None]
        finite = all(bool(torch.isfinite(grad).all()) for grad in grads)
        need(finite, f"a gradient is not finite, present: {pattern}", "finite gradients", "select rows first")
        if pattern == "all":
            reached = any(bool(grad.any()) for grad in grads)
            need(reached, "no gradient reaches the network's outputs", "something that the network can learn")


def lets_the_gradient_reach_every_trainable_weight(part: Pretext, given: Given) -> None:
    module = _begun(part, given)
    modules.every_weight_learns(module, list(_losses(module, _draws(part, labels_of(given), grad=True)).values()))


def joins_processes_alike_whoever_is_absent(part: Pretext, given: Given) -> None:
    calls: dict[str, list[tuple[int, ...]]] = {}
    for pattern in _PATTERNS:
        seen: list[tuple[int, ...]] = []

        def gather(tensor: Tensor, seen: list[tuple[int, ...]] = seen) -> Tensor:
            seen.append(tuple(tensor.shape))
            return tensor

        _losses(_begun(part, given), _draws(part, labels_of(given), pattern), gather)
        calls[pattern] = seen
    for pattern, seen in calls.items():
        need(
            seen == calls["all"],
            f"joins {seen} where there is {pattern}, {calls['all']} where all are present",
            "the same calls with the same shapes: processes wait for each other",
            "join full tensors and masks, and select rows afterwards",
        )


def begins_epochs_with_sentences(part: Pretext, given: Given) -> None:
    module, outputs = _made(part, given), _outputs(labels_of(given), 50)
    before = [tensor.clone() for tensor in modules.tensors(outputs)]
    for epoch in (1, 2):
        with modules.leaving_random_state_alone():
            told = module.begin_epoch(epoch, lambda of: of(outputs).detach())  # type: ignore[operator]
        sentences = isinstance(told, tuple) and all(isinstance(text, str) for text in told)
        need(sentences, f"begin_epoch gave {told!r}", "a tuple of sentences, mostly empty", "return ()")
    unchanged = all(torch.equal(one, other) for one, other in zip(before, modules.tensors(outputs), strict=True))
    need(unchanged, "changes in place what `embed` gave", "the outputs left alone")


def comes_back_from_its_state_dict(part: Pretext, given: Given) -> None:
    first, second = _begun(part, given, 0), _made(part, given, 7).train()
    second.load_state_dict(first.state_dict())
    draws = _draws(part, labels_of(given))
    one, other = ({n: t.detach() for n, t in _losses(m, draws).items()} for m in (first, second))
    for name, term in one.items():
        found = f"loss '{name}' differs by {modules.difference(term, other[name])} after load_state_dict"
        mend = "register_buffer, of a shape that is known when it is built"
        need(modules.same(term, other[name]), found, "all that it remembers in parameters and buffers", mend)


def leaves_its_input_alone(part: Pretext, given: Given) -> None:
    draws = _draws(part, labels_of(given))
    before = [tensor.clone() for tensor in modules.tensors(draws)]
    _losses(_begun(part, given), draws)
    unchanged = all(torch.equal(one, other) for one, other in zip(before, modules.tensors(draws), strict=True))
    need(unchanged, "changes the network's outputs in place", "the outputs left alone", "x = x * 2, not x.mul_(2)")


def moves_to_a_device_whole(part: Pretext, given: Given) -> None:
    modules.moves_with_its_tensors(_begun(part, given))


CHECKS = {
    "pretext": (
        tells_its_draws_and_what_speaks_against_it,
        gives_finite_losses_and_gradients_whoever_is_absent,
        lets_the_gradient_reach_every_trainable_weight,
        joins_processes_alike_whoever_is_absent,
        begins_epochs_with_sentences,
        comes_back_from_its_state_dict,
        leaves_its_input_alone,
        moves_to_a_device_whole,
    )
}
USED = {"pretext": _made}
