"""Which device works, and in which precision."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric

from mmfuse.errors import SpecError, nearest

DEVICES = ("auto", "cpu", "cuda")


def choose_device(word: str) -> torch.device:
    """`auto`: CUDA where there is one, else the CPU.

    Raises: SpecError for another word, or for `cuda` where there is none.
    """
    if word not in DEVICES:
        raise SpecError(
            f"no device is called '{word}'", f"one of {', '.join(DEVICES)}", nearest(word, DEVICES), "device"
        )
    if word == "cuda" and not torch.cuda.is_available():
        raise SpecError(
            "there is no CUDA device that torch can use",
            "a GPU and a CUDA build of torch",
            "device = auto or cpu",
            "device",
        )
    return torch.device("cuda" if word != "cpu" and torch.cuda.is_available() else "cpu")


def make_fabric(device: torch.device, precision: str) -> Fabric:
    """Fabric on one device; `auto` is bf16-mixed on CUDA (on GPUs that have it) and 32-true elsewhere.

    Raises: SpecError for 16-mixed on the CPU, which torch cannot train in.
    """
    if precision == "auto":
        precision = "bf16-mixed" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "32-true"
    if precision == "16-mixed" and device.type == "cpu":
        raise SpecError(
            "precision 16-mixed on the CPU", "auto, 32-true or bf16-mixed", "precision = auto", "training.precision"
        )
    return Fabric(accelerator=device.type, devices=1, precision=precision)  # type: ignore[arg-type]
