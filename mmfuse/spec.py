"""Card and plan: two trees of frozen values, equal to two TOML files. Nothing derived is written in them; nothing is
inherited or computed.

A line of a section holds one part (`use` and its knobs) and the engine's own knobs beside it (`knobs.RESERVED`).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from mmfuse.card import Card
from mmfuse.errors import Faults
from mmfuse.knobs import Line, Names, Node, Words
from mmfuse.parts import Augmentation, Encoder, FeatureFusion, Head, Loss, Pretext
from mmfuse.parts.outcomes import DecisionFusion, Metric, SecondStage

View = Literal["identity", "flip-x", "flip-y", "rotate-90", "rotate-180", "rotate-270"]
"""A test-time view of an image, by name; what each does, `net.views` knows."""

# ── the plan: what is done with it ────────────────────────────────────────────────────────────────────────────────────


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
    pool: Literal["mean", "max", "attention"] = "mean"
    """How the vectors of several images of one case become one; `attention` learns, and starts as the mean."""

    @property
    def learns(self) -> bool:
        """Whether labels are in the vectors that it gives."""
        return self.frozen is not True or self.pool == "attention"


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


Epochs = Literal["", "log-loss", "brier", "accuracy", "balanced-accuracy", "macro-f1", "macro-auc", "average-precision"]
"""What epochs are compared by without a part; the names of `metrics.METRICS`."""


class BestEpoch(Node):
    """Which epoch is kept: the best mean of a metric over sources, on `valid`. Empty metric: the last epoch."""

    metric: Epochs | Metric = "log-loss"
    """One of these words (of all classes that occur, however rare), or any other `Metric`; of one with a finite ideal
    the nearest value.
    """
    sources: Names = ("fused",)
    """Of the network; a use stands for the side heads of its modalities."""


class FoldColumn(Node):
    """Out-of-fold prediction by a column instead of drawn folds.

    For each value in `predict`, a network of the training cases with any other value.
    """

    column: str
    """Of the table."""
    predict: Names
    """Its values that are folds."""


class TrainingSection(Node):
    """How the network learns."""

    epochs: Annotated[int, Field(ge=1)] = 50
    """Passes over the training cases."""
    batch: Annotated[int, Field(ge=1)] = 32
    """Cases a batch."""
    sampling: Literal["all", "balanced"] = "all"
    """What an epoch shows. all: each case once. balanced: as many cases, drawn so that the classes of a label are even;
    of several labels each gives an even part of the draws. Unknown cases are not drawn. Probabilities then speak of
    even classes.
    """
    accumulate: Annotated[int, Field(ge=1)] = 1
    """Batches whose gradients are added up before a step."""
    optimiser: Literal["adam", "adamw", "sgd"] = "adamw"
    """Fused where torch can; sgd has Nesterov momentum 0.9."""
    lr: Annotated[float, Field(gt=0)] = 1e-3
    """The largest learning rate."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Of weights; biases, normalisation and stand-ins do not decay."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Of the learning rate after the warm-up: half a cosine down to 0, or constant."""
    schedule_by: Literal["step", "epoch"] = "step"
    """Whether the rate changes at each step, or at each epoch."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of all steps during which the rate rises linearly."""
    clip: Annotated[float, Field(ge=0)] = 0.0
    """Largest norm of the gradient; 0: not clipped."""
    average: Literal["none", "ema", "swa"] = "none"
    """Of the weights, watched on `valid` and kept instead of them. ema: exponential, over steps. swa: the mean of the
    last epochs, at the rate that they begin with; no other epoch is kept.
    """
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Share of the average that a step leaves; in the first ones at most (1 + steps) / (10 + steps)."""
    swa_share: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Of all epochs, the last ones, that swa averages."""
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    """auto: bf16-mixed on CUDA, 32-true elsewhere."""
    compile: bool = False
    """Image encoders that learn are compiled (`torch.compile`) while they do: a minute or more, then faster on CUDA."""
    shard: bool = False
    """Of several processes (torchrun) each holds a part of weights, gradients and optimiser state (FSDP), no copy."""
    loss: Loss | Literal[""] = ""
    """Empty: `cross-entropy`."""
    best: BestEpoch = BestEpoch()
    """Which epoch is kept."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Epochs without a better one before training stops; 0: never."""
    modality_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Chance, per case and present modality, that it is hidden; at least one is kept."""
    folds: Annotated[int, Field(ge=2)] | FoldColumn = 5
    """How many networks speak out of fold; or a column that says who is in which fold."""
    frozen_precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    """Of frozen image encoders. auto: bf16-mixed where the device works in it by itself; a run keeps the choice."""
    cache_limit: Annotated[float, Field(ge=0)] = 20.0
    """GB that features of frozen encoders may take on disk for a network's cases; above, encoders run each epoch."""
    feature_views: Annotated[int, Field(ge=0)] = 0
    """Of a case's images that frozen encoders read: as it is and fixed augmented draws, one an epoch. 0, 1: none."""
    serve: Literal["refit", "folds"] = "refit"
    """Who speaks about cases outside `train`: one network of all training cases, or the mean of the fold networks."""
    transductive: bool = False
    """Whether pretraining reads `test` cases too, without their labels; every result that rests on it says so."""


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


class PretextLine(Line):
    """One step of pretraining: an objective without labels, and how it is learnt. What is 0 is as [training] says."""

    part: Pretext
    epochs: Annotated[int, Field(ge=0)] = 0
    """Passes over the cases."""
    batch: Annotated[int, Field(ge=0)] = 0
    """Cases a batch."""
    lr: Annotated[float, Field(ge=0)] = 0.0
    """The largest learning rate."""
    hold_encoders: bool = False
    """The encoders stay as they are (in eval mode); fusion and heads learn."""


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


def unanswered(plan: Plan) -> Faults:
    """Return what speaks against learning from labels by a plan that answers none: its network has neither head nor
    decision behind it."""
    faults = Faults()
    if plan.network != "" and plan.network.head == "" and not plan.decisions:
        found = "the plan has neither a head nor a decision: nothing is learnt and nothing predicted"
        mend = 'head = "linear", or [decisions.NAME]; features of frozen encoders alone are for `mmfuse embed`'
        faults.add("network.head", found, "something that predicts", mend)
    return faults


class Spec(Node):
    """Card + plan: complete, nothing derived in it."""

    card: Card
    plan: Plan = Plan()

    sections: ClassVar[Words] = (*Card.model_fields, *Plan.model_fields)

    @classmethod
    def load(cls, plan: Any, card: Any = None, **options: Any) -> Self:  # noqa: ANN401  # what `mmfuse.load` takes
        """Reads a plan (file, recipe's name or tree) and a card; the same as `mmfuse.load`."""
        import mmfuse

        return mmfuse.load(plan, card, **options)  # type: ignore[no-any-return]
