"""What every torch module that a part builds keeps.

Cases apart, input and global random state alone, gradients, state, device.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmfuse.testing.kit import need

TOLERANCE = 1e-4
"""Largest difference, relative to the largest value, that counts as the same in float32."""


@contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """Torch's random numbers from `seed`; the state before is put back."""
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)


def made(build: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """A module built with seeded first weights."""
    with seeded(seed):
        return build()


def made_to_learn(build: Callable[[], nn.Module]) -> nn.Module:
    """A module in training mode, its weights moved a little: layers that start at zero would stop gradients."""
    module = made(build).train()
    with seeded(8), torch.no_grad():
        for weight in module.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return module


def noise(*shape: int, seed: int = 1) -> Tensor:
    """Values in [0, 1], the same for the same seed."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def tensors(value: Any) -> list[Tensor]:  # noqa: ANN401  # any nest of tuples and dicts
    """All floating tensors in what a module gave."""
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    if isinstance(value, dict):
        return [tensor for item in value.values() for tensor in tensors(item)]
    if isinstance(value, tuple | list):
        return [tensor for item in value for tensor in tensors(item)]
    return []


def same(one: Tensor, other: Tensor) -> bool:
    """Equal up to float32's rounding."""
    scale = max(1.0, float(one.detach().abs().max())) if one.numel() else 1.0
    return one.shape == other.shape and bool(torch.allclose(one, other, atol=TOLERANCE * scale, rtol=0, equal_nan=True))


def difference(one: Tensor, other: Tensor) -> str:
    return f"{float((one - other).abs().max()):.2g}"


@contextmanager
def leaving_random_state_alone() -> Iterator[None]:
    """Refuses if torch's, NumPy's or Python's global random state has changed."""
    before = torch.get_rng_state().clone(), _numpy_state(), random.getstate()
    yield
    mend = "draw from a generator of your own"
    need(
        bool(torch.equal(before[0], torch.get_rng_state())),
        "torch's global random state changed in eval mode",
        "unchanged",
        mend,
    )
    need(before[1] == _numpy_state(), "NumPy's global random state changed", "unchanged", mend)
    need(before[2] == random.getstate(), "Python's global random state changed", "unchanged", mend)


def _numpy_state() -> tuple[bytes, int]:
    state = np.random.get_state(legacy=False)["state"]
    return state["key"].tobytes(), int(state["pos"])


def every_weight_learns(module: nn.Module, outputs: list[Tensor]) -> None:
    """Refuses if some trainable weight gets no gradient from a random mixture of the outputs."""
    with seeded(3):
        mixed = [(output * torch.randn_like(output)).sum() for output in outputs if output.requires_grad]
        if mixed:
            torch.stack([one.to(mixed[0]) for one in mixed]).sum().backward()  # type: ignore[no-untyped-call]
    idle = [
        name
        for name, weight in module.named_parameters()
        if weight.requires_grad and (weight.grad is None or not weight.grad.any())
    ]
    need(
        not idle,
        f"no gradient reaches {idle[:5]}",
        "a gradient for each trainable weight",
        "use it, drop it, or set requires_grad = False",
    )
    bad = [
        name
        for name, weight in module.named_parameters()
        if weight.grad is not None and not torch.isfinite(weight.grad).all()
    ]
    need(not bad, f"the gradient of {bad[:5]} is not finite", "finite gradients")


def state_comes_back(build: Callable[[], nn.Module], run: Callable[[nn.Module], list[Tensor]]) -> None:
    """Refuses if a second module with the first one's state_dict answers otherwise."""
    first, second = made(build, 0).eval(), made(build, 7).eval()
    second.load_state_dict(first.state_dict())
    with torch.no_grad():
        pairs = list(zip(run(first), run(second), strict=True))
    for one, other in pairs:
        need(
            same(one, other),
            f"differs by {difference(one, other)} after load_state_dict",
            "everything that decides the output in parameters and buffers",
            "register_buffer, or nn.Parameter",
        )


def moves_with_its_tensors(module: nn.Module) -> None:
    """Refuses tensors that `.to(device)` would leave behind."""
    for name, inner in module.named_modules():
        for attribute, value in vars(inner).items():
            need(
                not isinstance(value, Tensor),
                f"'{f'{name}.{attribute}'.lstrip('.')}' is a tensor that .to(device) leaves behind",
                "a parameter or buffer",
                "self.register_buffer(…)",
            )


def runs_on_cuda(module: nn.Module, run: Callable[[nn.Module, torch.device], list[Tensor]]) -> None:
    """Runs on a CUDA device where there is one."""
    if torch.cuda.is_available():
        device = torch.device("cuda")
        with torch.no_grad():
            for output in run(module.to(device).eval(), device):
                need(output.device.type == "cuda", f"an output is on {output.device}", "cuda")
