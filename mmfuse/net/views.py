"""Test-time views: fixed changes of an image under which its labels stay what they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mmfuse.errors import Faults, SpecError, nearest

Images = Float[Tensor, "batch 3 height width"]

IDENTITY = "identity"
DRAWS = "draws"
"""The name of all fixed augmented draws together, where views have theirs."""

VIEWS: Mapping[str, Callable[[Images], Images]] = {
    IDENTITY: lambda images: images,
    "flip-x": lambda images: images.flip(-1),
    "flip-y": lambda images: images.flip(-2),
    "rotate-90": lambda images: torch.rot90(images, 1, (-2, -1)),
    "rotate-180": lambda images: torch.rot90(images, 2, (-2, -1)),
    "rotate-270": lambda images: torch.rot90(images, 3, (-2, -1)),
}
"""Every view by name. `flip-x` mirrors left and right, `flip-y` top and bottom; rotations are counter-clockwise."""

TURNS = ("rotate-90", "rotate-270")
"""Views that exchange height and width."""


def check_views(names: Sequence[str], image_shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """The views that will be computed: `names`, or the identity alone where no image is encoded (all views would be
    equal).

    Raises: SpecError for an unknown view, one that stands twice, none at all, or a quarter turn of images that are not
    square.
    """
    faults, where = Faults(), "prediction.views"
    if not names:
        faults.add(where, "no view", "one or more", 'views = ["identity"]')
    for name in dict.fromkeys(names):
        if name not in VIEWS:
            faults.add(where, f"no view is called '{name}'", mend=nearest(name, VIEWS))
        if names.count(name) > 1:
            faults.add(where, f"'{name}' stands {names.count(name)} times", "each view once")
        for modality, shape in image_shapes.items():
            if name in TURNS and shape[-1] != shape[-2]:
                faults.add(
                    where, f"'{name}' of '{modality}', whose images are {shape[-2]}×{shape[-1]}", "square images"
                )
    faults.raise_as(SpecError)
    return tuple(names) if image_shapes else (IDENTITY,)
