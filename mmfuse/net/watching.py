"""What is watched while a network learns: its losses, and which epoch is best (the mean of a metric over labels and
sources, on `valid`)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmfuse.data.words import named
from mmfuse.errors import SpecError, nearest
from mmfuse.labels import Ints, Labels
from mmfuse.metrics import MEASURES, METRICS, Asked, Measure, merit
from mmfuse.net.answering import RawScores
from mmfuse.net.batches import Index
from mmfuse.net.lessons import Lesson, learning
from mmfuse.parts import Metric

LOOKED_AT = 16
"""Steps between looks at the losses; each look waits for the device."""


class Watched:
    """The metric by which epochs are compared: a word of `METRICS`, or a part."""

    def __init__(self, metric: str | Metric, sources: tuple[str, ...], labels: Labels) -> None:
        if isinstance(metric, Metric):
            self.metric, self._figure = metric.name, Asked(metric.name, metric)
        elif metric in METRICS:
            self.metric, self._figure = metric, Asked(metric, Measure(METRICS[metric], MEASURES[metric].ideal))
        else:
            raise SpecError(
                f"no metric is called '{metric}'", mend=nearest(metric, METRICS), where="training.best.metric"
            )
        self.sources, self.labels = sources, labels

    def value(self, scores: RawScores, targets: Ints) -> float:
        """Mean over labels (by their weight) and over sources, of what is defined; NaN if nothing is."""
        means = [self._of_source(scores[source], targets) for source in self.sources]
        defined = [value for value in means if not math.isnan(value)]
        return sum(defined) / len(defined) if defined else math.nan

    def _of_source(self, logits: np.ndarray, targets: Ints) -> float:
        p = self.labels.softmax(logits.astype(np.float64)).mean(axis=0)
        by_label = self._figure.score(p, targets, self.labels)[0]
        weight = np.where(np.isnan(by_label), 0.0, self.labels.weights if len(by_label) == len(self.labels) else 1.0)
        return float((np.nan_to_num(by_label) * weight).sum() / weight.sum()) if weight.sum() > 0 else math.nan

    def better(self, value: float, than: float) -> bool:
        """Whether `value` beats the best so far (NaN: there is none)."""
        if math.isnan(value):
            return False
        ideal = self._figure.figure.ideal
        return math.isnan(than) or bool(merit(ideal, value) > merit(ideal, than))


class _Looked(NamedTuple):
    """What is looked at later of one batch."""

    cases: Index
    losses: dict[str, Tensor]
    share: float
    broken: Tensor | None


class LossLog:
    """Losses of an epoch, by name. They are looked at every few steps, since each look waits for the device."""

    def __init__(self, ids: NDArray[np.str_], network: str, epoch: int, lr: float) -> None:
        self._ids, self._where, self._lr = ids, f"{network}, epoch {epoch}", lr
        self._waiting: list[_Looked] = []
        self._sums: dict[str, float] = {}
        self._cases: dict[str, int] = {}

    def add(self, index: Index, losses: dict[str, Tensor], share: float, broken: Tensor | None) -> None:
        """Take the losses of the cases at `index`, which are a `share` of their step's: what they add to its losses.
        `broken` (cases,): whose scores are not finite.

        Raises: SpecError if one of the last few losses or scores was not finite, naming the cases.
        """
        self._waiting.append(_Looked(index, {name: loss.detach() for name, loss in losses.items()}, share, broken))
        if len(self._waiting) >= LOOKED_AT or all(loss.device.type == "cpu" for loss in losses.values()):
            self._look()

    def means(self) -> dict[str, float]:
        self._look()
        return {name: total / self._cases[name] for name, total in self._sums.items()}

    def _look(self) -> None:
        for index, losses, share, broken in self._waiting:
            if broken is not None and bool(broken.any()):
                raise self._refusal(
                    index[broken.cpu().numpy()], "scores that are not finite (NaN or infinite)", "finite scores"
                )
            for name, loss in losses.items():
                value = float(loss)
                if not math.isfinite(value):
                    raise self._refusal(index, f"loss '{name}' is {value} on the batch", "a finite loss")
                self._sums[name] = self._sums.get(name, 0.0) + value / share * len(index)
                self._cases[name] = self._cases.get(name, 0) + len(index)
        self._waiting.clear()

    def _refusal(self, index: Index, found: str, wanted: str) -> SpecError:
        mend = f"a smaller training.lr (now {self._lr:g}), training.clip = 1.0, or look at the inputs of these cases"
        return SpecError(f"{found} of cases {named(self._ids[index])}", wanted, mend, self._where)


class Finite:
    """Guards that no weight or statistic which was a finite number becomes another."""

    def __init__(self, lesson: Lesson, lr: float) -> None:
        self._lesson, self._lr = lesson, lr
        self._names = [name for name, tensor in self._state().items() if bool(tensor.isfinite().all())]

    def check(self, where: str) -> None:
        """Raises: SpecError naming tensors that are no longer finite; `where` says when that was."""
        state = self._state()
        sound = torch.stack([state[name].isfinite().all() for name in self._names]).tolist() if self._names else []
        broken = [name for name, is_sound in zip(self._names, sound, strict=True) if not is_sound]
        if broken:
            more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
            found = f"weights that are not finite (NaN or infinite): {', '.join(broken[:3])}{more}"
            mend = f"a smaller training.lr (now {self._lr:g}), or training.clip = 1.0"
            raise SpecError(found, "finite numbers; nothing of it is kept", mend, where)

    def _state(self) -> dict[str, Tensor]:
        state = learning(self._lesson, self._lesson.state_dict(), "network.")
        return {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}
