"""One modality for mmfuse: columns of the table → arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

import mmfuse


@dataclass(frozen=True, eq=False)
class NewReader(mmfuse.Reader):
    """What was learnt from the training rows, and how rows are read with it."""

    column: str
    mean: float
    deviation: float

    @property
    def shape(self) -> tuple[int, ...]:
        return (1,)

    def read(self, rows: mmfuse.Rows) -> tuple[np.ndarray, np.ndarray]:
        """(n, 1) scaled numbers, and which of the n cells hold one."""
        values = rows.numbers(self.column)
        present = ~np.isnan(values)
        scaled = (np.where(present, values, self.mean) - self.mean) / self.deviation
        return scaled.astype(np.float32)[:, None], present


class NewPart(mmfuse.Modality):
    """One number, scaled by the mean and deviation of the training cases."""

    reader: ClassVar[type[mmfuse.Reader]] = NewReader

    column: str = "age"
    """The table's column."""

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def fit(self, rows: mmfuse.Rows) -> NewReader:
        values = rows.numbers(self.column)
        known = values[~np.isnan(values)]
        if known.size == 0:
            return NewReader(self.column, 0.0, 1.0)
        return NewReader(self.column, float(known.mean()), float(known.std()) or 1.0)


@mmfuse.hookimpl
def mmfuse_parts() -> list[type[mmfuse.Part]]:
    return [NewPart]
