"""The roles that a plugin may fill. A part is frozen knobs plus one method that makes the thing that works (law 1).

Nothing here imports torch, pandas, SciPy or scikit-learn; a part imports what it needs inside its method. What the
pipeline knows by itself (shapes, labels, counts) is an argument: nobody writes a size twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmfuse.knobs import Part
from mmfuse.labels import Floats, Ints, Labels
from mmfuse.learnt import Learnt

if TYPE_CHECKING:
    from torch import nn

    from mmfuse.data.cases import Rows, Table

Bools = NDArray[np.bool_]
Bytes = NDArray[np.uint8]


class FlowShape(NamedTuple):
    """What an encoder was seen to give for one modality (by a blank pass)."""

    width: int
    maps: tuple[tuple[int, int, int], ...] = ()
    """(channels, height, width) of each map, fine → coarse."""
    tokens: tuple[int, int] | None = None
    """(tokens, width)."""


class Reader(Learnt):
    """What `Modality.fit` returns: knows how to read rows. A subclass is a frozen dataclass (see `Learnt`)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one case: (3, height, width) for images, (width,) for tables and vectors."""
        raise NotImplementedError

    @property
    def dtype(self) -> str:
        """`uint8` for images (the engine scales them to [0, 1] on the device), else `float32`."""
        return "float32"

    def read(self, rows: Rows) -> tuple[NDArray[Any], Bools]:
        """(n, *shape) and which of the n are present; what stands at an absent row is never looked at.

        Raises: TableError naming row, column and file.
        """
        raise NotImplementedError

    def flags(self, rows: Rows) -> tuple[str, ...]:
        """(n,) what in each row training never saw (a category, a number out of range); empty where nothing is odd."""
        return ("",) * len(rows)

    def files(self, rows: Rows) -> tuple[Path | None, ...]:
        """The one file behind each row (None: absent).

        Where a reader gives them, the engine decodes each file once and caches it.
        """
        return ()

    def fingerprint(self) -> str:
        """What, beside the file's content, decides the pixels: steps, size, versions.

        Only asked for where `files` gives paths.
        """
        return ""


class Modality(Part):
    """A named input: columns of the table → arrays."""

    role: ClassVar[str] = "modality"
    reader: ClassVar[type[Reader]] = Reader
    """The class that `fit` returns; see `load`."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The table's columns that it reads."""
        raise NotImplementedError

    @property
    def is_image(self) -> bool:
        """Whether it yields (3, height, width) in [0, 1]: augmentations and test-time views apply to it."""
        return False

    def fit(self, rows: Rows) -> Reader:
        """Learns from training rows (label columns are not in them) whatever reading needs: means, categories …"""
        raise NotImplementedError

    def load(self, stem: Path) -> Reader:
        """The reader that was stored at `stem`. A part whose reader holds other parts (steps) gives it its own again.

        Raises: RunError if it cannot be read.
        """
        return self.reader.load(stem)


class Step(Part):
    """A fixed change of an image before the cache."""

    role: ClassVar[str] = "step"

    def apply(self, image: Bytes) -> Bytes:
        """(height, width, 3) uint8 RGB → the same kind, any size."""
        raise NotImplementedError


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

    def build(self, shape: tuple[int, ...]) -> nn.Module:
        """A module: (batch, *shape) float → `Features`; a bare (batch, width) counts as its vector."""
        raise NotImplementedError

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


class FeatureFusion(Part):
    """Features of several modalities → one vector (and whatever else the head and the loss may use)."""

    role: ClassVar[str] = "fusion"

    @property
    def needs(self) -> tuple[str, ...]:
        """Which of `vector`, `maps`, `tokens` it reads. Frozen features are cached to exactly this."""
        return ("vector",)

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

    def build(self, flows: Mapping[str, FlowShape]) -> nn.Module:
        """A module: `(features: dict[str, Features], present: dict[str, (batch,) bool])` → `Fused` (a bare (batch,
        width) counts as its vector). Every modality's tensors are full; where it is absent they hold the stand-in.

        Raises: SpecError where the flows do not fit (unequal widths …), with the mend.
        """
        raise NotImplementedError


class Head(Part):
    """A vector → scores over all columns."""

    role: ClassVar[str] = "head"

    def build(self, width: int, labels: Labels) -> nn.Module:
        """A module: (batch, width) → `Scores`; a bare (batch, columns) counts as its logits."""
        raise NotImplementedError


class Loss(Part):
    """What training makes small."""

    role: ClassVar[str] = "loss"

    def build(self, labels: Labels, counts: Floats) -> nn.Module:
        """A module: `(outputs: Outputs, targets: (batch, labels) int64 with -1 unknown, progress: float in [0, 1])` →
        {name: scalar}; the sum of the scalars is minimised. `counts` (columns,) are the training cases of each class.
        """
        raise NotImplementedError


