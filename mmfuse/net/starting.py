"""Whether a plan's network can be built and finds its first weights, looked at before anything is trained.

The network is built as training would build it, and thrown away: what `check` and `--dry-run` say is then what training
does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from mmfuse.attribution import attributed
from mmfuse.errors import Faults, MmfuseError, placed
from mmfuse.events import silent
from mmfuse.labels import Ints
from mmfuse.net.assembling import fit_readers
from mmfuse.net.network import ENCODERS, FusionNetwork
from mmfuse.net.weights import load_what_fits, network_folder, start_from_run
from mmfuse.spec import EncoderLine, Plan, Spec
from mmfuse.wiring import wire

if TYPE_CHECKING:
    from mmfuse.data.cases import Cases


def start_faults(spec: Spec, cases: Cases, index: Ints) -> Faults:
    """Return what keeps the network from being built for cases that learn at `index`, or from its first weights: names
    that a library has not, files and runs that are missing, broken or of another network, a hub that does not answer.
    """
    faults, section, wiring = Faults(), spec.plan.network, wire(spec)
    if not wiring.encoders or not len(index):
        return plan_faults(spec.plan)
    try:
        readers = fit_readers(spec, wiring, cases, index)
        shapes = {modality: reader.shape for modality, reader in readers.items()}
        network = FusionNetwork(spec, wiring, shapes, cases.labels)
    except MmfuseError as error:
        faults.take_over(error)
        return faults
    looked = set[str]()
    for modality in network.modalities:
        word, line = wiring.encoders[modality]
        if network.keys[modality] not in looked:
            looked.add(network.keys[modality])
            _look(line, f"{ENCODERS}.{word}", faults, network.encoder(modality), modality)
    if section != "" and section.weights:
        try:
            load_what_fits(network, section.weights, silent)
        except MmfuseError as error:
            faults.take_over(error)
    return faults


def plan_faults(plan: Plan) -> Faults:
    """Return what can be said without cases: names that a library has not, weights that are nowhere."""
    faults = Faults()
    if plan.network == "":
        return faults
    for word, line in plan.network.encoders.items():
        _look(line, f"{ENCODERS}.{word}", faults)
    if plan.network.weights:
        try:
            network_folder(plan.network.weights, "a run's folder", "network.weights")
        except MmfuseError as error:
            faults.take_over(error)
    return faults


def _look(line: EncoderLine, where: str, faults: Faults, module: nn.Module | None = None, modality: str = "") -> None:
    """What one encoder's first weights are, as far as it can be told; with a module they are tried on it."""
    part, weights = line.part, line.weights
    is_run = weights not in ("none", "pretrained") and not Path(weights).is_file()
    try:
        with placed(f"{where}.weights", ENCODERS), attributed(part, "`check_start`", where):
            part.check_start(module, "none" if is_run else weights)
        if is_run and module is not None:
            start_from_run(module, weights, modality, f"{where}.weights")
        elif is_run:
            run = weights if Path(weights).is_dir() else weights.partition("#")[0]
            network_folder(run, "'none', 'pretrained', a safetensors file, or a run's folder", f"{where}.weights")
    except MmfuseError as error:
        faults.extend(fault for fault in error.faults if fault not in faults)  # several modalities may have one line
        faults.cause = faults.cause or error.__cause__
