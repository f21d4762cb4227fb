"""Attribution for any encoder, by captum: integrated gradients of every input, Grad-CAM over the last map of an image's
encoder. What is explained is the log-probability of one class by one source of the network.

Sources: Sundararajan, Taly, Yan, "Axiomatic attribution for deep networks", ICML 2017, eq. 1 (integrated gradients);
Selvaraju et al., "Grad-CAM", ICCV 2017, eqs. 1-2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from mmfuse.errors import PluginError, SpecError, nearest
from mmfuse.explaining.subjects import Subject

AT_ONCE = 4
"""Copies that pass together: few, as a CPU answers them fastest (`net/working.py`)."""

BLUR = 8
"""A blurred picture keeps one eighth of its places."""


def blurred(images: Tensor) -> Tensor:
    """(batch, 3, height, width) → the same, what is smaller than an eighth of the picture washed out."""
    height, width = images.shape[-2:]
    size = (max(height // BLUR, 2) // 2 * 2 + 1, max(width // BLUR, 2) // 2 * 2 + 1)
    for _ in range(3):  # three boxes are nearly a Gaussian
        edges = (size[1] // 2, size[1] // 2, size[0] // 2, size[0] // 2)
        images = avg_pool2d(nn.functional.pad(images, edges, mode="replicate"), size, stride=1)
    return images


BASELINES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "blur": blurred,
    "black": torch.zeros_like,
    "white": torch.ones_like,
    "mean": lambda images: images.mean(dim=(2, 3), keepdim=True).expand_as(images),
}
"""What an image is compared with, by name. A place that looks like its baseline gets no share: with `black`, a dark
lesion would get none."""


def check_baseline(name: str) -> None:
    """Raises: SpecError for an unknown baseline."""
    if name not in BASELINES:
        raise SpecError(
            f"no baseline is called '{name}'", f"one of {', '.join(BASELINES)}", nearest(name, BASELINES), "baseline"
        )


def captum() -> ModuleType:
    """captum's methods.

    Raises: PluginError with the mend where captum is not installed.
    """
    try:
        from captum import attr
    except ImportError as error:
        raise PluginError(
            f"captum cannot be imported: {error}", "captum, which attributes", "pip install 'mmfuse[explain]'"
        ) from error
    return attr  # type: ignore[no-any-return]


def integrated_gradients(
    subject: Subject, modalities: tuple[str, ...], source: str, column: int, part: slice, baseline: str, steps: int
) -> dict[str, Tensor]:
    """{modality: (*shape)} shares of each input in the difference of the log-probability of `column` (counted within
    `part`) between what was read and the baseline; up to the error of `steps` they sum to it.

    Images are compared with their `baseline`; tables and vectors with zeros (of scaled numbers: the training mean).
    """
    given = tuple(subject.inputs[m] for m in modalities)
    blanks = tuple(BASELINES[baseline](t) if t.dim() == 4 else torch.zeros_like(t) for t in given)
    method = captum().IntegratedGradients(_asked(subject, modalities, source, column, part))
    with torch.enable_grad():
        found = method.attribute(given, blanks, n_steps=steps, internal_batch_size=AT_ONCE, method="gausslegendre")
    return {m: tensor[0].detach().cpu() for m, tensor in zip(modalities, found, strict=True)}


def grad_cam(subject: Subject, modality: str, source: str, column: int, part: slice) -> Tensor | None:
    """Return (height, width) non-negative: where the channels of the encoder's last map speak for the class.

    None where the encoder has no map of more than one place whose layout is known (see `channels_last`), or a picture
    passes it more than once. All zero where no channel speaks for the class.
    """
    found = last_map(subject, modality)
    if found is None:
        return None
    with torch.enable_grad(), _no_inplace(subject.network), _channels_first(*found) as layer:
        method = captum().LayerGradCam(_asked(subject, (modality,), source, column, part), layer)
        maps = method.attribute((subject.inputs[modality].clone(),), relu_attributions=True)
    return maps[subject.names([subject.modality(modality)]).index(modality), 0].detach().cpu()  # type: ignore[no-any-return]


def last_map(subject: Subject, modality: str) -> tuple[nn.Module, bool] | None:
    """Return the module of the encoder that last gives a map of more than one place, if any, and whether the map is
    channels last."""
    encoder = subject.network.encoder(subject.modality(modality))
    seen: list[tuple[nn.Module, bool | None]] = []

    def look(module: nn.Module, _: object, given: object) -> None:
        if isinstance(given, Tensor) and given.dim() == 4:
            last = channels_last(encoder, module, given)
            places = given.shape[1:3] if last else given.shape[2:]
            if places.numel() > 1:
                seen.append((module, last))
        elif isinstance(given, Tensor) and given.dim() == 3 and given.shape[1] > 1:
            seen.clear()  # from here on it works on tokens: the map before them is that of patches alone

    learns = [module for module in encoder.modules() if any(True for _ in module.parameters())]
    hooks = [module.register_forward_hook(look) for module in learns]  # a picture of changed colours is no map
    try:
        with torch.no_grad():
            subject.outputs()
    finally:
        for hook in hooks:
            hook.remove()
    if not seen or [module for module, _ in seen].count(seen[-1][0]) > 1:
        return None
    module, last = seen[-1]
    return None if last is None else (module, last)


def channels_last(encoder: nn.Module, module: nn.Module, given: Tensor) -> bool | None:
    """Return whether what `module` of `encoder` gives, a 4-D tensor, is (batch, height, width, channels).

    A layer norm or linear layer says so by its size, a convolution or batch norm is channels first; of any other module
    the nearest module around it that has timm's attribute `output_fmt` ("NHWC" or "NCHW") says it, and torch's
    convention, channels first, holds where none does. None where a layer's size does not tell the two apart.
    """
    own = _last_width(module)
    if own is not None:
        first, last = given.shape[1] == own, given.shape[-1] == own
        return None if first == last else last
    if isinstance(module, nn.modules.conv._ConvNd | nn.modules.batchnorm._NormBase):
        return False
    return _declared_format(encoder, module) == "NHWC"


def _last_width(module: nn.Module) -> int | None:
    """The channels that a layer norm (timm's 2-D one among them) or a linear layer gives; None for other modules."""
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        return int(module.normalized_shape[-1])
    return module.out_features if isinstance(module, nn.Linear) else None


def _declared_format(encoder: nn.Module, module: nn.Module) -> str:
    """What the innermost module of `encoder` that holds `module`, or is it, says of its maps; empty: nothing."""
    told = ""
    for name in _path(encoder, module):
        inner = encoder.get_submodule(name)
        said = vars(inner).get("output_fmt", "")
        told = str(getattr(said, "value", said)) or told
    return told


def _path(encoder: nn.Module, module: nn.Module) -> list[str]:
    """Names of all modules of `encoder` that hold `module`, the outermost first, and of itself."""
    name = next(name for name, inner in encoder.named_modules() if inner is module)
    words = name.split(".") if name else []
    return [".".join(words[:count]) for count in range(len(words) + 1)]


@contextmanager
def _channels_first(layer: nn.Module, last: bool) -> Iterator[nn.Module]:
    """Yield a module that gives the layer's map channels first, as Grad-CAM's formula takes it; the network goes on
    with the map as it was."""
    if not last:
        yield layer
        return
    probe = nn.Identity()
    hook = layer.register_forward_hook(lambda _, __, given: probe(given.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
    try:
        yield probe
    finally:
        hook.remove()


def _asked(
    subject: Subject, modalities: tuple[str, ...], source: str, column: int, part: slice
) -> Callable[..., Tensor]:
    """(*inputs of `modalities`) → (copies,) log-probability. An input that nothing reads has gradient 0, not none."""

    def ask(*given: Tensor) -> Tensor:
        found = subject.log_p(source, part, dict(zip(modalities, given, strict=True)))[:, column]
        return found + sum(0 * tensor.flatten(1).sum(dim=1) for tensor in given)

    return ask


@contextmanager
def _no_inplace(network: nn.Module) -> Iterator[None]:
    """Layers that write into their input would change the map that is looked at after it was taken down."""
    changed = [layer for layer in network.modules() if vars(layer).get("inplace") is True]
    for layer in changed:
        layer.inplace = False  # type: ignore[assignment]
    try:
        yield
    finally:
        for layer in changed:
            layer.inplace = True  # type: ignore[assignment]
