"""What every encoder keeps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from mmfuse import Encoder, Features, MmfuseError
from mmfuse.testing import modules
from mmfuse.testing.kit import Given, Refusal, need

_SHAPES = ((3, 64, 64), (7,))


def _shape(part: Encoder, given: Given) -> tuple[int, ...]:
    """The first shape it can be built for and run with."""
    tried = {}
    for shape in (given.shape,) if given.shape else _SHAPES:
        try:
            module = modules.made(partial(part.build, shape)).eval()
            with torch.no_grad():
                module(modules.noise(2, *shape))
        except (MmfuseError, RuntimeError, ValueError, IndexError, TypeError) as error:
            tried[shape] = f"{type(error).__name__}: {error}"
        else:
            return shape
    raise Refusal(
        f"runs for none of the shapes {tried}", "a module for images or tables", "say `shape=` if it takes another"
    )


def _build(part: Encoder, shape: tuple[int, ...]) -> Callable[[], nn.Module]:
    """A call that builds it and, as the network does, runs one blank pass, in which lazy layers find their sizes."""

    def build() -> nn.Module:
        module = part.build(shape).eval()
        with torch.no_grad():
            module(torch.zeros(2, *shape))
        return module

    return build


def _features(module: nn.Module, inputs: Tensor) -> Features:
    given = module(inputs)
    return given if isinstance(given, Features) else Features(given)


def gives_finite_features_of_one_shape_for_1_and_3_cases(part: Encoder, given: Given) -> None:
    shape = _shape(part, given)
    module = modules.made(_build(part, shape)).eval()
    with torch.no_grad():
        one, three = (_features(module, modules.noise(cases, *shape)) for cases in (1, 3))
    need(
        three.vector.ndim == 2,
        f"vector {tuple(three.vector.shape)} for 3 cases",
        "(3, width)",
        "pool or flatten to one vector a case",
    )
    for name, first, second in zip(("vector", "maps", "tokens"), one, three, strict=False):
        for a, b in zip(modules.tensors(first), modules.tensors(second), strict=True):
            need(
                len(a) == 1 and len(b) == 3,
                f"{name}: {tuple(a.shape)} for 1 case, {tuple(b.shape)} for 3",
                "cases first",
            )
            need(
                a.shape[1:] == b.shape[1:],
                f"{name}: {tuple(a.shape[1:])} for 1 case, {tuple(b.shape[1:])} for 3",
                "one shape",
            )
            need(bool(torch.isfinite(b).all()), f"{name} is not finite", "finite numbers")
    for level in three.maps:
        need(level.ndim == 4, f"a map {tuple(level.shape)}", "(batch, channels, height, width)")
    sizes = [level.shape[-1] * level.shape[-2] for level in three.maps]
    need(sizes == sorted(sizes, reverse=True), f"maps of {sizes} places", "fine → coarse", "turn their order")


def gives_what_it_says(part: Encoder, given: Given) -> None:
    if part.gives:
        shape = _shape(part, given)
        module = modules.made(_build(part, shape)).eval()
        with torch.no_grad():
            features = _features(module, modules.noise(1, *shape))
        there = {"vector": True, "maps": bool(features.maps), "tokens": features.tokens is not None}
        found = tuple(kind for kind, yes in there.items() if yes)
        need(
            set(part.gives) == set(found),
            f"gives {', '.join(found)}, and says {', '.join(part.gives)}",
            "`gives` of what comes out",
            "leave `gives` out if knobs do not tell",
        )


def keeps_cases_apart(part: Encoder, given: Given) -> None:
    shape = _shape(part, given)
    module = modules.made(_build(part, shape)).eval()
    inputs, others = modules.noise(3, *shape), modules.noise(3, *shape, seed=9)
    mixed = torch.cat([inputs[:1], others[1:]])
    with torch.no_grad():
        alone, among, beside = (modules.tensors(_features(module, x))[0][0] for x in (inputs[:1], inputs, mixed))
    mend = "no normalisation over the batch in eval mode; no sum over cases"
    need(
        modules.same(among, beside),
        f"case 1 of 3 moves by {modules.difference(among, beside)} when cases 2 and 3 change",
        "0",
        mend,
    )
    need(
        modules.same(alone, among), f"case 1 differs by {modules.difference(alone, among)} alone and among 3", "0", mend
    )


def leaves_its_input_and_the_random_state_alone(part: Encoder, given: Given) -> None:
    shape = _shape(part, given)
    module = modules.made(_build(part, shape)).eval()
    inputs = modules.noise(3, *shape)
    before = inputs.clone()
    with modules.leaving_random_state_alone(), torch.no_grad():
        module(inputs)
    need(torch.equal(inputs, before), "changes its input in place", "the input left alone", "x = x * 2, not x.mul_(2)")


def lets_the_gradient_reach_every_trainable_weight(part: Encoder, given: Given) -> None:
    shape = _shape(part, given)
    module = modules.made_to_learn(_build(part, shape))
    if any(weight.requires_grad for weight in module.parameters()):
        with modules.seeded(2):
            modules.every_weight_learns(module, modules.tensors(_features(module, modules.noise(4, *shape))))


def comes_back_from_its_state_dict(part: Encoder, given: Given) -> None:
    shape = _shape(part, given)
    modules.state_comes_back(_build(part, shape), lambda m: modules.tensors(_features(m, modules.noise(3, *shape))))


def moves_to_a_device_whole(part: Encoder, given: Given) -> None:
    shape = _shape(part, given)
    module = modules.made(_build(part, shape))
    modules.moves_with_its_tensors(module)
    modules.runs_on_cuda(module, lambda m, device: modules.tensors(_features(m, modules.noise(3, *shape).to(device))))


def ignores_the_content_of_an_absent_cell(part: Encoder, given: Given) -> None:
    from mmfuse.testing.networks import absent_content_changes_nothing

    absent_content_changes_nothing(part, _shape(part, given))


CHECKS = {
    "encoder": (
        gives_finite_features_of_one_shape_for_1_and_3_cases,
        gives_what_it_says,
        keeps_cases_apart,
        leaves_its_input_and_the_random_state_alone,
        lets_the_gradient_reach_every_trainable_weight,
        comes_back_from_its_state_dict,
        moves_to_a_device_whole,
        ignores_the_content_of_an_absent_cell,
    )
}
USED = {"encoder": lambda part, given: _build(part, _shape(part, given))()}
