"""What learns by gradients: augmentation → encoder → fusion → head, and the losses that they learn by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from mmfuse.knobs import Part
from mmfuse.labels import Floats, Ints, Labels

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mmfuse.errors import Faults


_MENDS = {
    "maps": "levels = [3, 4, 5] on a `timm` encoder's line, or another encoder that gives maps",
    "tokens": "tokens = true on a `timm` encoder's line, or another encoder that gives tokens",
}


class FlowShape(NamedTuple):
    """What an encoder was seen to give for one modality (by a blank pass)."""

    width: int
    maps: tuple[tuple[int, int, int], ...] = ()
    """(channels, height, width) of each map, fine → coarse."""
    tokens: tuple[int, int] | None = None
    """(tokens, width)."""


class Augmentation(Part):
    """A random change of images in training, drawn per case, on the device.

    Images named in one `on` share each case's draw.
    """

    role: ClassVar[str] = "augmentation"

    def build(self) -> nn.Module:
        """A module with `draw(cases: int, generator: torch.Generator) -> dict[str, Tensor]` (first axis = cases,
        independent of image size, on the CPU) and `forward(images: (cases, 3, h, w) in [0, 1], draw) -> images`.
        """
        raise NotImplementedError


class Encoder(Part):
    """One modality → features. Normalises its own input (law 4); reads no file or hub in `build`."""

    role: ClassVar[str] = "encoder"

    @property
    def gives(self) -> tuple[str, ...]:
        """Which of `vector`, `maps`, `tokens` it gives, where its knobs tell before it is built; empty: they do not."""
        return ()

    def build(self, shape: tuple[int, ...]) -> nn.Module:
        """A module: (batch, *shape) float → `Features`; a bare (batch, width) counts as its vector."""
        raise NotImplementedError

    def stages(self, module: nn.Module) -> Mapping[str, int]:
        """{dotted name of a parameter of what `build` gave: its stage, 0 the lowest}, for `layer_decay`. What is not
        named is of the top stage; empty: it has no stages, and `layer_decay` is refused."""
        return {}

    def start(self, module: nn.Module, weights: str) -> None:
        """Loads first weights into a new module, once. `weights` is `pretrained` or the path of a safetensors file;
        never called for `none`.

        A part that ships no weights leaves `pretrained` alone and refuses a path.
        """
        if weights != "pretrained":
            from mmfuse.errors import SpecError

            raise SpecError(
                f"encoder '{self.name}' cannot start from '{weights}'", "'none' or 'pretrained'", "leave `weights` out"
            )

    def check_start(self, module: nn.Module | None, weights: str) -> None:
        """Raise what `start` would raise (SpecError), without fetching anything; `check` and `--dry-run` ask it.

        `module` is what `build` gave and is not used afterwards; None where no case tells its shape. `weights` is as of
        `start`, or `none`. Here a file is loaded, which is the surest look.
        """
        own = type(self).start is not Encoder.start
        if weights != "none" and (not own or (module is not None and weights != "pretrained")):
            self.start(module, weights)  # type: ignore[arg-type]  # the role's own looks at no module


class FeatureFusion(Part):
    """Features of several modalities → one vector (and whatever else the head and the loss may use)."""

    role: ClassVar[str] = "fusion"

    @property
    def needs(self) -> tuple[str, ...]:
        """Which of `vector`, `maps`, `tokens` it reads. Of a frozen encoder exactly this is kept on disk, beside the
        vector; what is not named may not be there."""
        return ("vector",)

    @property
    def map_levels(self) -> tuple[int, ...]:
        """Which maps it reads where it needs `maps`, counted as in a list: `(-1,)` is the coarsest alone. Empty: all.

        A map that is not named keeps its place in `Features.maps`, but may have no places: (batch, channels, 0, 0).
        """
        return ()

    @property
    def symmetric(self) -> bool:
        """Whether exchanging modalities (with shared encoders) leaves the result the same."""
        return False

    @property
    def arity(self) -> tuple[int, int]:
        """Fewest and most modalities it takes (most 0: any number)."""
        return (2, 0)

    def objections(self, modalities: Mapping[str, str]) -> tuple[str, ...]:
        """What speaks against fusing these {modality: its `use`}, found before anything is built."""
        return ()

    def lacks(self, given: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        """What it misses in {modality: what its encoder `gives`} (empty: unknown), found before anything is built.

        Here: maps or tokens that it needs and that no encoder gives.
        """
        told = all(given.values())
        return tuple(
            f"'{self.name}' reads {kind}, and no encoder gives any: {', '.join(sorted(given))}; mend: {_MENDS[kind]}"
            for kind in self.needs
            if kind in _MENDS and told and not any(kind in kinds for kinds in given.values())
        )

    def loss_counts(self, flows: Mapping[str, FlowShape], present: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return how much each case counts in the mean that a loss of `Fused.losses` is: {name: (cases,)}, numbers ≥ 0
        from who has what (`present`, (cases,) bool each). Slices and batches of one step are put together by it; a loss
        that is not named is a mean over all cases.
        """
        return {}

    def build(self, flows: Mapping[str, FlowShape]) -> nn.Module:
        """A module: `(features: dict[str, Features], present: dict[str, (batch,) bool])` → `Fused` (a bare (batch,
        width) counts as its vector). Every modality's tensors are full; where it is absent they hold the stand-in.

        Raises: SpecError where the flows do not fit (unequal widths …), with the mend.
        """
        raise NotImplementedError


