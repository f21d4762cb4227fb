"""What each network reads of some cases, read once: networks whose readers learnt the same (images: all of them) share
blocks and features.

What is kept of frozen encoders is measured first and told; above `training.cache_limit` an encoder runs each epoch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from mmfuse.data.aside import numbered, picked
from mmfuse.data.inputs import read_inputs
from mmfuse.data.readers import fit_reader, rows_apart
from mmfuse.errors import Faults, SpecError
from mmfuse.events import Notice, Watch
from mmfuse.labels import Ints
from mmfuse.net.batches import NetworkData
from mmfuse.net.embeddings import bytes_of, frozen_features
from mmfuse.net.features import VECTOR, Features, level_shapes
from mmfuse.net.gathering import first_alone
from mmfuse.net.network import FusionNetwork
from mmfuse.net.presence import Present
from mmfuse.net.sets import Several, gathered, pooled
from mmfuse.net.sights import FixedDraws, Sight
from mmfuse.net.views import IDENTITY
from mmfuse.parts import Reader, refuse_set
from mmfuse.spec import Spec
from mmfuse.wiring import Wiring

if TYPE_CHECKING:
    from mmfuse.data.cases import Cases
    from mmfuse.data.inputs import Block

Readers = dict[str, Reader]


def fit_readers(spec: Spec, wiring: Wiring, cases: Cases, train: Ints) -> Readers:
    """The readers of all encoded modalities, learnt from the cases at `train` alone."""
    modalities = {modality: spec.card.modalities[modality] for modality in sorted(wiring.encoders)}
    return {name: fit_reader(name, modality, cases.rows(train)) for name, modality in modalities.items()}


def known_once(wiring: Wiring, modality: str) -> bool:
    """Whether a modality's encoder never changes, so that its features are computed once."""
    return wiring.encoders[modality][1].frozen is True


def augmented(wiring: Wiring) -> frozenset[str]:
    """The modalities that augmentations name."""
    return frozenset(modality for _, modalities in wiring.augment for modality in modalities)


def image_modalities(spec: Spec, wiring: Wiring) -> frozenset[str]:
    """The encoded modalities that are images."""
    return frozenset(modality for modality in wiring.encoders if spec.card.modalities[modality].is_image)