class Pretext(Part):
    """An objective without labels, for the same training loop."""

    role: ClassVar[str] = "pretext"

    def build(self, network: nn.Module, labels: Labels, cases: int) -> nn.Module:
        """A module with `forward(batch, gather) -> {name: loss}` and `begin_epoch(epoch, embed)`; its buffers are
        checkpointed.
        """
        raise NotImplementedError


class DecisionFusion(Part):
    """A rule that makes one prediction of several.

    What it learns, it learns on `valid` (or out-of-fold `train`), cross-fitted by the engine.
    """

    role: ClassVar[str] = "decision"
    rule: ClassVar[type[Rule]]
    """The class that `fit` returns; stored runs are read again through it."""

    @property
    def arity(self) -> tuple[int, int]:
        """Fewest and most sources it reads (most 0: any number)."""
        return (1, 0)

    @property
    def per_view(self) -> bool:
        """Whether it sees the test-time views (and ends with their mean), or the mean of their probabilities."""
        return False

    def fit(self, scores: Floats, targets: Ints, labels: Labels, weight: Floats) -> Rule:
        """`scores` (sources, views, cases, columns) log-probabilities, NaN where a source abstains; `views` is 1 unless
        `per_view`. A log-probability differs from a network's logit by a constant per label, view and case, so any
        linear mixture of logits is a mixture of these up to the softmax. `targets` (cases, labels), -1 unknown;
        `weight` (cases,).
        """
        raise NotImplementedError


class Rule(Learnt):
    """What `DecisionFusion.fit` returns. A subclass is a frozen dataclass (see `Learnt`)."""

    def __call__(self, scores: Floats, labels: Labels) -> Floats:
        """(sources, views, cases, columns) log-probabilities → (cases, columns) probabilities: within each label they
        sum to one; sources that abstain (NaN) are left out and the others renormalised; NaN where all abstain.
        """
        raise NotImplementedError


class SecondStage(Part):
    """A classifier on earlier scores ⊕ features, one a label.

    The engine does class gaps, one-class labels, folds, calibration and absent inputs.
    """

    role: ClassVar[str] = "stage"
    calibrate: Literal["auto", "none", "sigmoid"] = "auto"
    """Platt's sigmoid on grouped out-of-fold decision values; `auto`: where the estimator gives no probabilities."""
    suffix: ClassVar[str] = "skops"
    """Of the files that `save` writes, one a label."""

    @property
    def trusts(self) -> tuple[str, ...]:
        """Types outside scikit-learn, NumPy and SciPy that its stored estimator holds, as `module.Class`."""
        return ()

    def estimator(self, seed: int) -> Any:  # noqa: ANN401  # scikit-learn's classifiers share no base type that says enough
        """A bare, unfitted scikit-learn classifier (a Pipeline is one)."""
        raise NotImplementedError

    def save(self, estimator: Any, path: Path) -> None:  # noqa: ANN401
        """Stores a fitted estimator, never as pickle: by default as skops.

        A library with a format of its own overrides both `save` and `load`.
        """
        from mmfuse import estimators

        estimators.save(estimator, path, self.trusts)

    def load(self, path: Path, seed: int) -> Any:  # noqa: ANN401
        """Reads what `save` wrote; `seed` is the one that the estimator was made with.

        Raises: RunError naming the file that is missing or broken, or the types in it that are not trusted.
        """
        from mmfuse import estimators

        return estimators.load(path, self.trusts)


class Metric(Part):
    """A figure of merit, vectorised over replicates of the cases."""

    role: ClassVar[str] = "metric"

    @property
    def larger_is_better(self) -> bool:
        """Which of two figures is the better one."""
        return True

    def score(self, p: Floats, targets: Ints, labels: Labels, weight: Floats) -> Floats:
        """`p` (cases, columns) probabilities, `targets` (cases, labels), `weight` (replicates, cases) → (replicates,
        labels); NaN where undefined.
        """
        raise NotImplementedError


class Tidy(NamedTuple):
    """What an adapter makes of a released folder."""

    table: Table
    card: dict[str, Any]
    """The card as its TOML tree; paths in the table are relative to `card["cases"]["root"]`."""
    notes: tuple[str, ...] = ()
    """What the user should know: cases left out, known faults of the release …"""


class Adapter(Part):
    """A released dataset folder → tidy cases and their card."""

    role: ClassVar[str] = "adapter"

    def tidy(self, release: Path) -> Tidy:
        """Reads the official layout at `release`.

        Raises: TableError naming the file, what was found and what the official layout has.
        """
        raise NotImplementedError


ROLES: tuple[type[Part], ...] = (
    Modality, Step, Augmentation, Encoder, FeatureFusion, Head, Loss, Pretext,
    DecisionFusion, SecondStage, Metric, Adapter,
)  # fmt: skip
"""All roles, in the order data flows."""
