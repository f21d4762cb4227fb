"""What each network reads of some cases, read once: networks whose readers learnt the same (images: all of them) share
blocks and vectors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmfuse.data.inputs import read_inputs
from mmfuse.events import Watch
from mmfuse.labels import Ints
from mmfuse.net.batches import NetworkData
from mmfuse.net.embeddings import Vectors, frozen_vectors
from mmfuse.net.network import FusionNetwork
from mmfuse.net.views import IDENTITY
from mmfuse.parts import Reader
from mmfuse.spec import Spec
from mmfuse.wiring import Wiring

if TYPE_CHECKING:
    from mmfuse.data.cases import Cases
    from mmfuse.data.inputs import Block

Readers = dict[str, Reader]


def fit_readers(spec: Spec, wiring: Wiring, cases: Cases, train: Ints) -> Readers:
    """The readers of all encoded modalities, learnt from the cases at `train` alone."""
    modalities = {modality: spec.card.modalities[modality] for modality in sorted(wiring.encoders)}
    return {name: modality.fit(cases.rows(train)) for name, modality in modalities.items()}


def known_once(spec: Spec, wiring: Wiring, modality: str) -> bool:
    """Whether only the vectors of a modality's encoder are read and never change: frozen, and the fusion needs no more
    than vectors."""
    network = spec.plan.network
    vectors_do = network != "" and (network.fusion == "" or set(network.fusion.needs) <= {"vector"})
    return vectors_do and wiring.encoders[modality][1].frozen is True


def image_modalities(spec: Spec, wiring: Wiring) -> frozenset[str]:
    """The encoded modalities that are images."""
    return frozenset(modality for modality in wiring.encoders if spec.card.modalities[modality].is_image)


class Assembler:
    """Reads `cases` for one network after another."""

    def __init__(self, spec: Spec, wiring: Wiring, cases: Cases, watch: Watch) -> None:
        self._spec, self._wiring, self._cases, self._watch = spec, wiring, cases, watch
        self._blocks: dict[str, list[tuple[Reader, Block]]] = {}
        self._vectors: dict[tuple[str, int, str], Vectors] = {}

    def blocks(self, readers: Mapping[str, Reader]) -> dict[str, Block]:
        """{modality: all cases, as its reader reads them}."""
        new = {m: reader for m, reader in readers.items() if self._held(m, reader) is None}
        for modality, block in read_inputs(new, self._cases, self._watch).items() if new else ():
            self._blocks.setdefault(modality, []).append((new[modality], block))
        found = {modality: self._held(modality, reader) for modality, reader in readers.items()}
        return {modality: block for modality, block in found.items() if block is not None}

    def data(self, network: FusionNetwork, readers: Mapping[str, Reader], views: Sequence[str]) -> NetworkData:
        """What `network` reads: blocks, and instead of them the vectors of encoders that never change, as they are (so
        it trains) and under all `views`."""
        blocks, images = self.blocks(readers), image_modalities(self._spec, self._wiring)
        vectors = {
            modality: {
                view: self.vectors(network, modality, readers[modality], blocks[modality], view)
                for view in dict.fromkeys((IDENTITY, *(views if modality in images else ())))
            }
            for modality in blocks
            if known_once(self._spec, self._wiring, modality)
        }
        return NetworkData(self._cases.ids, self._cases.targets, blocks, images, vectors)

    def unknown(self, readers: Mapping[str, Reader]) -> NetworkData:
        """The same with nothing known beforehand: every encoder runs."""
        blocks, images = self.blocks(readers), image_modalities(self._spec, self._wiring)
        return NetworkData(self._cases.ids, self._cases.targets, blocks, images)

    def vectors(self, network: FusionNetwork, modality: str, reader: Reader, block: Block, view: str) -> Vectors:
        """(n, width) vectors of a frozen encoder. Its weights are the same in every network of a plan."""
        key = (modality, id(block), view)
        if key not in self._vectors:
            self._vectors[key] = frozen_vectors(
                network.encoder(modality),
                self._wiring.encoders[modality][1].part,
                block,
                reader,
                view=view,
                width=network.widths[modality],
                batch=self._spec.plan.prediction.batch,
                what=modality,
                watch=self._watch,
            )
        return self._vectors[key]

    def _held(self, modality: str, reader: Reader) -> Block | None:
        return next((block for other, block in self._blocks.get(modality, ()) if same(other, reader)), None)


def same(one: Reader, other: Reader) -> bool:
    """Whether two readers learnt the same."""
    if type(one) is not type(other):
        return False
    pairs = ((getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one))
    return all(_equal(a, b) for a, b in pairs)


def _equal(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return bool(one == other)