class Assembler:
    """Reads `cases` for one network after another."""

    def __init__(self, spec: Spec, wiring: Wiring, cases: Cases, watch: Watch) -> None:
        self._spec, self._wiring, self._cases, self._watch = spec, wiring, cases, watch
        self._blocks: dict[str, list[tuple[Reader, Block]]] = {}
        self._features: dict[tuple[str, int, str, tuple[str, ...]], dict[str, Block]] = {}
        self._told: set[str] = set()

    def blocks(self, readers: Mapping[str, Reader]) -> dict[str, Block]:
        """{modality: all cases, as its reader reads them}.

        Raises: SpecError where the fusion reads maps or tokens of cases that hold several images.
        """
        new = {m: reader for m, reader in readers.items() if self._held(m, reader) is None}
        section, faults = self._spec.plan.network, Faults()
        for modality, reader in new.items():
            if section != "" and rows_apart(modality, reader, self._cases.rows())[1] is not None:
                refuse_set(section.fusion, modality, faults)
        faults.raise_as(SpecError)
        if new:
            with first_alone():
                read = read_inputs(new, self._cases, self._watch)
            for modality, block in read.items():
                self._blocks.setdefault(modality, []).append((new[modality], block))
        found = {modality: self._held(modality, reader) for modality, reader in readers.items()}
        return {modality: block for modality, block in found.items() if block is not None}

    def data(
        self, network: FusionNetwork, readers: Mapping[str, Reader], views: Sequence[str], learns: Ints | None = None
    ) -> NetworkData:
        """What `network` reads: blocks, and instead of them the features of encoders that never change, as they are (so
        it trains) and under all `views`; with `learns` also those of the fixed draws of these cases."""
        blocks, images = self.blocks(readers), image_modalities(self._spec, self._wiring)
        frozen = sorted(m for m in blocks if known_once(self._wiring, m))
        copies = self._spec.plan.training.feature_views - 1
        drawn = [] if learns is None or copies < 1 else [m for m in frozen if m in augmented(self._wiring)]
        sights: dict[str, list[Sight]] = {}
        for m in frozen:
            sights[m] = [Sight(view) for view in dict.fromkeys((IDENTITY, *(views if m in images else ())))]
            if m in drawn and learns is not None:
                of = blocks[m].of
                ids, learnt = picked(self._cases.ids, of), np.flatnonzero(np.isin(of, learns))
                sights[m].append(FixedDraws(self._wiring, m, copies, ids, learnt))
        kept = self._kept(network, {m: blocks[m] for m in frozen}, sights)
        known = {
            m: {sight.name: self.features(network, m, readers[m], blocks[m], sight) for sight in sights[m]}
            for m in kept
        }
        still = frozenset(frozen) - {m for m in drawn if m not in kept}
        return NetworkData(self._cases.ids, self._cases.targets, blocks, images, known, still)

    def unknown(self, readers: Mapping[str, Reader]) -> NetworkData:
        """The same with nothing known beforehand: every encoder runs."""
        blocks, images = self.blocks(readers), image_modalities(self._spec, self._wiring)
        return NetworkData(self._cases.ids, self._cases.targets, blocks, images)

    def features(
        self,
        network: FusionNetwork,
        modality: str,
        reader: Reader,
        block: Block,
        sight: Sight,
        levels: tuple[str, ...] = (),
    ) -> dict[str, Block]:
        """{level: (n, …)} features of a frozen encoder: `levels`, or all that are read of it. Its weights are the same
        in every network of a plan."""
        levels = levels or network.reads[modality]
        key = (modality, id(block), sight.fingerprint, levels)
        if key not in self._features:
            self._features[key] = frozen_features(
                network.encoder(modality),
                self._wiring.encoders[modality][1].part,
                block,
                reader,
                sight=sight,
                flow=network.flows[modality],
                levels=levels,
                precision=network.frozen_precision,
                batch=self._spec.plan.prediction.batch,
                what=modality,
                watch=self._watch,
            )
        return self._features[key]

    def vectors(
        self, network: FusionNetwork, modality: str, reader: Reader, block: Block, view: str
    ) -> NDArray[np.float32]:
        """(n, width) vectors of a frozen encoder; zeros where the modality is absent."""
        rows, of = block.places(np.arange(len(block.there)))
        found = self.features(network, modality, reader, block, Sight(view), (VECTOR,))[VECTOR].take(rows)
        if of is None:
            return found
        who = Present(torch.from_numpy(block.there), torch.device("cpu"))
        vectors, owner = gathered(Several(torch.from_numpy(found), torch.from_numpy(of)), who)
        pool, flow = network.pools[network.keys[modality]], network.flows[modality]
        return who.spread(pooled(Features(vectors), owner, who, pool, flow).vector, 0.0).numpy()

    def _kept(
        self, network: FusionNetwork, blocks: Mapping[str, Block], sights: Mapping[str, Sequence[Sight]]
    ) -> list[str]:
        """Those of the frozen modalities whose features are kept: the largest are left out until the rest fits."""
        large = [m for m in blocks if set(network.reads[m]) != {VECTOR}]
        limit = self._spec.plan.training.cache_limit * 1e9
        each = {m: bytes_of(network.flows[m], network.reads[m]) for m in blocks}
        looks = {m: int(block.present.sum()) * sum(sight.copies for sight in sights[m]) for m, block in blocks.items()}
        if not large and sum(each[m] * looks[m] for m in blocks) <= limit:  # equal contents need not be sought
            return sorted(blocks)
        sizes = {m: each[m] * sum(_contents(block, sight) for sight in sights[m]) for m, block in blocks.items()}
        kept = sorted(sizes, key=lambda m: (sizes[m], m))
        allowed = f"training.cache_limit = {self._spec.plan.training.cache_limit:g} GB"
        while kept and sum(sizes[m] for m in kept) > limit:
            left = kept.pop()
            size = f"{_what(network, left)} would take {sizes[left] / 1e9:.3g} GB"
            self._tell(f"{left}: {size}, more than is left of {allowed}: its frozen encoder runs each epoch")
        told = sorted(m for m in large if m in kept)
        if told:
            words = "; ".join(f"{m}: {_what(network, m)} {sizes[m] / 1e9:.3g} GB" for m in told)
            self._tell(f"frozen features kept on disk: {words} ({allowed})")
        return sorted(kept)

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._watch(Notice(text))

    def _held(self, modality: str, reader: Reader) -> Block | None:
        return next((block for other, block in self._blocks.get(modality, ()) if same(other, reader)), None)


def _contents(block: Block, sight: Sight) -> int:
    """How many distinct contents a sight sees in a block."""
    keys = sight.keys(block.keys)
    return len(numbered(picked(keys, keys != b""))[0])


def _what(network: FusionNetwork, modality: str) -> str:
    """In words, with the shape of one case: `vector 1280, map1 320×7×7`."""
    shapes = level_shapes(network.flows[modality])
    return ", ".join(f"{level} {'×'.join(map(str, shapes[level]))}" for level in network.reads[modality])


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
