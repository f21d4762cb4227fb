"""Where a training stands, in one file: tensors as safetensors, the rest as JSON in its header (law 10).

A file holds a checksum of itself and takes its predecessor's place whole, so a training that is killed while it writes
goes on from the one before. Written as often as costs no more than a tenth of the time.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning_fabric.plugins.precision import Precision
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from mmfuse.data.disk import whole_file
from mmfuse.errors import RunError
from mmfuse.formats.json_files import parse_json
from mmfuse.formats.safetensors_files import check_safetensors
from mmfuse.net.averaging import Average
from mmfuse.net.gathering import joined
from mmfuse.net.lessons import Lesson, learning
from mmfuse.net.presence import Pattern
from mmfuse.net.sharding import cut_as, full

SHARE = 0.1
"""Of the time that writing may take."""
ABOUT, CHECKSUM = "about", "checksum"


class Standing(NamedTuple):
    """What a checkpoint holds."""

    tensors: dict[str, Tensor]
    about: dict[str, Any]


class Checkpoint:
    """One training's checkpoint, at `path`; the empty path keeps none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._cost, self._last = 0.0, -float("inf")

    @property
    def is_due(self) -> bool:
        """Whether enough time has passed since the last one was written."""
        return self._path is not None and time.monotonic() - self._last >= self._cost / SHARE

    def write(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Raises: RunError where the disk refuses; what was there stays."""
        if self._path is None:
            return
        began = time.monotonic()
        whole = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
        told = json.dumps(about)
        try:
            with whole_file(self._path) as scratch:
                save_file(whole, scratch, {ABOUT: told, CHECKSUM: _checksum(whole, told)})
        except (OSError, SafetensorError) as error:
            mend = "free space; then --resume goes on from the last checkpoint"
            raise RunError(f"cannot be written: {error}", "room for a checkpoint", mend, str(self._path)) from error
        self._last = time.monotonic()
        self._cost = self._last - began

    def read(self) -> Standing | None:
        """None where there is none. Raises: RunError for a file that is no checkpoint."""
        if self._path is None or not self._path.is_file():
            return None
        mend, where = "remove it: the training then begins anew", str(self._path)
        check_safetensors(self._path, expected="a checkpoint", mend=mend)
        try:
            with safe_open(self._path, "pt") as file:
                told = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no dict
        except (OSError, SafetensorError) as error:
            raise RunError(f"cannot be read: {error}", "a checkpoint", mend, where) from error
        text = told.get(ABOUT, "")
        if _checksum(tensors, text) != told.get(CHECKSUM):
            raise RunError("cannot be read: it was changed since it was written", "a checkpoint", mend, where)
        about = parse_json(text, dict[str, Any], where=where, expected="a checkpoint", mend=mend)
        return Standing(tensors, about)

    def remove(self) -> None:
        """Once what it stands for is done."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _checksum(tensors: Mapping[str, Tensor], told: str) -> str:
    """BLAKE2b of all that a checkpoint holds."""
    digest = hashlib.blake2b(told.encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()


class Kept:
    """What a training has come to: how far it is, its best epoch, the patterns of presence that it showed."""

    def __init__(self, lesson: Lesson, optimiser: Optimizer, average: Average, precision: Precision) -> None:
        self._lesson, self._optimiser, self._average, self._precision = lesson, optimiser, average, precision
        self.epoch, self.best_epoch, self.best_value = 0, 0, math.nan
        self.patterns: set[Pattern] = set()
        self._best: dict[str, Tensor] = {}

    def keep(self, value: float) -> None:
        """The epoch that is just done is the best one."""
        self.best_epoch, self.best_value = self.epoch, value
        state = learning(self._lesson, self._lesson.network.state_dict(), "")
        self._best = {key: tensor.detach().to("cpu", copy=True) for key, tensor in state.items()}

    def put_best(self) -> bool:
        """Gives the network the weights of the best epoch; False where there was none."""
        if self._best:
            self._lesson.network.load_state_dict(self._best, strict=False)
        return bool(self._best)

    def write(self, checkpoint: Checkpoint) -> None:
        """All processes together; the first one writes. Raises: RunError where the disk refuses."""
        state = learning(self._lesson, self._lesson.state_dict(), "network.")
        tensors = {
            **{f"lesson/{name}": tensor for name, tensor in state.items()},
            **{f"best/{name}": tensor for name, tensor in self._best.items()},
            **{f"average/{name}": tensor for name, tensor in self._average.tensors.items()},
            **{f"optimiser/{name}": tensor for name, tensor in optimiser_tensors(self._optimiser).items()},
        }
        best = None if math.isnan(self.best_value) else self.best_value
        patterns = sorted(map(list, self.patterns))
        about = {"epoch": self.epoch, "best_epoch": self.best_epoch, "best_value": best, "patterns": patterns}
        if joined()[0] == 0:
            scaler = self._precision.state_dict()  # how 16-mixed scales the loss; of other precisions nothing
            checkpoint.write(tensors, {**about, "averaged": self._average.count, "scaler": scaler})

    def read(self, checkpoint: Checkpoint) -> bool:
        """Takes up the training where a checkpoint left it; False where there is none."""
        standing = checkpoint.read()
        if standing is None:
            return False
        tensors, about = standing
        self._lesson.load_state_dict(part_of(tensors, "lesson"), strict=False)
        self._best = part_of(tensors, "best")
        self._average.take_up(part_of(tensors, "average"), about["averaged"])
        put_back(self._optimiser, part_of(tensors, "optimiser"))
        if about.get("scaler"):
            self._precision.load_state_dict(about["scaler"])
        self.epoch, self.best_epoch = about["epoch"], about["best_epoch"]
        self.best_value = math.nan if about["best_value"] is None else about["best_value"]
        self.patterns = {tuple(words) for words in about["patterns"]}
        return True


def optimiser_tensors(optimiser: Optimizer) -> dict[str, Tensor]:
    """{`number/name`: tensor} of what the optimiser remembers of each parameter, whole."""
    state = optimiser.state_dict()["state"]
    return {f"{number}/{name}": full(tensor) for number, by_name in state.items() for name, tensor in by_name.items()}


def put_back(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Gives an optimiser of the same parameters what it remembered, laid out in memory as they are."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition("/")
        like = parameters[int(number)]
        laid_out = tensor
        if tensor.shape == like.shape:
            laid_out = torch.empty_like(like, dtype=tensor.dtype).copy_(cut_as(tensor.to(like.device), like))
        state.setdefault(int(number), {})[name] = laid_out.detach()
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def part_of(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those under `prefix/`, without it."""
    return {name.removeprefix(f"{prefix}/"): t for name, t in tensors.items() if name.startswith(f"{prefix}/")}
