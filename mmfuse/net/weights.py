"""First weights of a new network, and networks as safetensors files (law 10).

An encoder starts from `none`, from what its part ships (`pretrained`), from a safetensors file, or from the encoder of
a run; the whole network may start from a run, tensor by tensor, wherever one fits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mmfuse.attribution import attributed
from mmfuse.errors import RunError, SpecError, nearest, placed
from mmfuse.events import Notice, Watch
from mmfuse.formats.json_files import read_json
from mmfuse.formats.of_runs import Weights
from mmfuse.formats.safetensors_files import check_safetensors
from mmfuse.net.network import ENCODERS, FusionNetwork
from mmfuse.net.randomness import own_randomness
from mmfuse.seeds import derive
from mmfuse.spec import Spec
from mmfuse.wiring import Wiring

FILE, ABOUT = "network.safetensors", "network.json"
SHOWN = 8
"""So many names at most stand in a message."""


def start_weights(network: FusionNetwork, spec: Spec, wiring: Wiring, watch: Watch) -> None:
    """Gives a new network its first weights, as each encoder's line and `network.weights` say.

    Raises: SpecError for a place where no weights are; RunError for a run whose tensors do not fit an encoder.
    """
    section = spec.plan.network
    started = set()
    for modality in network.modalities:
        word, line = wiring.encoders[modality]
        key = network.keys[modality]
        if key in started or line.weights == "none":
            continue
        started.add(key)
        module, where = network.encoders[key], f"{ENCODERS}.{word}.weights"
        with own_randomness(derive(spec.plan.seed, "start", key)):
            if line.weights == "pretrained" or Path(line.weights).is_file():
                with placed(where, ENCODERS), attributed(line.part, "`start`", where):
                    line.part.start(module, line.weights)
            else:
                start_from_run(module, line.weights, modality, where)
    if section != "" and section.weights:
        load_what_fits(network, section.weights, watch)


def start_from_run(module: nn.Module, text: str, modality: str, where: str) -> None:
    """Load the encoder of a run into a module. Raises: SpecError where there is none; RunError where it does not
    fit."""
    run, _, named = text.partition("#") if not Path(text).is_dir() else (text, "", "")
    expected = "'none', 'pretrained', a safetensors file, or a run's folder (RUN, RUN#modality)"
    folder = network_folder(run, expected, where)
    keys = _about(folder).get("encoders", {})
    wanted = named or modality
    if wanted not in keys and not named and len(set(keys.values())) == 1:
        wanted = next(iter(keys))
    if wanted not in keys:
        raise SpecError(
            f"run '{run}' has no encoder of '{wanted}'",
            f"RUN#modality with one of {sorted(keys)}",
            nearest(wanted, keys),
            where,
        )
    prefix = f"encoders.{keys[wanted]}."
    tensors = {
        name.removeprefix(prefix): t for name, t in read_tensors(folder / FILE).items() if name.startswith(prefix)
    }
    load_all(module, tensors, f"{where} = {text}", "use the encoder part and knobs that the run used")


def load_what_fits(network: FusionNetwork, run: str, watch: Watch) -> None:
    """Load every tensor of a run that fits. Raises: SpecError where none does."""
    folder = network_folder(run, "a run's folder", "network.weights")
    state, tensors = network.state_dict(), read_tensors(folder / FILE)
    fitting = {name: t for name, t in tensors.items() if name in state and alike(t, state[name])}
    if not fitting:
        raise SpecError(
            f"no tensor of run '{run}' fits this network", "a run of a similar plan", where="network.weights"
        )
    network.load_state_dict(fitting, strict=False)
    shape = sum(name in state for name in tensors) - len(fitting)
    text = f"network.weights: {len(fitting)} of {len(state)} tensors come from {run}; {shape} differ in shape, "
    watch(Notice(f"{text}{len(state) - len(fitting) - shape} are not there and start anew"))


def network_folder(run: str, expected: str, where: str) -> Path:
    """Where a run keeps its network. The folder within a run, or within what an interrupted training left, is refused:
    only the run itself knows which cases its weights have seen."""
    if (Path(run) / "network" / FILE).is_file():
        return Path(run) / "network"
    if (Path(run) / FILE).is_file():
        raise SpecError(f"'{run}' is a part of a run", expected, f"name the run: '{Path(run).parent}'", where)
    there = Path(run).is_dir()
    mend = f"see that its network/{FILE} is there" if there else "mend the path; it starts from the working folder"
    raise SpecError(f"there are no weights at '{run}'", expected, mend, where)


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def write_tensors(module: nn.Module, path: Path) -> None:
    """Stores all parameters and buffers. Tied tensors are stored once for each name.

    Raises: RunError where the disk refuses.
    """
    state = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in module.state_dict().items()}
    try:
        save_file(state, path)
    except SafetensorError as error:  # it hides the system's error
        raise RunError(
            f"cannot be written: {error}", "room for the weights", "free space, or another folder", str(path)
        ) from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Raises: RunError if the file is missing or no safetensors file, or a number in it is not finite."""
    expected, mend = "weights as mmfuse stored them", "copy the run again"
    check_safetensors(path, expected=expected, mend=mend)
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"cannot be read: {error}", expected, mend, str(path)) from error
    spoilt = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if spoilt:
        raise RunError(f"holds {_some('tensors that are not finite', spoilt)}", expected, mend, str(path))
    return tensors


def load_all(module: nn.Module, tensors: Mapping[str, Tensor], where: str, mend: str) -> None:
    """Loads tensors of which every one must fit.

    Raises: RunError listing those that do not.
    """
    state = module.state_dict()
    unequal = [
        f"{name} is {tuple(tensors[name].shape)}, not {tuple(tensor.shape)}"
        if tensors[name].shape != tensor.shape
        else f"{name} holds {tensors[name].dtype}, not {tensor.dtype}"
        for name, tensor in state.items()
        if name in tensors and not alike(tensors[name], tensor)
    ]
    missing, extra = [name for name in state if name not in tensors], [name for name in tensors if name not in state]
    if unequal or missing or extra:
        found = [_some("of another shape", unequal), _some("missing", missing), _some("too many", extra)]
        raise RunError(
            "tensors do not fit: " + "; ".join(filter(None, found)), f"all {len(state)} tensors", mend, where
        )
    module.load_state_dict(dict(tensors))


def alike(given: Tensor, wanted: Tensor) -> bool:
    """Whether two tensors have one shape, and both hold fractions or neither does."""
    return given.shape == wanted.shape and given.is_floating_point() == wanted.is_floating_point()


def _some(word: str, names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} {word} ({', '.join(names[:SHOWN])}{more})" if names else ""


def _about(run: Path) -> Weights:
    return read_json(run / ABOUT, Weights, expected=f"{ABOUT} beside {FILE}", mend="copy the run again")


def content_hash(module: nn.Module) -> str:
    """A hash of all parameters and buffers by name: equal weights, equal hash."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(module.state_dict().items()):
        flat = tensor.detach().to("cpu").contiguous()
        digest.update(f"{name} {tuple(flat.shape)} {flat.dtype}".encode())
        digest.update(flat.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
