"""What second stages read beside scores: tables and vectors, fitted anew in each fold, and frozen vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.cases import Cases
from mmfuse.data.inputs import Block, read_inputs
from mmfuse.data.readers import fit_reader, gives_files, read_some, rows_apart
from mmfuse.errors import RunError
from mmfuse.labels import Floats, Ints
from mmfuse.learnt import Learnt
from mmfuse.parts import Bools, Reader
from mmfuse.spec import Spec
from mmfuse.wiring import Wiring

if TYPE_CHECKING:
    from mmfuse.net.altering import Alter


class StageFeatures:
    """What second stages read beside scores (`decide.stages.FeatureSource`).

    Tables and vectors are fitted anew for each set that is learnt from. In the vectors of frozen encoders is no label,
    but what their reader learnt from the `train` cases is: a copy that is fitted without some of these has one of its
    own, where it differs.
    """

    def __init__(
        self,
        spec: Spec,
        wiring: Wiring,
        cases: Cases,
        network: Any,  # noqa: ANN401  # torch's side
        altered: Alter | None = None,
        split: NDArray[np.str_] | None = None,
    ) -> None:
        self._modalities = spec.card.modalities
        self._train = np.empty(0, np.int64) if split is None else np.flatnonzero(split == "train")
        """What the network's readers learnt from."""
        self._anew: dict[str, tuple[Learnt, tuple[Floats, Bools]]] = {}
        self._frozen = {name for name, (_, line) in wiring.encoders.items() if line.frozen is True}
        self._cases, self._network, self._altered = cases, network, altered
        self._vectors: dict[str, tuple[Floats, Bools]] = {}
        self._blocks: list[tuple[Learnt, Block]] = []

    def fit(self, modality: str, index: Ints, whole: bool = True) -> Learnt | None:
        """What is learnt from those cases alone; None for frozen vectors that are read as the network reads them."""
        frozen = modality in self._frozen
        if frozen and (whole or not np.isin(index, self._train).any()):
            return None
        learnt = fit_reader(modality, self._modalities[modality], self._cases.rows(index))
        return None if frozen and self._network.reads_alike(modality, learnt) else learnt

    def read(self, modality: str, learnt: Learnt | None, index: Ints) -> tuple[Floats, Bools]:
        """((n, width), (n,) present) of the cases in `index`."""
        if modality in self._frozen and learnt is not None:
            if modality not in self._anew or self._anew[modality][0] is not learnt:  # one copy after the other
                self._anew[modality] = learnt, self._network.embed(self._cases, modality, reader=learnt)
            vectors, present = self._anew[modality][1]
            return vectors[index], present[index]
        if modality in self._frozen:
            if modality not in self._vectors:
                self._vectors[modality] = self._network.embed(self._cases, modality, altered=self._altered)
            vectors, present = self._vectors[modality]
            return vectors[index], present[index]
        if not isinstance(learnt, Reader):
            expected = f"what a second stage learnt of '{modality}'"
            raise RunError(f"no reader of '{modality}' is stored", expected, "copy the run again", "stages")
        rows, of = rows_apart(modality, learnt, self._cases.rows())
        if of is not None or not gives_files(modality, learnt, rows):
            return read_some(modality, learnt, self._cases.rows(), index)
        block = next((block for reader, block in self._blocks if reader is learnt), None)
        if block is None:  # each file is read once, and kept
            block = read_inputs({modality: learnt}, self._cases)[modality]
            self._blocks.append((learnt, block))
        return block.take(index), block.present[index]
