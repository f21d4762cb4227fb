"""The modalities that come with mmfuse: `image`, `table` and `vector`. Knobs alone; what reads is in `readers/`.

All that is fitted (medians, scales, categories) is learnt from the rows that `fit` is given and from nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from mmfuse import Modality, Reader, Step
from mmfuse.builtin.readers.image import ImageReader
from mmfuse.builtin.readers.table import TableReader
from mmfuse.builtin.readers.vector import VectorReader, is_pattern

if TYPE_CHECKING:
    from mmfuse import Rows

Side = Annotated[int, Field(ge=1, le=8192)]
Column = Annotated[str, Field(min_length=1)]


class Image(Modality):
    """A photograph or scan: JPEG, PNG, TIFF, BMP or WebP, 8 or 16 bit, in any colours; one a case, or several."""

    reader: ClassVar[type[Reader]] = ImageReader
    spelt: ClassVar[dict[str, str]] = {"columns": "column"}

    column: Column | Annotated[tuple[Column, ...], Field(min_length=1)]
    """The column of paths, relative to the card's root. `columns = ["first", "second"]`: a set of images a case, as are
    several paths in a cell (`a.jpg;b.jpg`). Each that is there is encoded, their vectors are pooled (`pool` on the
    encoder's line).
    """
    size: Side | tuple[Side, Side] = 224
    """What the encoder sees, in pixels: the side of a square, or (height, width)."""
    steps: tuple[Step, ...] = ()
    """Fixed changes, in order, before the image is resized."""
    aspect: Literal["stretch", "pad", "crop"] = "stretch"
    """How an image of another shape becomes this size: stretched, whole between black bars, or its middle."""
    resize: Literal["bilinear", "bicubic", "lanczos", "area"] = "bilinear"
    """The filter; all are antialiased."""
    on_error: Literal["raise", "absent"] = "raise"
    """What an unreadable file is: an error, or an absent image."""
    max_pixels: Annotated[int, Field(ge=1, le=178_956_970)] = 80_000_000
    """Larger images are refused before they are decoded: a small file may unpack to more than memory holds."""

    @model_validator(mode="before")
    @classmethod
    def _plural(cls, given: Any) -> Any:  # noqa: ANN401  # whatever the user wrote
        if not isinstance(given, dict) or "columns" not in given:
            return given
        if "column" in given:
            raise ValueError("`column` and `columns` are one knob; leave one of them out")
        columns = given["columns"]
        if not isinstance(columns, list | tuple) or not columns or not all(isinstance(one, str) for one in columns):
            raise ValueError(f"`columns` is {columns!r}; it is a list of names, as in columns = ['front', 'back']")
        return {name: value for name, value in given.items() if name != "columns"} | {"column": columns}

    @model_validator(mode="after")
    def _names_columns_once(self) -> Self:
        twice = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if twice:
            raise ValueError(f"columns {', '.join(twice)} are named twice; name each column of images once")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,) if isinstance(self.column, str) else self.column

    @property
    def is_image(self) -> bool:
        return True

    @property
    def several(self) -> bool:
        return len(self.columns) > 1

    def fit(self, rows: Rows) -> ImageReader:
        """Learns nothing: the knobs say it all."""
        return self._reader()

    def load(self, stem: Path) -> ImageReader:
        """The reader that was stored at `stem`, with this part's steps.

        Raises: RunError if it cannot be read, or was stored with other knobs.
        """
        reader = self._reader()
        reader.check_record(stem)
        return reader

    def _reader(self) -> ImageReader:
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        return ImageReader(
            column=self.column,
            height=height,
            width=width,
            steps=self.steps,
            aspect=self.aspect,
            resize=self.resize,
            on_error=self.on_error,
            max_pixels=self.max_pixels,
        )


class Table(Modality):
    """Columns of numbers and categories: imputed, scaled and one-hot, with indicators of what is missing."""

    reader: ClassVar[type[Reader]] = TableReader

    numeric: tuple[Column, ...] = ()
    """Columns of numbers: the training median where missing, scaled to training mean 0 and deviation 1."""
    categorical: tuple[Column, ...] = ()
    """Columns of one category a cell: one-hot over the training categories, and a column for unknown ones."""
    multi: dict[Column, Annotated[str, Field(min_length=1)]] = {}  # noqa: RUF012  # pydantic copies
    """Columns of several categories a cell, and the sign between them."""

    @model_validator(mode="after")
    def _names_columns(self) -> Self:
        twice = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if twice:
            raise ValueError(f"columns {', '.join(twice)} are named twice; name each under one of the knobs")
        if not self.columns:
            raise ValueError("a table of no columns; name some under `numeric`, `categorical` or `multi`")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.numeric, *self.categorical, *self.multi)

    def fit(self, rows: Rows) -> TableReader:
        """Learns medians, means, deviations, ranges and categories from these rows."""
        return TableReader.learn(rows, self.numeric, self.categorical, self.multi)


class Vector(Modality):
    """Embeddings made elsewhere: columns of the table, or a file of vectors by case id."""

    reader: ClassVar[type[Reader]] = VectorReader

    numeric: tuple[Column, ...] = ()
    """The columns, in order; `e*` stands for all that begin so (labels and marked columns excepted)."""
    file: str = ""
    """In place of columns of the table: an .npz or .parquet file, relative to the card's root."""
    ids: Column = "ids"
    """In the file: the array (or column) of case ids."""
    vectors: str = "vectors"
    """In an .npz: the (ids, width) array. In .parquet: a column of lists, unless `numeric` names columns of numbers."""
    scale: bool = False
    """Whether each number is scaled to training mean 0 and deviation 1."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        suffix = Path(self.file).suffix.lower()
        if self.file and suffix not in (".npz", ".parquet"):
            raise ValueError(f"cannot read vectors from '{self.file}'; save them as .npz or .parquet")
        if not self.file and not self.numeric:
            raise ValueError("no vectors are named; name columns under `numeric`, or a `file`")
        if suffix == ".npz" and self.numeric:
            raise ValueError("an .npz file has no columns; leave out `numeric` or `file`")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        return () if self.file else tuple(name for name in self.numeric if not is_pattern(name))

    @property
    def feature_files(self) -> tuple[str, ...]:
        return (self.file,) if self.file else ()

    def fit(self, rows: Rows) -> VectorReader:
        """Learns which columns there are and, with `scale`, means and deviations over rows that have all numbers."""
        return VectorReader.learn(rows, self.numeric, self.file, self.ids, self.vectors, self.scale)
