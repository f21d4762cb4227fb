"""Making timm's models and loading their first weights, with errors that say what timm's own leave out.

Weights of a file are safetensors, read without pickle (law 10), and must fit whole: nothing is left at random silently.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file as read_safetensors
from timm.models import PretrainedCfg, get_pretrained_cfg, group_parameters
from torch import Tensor, nn

from mmfuse import SpecError, check_safetensors
from mmfuse.builtin.modules import hub

WHERE = "network.encoders"


def create(name: str, size: tuple[int, int], drop_path: float = 0.0, recompute: bool = False) -> nn.Module:
    """timm's model of that name without classifier, with random weights, for images of (height, width).

    Raises: SpecError if timm has no such model, or it cannot be made for this size, with stochastic depth, or so that
    it computes again.
    """
    check_name(name)
    options: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    try:
        model: Any = timm.create_model(name, **_options(name, size), **options)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        if "drop_path_rate" in str(error):
            raise SpecError(f"timm's {name} has no stochastic depth", "", "leave `drop_path` out", WHERE) from error
        native = _config(name).input_size[1:]
        raise SpecError(
            f"timm's {name} cannot be made for images of {size[0]}×{size[1]}: {error}",
            f"a size it can take; its own is {native[0]}×{native[1]}",
            f"size = {native[0]} in the modality",
            WHERE,
        ) from error
    if recompute:
        try:
            model.set_grad_checkpointing()
        except (AttributeError, AssertionError) as error:
            raise SpecError(f"timm's {name} cannot compute again", "", "leave `recompute` out", WHERE) from error
    return model


def stages(module: nn.Module) -> dict[str, int]:
    """{dotted name of a parameter: its stage, 0 the lowest} of an encoder made of timm's `module.model`, by timm's own
    coarse groups; empty for a model that has none."""
    model: Any = module.model
    try:
        matcher = model.group_matcher(coarse=True)
    except (AttributeError, TypeError):
        return {}
    found = group_parameters(model, matcher, reverse=True)
    return {f"model.{name}": stage for name, stage in found.items()}


def load_published(model: nn.Module, name: str, size: tuple[int, int]) -> None:
    """Puts timm's published weights into `model`, made for images of (height, width).

    They are fetched, or read from the hub's cache on this machine. A hub that does not answer is asked once.

    Raises: SpecError if there are none or they cannot be fetched.
    """
    check_published(name)
    kept = hub.cached_file(_config(name))
    try:
        fresh = _twin(name, size, {"file": str(kept)} if kept and hub.trouble() else None)
    except Exception as error:  # the hub's client raises errors of many libraries: any of them means "not fetched"
        raise _not_fetched(name, hub.failed(name, error)) from error
    model.load_state_dict(fresh.state_dict())


def check_published(name: str) -> None:
    """Raises: SpecError if timm publishes no weights for a model, or they are neither on this machine nor to be had."""
    if not _config(name).has_weights:
        raise SpecError(
            f"timm publishes no weights for {name}", "a model with weights", 'weights = "none", or another model', WHERE
        )
    why = hub.failures().get(name) or (hub.trouble() if hub.cached_file(_config(name)) is None else "")
    if why:
        raise _not_fetched(name, why)


def _not_fetched(name: str, why: str) -> SpecError:
    return SpecError(
        f"the published weights of timm's {name} could not be fetched from the model hub: {why}",
        "access to the model hub, or weights already in its cache on this machine",
        'weights = "none", or weights = "FILE.safetensors" with a local file',
        WHERE,
    )


def check_file(model: nn.Module | None, name: str, path: str) -> bool:
    """Whether a safetensors file fits `model` as it stands, by the names and shapes in its header; where it does not,
    timm may still rename and resize what it holds. None: there is no model to be asked yet.

    Raises: SpecError for another format, a missing or broken file.
    """
    shapes, state = _header(path), {} if model is None else model.state_dict()
    expected = {key: tuple(value.shape) for key, value in state.items()}
    branches = _classifier(name)
    kept = {key: shape for key, shape in shapes.items() if key in expected or key.split(".")[0] not in branches}
    return kept == expected


def _classifier(name: str) -> set[str]:
    """The submodules that are the classifier of timm's model."""
    classifier = _config(name).classifier or ()
    return {word.split(".")[0] for word in ((classifier,) if isinstance(classifier, str) else classifier)}