def refuse_set(fusion: FeatureFusion | Literal[""], modality: str, faults: Faults) -> None:
    """Adds a fault if a fusion reads more than vectors of a modality whose cases hold several images: those alone are
    pooled, as places of different photographs have nothing in common."""
    if fusion != "" and {*fusion.needs} != {"vector"}:
        found = f"'{fusion.name}' reads {' and '.join(fusion.needs)}, and '{modality}' holds several images a case"
        faults.add(
            "network.fusion", found, "vectors alone, which are pooled", 'fusion = "concat" (sum …), or one image a case'
        )


class Head(Part):
    """A vector → scores over all columns."""

    role: ClassVar[str] = "head"

    def cautions(self, labels: Labels, targets: Ints) -> tuple[str, ...]:
        """What the user should know before it learns from these training cases; `targets` (cases, labels), -1 unknown.

        Told as warnings, by `check` and before training.
        """
        return ()

    def build(self, width: int, labels: Labels) -> nn.Module:
        """A module: (batch, width) → `Scores`; a bare (batch, columns) counts as its logits."""
        raise NotImplementedError


class Loss(Part):
    """What training makes small."""

    role: ClassVar[str] = "loss"
    weighs_cases: ClassVar[bool] = False
    """Whether each case's share is multiplied by `outputs.weight` (mean 1 over the training cases, so it is not divided
    by their sum). If not, a card with case weights is refused.
    """
    accumulates: ClassVar[bool] = False
    """Whether its means are over what counts in `outputs.effective`, where there is one: the terms of the batches of
    one step (`training.accumulate`) then add up to those of all of them as one batch. If not, the terms of each batch
    are weighed by its share of the cases with a known label, which is exact for a mean over those cases alone.
    """

    def cautions(self, labels: Labels, targets: Ints) -> tuple[str, ...]:
        """What the user should know before it learns from these training cases; `targets` (cases, labels), -1 unknown.

        Told as warnings, by `check` and before training.
        """
        return ()

    def build(self, labels: Labels, counts: Floats) -> nn.Module:
        """A module: `(outputs: Outputs, targets: (batch, labels) int64 with -1 unknown, progress: float in [0, 1])` →
        {name: scalar}; the sum of the scalars is minimised. `counts` (columns,) are the training cases of each class.
        """
        raise NotImplementedError


class Pretext(Part):
    """An objective without labels, for the same training loop."""

    role: ClassVar[str] = "pretext"
    contrasts: ClassVar[bool] = False
    """Whether a case is told apart from the others of its batch. Batches that are added up (`training.accumulate`) are
    then not what one large batch is, which is told as a warning; else each counts by its number of cases.
    """

    @property
    def draws(self) -> int:
        """How many augmented readings of each case one step takes."""
        return 1

    @property
    def needs(self) -> tuple[str, ...]:
        """Which of `fusion` and `head` it reads; a network without them is refused before it learns."""
        return ()

    def objections(self, modalities: Mapping[str, str]) -> tuple[str, ...]:
        """What speaks against pretraining with these encoded {modality: its `use`}, found before anything is built."""
        return ()

    def build(self, widths: Mapping[str, int], labels: Labels, cases: int) -> nn.Module:
        """A module that learns beside the network. `widths` are those of each encoded modality's vector and, where
        there is a fusion (or one modality alone), of `fused`; `cases` is how many it learns from.

        `forward(draws: Sequence[Outputs], position: (batch,) int64 in 0..cases-1, gather) -> {name: scalar}`: the
        network's outputs for each augmented reading of one batch; their sum is minimised. `gather(tensor: (batch, …))
        -> (batches, …)` joins what all processes hold, gradients included; every process must call it alike, and may
        hold another number of cases.
        `begin_epoch(epoch, embed) -> tuple[str, ...]`: before each epoch, from 1; `embed(of) -> (cases, …)` is
        `of(outputs)` of all cases, unaugmented and without gradients; what it gives back is told to the user. What it
        keeps from epoch to epoch are buffers: they are in the checkpoint.

        Raises: SpecError where widths or labels do not fit, with the mend.
        """
        raise NotImplementedError
