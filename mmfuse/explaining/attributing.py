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
    """(height, width) non-negative: where the channels of the encoder's last map speak for the class. None where the
    encoder has no map of more than one place, or a picture passes it more than once."""
    layer = last_map(subject, modality)
    if layer is None:
        return None
    method = captum().LayerGradCam(_asked(subject, (modality,), source, column, part), layer)
    with torch.enable_grad(), _no_inplace(subject.network):
        found = method.attribute((subject.inputs[modality].clone(),), relu_attributions=True)
    return found[subject.names([subject.modality(modality)]).index(modality), 0].detach().cpu()  # type: ignore[no-any-return]


def last_map(subject: Subject, modality: str) -> nn.Module | None:
    """The module of the encoder that last gives (1, channels, height, width) of more than one place, if any."""
    seen: list[nn.Module] = []

    def look(module: nn.Module, _: object, given: object) -> None:
        if isinstance(given, Tensor) and given.dim() == 4 and given.shape[-1] * given.shape[-2] > 1:
            seen.append(module)
        elif isinstance(given, Tensor) and given.dim() == 3 and given.shape[1] > 1:
            seen.clear()  # from here on it works on tokens: the map before them is that of patches alone

    learns = [
        module
        for module in subject.network.encoder(subject.modality(modality)).modules()
        if any(True for _ in module.parameters())
    ]
    hooks = [module.register_forward_hook(look) for module in learns]  # a picture of changed colours is no map
    try:
        with torch.no_grad():
            subject.outputs()
    finally:
        for hook in hooks:
            hook.remove()
    return seen[-1] if seen and seen.count(seen[-1]) == 1 else None


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
