"""Augmentations at work: one draw a case for each line of the plan, shared by all modalities it names, on the
device."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import torch
from torch import Tensor, nn

from mmfuse.attribution import attributed
from mmfuse.errors import PartError
from mmfuse.net.batches import Batch
from mmfuse.net.sets import case_of, changed_rows
from mmfuse.parts import Augmentation
from mmfuse.wiring import Wiring


class Augmenter:
    """Changes the images of a batch in training. Modalities whose encoders are frozen (`skip`) are left
    alone."""

    def __init__(self, wiring: Wiring, skip: Collection[str], device: torch.device) -> None:
        self._lines: list[tuple[Augmentation, nn.Module, tuple[str, ...]]] = []
        for line, modalities in wiring.augment:
            named = tuple(m for m in modalities if m in wiring.encoders and m not in skip)
            for together in [named] if line.tied else [(modality,) for modality in named]:
                if together:
                    self._lines.append((line.part, built(line.part).to(device), together))

    @torch.no_grad()
    def change(self, batch: Batch, generator: torch.Generator, part: slice = slice(None), cases: int = 0) -> None:
        """Puts changed images into `batch.inputs`; rows where the modality is absent or hidden stay as they are. Each
        line draws for all cases of the batch, whoever is present, so that a case's draw does not depend on its
        neighbours; several images of a case share it. A batch that is the `part` of one of `cases` gets its draws."""
        for augmentation, module, modalities in self._lines:
            draw = {
                key: value[part] for key, value in drawn(augmentation, module, cases or len(batch), generator).items()
            }
            for modality in modalities:
                given = batch.inputs[modality]
                of = case_of(given)
                rows = batch.present[modality][of].nonzero()[:, 0]
                if len(rows):
                    own = {key: value[of] for key, value in draw.items()}
                    change = partial(changed, augmentation, module, rows=rows, draw=own)
                    batch.inputs[modality] = changed_rows(given, change)


def built(part: Augmentation) -> nn.Module:
    """Return an augmentation's module. Raises: PartFailedError where its own code fails; so do `drawn`, `changed`."""
    with attributed(part, "`build`", "augment"):
        return part.build()


def drawn(part: Augmentation, module: nn.Module, cases: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Return what an augmentation draws for so many cases."""
    with attributed(part, "`draw`", "augment"):
        return module.draw(cases, generator)  # type: ignore[operator,no-any-return]  # the role's contract


def changed(part: Augmentation, module: nn.Module, images: Tensor, rows: Tensor, draw: dict[str, Tensor]) -> Tensor:
    """The images with those at `rows` changed by an augmentation. Raises: PartError if it does not keep its
    contract."""
    short = {key: tuple(value.shape) for key, value in draw.items() if len(value) != len(images)}
    if short:
        raise PartError(
            f"augmentation '{part.name}' draws {short} for {len(images)} cases",
            "a first axis of cases",
            "mend its `draw`",
        )
    everyone = len(rows) == len(images)
    given = images if everyone else images[rows.to(images.device)]
    own = {key: value[rows].to(images.device, non_blocking=True) for key, value in draw.items()}
    with attributed(part, "`forward`", "augment"):
        made = module(given, own)
    if made.shape != given.shape:
        found = f"augmentation '{part.name}' makes {tuple(made.shape)} of {tuple(given.shape)}"
        raise PartError(found, "images of the same size", "resize them back inside it")
    return made if everyone else images.index_copy(0, rows.to(images.device), made.to(images.dtype))
