"""Reads image files as (3, height, width) uint8. A fault names row and file; all of one look come at once.

A case may hold several images, in columns of their own or in one cell: `apart` makes a row of each.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from mmfuse import Faults, Learnt, PartError, Reader, RunError, Step, TableError, attributed, code_digest

if TYPE_CHECKING:
    from mmfuse import Rows


_OTHERWISE = "mend or empty the cell, or set on_error = 'absent' to go on without such images"


@dataclasses.dataclass(frozen=True, eq=False)
class ImageReader(Reader):
    """The knobs of `image`; nothing is learnt. Steps are stored by name and knobs for the record."""

    column: str | tuple[str, ...]
    height: int
    width: int
    steps: tuple[Step, ...]
    aspect: str
    resize: str
    on_error: str
    max_pixels: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (3, self.height, self.width)

    @property
    def dtype(self) -> str:
        return "uint8"

    @property
    def columns(self) -> tuple[str, ...]:
        """Of paths."""
        return (self.column,) if isinstance(self.column, str) else self.column

    def apart(self, rows: Rows) -> tuple[Rows, NDArray[np.int64]] | None:
        """A row for each image, unless there is one column and each cell of it holds one path at most."""
        return rows.apart(self.columns) if rows.several(self.columns) else None

    def files(self, rows: Rows) -> tuple[Path | None, ...]:
        """The file of each row; it need not be there.

        Raises: TableError where a row holds several: it is to be taken `apart` first.
        """
        return tuple(path for path, _ in self._files(rows))

    def _files(self, rows: Rows) -> list[tuple[Path | None, str]]:
        """The file of each row, and its column."""
        if not rows.several(self.columns):
            return [(path, self.columns[0]) for path in rows.paths(self.columns[0])]
        alone, of = rows.apart(self.columns)
        several = [i for i, count in enumerate(np.bincount(of, minlength=len(rows))) if count > 1]
        if several:
            rest = f" (and {len(several) - 1} more rows)" if len(several) > 1 else ""
            raise TableError(
                f"holds several images{rest}",
                "rows of one image",
                "take the rows apart first: `reader.apart(rows)`",
                rows.where(several[0], ", ".join(self.columns)),
            )
        found: list[tuple[Path | None, str]] = [(None, self.columns[0])] * len(rows)
        for column in self.columns:
            for i, path in zip(of.tolist(), alone.paths(column), strict=True):
                if path is not None:
                    found[i] = (path, column)
        return found

    def read(self, rows: Rows) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        from mmfuse.builtin.decoding import UnreadableError, decode, fill_planes, image_of, pixels_of, resized

        images = np.zeros((len(rows), *self.shape), np.uint8)
        present = np.zeros(len(rows), bool)
        faults = Faults()
        for i, (path, column) in enumerate(self._files(rows)):
            if path is None:
                continue
            where = f"{rows.where(i, column)}, file {path}"
            try:
                image = decode(path, self.max_pixels, self._draft_side)
            except UnreadableError as error:
                if self.on_error == "raise":
                    faults.add(where, str(error), error.expected, "; or ".join(filter(None, (error.mend, _OTHERWISE))))
                continue
            if self.steps:
                image = image_of(_stepped(self.steps, pixels_of(image), where, faults))
            fill_planes(images[i], resized(image, self.height, self.width, self.aspect, self.resize))
            present[i] = True
        faults.raise_as(TableError)
        return images, present

    def aspect_ratios(self, rows: Rows) -> tuple[float | None, ...]:
        """Return (n,) width / height of each image as it was decoded (upright, after the steps); None where `aspect`
        keeps it anyway, or the file gives no image."""
        from mmfuse.builtin.decoding import UnreadableError, decode, pixels_of

        found: list[float | None] = [None] * len(rows)
        for i, (path, column) in enumerate(self._files(rows)):
            if path is not None and self.aspect == "stretch":
                try:
                    pixels = pixels_of(decode(path, self.max_pixels, self._draft_side))
                except UnreadableError:
                    continue
                pixels = _stepped(self.steps, pixels, rows.where(i, column), Faults())
                found[i] = pixels.shape[1] / pixels.shape[0]
        return tuple(found)

    @property
    def _draft_side(self) -> int:
        """Fewest pixels a side that decoding may leave. Steps count pixels of the whole image, and `area` weighs each
        pixel the same, which it could not where some were averaged before."""
        return 0 if self.steps or self.resize == "area" else 2 * max(self.height, self.width)

    def remarks(self, path: Path) -> tuple[tuple[str, str], ...]:
        from mmfuse.builtin.decoding import UnreadableError, remarks

        try:
            return remarks(path, self.max_pixels)
        except (OSError, UnreadableError):  # which `read` tells
            return ()

    def fingerprint(self) -> str:
        """All that decides the pixels beside the file and the code of this package: with steps, their own code."""
        from mmfuse.builtin.decoding import libraries

        about = {
            "size": [self.height, self.width, self.aspect, self.resize],
            "steps": [[_told(step), code_digest(type(step))] for step in self.steps],
            "decoder": [libraries(), self.max_pixels, self._draft_side],
        }
        return json.dumps(about, sort_keys=True)

    def save(self, stem: Path) -> None:
        """Writes the record; steps by name and knobs."""
        Learnt.save(self._record(), stem)

    @classmethod
    def load(cls, stem: Path) -> Self:
        """Reads what `save` wrote.

        Raises: RunError if it was stored with steps: those are parts, and parts come from the spec.
        """
        reader = super().load(stem)
        if reader.steps:
            found = f"is a reader with steps {list(reader.steps)}"
            raise RunError(found, "a reader that needs no parts", "load it by `load` of its modality", str(stem))
        return reader

    def check_record(self, stem: Path) -> None:
        """Raises RunError if what is stored at `stem` is the record of another reader."""
        stored, own = super().load(stem), self._record()
        other = [f.name for f in dataclasses.fields(own) if getattr(stored, f.name) != getattr(own, f.name)]
        if other:
            told = ", ".join(f"{name} {getattr(stored, name)!r} (now {getattr(own, name)!r})" for name in other)
            raise RunError(f"was stored with {told}", "the knobs of the spec", "use the run's own spec", str(stem))

    def _record(self) -> Self:
        return dataclasses.replace(self, steps=tuple(map(_told, self.steps)))  # type: ignore[arg-type]


def _stepped(steps: tuple[Step, ...], pixels: NDArray[np.uint8], where: str, faults: Faults) -> NDArray[np.uint8]:
    """Return the pixels after all steps; what a step refuses is added to `faults`."""
    for step in steps:
        try:
            with attributed(step, "`apply`", where):
                pixels = step.apply(pixels)
        except TableError as error:
            for fault in error.faults:
                faults.add(where, f"step '{step.name}': {fault.found}", fault.expected, fault.mend)
            break
        sound = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.ndim == 3
        if not sound or pixels.shape[2] != 3 or pixels.size == 0:
            found = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
            raise PartError(
                f"step '{step.name}' made {found}",
                "a uint8 array (height, width, 3)",
                "report it to whoever wrote the step",
                where,
            )
    return pixels


def _told(step: Step) -> str:
    return f"{step.name} {step.model_dump_json()}"
