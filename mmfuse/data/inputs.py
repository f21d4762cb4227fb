"""The inputs of all cases, by modality: images from the cache, decoded once; tables and vectors in memory.

Each distinct file is read once, by many threads, a few at a time, so that working memory does not grow with the number
of cases. What the reader calls absent is absent; nothing here knows what a reader reads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmfuse.attribution import attributed
from mmfuse.data.aside import room
from mmfuse.data.blocks import KEY, Block, Sets
from mmfuse.data.cache import Made, Store
from mmfuse.data.cases import Cases
from mmfuse.data.contents import content_key, contents
from mmfuse.data.readers import decided_by, fit_reader, gives_files, read_some, rows_apart
from mmfuse.data.rows import Rows
from mmfuse.data.weighing import case_weights
from mmfuse.data.workers import in_chunks, in_threads
from mmfuse.errors import Faults, PartError, TableError
from mmfuse.events import Meter, Notice, Progress, Watch, silent
from mmfuse.labels import Ints
from mmfuse.parts import Modality, Reader

Array = NDArray[Any]
_PIECE_BYTES, _PIECE_ROWS = 4 * 2**20, 16
_FAULTS = 20
"""Unreadable files that are named before reading gives up: a wrong root makes every file one."""
_NO_CONTENT = "no content: "


def read_inputs(readers: Mapping[str, Reader], cases: Cases, watch: Watch = silent) -> dict[str, Block]:
    """Each modality of these cases. Images come from the cache and are put there first where they are new.

    Raises: TableError naming rows, columns and files; PartError if a reader does not keep its word; RunError if the
    cache cannot be written.
    """
    rows, blocks, faults = cases.rows(), {}, Faults()
    for name, reader in readers.items():
        try:
            given, of = rows_apart(name, reader, rows)
            read = _from_files if gives_files(name, reader, given) else _from_rows
            block = read(name, reader, given, watch)
            blocks[name] = block if of is None else Sets(block, of, len(rows))
        except TableError as error:
            faults.take_over(error)
    faults.raise_as(TableError)
    return blocks


def column_faults(cases: Cases, names: Iterable[str], watch: Watch = silent, *, files: bool = True) -> Faults:
    """Return what keeps these modalities from being read, images left out (words among numbers, vectors that are not
    there), and what is wrong with case weights.

    Found by reading all cases once, so that nothing learns for hours before it. Files are read one at a time and kept,
    or, without `files`, left alone. Raises: PartError if a modality does not keep its word.
    """
    modalities = {name: cases.card.modalities[name] for name in names if not cases.card.modalities[name].is_image}
    rows, faults = cases.rows(), Faults()
    _gather(faults, case_weights, cases)
    for name, modality in modalities.items() if len(rows) else ():
        _gather(faults, _try_modality, name, modality, cases, watch, files)
    return faults


def reading_faults(readers: Mapping[str, Reader], cases: Cases, watch: Watch = silent) -> Faults:
    """Return what keeps these readers from reading these cases."""
    faults = Faults()
    for name, reader in readers.items():
        _gather(faults, _try_reader, name, reader, cases, watch)
    return faults


def _try_modality(name: str, modality: Modality, cases: Cases, watch: Watch, files: bool) -> None:
    _try_reader(name, fit_reader(name, modality, cases.rows()), cases, watch, files)


def _try_reader(name: str, reader: Reader, cases: Cases, watch: Watch, files: bool = True) -> None:
    """Raises: TableError with the faults of the first chunk that has any."""
    rows = cases.rows()
    if not len(rows):
        return
    given, _ = rows_apart(name, reader, rows)
    if gives_files(name, reader, given):
        if files:
            read_inputs({name: reader}, cases, watch)
        return
    for part in in_chunks(len(given)):
        try:
            read_some(name, reader, given, np.arange(part.start, part.stop))
        except TableError as error:
            faults = Faults(error.faults)
            if part.stop < len(given):
                faults.add("", f"reading stopped after {part.stop} of {len(given)} rows; there may be more faults")
            raise TableError(faults) from error


def _gather(faults: Faults, read: Callable[..., object], *given: object) -> None:
    try:
        read(*given)
    except TableError as error:  # modalities may share a column
        faults.extend(fault for fault in error.faults if fault not in faults)
        faults.cause = faults.cause or error.__cause__


def _from_rows(name: str, reader: Reader, rows: Rows, watch: Watch) -> Block:
    values = room((len(rows), *reader.shape), reader.dtype)
    present = np.zeros(len(rows), bool)
    for part in in_chunks(len(rows)) if len(rows) else ():
        values[part], present[part] = read_some(name, reader, rows, np.arange(part.start, part.stop))
        watch(Progress(f"reading {name}", min(part.stop, len(rows)), len(rows)))
    return Block.memory(values, present)


def _from_files(name: str, reader: Reader, rows: Rows, watch: Watch) -> Block:
    """A chunk of rows after the other: what is held for each is a slot and a key."""
    with attributed(reader, "`fingerprint`", f"modality {name}"):
        store = Store("images", decided_by(reader), reader.shape, reader.dtype)
    keys, slots, faults = room(len(rows), KEY), room(len(rows), np.int64, -1), Faults()
    unreadable: list[int] = []
    odd: dict[tuple[str, str], list[int]] = {}
    files = 0
    for part in in_chunks(len(rows)):
        some = np.arange(part.start, part.stop)
        try:
            found = _Files(name, reader, rows.take(some), watch)
            slots[part] = found.slots(store)
        except TableError as error:
            faults.take_over(error)
            if len(faults) >= _FAULTS:
                if part.stop < len(rows):
                    faults.add("", f"reading stopped after {part.stop} of {len(rows)} files; there may be more faults")
                break
            continue
        keys[part] = np.where(slots[part] >= 0, np.array(found.keys, dtype=np.bytes_), b"")
        unreadable += some[found.unreadable()].tolist()
        for remark, where in found.odd.items():
            odd.setdefault(remark, []).extend(some[where].tolist())
        files += found.count
    faults.raise_as(TableError)
    if unreadable:
        text = f"{name}: {len(unreadable)} of {files} files cannot be read and count as absent, the first in"
        watch(Notice(f"{text} {rows.where(unreadable[0])}; `mmfuse check` says which and why", "warning"))
    for (text, mend), where in odd.items():
        place = rows.where(where[0])
        watch(Notice(f"{name}: {len(where)} new files {text}, the first in {place}; {mend}", "warning"))

    def again(index: Ints) -> NDArray[np.int64]:
        watch(Notice(f"{name}: {len(index)} rows of the cache were damaged and are decoded anew", "warning"))
        found = _Files(name, reader, rows.take(index), silent)
        found.refuse_others(keys[index])
        return found.slots(store)

    return Block.stored(store, slots, lambda: keys, again)


class _Files:
    """The files of some rows, by their content."""

    def __init__(self, name: str, reader: Reader, rows: Rows, watch: Watch) -> None:
        self._name, self._reader, self._rows, self._watch = name, reader, rows, watch
        with attributed(reader, "`files`", f"modality {name}"):
            self._files = files = reader.files(rows)
        if len(files) != len(rows):
            found = f"the reader of '{name}' gave {len(files)} files for {len(rows)} rows"
            raise PartError(found, "one (or None) a row")
        paths = [path for path in files if path is not None]
        self.count = len(paths)
        self._contents = contents(paths, watch, f"the files of {name}")
        # A file that cannot even be opened has no content to be kept under: the store asks for it each time, in vain.
        self.keys = ["" if path is None else self._contents[path].key or _no_content(path) for path in files]
        self._unreadable: set[str] = set()
        self.odd: dict[tuple[str, str], list[int]] = {}
        """Remark → positions of the files that are decoded anew."""

    def slots(self, store: Store) -> NDArray[np.int64]:
        """Where each lies in the store; it is decoded first where it is new. Raises: TableError."""
        return store.get(self.keys, self._make)

    def unreadable(self) -> list[int]:
        """The positions of those that could not be read."""
        return [i for i, key in enumerate(self.keys) if key in self._unreadable]

    def _make(self, positions: Sequence[int]) -> Made:
        for some, values, present in _decoded(self._name, self._reader, self._rows, positions, self._watch):
            read = [position for position, here in zip(some, present, strict=True) if here]
            self._unreadable.update(self.keys[position] for position in some if position not in read)
            with attributed(self._reader, "`remarks`", f"modality {self._name}"):
                for position, path in ((position, self._files[position]) for position in read):
                    for remark in self._reader.remarks(path) if path is not None else ():
                        self.odd.setdefault(remark, []).append(position)
            for position in read:  # what was decoded must be what was given its key, or it would be kept for another
                self._refuse_changed(position)
            yield read, values if present.all() else values[present]

    def refuse_others(self, keys: NDArray[np.bytes_]) -> None:
        """Raises: TableError unless these are (n,) the keys of the files as they are now."""
        for position, key in enumerate(keys.astype(np.str_).tolist()):
            if self.keys[position] != key:
                found = f"{self._files[position]} changed since it was read"
                raise TableError(found, "files at rest", "run again", self._rows.where(position))

    def _refuse_changed(self, position: int) -> None:
        """Raises: TableError where a file is not what it was when its content was looked at."""
        path = self._files[position]
        assert path is not None
        if not self._contents[path].still_stands(path):
            came = self.keys[position].startswith(_NO_CONTENT)
            found = f"{path} {'came' if came else 'changed'} while files were read"
            raise TableError(found, "files at rest", "run again", self._rows.where(position))


def _no_content(path: Path) -> str:
    return f"{_NO_CONTENT}{content_key(os.fsencode(path))}"


def _decoded(
    name: str, reader: Reader, rows: Rows, positions: Sequence[int], watch: Watch
) -> Iterator[tuple[Sequence[int], Array, NDArray[np.bool_]]]:
    """Rows read by many threads, in pieces; faults are gathered over all of them."""
    size = int(np.prod(reader.shape, dtype=np.int64)) * np.dtype(reader.dtype).itemsize
    step = min(max(_PIECE_BYTES // max(size, 1), 1), _PIECE_ROWS)
    pieces = [positions[start : start + step] for start in range(0, len(positions), step)]

    def work(piece: Sequence[int]) -> tuple[Sequence[int], tuple[Array, NDArray[np.bool_]] | TableError]:
        try:
            return piece, read_some(name, reader, rows, np.array(piece))
        except TableError as error:
            return piece, error

    faults, done, meter = Faults(), 0, Meter(watch, f"decoding {name}", len(positions))
    for piece, made in in_threads(work, pieces):
        done += len(piece)
        if isinstance(made, TableError):
            faults.take_over(made)
            if len(faults) >= _FAULTS:
                faults.add("", f"reading stopped after {done} of {len(positions)} files; there may be more faults")
                break
        else:
            yield piece, *made
        meter.add(len(piece))
    faults.raise_as(TableError)
