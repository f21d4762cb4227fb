"""What weights have learnt from, as keyed digests of ids, groups and image contents: made, looked up, kept in files.

Neither an id nor a picture can be read from them. A run keeps them in `seen.npz`, a file of features in itself.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.aside import numbered, picked, room
from mmfuse.data.cases import Cases
from mmfuse.data.contents import content_key, content_keys
from mmfuse.data.inputs import KEY
from mmfuse.data.parquet import open_parquet
from mmfuse.data.workers import in_chunks
from mmfuse.errors import MmfuseError, RunError, TableError
from mmfuse.formats.json_files import read_json
from mmfuse.formats.npz_files import Npz
from mmfuse.formats.of_runs import Manifest

SEEN, MANIFEST = "seen.npz", "manifest.json"
"""In a run's folder."""
MARK = "mmfuse.seen."
"""Before the names of the digests in a file of features: arrays of an .npz, metadata of a .parquet."""

Seen = dict[str, NDArray[Any]]
"""`ids`, `groups` and `images`: sorted digests of what was seen with its labels; `ids_unlabelled` and
`images_unlabelled`: without; `unknown`: of files of features that do not say what made them. The same names behind
`first_`: what the weights that training started from had seen."""

NAMES = ("ids", "groups", "images", "ids_unlabelled", "images_unlabelled", "unknown")
FIRST = "first_"
NONE: NDArray[Any] = np.array([], dtype=KEY)
_ALWAYS = ("ids", "images", "images_unlabelled")
"""Every run has them; the others came later."""
_KNOWN = (*NAMES, *(f"{FIRST}{name}" for name in NAMES))
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


class Recognised(NamedTuple):
    """Which of n cases some weights have learnt from: masks (n,)."""

    by_id: NDArray[np.bool_]
    """Its id is, but for upper and lower case and for spaces where no two ids of the table differ in these alone."""
    others: NDArray[np.bool_]
    """Its id is, but it has images, as those have that were learnt from, and none of its own is among them."""
    by_image: NDArray[np.bool_]
    """One of its images is, by content."""
    by_group: NDArray[np.bool_]
    """A case of its group is."""

    @property
    def any(self) -> NDArray[np.bool_]:
        """(n,) whether it is recognised at all."""
        return self.by_id | self.by_image | self.by_group

    def at(self, index: NDArray[Any]) -> Recognised:
        """Return that of the cases at `index`."""
        return Recognised(*(mask[index] for mask in self))

    def __str__(self) -> str:
        """Return how many, by what, each once: `3 of 60 cases have ids that this run learnt from`; empty for none."""
        kinds = (
            ("have ids that this run learnt from", self.by_id & ~self.others),
            ("have ids that this run learnt from, and other images", self.others),
            ("have images that this run learnt from, under other ids", self.by_image & ~self.by_id),
            ("are of groups that this run learnt from", self.by_group & ~self.by_id & ~self.by_image),
        )
        return ", ".join(f"{int(mask.sum())} of {len(mask)} cases {words}" for words, mask in kinds if mask.any())

    def flags(self) -> tuple[str, ...]:
        """Return what is to be said of each case; empty where it is not recognised."""
        out = np.full(len(self.by_id), "", dtype=object)
        out[self.by_group] = "another case of its group was in training"
        out[self.others] = "a case of this id was in training, with other images"
        out[(self.by_id & ~self.others) | self.by_image] = "was in training"
        return tuple(out.tolist())


# ── digests ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def digest_ids(ids: NDArray[Any], kind: str = "id") -> NDArray[Any]:
    """(n,) digests of case ids, or of words of another kind."""
    digests = room(len(ids), KEY)
    for part in in_chunks(len(ids)):
        digests[part] = [content_key(f"{kind}/{name}".encode()) for name in ids[part].tolist()]
    return digests


def digest_alike(words: NDArray[Any], kind: str = "id") -> NDArray[Any]:
    """Return (n,) digests of the words without regard to case of letters and spaces; empty where two of these words
    differ in nothing else, so that they are told apart."""
    distinct, which = numbered(words)
    digests = room(len(distinct), KEY)
    for part in in_chunks(len(distinct)):
        forms = (unicodedata.normalize("NFC", word).casefold().split() for word in distinct[part].tolist())
        digests[part] = [content_key(f"{kind}/{' '.join(form)}".encode()) for form in forms]
    _, form = numbered(digests)
    digests[np.bincount(form)[form] > 1] = b""
    return picked(digests, which)


def digest_images(cases: Cases, index: NDArray[Any]) -> NDArray[Any]:
    """Digests of the content of every image file of these cases, sorted."""
    return Pictures.of(cases, index).distinct()


