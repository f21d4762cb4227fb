"""What modalities, image steps and adapters keep."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mmfuse import Adapter, Card, Cases, CasesSection, Faults, LabelLine, Modality, Rows, Step, Table, load_card
from mmfuse.testing.kit import Given, Refusal, need

_CASES = 6
_ABSENT = 2
"""The row of the kit's table in which every cell is empty."""

# ── modalities ────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _rows(part: Modality, given: Given) -> Iterator[Rows]:
    """Rows of the columns that it reads: pictures for an image, else numbers; one row is all empty."""
    if given.rows is not None:
        yield given.rows
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        columns: dict[str, list[str | None]] = {
            "kit_id": [str(k) for k in range(_CASES)],
            "kit_answer": ["a", "b"] * (_CASES // 2),
        }
        for place, column in enumerate(part.columns):
            # Of a set each row holds one image, in its columns by turns: a reader is asked for rows of one.
            empty = {k for k in range(_CASES) if k == _ABSENT or (part.several and k % len(part.columns) != place)}
            columns[column] = [
                None if k in empty else f"{column}{k}.png" if part.is_image else str(k % 3) for k in range(_CASES)
            ]
            if part.is_image:
                _draw(folder, columns[column])
        labels = {"kit_answer": LabelLine(classes=("a", "b"))}
        card = Card(cases=CasesSection(id="kit_id"), labels=labels, modalities={"tested": part})
        yield Cases(Table.of(columns), card, folder).rows()


def _draw(folder: Path, names: list[str | None]) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in names:
        if name is not None:
            Image.fromarray(rng.integers(0, 256, size=(40, 50, 3), dtype=np.uint8)).save(folder / name)


def reads_one_array_of_the_shape_it_names(part: Modality, given: Given) -> None:
    with _rows(part, given) as rows:
        reader = part.fit(rows)
        values, present = reader.read(rows)
    need(
        values.shape == (len(rows), *reader.shape),
        f"read {values.shape}",
        f"{(len(rows), *reader.shape)}: rows, then `shape`",
    )
    need(str(values.dtype) == reader.dtype, f"read {values.dtype}", f"{reader.dtype}, as `dtype` says")
    need(
        present.shape == (len(rows),) and present.dtype == bool,
        f"presence {present.shape} of {present.dtype}",
        f"({len(rows)},) of bool",
    )
    finite = np.isfinite(values[present]).all() if values.dtype.kind == "f" else True
    need(bool(finite), "a present row is not finite", "finite numbers", "impute what is missing within a row")
    if part.is_image:
        need(
            reader.dtype == "uint8" and reader.shape[0] == 3,
            f"an image of {reader.dtype} {reader.shape}",
            "uint8 (3, height, width)",
        )


def takes_an_empty_row_as_absent(part: Modality, given: Given) -> None:
    if given.rows is not None or not part.columns:
        return
    with _rows(part, given) as rows:
        present = part.fit(rows).read(rows)[1]
    need(
        not present[_ABSENT],
        "a row whose cells are all empty is present",
        "absent: an empty cell is an absent modality",
    )
    need(bool(np.delete(present, _ABSENT).all()), "a full row is absent", "present")


def reads_each_row_by_itself(part: Modality, given: Given) -> None:
    with _rows(part, given) as rows:
        reader = part.fit(rows)
        order = np.arange(len(rows))[::-1]
        values, present = reader.read(rows)
        turned, here = reader.read(rows.take(order))
    need(np.array_equal(present[order], here), "presence moves with the order of rows", "each row by itself")
    same = np.array_equal(values[order][here], turned[here])
    need(same, "values move with the order of rows", "each row by itself", "learn in `fit`, not in `read`")


def reads_the_same_after_save_and_load(part: Modality, given: Given) -> None:
    with _rows(part, given) as rows, tempfile.TemporaryDirectory() as folder:
        reader = part.fit(rows)
        reader.save(Path(folder) / "reader")
        loaded = part.load(Path(folder) / "reader")
        values, present = reader.read(rows)
        again = loaded.read(rows)[0]
    need(
        np.array_equal(values[present], again[present]),
        "reads otherwise after save and load",
        "the same",
        "all that decides in the record's fields",
    )


# ── steps ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, size=(*size, 3), dtype=np.uint8) for size in ((96, 128), (101, 97), (64, 64))]


def turns_a_picture_into_a_picture(part: Step, given: Given) -> None:
    for picture in _pictures():
        out = part.apply(picture.copy())
        what = f"{picture.shape[0]}×{picture.shape[1]}"
        need(
            isinstance(out, np.ndarray) and out.dtype == np.uint8,
            f"{what} became {getattr(out, 'dtype', type(out).__name__)}",
            "uint8",
        )
        need(out.ndim == 3 and out.shape[2] == 3 and out.size > 0, f"{what} became {out.shape}", "(height, width, 3)")


def leaves_its_picture_alone_and_repeats_itself(part: Step, given: Given) -> None:
    for picture in _pictures():
        before = picture.copy()
        one = part.apply(picture)
        need(np.array_equal(picture, before), "changes its input in place", "the input left alone", "work on a copy")
        need(
            np.array_equal(one, part.apply(before)),
            "differs between two calls",
            "a fixed change",
            "chance belongs in an augmentation",
        )


# ── adapters ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def makes_tidy_cases_and_their_card(part: Adapter, given: Given) -> None:
    if given.release is None:
        return
    tidy = part.tidy(given.release)
    card = load_card(tidy.card)
    need(
        bool(card.source.licence),
        "the card names no licence",
        "[source] licence",
        "clinicians must know what they may do",
    )
    root = given.release if Path(card.cases.root).is_absolute() else given.release / card.cases.root
    cases = Cases(tidy.table, card.model_copy(update={"cases": card.cases.model_copy(update={"root": str(root)})}))
    need(len(cases) > 0, "made no cases", "one or more")
    faults = Faults()
    for modality in card.modalities.values():
        if modality.is_image:
            for column in modality.columns:
                faults.extend(_missing(cases, column))
    if faults:
        raise Refusal(f"{len(faults)} images do not exist; first: {faults[0]}", "paths below the card's root")


def _missing(cases: Cases, column: str) -> Faults:
    """Files of a column that are not there; a cell may hold several paths."""
    faults, rows = Faults(), cases.rows()
    alone, of = rows.apart((column,))
    for name, path in zip(cases.ids[of], alone.paths(column), strict=True):
        if path is not None and not path.is_file():
            faults.add(f"case {name}, column {column}", f"no file {path}")
    return faults


CHECKS = {
    "modality": (
        reads_one_array_of_the_shape_it_names,
        takes_an_empty_row_as_absent,
        reads_each_row_by_itself,
        reads_the_same_after_save_and_load,
    ),
    "step": (turns_a_picture_into_a_picture, leaves_its_picture_alone_and_repeats_itself),
    "adapter": (makes_tidy_cases_and_their_card,),
}
