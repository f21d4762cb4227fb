"""What the adapters ask of a released folder: its table by name, with its columns, and images found by their stem.

Resized or converted copies of a release keep the stems and change the suffix; so a file is known by its stem.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from mmfuse import Faults, Table, TableError, nearest, read_table

TABLES = {".csv", ".xlsx", ".parquet", ".tsv", ".txt"}
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""In the order in which a copy is preferred."""
UNCHANGED = "use the unchanged release"
INCOMPLETE = "complete the release, or `--set strict=false` to go on with what is there"


def find_table(folder: Path, patterns: Sequence[str], dataset: str) -> Path:
    """The one table of the folder whose name fits the first pattern that any name fits (small letters).

    Raises: TableError where the folder is not there, none fits (naming what is there instead), or several do.
    """
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "no such folder"
        raise TableError(found, f"the unpacked folder of {dataset}", "name the folder", str(folder))
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() in TABLES and path.is_file())
    for pattern in patterns:
        fit = [path for path in tables if Path(path.name.lower()).match(pattern)]
        if len(fit) > 1:
            names = ", ".join(path.name for path in fit)
            raise TableError(f"several tables may be meant: {names}", "one", "move the others away", str(folder))
        if fit:
            return fit[0]
    here = ", ".join(path.name for path in tables) or "no table"
    found = f"no {' or '.join(patterns)}; there is {here}"
    raise TableError(found, f"the unpacked folder of {dataset}", "another folder, or another adapter", str(folder))


def read_columns(path: Path, columns: Sequence[str], dataset: str) -> Table:
    """The table at `path`.

    Raises: TableError naming each of `columns` that it lacks.
    """
    table, faults = read_table(path), Faults()
    for column in columns:
        if column not in table.names:
            expected = f"the columns of {dataset}: {', '.join(columns)}"
            faults.add(str(path), f"no column '{column}'", expected, nearest(column, table.names))
    faults.raise_as(TableError)
    return table


def find_images(folder: Path, wanted: Iterable[str], gaps: Faults) -> dict[str, str]:
    """Stem → path below `folder` of each wanted image, in it or in a folder of it; what is missing goes to `gaps`.

    Raises: TableError for files of no bytes and for stems that stand in two folders.
    """
    there: dict[str, list[Path]] = {}
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        for path in place.iterdir():
            if path.suffix.lower() in IMAGES:
                there.setdefault(path.stem, []).append(path)
    faults, found, lost = Faults(), {}, []
    for stem in wanted:
        files = sorted(there.get(stem, []), key=lambda path: IMAGES.index(path.suffix.lower()))
        if not files:
            lost.append(stem)
            continue
        if len({path.parent for path in files}) > 1:
            names = " and ".join(path.relative_to(folder).as_posix() for path in files)
            faults.add(str(folder), f"{names}: two files of one image", "one", "move the other folder away")
        elif not files[0].stat().st_size:
            faults.add(str(files[0]), "an empty file of 0 bytes", "an image", "unpack or download the release again")
        found[stem] = files[0].relative_to(folder).as_posix()
    faults.raise_as(TableError)
    if lost:
        expected = f"every image of the table, in the folder or in one within it, as one of {', '.join(IMAGES)}"
        gaps.add(str(folder), f"{len(lost)} images are not there: {some(lost)}", expected, INCOMPLETE)
    return found


def some(items: Sequence[str]) -> str:
    """The first five, and how many more."""
    shown = ", ".join(items[:5])
    return shown if len(items) <= 5 else f"{shown} and {len(items) - 5} more"
