"""How a network learns: the plan's [training], and the steps of its [pretexts]."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mmfuse.knobs import Node
from mmfuse.parts import Loss, Pretext
from mmfuse.parts.outcomes import Metric
from mmfuse.spec.words import Line, Names

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
