"""One case under a network that lets itself be asked: any input may be changed, and gradients reach every input.

The network is a twin that shares the tensors of the fitted one: nothing frozen blocks a gradient in it, and each
modality has an encoder of its own even where the plan ties them, so that a layer works once in a pass. Nothing learns.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from mmfuse.net.batches import NetworkData, read_batch
from mmfuse.net.features import Outputs, levels_of
from mmfuse.net.network import FusionNetwork
from mmfuse.net.sets import Several

Module = TypeVar("Module", bound=nn.Module)

NOTHING: Mapping[str, Tensor] = {}


class Subject:
    """One case as one network reads it. Tensors are (1, …), on the network's device.

    Where the case has several images of a modality, each is an input by itself, `MODALITY-NUMBER`, numbered as the
    table lists them.
    """

    def __init__(self, network: FusionNetwork, data: NetworkData, position: int) -> None:
        """`network` is one of `see_through`; `data` knows no features beforehand."""
        self.network = network
        index = np.array([position])
        batch = read_batch(data, index).to(next(network.parameters()).device)
        self.inputs: dict[str, Tensor] = {}
        self.present: dict[str, Tensor] = batch.present
        self._names: dict[str, tuple[str, ...]] = {}
        for modality, given in batch.inputs.items():
            if isinstance(given, Tensor):
                found = {modality: given}
            else:
                block = data.blocks[modality]
                numbers = block.places(index)[0] - np.searchsorted(block.of, position) + 1
                order = np.argsort(numbers).tolist()
                found = {f"{modality}-{numbers[i]}": given.rows[i : i + 1] for i in order}
            self.inputs |= found
            self._names[modality] = tuple(found)
        self._known: dict[str, Mapping[str, Tensor]] = {}

    @property
    def modalities(self) -> tuple[str, ...]:
        """That the case has."""
        return tuple(modality for modality, mask in self.present.items() if bool(mask.all()))

    def names(self, modalities: Iterable[str]) -> tuple[str, ...]:
        """The inputs of these modalities."""
        return tuple(name for modality in modalities for name in self._names[modality])

    def modality(self, name: str) -> str:
        """The modality of an input."""
        return next(modality for modality, names in self._names.items() if name in names)

    def outputs(self) -> Outputs:
        """What the network gives for the case as it was read."""
        return self.network(self._joined(self.inputs, 1), self.present)  # type: ignore[no-any-return]  # torch's __call__

    def changed(self, inputs: Mapping[str, Tensor]) -> Outputs:
        """What it gives with `inputs` {name: (copies, *shape)} in the place of what was read; the encoders of the other
        modalities do not run again, and no gradient reaches them."""
        if not self._known:
            with torch.no_grad():
                self._known = {m: levels_of(features) for m, features in self.outputs().features.items()}
        copies = max(len(tensor) for tensor in inputs.values())
        given = self._joined(inputs, copies)
        known = {
            m: {level: tensor.expand(copies, *tensor.shape[1:]) for level, tensor in levels.items()}
            for m, levels in self._known.items()
            if m not in given
        }
        present = {m: mask.expand(copies) for m, mask in self.present.items()}
        return self.network(given, present, known)  # type: ignore[no-any-return]

    def _joined(self, inputs: Mapping[str, Tensor], copies: int) -> dict[str, Tensor | Several]:
        """{modality: its inputs} of those that any of `inputs` belongs to; its other images are as they were read."""
        joined: dict[str, Tensor | Several] = {}
        for modality, names in self._names.items():
            if names == (modality,) and modality in inputs:
                joined[modality] = inputs[modality]
            elif any(name in inputs for name in names):
                all_of = [inputs.get(name, self.inputs[name]) for name in names]
                rows = torch.stack([one.expand(copies, *one.shape[1:]) for one in all_of], dim=1).flatten(0, 1)
                joined[modality] = Several(rows, torch.arange(copies).repeat_interleave(len(names)))
        return joined

    def log_p(self, source: str, part: slice, inputs: Mapping[str, Tensor] = NOTHING) -> Tensor:
        """(copies, classes of one label) log-probabilities by a source of the network; `part` are the label's
        columns."""
        outputs = self.changed(inputs) if inputs else self.outputs()
        return torch.log_softmax(outputs.scores[source].logits[:, part], dim=1)


def see_through(network: FusionNetwork) -> FusionNetwork:
    """The twin, in eval mode."""
    twin = _twin(network)
    twin.lines = {m: line.model_copy(update={"frozen": False}) for m, line in network.lines.items()}
    twin.keys = {m: f"encoder {i}" for i, m in enumerate(network.modalities)}
    encoders = {twin.keys[m]: _twin(network.encoder(m)) for m in network.modalities}
    twin.encoders = nn.ModuleDict(encoders)
    twin.pools = nn.ModuleDict({twin.keys[m]: network.pools[network.keys[m]] for m in network.modalities})
    return twin.eval()


def _twin(module: Module) -> Module:
    tensors = itertools.chain(module.parameters(), module.buffers())
    return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})
