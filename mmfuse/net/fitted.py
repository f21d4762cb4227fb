"""The fitted network side: the networks that speak about new cases, with the readers that each learnt on its own cases.

Stored as safetensors, `Learnt` records and one JSON (law 10); reading it again builds the modules without first weights
or downloads.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import torch
from numpy.typing import NDArray

from mmfuse.data.readers import flags_of, load_reader
from mmfuse.errors import RunError, SpecError, nearest
from mmfuse.events import Watch, silent
from mmfuse.formats.json_files import read_json
from mmfuse.formats.of_runs import StoredNetwork, StoredNetworks
from mmfuse.labels import Floats, Labels
from mmfuse.net.altering import Alter, altered_vectors
from mmfuse.net.answering import RawScores, answer
from mmfuse.net.assembling import Assembler, Readers, image_modalities, same
from mmfuse.net.devices import choose_device, ready
from mmfuse.net.network import FusionNetwork
from mmfuse.net.presence import Pattern, patterns_of
from mmfuse.net.training import Trained
from mmfuse.net.views import IDENTITY, check_views
from mmfuse.net.weights import ABOUT, load_all, read_tensors, start_weights, write_tensors
from mmfuse.parts import Reader
from mmfuse.spec import NetworkSection, Spec
from mmfuse.wiring import Wiring, wire

if TYPE_CHECKING:
    from mmfuse.data.cases import Cases

FORMAT = 1
"""Of the folder."""


@dataclass(frozen=True)
class Member:
    """One trained network."""

    network: FusionNetwork
    readers: Readers
    trained: Trained
    counts: tuple[float, ...]
    """(columns,) how many of its training cases have each class."""


class FittedNetwork:
    """The networks that speak about cases outside `train`: the one of all training cases, or those of the folds, which
    speak together."""

    def __init__(self, spec: Spec, wiring: Wiring, members: dict[str, Member]) -> None:
        self.spec, self.wiring, self.members = spec, wiring, members
        self.labels: Labels = spec.card.label_set

    @property
    def presence_patterns(self) -> frozenset[Pattern]:
        """The patterns of presence that training showed to any of its networks."""
        return frozenset().union(*(member.trained.patterns for member in self.members.values()))

    def predict(self, cases: Cases, watch: Watch = silent, altered: Alter | None = None) -> RawScores:
        """{source: (views, n, columns)} raw logits (of several networks: log of the mean probability); NaN where a
        source abstains. `altered` changes what was read; then every encoder runs."""
        inputs, index = Assembler(self.spec, self.wiring, cases, watch), np.arange(len(cases))
        return mean_scores(
            [self.speak(member, inputs, index, watch, altered) for member in self.members.values()], self.labels
        )

    def speak(
        self,
        member: Member,
        inputs: Assembler,
        index: NDArray[np.integer],
        watch: Watch,
        altered: Alter | None = None,
    ) -> RawScores:
        """One network's scores of the cases at `index`, under every view of the plan."""
        views = views_of(self.spec, self.wiring, member.readers)
        known = altered is None
        data = inputs.data(member.network, member.readers, views) if known else inputs.unknown(member.readers)
        batch = self.spec.plan.prediction.batch
        return answer(member.network, data, index, views=views, batch=batch, watch=watch, altered=altered)

    def embed(
        self,
        cases: Cases,
        modality: str,
        watch: Watch = silent,
        altered: Alter | None = None,
        reader: Reader | None = None,
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """((n, width) vectors of a frozen encoder, (n,) present); zeros where absent. `altered` changes what was read;
        `reader` reads in the place of the network's own.

        Raises: SpecError if the modality is not encoded, its encoder learns (its features know the training labels), or
        its first weights do not suit what `reader` gives.
        """
        if modality not in self.wiring.encoders:
            mend = nearest(modality, self.wiring.encoders)
            raise SpecError(f"no encoder reads '{modality}'", "an encoded modality", mend, "features")
        word, line = self.wiring.encoders[modality]
        if line.learns:
            where = f"network.encoders.{word}"
            found, mend = f"the encoder of '{modality}' learns from labels", "frozen = true"
            if line.frozen is True:
                found, mend = f"'{modality}' is pooled by attention, which learns from labels", "pool = 'mean' or 'max'"
            raise SpecError(found, "a frozen encoder", mend, where)
        member = next(iter(self.members.values()))
        inputs = Assembler(self.spec, self.wiring, cases, watch)
        if altered is not None:
            data, batch = inputs.unknown(member.readers), self.spec.plan.prediction.batch
            return altered_vectors(member.network, modality, data, altered, batch)
        network = member.network if reader is None else _network_for(self.spec, self.wiring, member, modality, reader)
        reader = member.readers[modality] if reader is None else reader
        block = inputs.blocks({modality: reader})[modality]
        return inputs.vectors(network, modality, reader, block, IDENTITY), block.there

    def reads_alike(self, modality: str, reader: Reader) -> bool:
        """Whether a reader learnt what the network's own did."""
        return same(next(iter(self.members.values())).readers[modality], reader)

    def presence(self, cases: Cases, watch: Watch = silent) -> dict[str, NDArray[np.bool_]]:
        """{modality: (n,) whether the case has it} of the encoded modalities."""
        readers = next(iter(self.members.values())).readers
        blocks = Assembler(self.spec, self.wiring, cases, watch).blocks(readers)
        return {modality: block.there for modality, block in blocks.items()}

    def pattern_flags(self, present: dict[str, NDArray[np.bool_]]) -> tuple[str, ...]:
        """For each case its pattern of presence where training never showed it to any of the networks; else empty."""
        known = self.presence_patterns
        return tuple(
            "" if not known or pattern in known else _flag(pattern, present) for pattern in patterns_of(present)
        )

    def unseen(self, cases: Cases) -> dict[str, tuple[str, ...]]:
        """{modality: (n,) what in the case its reader never saw}. The networks of folds each learnt on some of the
        training cases: only what is new to all of them counts."""
        rows = cases.rows()
        members = self.members.values()
        told = [{m: flags_of(m, reader, rows) for m, reader in member.readers.items()} for member in members]
        return {
            m: tuple(texts[0] if all(texts) else "" for texts in zip(*(flags[m] for flags in told), strict=True))
            for m in told[0]
        }

    # ── storing ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def save(self, folder: Path) -> None:
        """Writes `network.safetensors` (or `fold-N.safetensors`), `readers/` and `network.json` into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        about: dict[str, Any] = {"format": FORMAT, "encoders": {}, "networks": {}}
        for name, member in self.members.items():
            about["encoders"] = member.network.keys
            write_tensors(member.network, folder / _weights_file(name))
            for modality, reader in member.readers.items():
                reader.save(_reader_stem(folder, name, modality))
            trained = member.trained
            about["networks"][name] = {
                "shapes": {modality: list(reader.shape) for modality, reader in member.readers.items()},
                "counts": list(member.counts),
                "frozen_precision": member.network.frozen_precision,
                "epochs": trained.epochs,
                "best_epoch": trained.best_epoch,
                "best_value": None if math.isnan(trained.best_value) else trained.best_value,
                "patterns": sorted(map(list, trained.patterns)),
            }
        (folder / ABOUT).write_text(json.dumps(about, indent=1, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, spec: Spec, wiring: Wiring, device: str = "auto") -> FittedNetwork:
        """Reads what `save` wrote, for the same spec.

        Raises: RunError naming the file that is missing, broken, or does not fit the spec.
        """
        path, where = folder / ABOUT, choose_device(device)
        expected, mend = "what mmfuse stored there", "copy the run again"
        about = read_json(path, StoredNetworks, expected=expected, mend=mend, newest=FORMAT)
        members = {
            name: _load_member(folder, name, told, spec, wiring, where) for name, told in about["networks"].items()
        }
        return cls(spec, wiring, members)


def _network_for(spec: Spec, wiring: Wiring, member: Member, modality: str, reader: Reader) -> FusionNetwork:
    """The network, or, where the reader gives another shape, one of that frozen encoder alone with first weights.

    Raises: SpecError for first weights that come from elsewhere, for another shape.
    """
    old, (word, line) = member.readers[modality].shape, wiring.encoders[modality]
    if reader.shape == old:
        return member.network
    section = spec.plan.network
    if line.weights not in ("none", "pretrained") or (section != "" and section.weights):
        raise SpecError(
            f"without the cases of a fold '{modality}' is read as {reader.shape}; its frozen encoder, read by a"
            f" second stage, has weights for {old}",
            "the same columns in each fold, or an encoder with weights of its own",
            "merge rare categories; or leave 'frozen' out, so that the stage reads the table itself",
            f"network.encoders.{word}",
        )
    alone = NetworkSection(encoders={modality: line.model_copy(update={"share": False})})
    plan = spec.plan.model_copy(update={"network": alone, "augment": {}, "decisions": {}})
    spec = spec.model_copy(update={"plan": plan})
    wiring = wire(spec)
    network = FusionNetwork(spec, wiring, {modality: reader.shape}, spec.card.label_set)
    start_weights(network, spec, wiring, silent)
    network.frozen_precision = member.network.frozen_precision
    return ready(network, next(member.network.parameters()).device)


def _load_member(
    folder: Path, name: str, told: StoredNetwork, spec: Spec, wiring: Wiring, device: torch.device
) -> Member:
    modalities, expected = spec.card.modalities, sorted(wiring.encoders)
    readers = {m: load_reader(m, modalities[m], _reader_stem(folder, name, m)) for m in expected}
    shapes = {modality: tuple(shape) for modality, shape in told["shapes"].items()}
    own = {m: tuple(reader.shape) for m, reader in readers.items()}
    labels = spec.card.label_set
    odd = shapes != own or len(told["counts"]) != labels.columns or not all({*p} <= {*own} for p in told["patterns"])
    if odd or told["best_epoch"] > told["epochs"]:
        found = f"speaks of inputs {shapes} and {len(told['counts'])} classes"
        wanted = f"{own} and {labels.columns}, as readers and card have"
        raise RunError(found, wanted, "copy the run again", str(folder / ABOUT))
    network = FusionNetwork(spec, wiring, shapes, labels, name)
    path = folder / _weights_file(name)
    load_all(network, read_tensors(path), str(path), "read it with the spec and the plugin versions that made it")
    network.frozen_precision = told.get("frozen_precision", network.frozen_precision)
    value = told["best_value"]
    patterns = frozenset(tuple(pattern) for pattern in told["patterns"])
    trained = Trained(told["epochs"], told["best_epoch"], math.nan if value is None else float(value), patterns)
    return Member(ready(network, device), readers, trained, tuple(told["counts"]))


def views_of(spec: Spec, wiring: Wiring, readers: Readers) -> tuple[str, ...]:
    """The test-time views that are computed."""
    images = image_modalities(spec, wiring)
    return check_views(spec.plan.prediction.views, {m: reader.shape for m, reader in readers.items() if m in images})


def mean_scores(given: list[RawScores], labels: Labels) -> RawScores:
    """Of one network its raw logits; of several the log of their mean probability, view by view, over those that
    speak."""
    if len(given) == 1:
        return given[0]
    out: RawScores = {}
    for source in given[0]:
        logs = np.stack([labels.log_softmax(scores[source].astype(np.float64)) for scores in given])
        speak = ~np.isnan(logs)
        total = np.logaddexp.reduce(np.where(speak, logs, -np.inf), axis=0)
        count = speak.sum(axis=0)
        out[source] = np.where(count > 0, total - np.log(np.maximum(count, 1)), np.nan).astype(np.float32)
    return out


def _flag(pattern: Pattern, modalities: Iterable[str]) -> str:
    absent = sorted({*modalities} - {*pattern})
    if pattern:
        return f"training never showed {' + '.join(pattern)} without {' + '.join(absent)}"
    return f"none of {', '.join(absent)} is present" if len(absent) > 1 else f"{absent[0]} is absent"


def _weights_file(name: str) -> str:
    return f"{name.replace(' ', '-')}.safetensors"


def _reader_stem(folder: Path, network: str, modality: str) -> Path:
    return folder / "readers" / network.replace(" ", "-") / quote(modality, safe="").replace(".", "%2E")
