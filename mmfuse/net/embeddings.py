"""Features of frozen encoders: computed once per image and weights, kept on disk, shared by folds, seeds and variants.

Exactly what the fusion declares is kept: vectors as float32 (a few kilobytes), maps and tokens as float16. What is read
back is what was written, also in the run that wrote it, so that a warm run equals a cold one. No label is in them:
vectors may cross to second stages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmfuse.attribution import attributed
from mmfuse.data.aside import room
from mmfuse.data.cache import Store, get_together
from mmfuse.data.inputs import Block
from mmfuse.data.readers import decided_by
from mmfuse.events import Meter, Notice, Watch
from mmfuse.net.batches import in_order, to_floats
from mmfuse.net.features import TOKENS, VECTOR, as_features, level_shapes, levels_of, to_half
from mmfuse.net.freezing import run_frozen
from mmfuse.net.gathering import joined, share, wait
from mmfuse.net.sights import Sight
from mmfuse.net.weights import content_hash
from mmfuse.net.working import answering_batch, answers, fitting_threads
from mmfuse.parts import Encoder, FlowShape, Reader
from mmfuse.versions import code_digest, core_digest, library_versions

if TYPE_CHECKING:
    from mmfuse.net.features import Features

Array = NDArray[Any]

LIBRARIES = ("mmfuse", "torch", "torchvision", "timm", "kornia", "numpy")
"""Whose versions part one cache from another."""


def frozen_features(
    module: nn.Module,
    part: Encoder,
    block: Block,
    reader: Reader,
    *,
    sight: Sight,
    flow: FlowShape,
    levels: Sequence[str],
    precision: str,
    batch: int,
    what: str,
    watch: Watch,
) -> dict[str, Block]:
    """{level: (copies × n, …)} features of a frozen encoder for all cases of a block, as `sight` looks at them; zeros
    where the modality is absent.

    A row is known by its content: features are found in the cache or put there, and read from it when they are asked
    for.
    """
    shapes, keys = level_shapes(flow), sight.keys(block.keys)

    def compute(positions: Sequence[int]) -> Iterator[tuple[list[int], list[Array]]]:
        meter = Meter(watch, f"features of {what}{sight.words}", len(positions))
        looking = _Looking(sight, module, precision, part, what)
        for some, rows in _run(looking, block, np.asarray(positions), levels, batch):
            meter.add(len(some))
            yield some, rows

    fingerprint = _fingerprint(module, part, reader, sight.fingerprint, precision, what)
    stores = [Store(_folder(level), f"{level} {fingerprint}", shapes[level], level_type(level)) for level in levels]
    if joined()[1] > 1:  # each process puts its share there, and then all read all
        own = room(len(keys), keys.dtype)
        own[share(len(keys))] = keys[share(len(keys))]
        get_together(stores, own, compute)
        wait()
    slots = get_together(stores, keys, compute)

    def again(index: NDArray[np.integer], number: int) -> NDArray[np.int64]:
        text = f"features of {what}{sight.words}: {len(index)} rows of the cache were damaged and are computed anew"
        watch(Notice(text, "warning"))
        place = {int(position): i for i, position in enumerate(index)}

        def made(missing: list[int]) -> Iterator[tuple[list[int], list[Array]]]:
            for some, rows in compute([int(index[i]) for i in missing]):
                yield [place[position] for position in some], rows

        return get_together(stores, keys[index], made)[number]

    return {
        level: Block.stored(store, found, lambda: sight.keys(block.keys), partial(again, number=number))
        for number, (level, store, found) in enumerate(zip(levels, stores, slots, strict=True))
    }


class _Looking(nn.Module):
    """A sight and the encoder behind it: what each core works with a copy of."""

    def __init__(self, sight: Sight, encoder: nn.Module, precision: str, part: Encoder, what: str) -> None:
        super().__init__()
        self.sight, self.encoder, self._precision = sight, encoder, precision
        self._part, self._what = part, what
        self.eval()

    def forward(self, images: Tensor, positions: NDArray[np.integer]) -> Features:
        seen = self.sight(images, positions)
        with attributed(self._part, "`forward`", f"modality {self._what}"):
            return run_frozen(self.encoder, seen, self._precision)


def level_type(level: str) -> str:
    """What a level is kept as."""
    return "float32" if level == VECTOR else "float16"


def bytes_of(flow: FlowShape, levels: Sequence[str]) -> int:
    """What these levels of one case take on disk."""
    shapes = level_shapes(flow)
    return sum(int(np.prod(shapes[level])) * np.dtype(level_type(level)).itemsize for level in levels)


def _folder(level: str) -> str:
    return {VECTOR: "vectors", TOKENS: "tokens"}.get(level, "maps")


def _run(
    looking: nn.Module, block: Block, positions: NDArray[np.integer], levels: Sequence[str], batch: int
) -> Iterator[tuple[list[int], list[Array]]]:
    """Features batch by batch."""
    device = _device(looking)
    images = block.dtype == np.uint8
    jobs = in_order(positions, answering_batch(batch, device, images))

    def read(some: NDArray[np.integer]) -> tuple[NDArray[np.integer], Array]:
        return some, block.take(some % len(block))

    def features(twin: nn.Module, given: tuple[NDArray[np.integer], Array]) -> list[Array]:
        some, rows = given
        return _kept(twin(to_floats(torch.from_numpy(rows).to(device)), some), levels)

    found = answers(looking, read, features, jobs, device, images)
    yield from ((job.tolist(), some) for job, some in zip(jobs, found, strict=True))


def _kept(given: Features, levels: Sequence[str]) -> list[Array]:
    found = levels_of(given)
    kept = [found[level].float() if level == VECTOR else to_half(found[level]) for level in levels]
    return [tensor.contiguous().cpu().numpy() for tensor in kept]


def _device(module: nn.Module) -> torch.device:
    return next((tensor.device for tensor in module.state_dict().values()), torch.device("cpu"))


def _fingerprint(module: nn.Module, part: Encoder, reader: Reader, sight: str, precision: str, what: str) -> str:
    """All that decides a feature beside the file's content: code of encoder, reader and augmentations, versions,
    weights, and the encoder's answer to one fixed input."""
    rng = np.random.default_rng(0)
    probe = torch.from_numpy(rng.random((1, *reader.shape), dtype=np.float32))
    device = _device(module)
    # one image alone: threads would only wait for each other
    with (
        torch.inference_mode(),
        fitting_threads(device, images=False),
        attributed(part, "`forward`", f"modality {what}"),
    ):
        answer = levels_of(as_features(module(probe.to(device))))
    about = {
        "encoder": [type(part).__module__, type(part).__qualname__, part.model_dump(mode="json")],
        "code": [code_digest(type(part)), core_digest()],
        "weights": content_hash(module),
        "answer": {level: _summary(tensor.float().cpu().numpy()) for level, tensor in answer.items()},
        "reader": decided_by(reader),
        "shape": list(reader.shape),
        "sight": sight,
        "precision": precision,
        "device": device.type,
        "versions": library_versions(LIBRARIES),
    }
    return json.dumps(about, sort_keys=True)


def _summary(values: Array) -> list[float]:
    return [float(f"{value:.2g}") for value in (values.mean(), values.std(), np.abs(values).max())]
