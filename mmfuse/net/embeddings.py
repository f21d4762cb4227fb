"""Vectors of frozen encoders: computed once per image and weights, kept on disk, shared by folds, seeds and variants.

They are float32: a vector takes a few kilobytes (maps would not), and then cached and fresh vectors are the same bits.
No label is in them, so they may cross to second stages.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmfuse.data.cache import Store
from mmfuse.events import Meter, Watch
from mmfuse.net.batches import in_order, to_floats
from mmfuse.net.features import as_features
from mmfuse.net.views import IDENTITY, VIEWS
from mmfuse.net.weights import content_hash
from mmfuse.net.working import answering_batch, answers
from mmfuse.parts import Encoder, Reader

if TYPE_CHECKING:
    from mmfuse.data.inputs import Block

Vectors = NDArray[np.float32]

LIBRARIES = ("mmfuse", "torch", "timm")
"""Whose versions part one cache from another."""


def frozen_vectors(
    module: nn.Module,
    part: Encoder,
    block: Block,
    reader: Reader,
    *,
    view: str,
    width: int,
    batch: int,
    what: str,
    watch: Watch,
) -> Vectors:
    """(n, width) vectors of a frozen encoder for all cases of a block, under a test-time view; zeros where the modality
    is absent.

    Where the block knows each case by its content, vectors are found in the cache or put there.
    """

    def compute(positions: Sequence[int]) -> Iterator[tuple[list[int], Vectors]]:
        meter = Meter(watch, f"features of {what}" + (f" ({view})" if view != IDENTITY else ""), len(positions))
        for some, vectors in _run(module, block, np.asarray(positions), view, batch):
            meter.add(len(some))
            yield some, vectors

    present = np.flatnonzero(block.present)
    if not len(present):
        return np.zeros((len(block.present), width), np.float32)
    if all(block.keys[present]):
        store = Store("vectors", _fingerprint(module, part, reader, view), (width,), "float32")
        keys = [str(key) if there else "" for key, there in zip(block.keys, block.present, strict=True)]
        return store.take(store.get(keys, compute))
    out = np.zeros((len(block.present), width), np.float32)
    for some, vectors in compute(present.tolist()):
        out[some] = vectors
    return out


def _run(
    module: nn.Module, block: Block, positions: NDArray[np.integer], view: str, batch: int
) -> Iterator[tuple[list[int], Vectors]]:
    """Vectors batch by batch, in eval mode and full precision."""
    device = next((tensor.device for tensor in module.state_dict().values()), torch.device("cpu"))
    images = block.dtype == np.uint8
    jobs = in_order(positions, answering_batch(batch, device, images))

    def vectors(twin: nn.Module, given: NDArray[np.generic]) -> Vectors:
        on_device = to_floats(torch.from_numpy(given).to(device))
        return np.asarray(_vector(twin, VIEWS[view](on_device)).cpu().numpy())

    found = answers(module, block.take, vectors, jobs, device, images)
    yield from ((job.tolist(), some) for job, some in zip(jobs, found, strict=True))


def _vector(module: nn.Module, given: Tensor) -> Tensor:
    return as_features(module(given)).vector.float()


def _fingerprint(module: nn.Module, part: Encoder, reader: Reader, view: str) -> str:
    """All that decides a vector beside the file's content. A plugin's code has no version that could be trusted while
    it is being written, so the encoder's answer to one fixed input is part of it."""
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    rng = np.random.default_rng(0)
    probe = torch.from_numpy(rng.random((1, *reader.shape), dtype=np.float32))
    device = next((tensor.device for tensor in module.state_dict().values()), torch.device("cpu"))
    with torch.inference_mode():
        answer = _vector(module, probe.to(device)).cpu().numpy()
    about = {
        "encoder": [type(part).__module__, type(part).__qualname__, part.model_dump(mode="json")],
        "weights": content_hash(module),
        "answer": [float(f"{value:.2g}") for value in (answer.mean(), answer.std(), np.abs(answer).max())],
        "reader": reader.fingerprint(),
        "shape": list(reader.shape),
        "view": view,
        "device": device.type,
        "versions": versions,
    }
    return json.dumps(about, sort_keys=True)
