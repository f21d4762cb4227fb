"""Reads columns of numbers and categories as (width,) float32, and says what in a row training never saw."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmfuse import Faults, Reader, TableError, but_for_case

if TYPE_CHECKING:
    from mmfuse import Rows

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


FARTHEST = 1e9
"""Deviations from the training mean that single precision can still compute with: squares of squares are finite."""
_SHOWN = 8
_HUGE, _TINIEST, _CLOSE = 1e100, 1e-300, 1e-6
_EPS = float(np.finfo(float).eps)


def scaling(values: Floats) -> tuple[Floats, Floats]:
    """(n, width) → mean and factor (1 / deviation) of each column, so that `scaled` gives mean 0 and deviation 1.

    Where a column does not vary beyond rounding there is nothing to learn from it: the factor is 0, lest a first other
    value be huge. Columns of huge or tiny numbers, or of ones that differ in their last digits, are moved first.
    """
    if not len(values):
        return np.zeros(values.shape[1]), np.zeros(values.shape[1])
    largest = np.abs(values).max(axis=0)
    extreme = (largest > _HUGE) | ((largest > _TINIEST) & (largest < 1 / _HUGE))
    unit = 2.0 ** np.floor(np.log2(np.where(extreme, largest, 1.0)))
    shares = values / unit
    mean, deviation = shares.mean(axis=0), shares.std(axis=0)
    close = deviation < _CLOSE * np.abs(mean)
    near = shares[:, close] - shares[0, close]
    mean[close], deviation[close] = shares[0, close] + near.mean(axis=0), near.std(axis=0)
    varies = deviation > _EPS * largest / unit
    return mean * unit, np.where(varies, 1 / np.where(varies, deviation, 1) / unit, 0.0)


def scaled(values: Floats, mean: Floats, factor: Floats) -> Floats:
    """(n, width) as `scaling` says; a difference too large for a number becomes infinite."""
    with np.errstate(over="ignore"):
        return (values / 2 - mean / 2) * factor * 2


def refuse_far(values: Floats, far: Bools, names: Sequence[str], rows: Rows) -> None:
    """Raises: TableError naming the cells of `values` (n, width) that are too `far` (n, width) to be computed with."""
    faults = Faults()
    for i, j in np.argwhere(far)[:_SHOWN].tolist():
        found = f"{values[i, j]:g} is too far from what training saw to be computed with"
        mend = "mend the cell (a unit, a decimal sign, a code for missing?), or empty it"
        faults.add(rows.where(i, names[j]), found, "a number such as training saw", mend)
    if far.sum() > _SHOWN:
        faults.add("", f"{int(far.sum()) - _SHOWN} more such cells")
    faults.raise_as(TableError)


@dataclasses.dataclass(frozen=True, eq=False)
class TableReader(Reader):
    """What was learnt. Arrays have one entry a numeric column; its range is NaN where it was always missing."""

    numeric: tuple[str, ...]
    median: Floats
    mean: Floats
    factor: Floats
    low: Floats
    high: Floats
    categorical: dict[str, tuple[str, ...]]
    """Column → its training categories, sorted."""
    multi: dict[str, tuple[str, ...]]
    signs: dict[str, str]
    """Column of `multi` → the sign between categories."""

    def __post_init__(self) -> None:
        learnt = (self.median, self.mean, self.factor)
        if any(array.shape != (len(self.numeric),) for array in (*learnt, self.low, self.high)):
            raise ValueError(f"arrays of other lengths than its {len(self.numeric)} columns of numbers")
        if not all(np.isfinite(array).all() for array in learnt) or (self.low > self.high).any():
            raise ValueError("numbers that are not finite, or ranges that end before they begin")
        if self.signs.keys() != self.multi.keys() or not all(self.signs.values()):
            raise ValueError(f"signs for {list(self.signs)}, and lists in {list(self.multi)}")

    @classmethod
    def learn(
        cls, rows: Rows, numeric: Iterable[str], categorical: Iterable[str], signs: Mapping[str, str]
    ) -> TableReader:
        """From these rows alone. Missing cells count as the median in mean and deviation, since they are read so."""
        numeric = tuple(numeric)
        values = _numbers(rows, numeric)
        seen = ~np.isnan(values)
        median, low, high = (_of_seen(how, values) for how in (_middle, np.min, np.max))
        median = np.nan_to_num(median)
        mean, factor = scaling(np.where(seen, values, median))
        return cls(
            numeric=numeric,
            median=median,
            mean=mean,
            factor=factor,
            low=low,
            high=high,
            categorical={name: _distinct({word} for word in rows.categories(name) if word) for name in categorical},
            multi={name: _distinct(rows.sets(name, sign)) for name, sign in signs.items()},
            signs=dict(signs),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.names),)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each output column: `age`, `age (missing)`, `sex=female`, `sex (unknown)`, `sex (missing)` …"""
        plain = [f"{name}{end}" for name in self.numeric for end in ("", " (missing)")]
        return tuple(plain) + tuple(
            output
            for name, known in {**self.categorical, **self.multi}.items()
            for output in (*(f"{name}={category}" for category in known), f"{name} (unknown)", f"{name} (missing)")
        )

    def read(self, rows: Rows) -> tuple[NDArray[Any], Bools]:
        values = _numbers(rows, self.numeric)
        missing = np.isnan(values)
        filled = scaled(np.where(missing, self.median, values), self.mean, self.factor)
        refuse_far(values, np.abs(filled) > FARTHEST, self.numeric, rows)
        blocks = [np.stack([filled, missing], axis=2).reshape(len(rows), 2 * len(self.numeric))]
        present: Bools = np.any(~missing, axis=1).astype(bool)
        for name, known, cells in self._cells(rows):
            blocks.append(_hot(cells, known))
            present = present | np.array([cell is not None for cell in rows.text(name)], dtype=bool)
        return np.concatenate(blocks, axis=1).astype(np.float32), present

    def flags(self, rows: Rows) -> tuple[str, ...]:
        """For each row, what in it training never saw: numbers out of range, unknown categories; else empty."""
        found: list[list[str]] = [[] for _ in range(len(rows))]
        values = _numbers(rows, self.numeric)
        inside = np.isnan(values) | ((values >= self.low) & (values <= self.high))
        for i, j in np.argwhere(~inside):
            span = "was always missing" if np.isnan(self.low[j]) else f"{self.low[j]:g} to {self.high[j]:g}"
            found[i].append(f"{self.numeric[j]} {values[i, j]:g} (training: {span})")
        for name, known, cells in self._cells(rows):
            for i, cell in enumerate(cells):
                found[i] += [f"{name} '{word}' ({_unseen(word, known)})" for word in sorted(cell - set(known))]
        return tuple("; ".join(texts) for texts in found)

    def _cells(self, rows: Rows) -> Iterator[tuple[str, tuple[str, ...], list[set[str]]]]:
        """Each column of categories: name, training categories, and the set in each cell (empty: missing)."""
        for name, known in self.categorical.items():
            yield name, known, [set() if word is None else {word} for word in rows.categories(name)]
        for name, known in self.multi.items():
            yield name, known, rows.sets(name, self.signs[name])


