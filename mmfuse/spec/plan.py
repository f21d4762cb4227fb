"""The plan: what is done with a table, section by section."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mmfuse.knobs import Node
from mmfuse.parts import Augmentation, Encoder, FeatureFusion, Head
from mmfuse.parts.outcomes import DecisionFusion, SecondStage
from mmfuse.spec.training import PretextLine, TrainingSection
from mmfuse.spec.words import Line, Names, Words

View = Literal["identity", "flip-x", "flip-y", "rotate-90", "rotate-180", "rotate-270"]
"""A test-time view of an image, by name; what each does, `net.views` knows."""


class AugmentLine(Line):
    """An augmentation and what it changes; all that `on` names share each case's draw."""

    part: Augmentation
    on: Names
    """Image modalities, or a use."""
    tied: bool = True
    """False: each of the modalities draws for itself."""


class EncoderLine(Line):
    """An encoder of one modality, or of all modalities of a use."""

    part: Encoder
    share: bool = False
    """One module for all modalities of this line."""
    weights: str = "pretrained"
    """First weights: `pretrained` (what the part ships), `none`, a safetensors file, a run (`RUN`, `RUN#modality`)."""
    frozen: bool | Words = False
    """True: runs once, in eval mode. Names: the submodules (dotted prefixes) that are held fixed."""
    lr: Annotated[float, Field(gt=0)] = 1.0
    """Factor on `training.lr` for this encoder."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Further factor for each of the encoder's stages below its top one; 1: all stages learn alike."""


class NetworkSection(Node):
    """Encoders → fusion → heads."""

    encoders: dict[str, EncoderLine]
    """By modality, or by use for all its modalities without a line of their own."""
    fusion: FeatureFusion | Literal[""] = ""
    """Empty where one modality is encoded."""
    head: Head | Literal[""] = ""
    """Empty where a command needs none (embed, pretrain)."""
    side_heads: bool = False
    """Each encoded modality predicts beside `fused`, through a head of the same kind with its own weights."""
    weights: str = ""
    """A run whose every tensor that fits is loaded, head included."""


class PredictionSection(Node):
    """How the network predicts."""

    views: tuple[View, ...] = ("identity",)
    """Test-time views of every image."""
    batch: Annotated[int, Field(ge=1)] = 64
    """Cases a batch."""
    operating_points: dict[str, str] = {}  # noqa: RUF012
    """By label, from when on a case is called positive: `"sensitivity >= 0.95"` (or specificity, ppv, npv), fitted on
    `valid` for every source.
    """


class DecisionLine(Line):
    """A decision or second stage: what it reads and where it learns."""

    part: DecisionFusion | SecondStage
    reads: Names = ()
    """Sources that stand above; a use stands for the side heads of its modalities."""
    features: Names = ()
    """Modalities whose tables, vectors or frozen features a second stage reads beside."""
    learn: Literal["auto", "train", "valid", "valid-reused"] = "auto"
    """auto: second stages on `train`, decisions on `valid` (on out-of-fold `train` where there is no `valid`).
    `valid-reused` drops the cross-fitting on `valid`, as some papers do: its figures on `valid` are optimistic, and so
    is what is learnt from them there.
    """


class Plan(Node):
    """What is done with a table. It may name no column, class or modality; then it runs on any."""

    seed: int = 0
    """All randomness is derived from it, by name."""
    augment: dict[str, AugmentLine] = {}  # noqa: RUF012
    network: NetworkSection | Literal[""] = ""
    pretexts: dict[str, PretextLine] = {}  # noqa: RUF012
    """What `mmfuse pretrain` does, in this order, with one network."""
    training: TrainingSection = TrainingSection()
    prediction: PredictionSection = PredictionSection()
    decisions: dict[str, DecisionLine] = {}  # noqa: RUF012
