"""What cases bring: modalities and their readers, steps on images, adapters that make tidy cases of a release."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmfuse.attribution import attribute_facts
from mmfuse.knobs import Part
from mmfuse.learnt import Learnt

if TYPE_CHECKING:
    from mmfuse.data.rows import Rows
    from mmfuse.data.table import Table

Bools = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]


class Reader(Learnt):
    """What `Modality.fit` returns: knows how to read rows. A subclass is a frozen dataclass (see `Learnt`)."""

    def __init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401  # Python's signature
        super().__init_subclass__(**kwargs)
        attribute_facts(cls)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one case: (3, height, width) for images, (width,) for tables and vectors."""
        raise NotImplementedError

    @property
    def dtype(self) -> str:
        """`uint8` for images (the engine scales them to [0, 1] on the device), else `float32`."""
        return "float32"

    @property
    def names(self) -> tuple[str, ...]:
        """(width,) the name of each output column of a table or vector, for people; empty: they have none."""
        return ()

    def read(self, rows: Rows) -> tuple[NDArray[Any], Bools]:
        """(n, *shape) and which of the n are present; what stands at an absent row is never looked at.

        Raises: TableError naming row, column and file.
        """
        raise NotImplementedError

    def apart(self, rows: Rows) -> tuple[Rows, Ints] | None:
        """Where a case may hold several: a row each (see `Rows.apart`), which `read` and `files` are then asked of, and
        (rows,) the position of its case, ascending; the network pools what its encoder makes of them. None: one a case.
        """
        return None

    def flags(self, rows: Rows) -> tuple[str, ...]:
        """(n,) what in each row training never saw (a category, a number out of range); empty where nothing is odd."""
        return ("",) * len(rows)

    def files(self, rows: Rows) -> tuple[Path | None, ...]:
        """The one file behind each row (None: absent).

        Where a reader gives them, the engine decodes each file once and caches it.
        """
        return ()

    def aspect_ratios(self, rows: Rows) -> tuple[float | None, ...]:
        """Return (n,) width / height of each image before it was stretched to `shape`, so that pictures can be drawn
        undistorted; None where it was not stretched, or is absent. One image a row, as for `files`."""
        return (None,) * len(rows)

    @property
    def skips_unreadable(self) -> bool:
        """Whether a row whose file cannot be read (`read` raises anything) counts as absent instead of being an error;
        by default what a field `on_error` of the reader says: "absent", or anything else."""
        return dict(_fields_of(self)).get("on_error") == "absent"

    def remarks(self, path: Path) -> tuple[tuple[str, str], ...]:
        """(what is odd, the mend) of a file that can be read; empty where nothing is.

        Each text follows "N files …". Asked for when the audit looks at files, and when new ones are decoded.
        """
        return ()

    def fingerprint(self) -> str:
        """What, beside the file's content, decides the pixels: steps, size, versions.

        Only asked for where `files` gives paths.
        """
        return ""


def _fields_of(record: Learnt) -> Iterator[tuple[str, Any]]:
    return ((field.name, getattr(record, field.name)) for field in dataclasses.fields(record))


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

    @property
    def several(self) -> bool:
        """Whether its knobs say that a case may hold several (a set); cells of the table may say so too."""
        return False

    @property
    def feature_files(self) -> tuple[str, ...]:
        """Files, relative to the card's root, of features that some network made. What the weights behind them had seen
        is read from each, where it says it: features are refused as weights are."""
        return ()

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