def load_file(model: nn.Module, name: str, size: tuple[int, int], path: str) -> None:
    """Puts the weights of a safetensors file into `model`, made for images of (height, width).

    They are renamed and resized as timm does with its own files; half precision is widened.

    Raises: SpecError for another format, a missing or broken file, or one of another architecture, with counts of what
    matched.
    """
    tensors = _read(path)
    expected = model.state_dict()
    branches = _classifier(name)
    kept = {key: value for key, value in tensors.items() if key in expected or key.split(".")[0] not in branches}
    if {key: value.shape for key, value in kept.items()} == {key: value.shape for key, value in expected.items()}:
        model.load_state_dict(kept)
        return
    try:
        # "0 classes" on both sides makes timm load strictly: a tensor missing or left over is an error.
        fresh = _twin(name, size, {"state_dict": kept, "num_classes": 0, "label_offset": 0})
    except Exception as error:  # the renaming of a foreign file fails in as many ways as there are model families
        same = sum(key in kept and kept[key].shape == value.shape for key, value in expected.items())
        raise SpecError(
            f"{same} of the {len(expected)} tensors of timm's {name} are in the file by name and shape; the file holds"
            f" {len(tensors)} ({hub.short(error)})",
            f"all {len(expected)}; only the classifier may be missing or different",
            "name the model that the file was made with",
            str(path),
        ) from error
    model.load_state_dict(fresh.state_dict())


def check_name(name: str) -> None:
    """Raises: SpecError for a model, or a tag of weights, that timm has not, with the nearest that it has."""
    if not timm.is_model(name) or ":" in name or "/" in name:
        near = difflib.get_close_matches(name.split(".")[0], timm.list_models(), n=3, cutoff=0.5)
        mend = f"did you mean {', '.join(map(repr, near))}?" if near else "see timm.list_models()"
        raise SpecError(
            f"timm has no model '{name}'", f"one of timm {timm.__version__}'s own names", mend, f"{WHERE}.model"
        )
    architecture, _, tag = name.partition(".")
    tags = sorted(word.partition(".")[2] for word in timm.list_pretrained(f"{architecture}.*"))
    if tag and tag not in tags:
        found = f"timm has no weights '{tag}' for {architecture}"
        mend = f"model = '{architecture}'"
        raise SpecError(found, f"one of: {', '.join(tags) or 'none'}", mend, f"{WHERE}.model")


def _config(name: str) -> Any:  # noqa: ANN401  # timm's PretrainedCfg
    """What timm knows of a model's weights and input; its defaults for a model without published weights."""
    return get_pretrained_cfg(name) or PretrainedCfg()


def _options(name: str, size: tuple[int, int]) -> dict[str, Any]:
    fixed = {"img_size": size} if _config(name).fixed_input_size else {}
    return {"num_classes": 0, **fixed}


def _twin(name: str, size: tuple[int, int], overlay: dict[str, Any] | None = None) -> nn.Module:
    """A second model, with weights from the hub or from `overlay`; its making leaves the global random state alone."""
    with torch.random.fork_rng(devices=()):
        return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **_options(name, size))


_WHOLE, _AGAIN = "a whole .safetensors file", "copy or download it again"


def _refuse_no_file(path: str) -> None:
    if Path(path).suffix != ".safetensors":
        raise SpecError(
            "first weights of this format are not read",
            "a .safetensors file: other formats can run code when they are opened",
            "convert it once, where you trust it: safetensors.torch.save_file(torch.load(OLD, weights_only=True), NEW)",
            str(path),
        )
    if not Path(path).is_file():
        raise SpecError(
            "there is no such file",
            "a .safetensors file",
            "mend `weights`; paths start from the working folder",
            str(path),
        )


def _header(path: str) -> dict[str, tuple[int, ...]]:
    """{name: shape} of what a safetensors file holds; no tensor is read."""
    _refuse_no_file(path)
    heads = check_safetensors(Path(path), expected=_WHOLE, mend=_AGAIN, error=SpecError)
    return {name: head.shape for name, head in heads.items()}


def _read(path: str) -> dict[str, Tensor]:
    _header(path)
    try:
        tensors = read_safetensors(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise SpecError(f"cannot be read: {hub.short(error)}", _WHOLE, _AGAIN, str(path)) from error
    spoilt = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if spoilt:
        raise SpecError(f"tensor '{spoilt[0]}' is not finite", _WHOLE, _AGAIN, str(path))
    return {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}
