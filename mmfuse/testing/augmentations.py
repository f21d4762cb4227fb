"""What every augmentation keeps: a draw a case, shared by images of any size, and images that stay images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmfuse import Augmentation
from mmfuse.testing import modules
from mmfuse.testing.kit import Given, need

_CASES = 5


def _draw(module: nn.Module, seed: int = 0) -> dict[str, Tensor]:
    return module.draw(_CASES, torch.Generator().manual_seed(seed))  # type: ignore[operator, no-any-return]


def _images(size: tuple[int, int] = (24, 24)) -> Tensor:
    return modules.noise(_CASES, 3, *size)


def draws_for_each_case_from_its_generator_alone(part: Augmentation, given: Given) -> None:
    module = part.build()
    with modules.leaving_random_state_alone():
        one, again, other = _draw(module), _draw(module), _draw(module, 1)
    for name, values in one.items():
        need(len(values) == _CASES, f"draw '{name}' {tuple(values.shape)} for {_CASES} cases", "cases first")
        need(
            torch.equal(values, again[name]),
            f"draw '{name}' differs for the same generator state",
            "the same",
            "generator=generator",
        )
    moved = any(not torch.equal(values, other[name]) for name, values in one.items())
    need(moved, "draws the same for another seed", "something random", "generator=generator")


def gives_images_of_the_same_shape_in_0_1(part: Augmentation, given: Given) -> None:
    module = part.build()
    for seed in range(4):
        for size in ((24, 24), (16, 20)):
            images = _images(size)
            out = module(images, _draw(module, seed))
            need(out.shape == images.shape, f"{tuple(images.shape)} became {tuple(out.shape)}", "the same shape")
            need(bool(torch.isfinite(out).all()), "a pixel is not finite", "finite pixels")
            low, high = float(out.min()), float(out.max())
            need(low >= 0 and high <= 1, f"pixels in [{low:.3g}, {high:.3g}]", "[0, 1]", ".clamp(0, 1)")


def keeps_cases_apart(part: Augmentation, given: Given) -> None:
    module = part.build()
    images = _images()
    for seed in range(4):
        draw = _draw(module, seed)
        among = module(images, draw)[:1]
        alone = module(images[:1], {name: values[:1] for name, values in draw.items()})
        need(
            modules.same(alone, among),
            f"case 1 differs by {modules.difference(alone, among)} alone and among {_CASES}",
            "0",
        )


def leaves_its_input_and_the_random_state_alone(part: Augmentation, given: Given) -> None:
    module = part.build()
    images = _images()
    before = images.clone()
    draw = _draw(module)
    with modules.leaving_random_state_alone():
        module(images, draw)
    need(torch.equal(images, before), "changes its input in place", "the input left alone")


CHECKS = {
    "augmentation": (
        draws_for_each_case_from_its_generator_alone,
        gives_images_of_the_same_shape_in_0_1,
        keeps_cases_apart,
        leaves_its_input_and_the_random_state_alone,
    )
}
USED = {"augmentation": lambda part, given: part.build()}
