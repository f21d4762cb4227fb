"""Which device works, in which precision, and what torch finds on this machine."""

from __future__ import annotations

import os
from inspect import signature
from typing import Any, NamedTuple, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy, SingleDeviceStrategy
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmfuse.errors import SpecError, nearest
from mmfuse.net.allocating import keep_large_blocks
from mmfuse.net.gathering import joined

DEVICES = ("auto", "cpu", "cuda")

Module = TypeVar("Module", bound=nn.Module)


def choose_device(word: str) -> torch.device:
    """`auto`: CUDA where there is one, else the CPU.

    Raises: SpecError for another word, or for `cuda` where there is none.
    """
    if word not in DEVICES:
        expected = f"one of {', '.join(DEVICES)}"
        raise SpecError(f"no device is called '{word}'", expected, nearest(word, DEVICES), "device")
    if word == "cuda" and not torch.cuda.is_available():
        found = "there is no CUDA device that torch can use"
        raise SpecError(found, "a GPU and a CUDA build of torch", "device = auto or cpu", "device")
    return torch.device("cuda" if word != "cpu" and torch.cuda.is_available() else "cpu")


def make_fabric(device: torch.device, precision: str, shard: bool = False) -> Fabric:
    """Fabric on one device, or on one a process where several are joined: DDP, or with `shard` nothing but the device,
    since what it is given lies in parts. `auto` is bf16-mixed on CUDA (on GPUs that have it) and 32-true elsewhere.

    Raises: SpecError for 16-mixed on the CPU, which torch cannot train in.
    """
    if precision == "auto":
        precision = "bf16-mixed" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "32-true"
    if precision == "16-mixed" and device.type == "cpu":
        expected, mend = "auto, 32-true or bf16-mixed", "precision = auto"
        raise SpecError("precision 16-mixed on the CPU", expected, mend, "training.precision")
    if joined()[1] == 1:
        return Fabric(accelerator=device.type, devices=1, precision=precision)  # type: ignore[arg-type]
    if shard:
        here = torch.device("cuda", torch.cuda.current_device()) if device.type == "cuda" else device
        return Fabric(strategy=SingleDeviceStrategy(here), precision=precision)  # type: ignore[arg-type]
    # An encoder does not run where nobody in the slice has its modality. Buffers are not the first process's: stand-ins
    # are the same in all by themselves, statistics of normalisation are made even (`training`).
    known = signature(DistributedDataParallel).parameters
    buffers = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    how: dict[str, Any] = {"find_unused_parameters": True, buffers: False}
    strategy = DDPStrategy(**how)
    ours, machines = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["GROUP_WORLD_SIZE"])
    fabric = Fabric(
        accelerator=device.type, strategy=strategy, devices=ours, num_nodes=machines,
        precision=precision,  # type: ignore[arg-type]  # the section has checked it
    )  # fmt: skip
    fabric.launch()
    return fabric


def frozen_precision(word: str, device: torch.device) -> str:
    """In which precision frozen image encoders run: `auto` is bf16-mixed where the device computes in it by itself (a
    rule and no race, so that the same machine always gives the same numbers), else 32-true."""
    if word != "auto":
        return word
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    return "bf16-mixed" if _cpu_has_bf16() else "32-true"


def _cpu_has_bf16() -> bool:
    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # not in torch before 2.10
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def ready(network: Module, device: torch.device) -> Module:
    """The network on its device, in eval mode; its convolutions of images lie channels last in memory, those of
    sequences and volumes as they are. On a CPU the process keeps large blocks of memory from now on."""
    if device.type == "cpu":
        keep_large_blocks()
    for layer in network.modules():
        for kernel in layer.parameters() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) else ():
            if kernel.dim() == 4:  # module.to would refuse a kernel of a volume beside it
                kernel.data = kernel.data.contiguous(memory_format=torch.channels_last)
    return network.to(device).eval()


class Hardware(NamedTuple):
    """What torch can use here."""

    threads: int
    """That torch works with on the CPU."""
    cuda: tuple[str, ...]
    """The name of each CUDA device; empty: none that torch can use."""
    cuda_build: str
    """The CUDA version torch was built for; empty: a build for the CPU alone."""
    frozen: str
    """The precision of frozen image encoders on the device that `auto` chooses."""
    allocator: str
    """How the process keeps memory, in words."""


def hardware() -> Hardware:
    """Looks, and sets the allocator as any work on a CPU does."""
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    frozen = frozen_precision("auto", choose_device("auto"))
    return Hardware(torch.get_num_threads(), tuple(names), torch.version.cuda or "", frozen, keep_large_blocks())