class Pictures(NamedTuple):
    """The image files of some cases that can be read."""

    digests: NDArray[Any]
    """(files,) of their content."""
    places: NDArray[np.int64]
    """(files,) the position of the case of each."""

    @classmethod
    def of(cls, cases: Cases, index: NDArray[Any] | None = None) -> Self:
        """Return those of the cases at `index`, or of all; the position is that in the table."""
        index = np.arange(len(cases)) if index is None else index
        found, places = [NONE], [np.zeros(0, np.int64)]
        for part in in_chunks(len(index)):
            rows = cases.rows(index[part])
            for modality in cases.card.modalities.values():
                for column in modality.columns if modality.is_image else ():
                    alone, of = rows.apart([column])
                    keys = content_keys([path for path in alone.paths(column) if path is not None])
                    read = np.array([key != "" for key in keys], dtype=bool)
                    found.append(np.array(keys, dtype=KEY)[read])
                    places.append(index[part][of[read]])
        digests = np.concatenate(found, out=room(sum(map(len, found)), KEY))
        found.clear()
        return cls(digests, np.concatenate(places, out=room(len(digests), np.int64)))

    def distinct(self, index: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return the digests that differ, in order; of the cases at `index`, or of all."""
        return numbered(self.digests if index is None else self.digests[np.isin(self.places, index)])[0]


def seen_of(cases: Cases, index: NDArray[Any], pictures: Pictures | None = None, *, labelled: bool = True) -> Seen:
    """Return what weights will have seen that learn from these cases; `pictures` are those of the table, if known."""
    images = digest_images(cases, index) if pictures is None else pictures.distinct(index)
    ids = _names(cases.ids, index, "id")
    if not labelled:
        return {**dict.fromkeys(NAMES, NONE), "ids_unlabelled": ids, "images_unlabelled": images}
    groups = _names(cases.groups, index[_grouped(cases)[index]], "group")
    return {**dict.fromkeys(NAMES, NONE), "ids": ids, "groups": groups, "images": images}


def unknown_file(path: Path) -> Seen:
    """Return what is known of a file of features that does not say what the weights behind it have seen."""
    return {**dict.fromkeys(NAMES, NONE), "unknown": np.array(content_keys([path]), dtype=KEY)}


def together(many: Iterable[Mapping[str, NDArray[Any]]]) -> Seen:
    """Return all that any of them has seen."""
    out: Seen = dict.fromkeys(NAMES, NONE)
    for seen in many:
        for name, known in out.items():
            if len(seen[name]):
                out[name] = np.union1d(known, seen[name]) if len(known) else seen[name]
    return out


def recognise(cases: Cases, seen: Mapping[str, NDArray[Any]], pictures: Pictures | None = None) -> Recognised:
    """Return which cases are among what was seen with its labels; `pictures` are those of the table, if known.

    Groups count where both tables name them in a column.
    """
    seen = {name: seen.get(name, NONE) for name in NAMES}
    none = np.zeros(len(cases), dtype=bool)
    by_id = _known(cases.ids, "id", seen["ids"]) if len(seen["ids"]) else none
    grouped = _grouped(cases) if len(seen["groups"]) else none
    by_group = grouped & _known(cases.groups, "group", seen["groups"]) if grouped.any() else none
    by_image, others = none.copy(), none.copy()
    if len(seen["images"]):
        pictures = Pictures.of(cases) if pictures is None else pictures
        others[pictures.places] = True
        by_image[pictures.places[np.isin(pictures.digests, seen["images"])]] = True
        others &= by_id & ~by_image
    return Recognised(by_id, others, by_image, by_group)


def _names(words: NDArray[Any], index: NDArray[Any], kind: str) -> NDArray[Any]:
    """Sorted digests of the words at `index`, as they are and in their one form."""
    exact, alike = digest_ids(picked(words, index), kind), picked(digest_alike(words, kind), index)
    more = alike[(alike != b"") & (alike != exact)]
    return numbered(np.concatenate([exact, more], out=room(len(exact) + len(more), KEY)) if len(more) else exact)[0]


def _known(words: NDArray[Any], kind: str, seen: NDArray[Any]) -> NDArray[np.bool_]:
    alike = digest_alike(words, kind)
    return np.isin(digest_ids(words, kind), seen) | (np.isin(alike, seen) & (alike != b""))


def _grouped(cases: Cases) -> NDArray[np.bool_]:
    """(n,) whether the table names a group of the case."""
    column = cases.card.cases.group
    if not column or column not in cases.table:
        return np.zeros(len(cases), dtype=bool)
    return np.array([cell is not None for cell in cases.table[column]], dtype=bool)


def frozen_seen(seen: Mapping[str, NDArray[Any]]) -> Seen:
    """Return of what a run's weights have seen that which its first weights had, and so its frozen encoders."""
    return {name: seen.get(f"{FIRST}{name}", NONE) for name in NAMES}


def as_first(seen: Mapping[str, NDArray[Any]]) -> Seen:
    """Return the same as what first weights had seen."""
    return {f"{FIRST}{name}": seen[name] for name in NAMES}


# ── in files ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_seen(run: Path) -> Seen:
    """A run's `seen.npz`. Raises: RunError if it cannot be read."""
    with Npz(run / SEEN, expected="what the run's weights have seen", mend="name a whole run") as file:
        held = {name: file.read(name, "SU", (None,), room) for name in _KNOWN if name in file or name in _ALWAYS}
        return _complete(held, file.fault)


def vouched(run: Path, names: Iterable[str]) -> None:
    """Raises: RunError for a file of the run that is missing, or not as its manifest says."""
    expected, mend = "a whole run, each file as its manifest says", "name a whole run; copy it again"
    listed = read_json(run / MANIFEST, Manifest, expected=expected, mend=mend)["files"]
    if SEEN not in listed:
        raise RunError(f"names no {SEEN}: nothing vouches for what its weights have seen", expected, mend,
                       str(run / MANIFEST))  # fmt: skip
    digests = {name: listed[name]["sha256"] for name in names if name in listed}
    for name, digest in digests.items():
        path = run / name
        if not path.is_file():
            raise RunError("is missing: nobody knows what the run's weights have seen", expected, mend, str(path))
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise RunError("was changed since it was written: the run is no source of weights", expected, mend,
                               str(path))  # fmt: skip


def file_seen(path: Path) -> Seen | None:
    """What the weights behind a file of features have seen; None where it does not say, or cannot be read.

    Raises: RunError where what it says is broken.
    """
    read = {".npz": _in_npz, ".parquet": _in_parquet}.get(path.suffix.lower())
    held = read(path) if read is not None and path.is_file() else {}

    def fault(found: str) -> MmfuseError:
        found = f"what it says of the weights behind it cannot be read: {found}"
        return RunError(found, "a file that `mmfuse embed` wrote", "embed the cases again", str(path))

    return _complete(held, fault) if held else None


def seen_arrays(seen: Mapping[str, NDArray[Any]]) -> Seen:
    """Return arrays for an .npz of features."""
    return {f"{MARK}{name}": seen[name] for name in NAMES}


def seen_metadata(seen: Mapping[str, NDArray[Any]]) -> dict[str, str]:
    """Return metadata for a .parquet of features: digests one after the other."""
    return {f"{MARK}{name}": b"".join(seen[name].tolist()).decode() for name in NAMES}


def _in_npz(path: Path) -> Seen:
    with suppress(RunError), Npz(path, expected="features") as file:
        return {name.removeprefix(MARK): file.read(name) for name in file if name.startswith(MARK)}
    return {}  # whoever reads the features says better what is wrong


def _in_parquet(path: Path) -> Seen:
    from pyarrow import ArrowException

    metadata: dict[bytes, bytes] = {}
    with suppress(ArrowException, OSError, TableError), open_parquet(path) as file:
        metadata = file.schema_arrow.metadata or {}
    mark, width = MARK.encode(), np.dtype(KEY).itemsize
    held = {name.removeprefix(mark).decode(): text for name, text in metadata.items() if name.startswith(mark)}
    return {
        name: np.array([text[at : at + width] for at in range(0, len(text), width)], dtype=KEY)
        for name, text in held.items()
    }


def _complete(held: Mapping[str, NDArray[Any]], fault: Callable[[str], MmfuseError]) -> Seen:
    """With empty arrays for what an older file does not name; of first weights it then says all that it knows.

    Raises: the fault of an array that holds other than digests.
    """
    found = {name: _digests(name, array, fault) for name, array in held.items() if name in _KNOWN}
    whole = {name: found.get(name, NONE) for name in NAMES}
    return whole | {f"{FIRST}{name}": found.get(f"{FIRST}{name}", whole[name]) for name in NAMES}


def _digests(name: str, array: NDArray[Any], fault: Callable[[str], MmfuseError]) -> NDArray[Any]:
    """Digests of 32 hexadecimal signs each."""
    if array.ndim == 1 and not len(array):
        return NONE
    if array.ndim != 1 or array.dtype != KEY:
        raise fault(f"'{name}' holds other words than digests")
    for part in in_chunks(len(array)):
        if not np.isin(array[part].view(np.uint8), _HEX).all():
            raise fault(f"'{name}' holds other words than digests")
    return array