def _of_seen(how: Callable[[Floats], Any], values: Floats) -> Floats:
    """(columns,) `how` over what is not missing, NaN where all is."""
    seen = [column[~np.isnan(column)] for column in values.T]
    return np.array([how(column) if len(column) else np.nan for column in seen])


def _unseen(word: str, known: Sequence[str]) -> str:
    same = but_for_case(word, known)
    return f"not in training; '{same}' is, the same word but for case" if same else "not in training"


def _middle(column: Floats) -> float:
    return float(np.median(column / 2) * 2)  # of two huge numbers NumPy adds up before it halves


def _numbers(rows: Rows, columns: tuple[str, ...]) -> Floats:
    """(n, columns), NaN where missing. Raises: TableError with the faults of all columns."""
    out, faults = np.zeros((len(rows), len(columns))), Faults()
    for j, name in enumerate(columns):
        try:
            out[:, j] = rows.numbers(name)
        except TableError as error:
            faults.extend(error.faults)
    faults.raise_as(TableError)
    return out


def _distinct(cells: Iterable[set[str]]) -> tuple[str, ...]:
    found = set[str]()
    for cell in cells:
        found |= cell
    return tuple(sorted(found))


def _hot(cells: list[set[str]], known: tuple[str, ...]) -> Floats:
    """(n, categories + 2): each category, any unknown one, none at all."""
    place = {category: j for j, category in enumerate(known)}
    out = np.zeros((len(cells), len(known) + 2))
    for i, cell in enumerate(cells):
        for category in cell:
            out[i, place.get(category, len(known))] = 1
        out[i, -1] = not cell
    return out
