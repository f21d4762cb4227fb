"""Planted bad parts before the network, and faults of any part: each breaks one check of the kit and, as far as may
be, no other.
"""

from dataclasses import dataclass

import numpy as np
from pydantic import ConfigDict

from mmfuse import Adapter, Modality, Reader, Step, Table, Tidy

# ── any part ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Plain(Adapter):
    """A good part."""

    sites: tuple[str, ...] = ("a",)

    def tidy(self, release):
        return Tidy(Table.of({"id": ["1"], "answer": ["a"]}), {})


class Nameless(Adapter):
    """Has a name that is no name."""

    name = "No Name"


class Silent(Adapter):
    pass


class Loose(Adapter):
    """Can be changed after it was made."""

    model_config = ConfigDict(frozen=False)
    size: int = 1


class TakesAll(Adapter):
    """Takes any knob."""

    model_config = ConfigDict(extra="ignore")


class Odd(Adapter):
    """Has a knob that comes back as another."""

    words: tuple[str, ...] | frozenset[str] = frozenset({"a"})


# ── inputs ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class NumberReader(Reader):
    """One number a row."""

    column: str

    @property
    def shape(self):
        return (1,)

    def read(self, rows):
        values = rows.numbers(self.column)[:, None]
        return np.nan_to_num(values).astype(np.float32), ~np.isnan(values[:, 0])


class Number(Modality):
    """A good modality."""

    reader = NumberReader

    @property
    def columns(self):
        return ("x",)

    def fit(self, rows):
        return self.reader("x")


@dataclass(frozen=True)
class DoubleReader(NumberReader):
    """Reads float64."""

    def read(self, rows):
        values, present = super().read(rows)
        return values.astype(np.float64), present


class Doubles(Number):
    """Reads another type than it says."""

    reader = DoubleReader


@dataclass(frozen=True)
class EagerReader(NumberReader):
    """Takes zero for nothing."""

    def read(self, rows):
        values, present = super().read(rows)
        return values, np.ones_like(present)


class NeverAbsent(Number):
    """Knows no absence."""

    reader = EagerReader


@dataclass(frozen=True)
class RankReader(NumberReader):
    """Reads a row's place among the others."""

    def read(self, rows):
        values, present = super().read(rows)
        return values + np.arange(len(values), dtype=np.float32)[:, None], present


class Ranks(Number):
    """Reads rows by their place."""

    reader = RankReader


@dataclass(frozen=True)
class ForgetfulReader(NumberReader):
    """Comes back as another."""

    @classmethod
    def load(cls, stem):
        return ForgottenReader("x")


@dataclass(frozen=True)
class ForgottenReader(ForgetfulReader):
    """Adds one."""

    def read(self, rows):
        values, present = super().read(rows)
        return values + 1, present


class Forgetful(Number):
    """Reads otherwise after load."""

    reader = ForgetfulReader


class FloatStep(Step):
    """Gives floats."""

    def apply(self, image):
        return image / 255


class PaintStep(Step):
    """Writes into its picture."""

    def apply(self, image):
        image[:4] = 0
        return image


class DiceStep(Step):
    """Rolls dice."""

    def apply(self, image):
        return np.roll(image, np.random.default_rng().integers(1, 30), axis=0)


class NoLicence(Adapter):
    """Names no licence."""

    def tidy(self, release):
        table = Table.of({"id": ["1", "2"], "x": ["1", "2"], "y": ["a", "b"]})
        return Tidy(table, {"cases": {"id": "id"}, "labels": {"y": ["a", "b"]}})
