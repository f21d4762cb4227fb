"""What any weight has learnt from, by content, so that a case can be recognised whatever it is called (law 2).

Only keyed digests are kept: neither an id nor a picture can be read from them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.aside import numbered, room
from mmfuse.data.cases import Cases
from mmfuse.data.contents import content_key, content_keys
from mmfuse.data.inputs import KEY
from mmfuse.data.workers import in_chunks
from mmfuse.errors import SpecError
from mmfuse.events import Notice, Watch
from mmfuse.formats.npz_files import Npz
from mmfuse.spec import Spec
from mmfuse.wiring import Wiring

_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
SEEN = "seen.npz"
"""In a run's folder."""

Seen = dict[str, NDArray[Any]]
"""`ids` and `images`: sorted digests; `images_unlabelled`: of pictures that were seen without their labels."""


def digest_ids(ids: NDArray[Any]) -> NDArray[Any]:
    """(n,) digests of case ids."""
    digests = room(len(ids), KEY)
    for part in in_chunks(len(ids)):
        digests[part] = [content_key(f"id/{name}".encode()) for name in ids[part].tolist()]
    return digests


def digest_images(cases: Cases, index: NDArray[Any]) -> NDArray[Any]:
    """Digests of the content of every image file of these cases, sorted."""
    found = [np.zeros(0, KEY)]
    for part in in_chunks(len(index)):
        rows = cases.rows(index[part])
        for modality in cases.card.modalities.values():
            if modality.is_image:
                alone, _ = rows.apart(modality.columns)
                for column in modality.columns:
                    paths = [path for path in alone.paths(column) if path is not None]
                    found.append(np.array([key for key in content_keys(paths) if key], dtype=KEY))
    digests = np.concatenate(found, out=room(sum(map(len, found)), KEY))
    found.clear()
    return numbered(digests)[0]


def read_seen(run: Path) -> Seen:
    """A run's `seen.npz`. Raises: RunError if it cannot be read."""
    with Npz(run / SEEN, expected="what the run's weights have seen", mend="name a whole run") as file:
        return {name: _digests(file, name) for name in ("ids", "images", "images_unlabelled")}


def _digests(file: Npz, name: str) -> NDArray[Any]:
    """Digests of 32 hexadecimal signs each."""
    digests = file.read(name, "SU", (None,), room)
    if not len(digests):
        return digests.astype(KEY)
    for part in in_chunks(len(digests)):
        if digests.dtype != KEY or not np.isin(digests[part].view(np.uint8), _HEX).all():
            raise file.fault(f"'{name}' holds other words than digests")
    return digests


def refuse_seen(spec: Spec, wiring: Wiring, cases: Cases, split: NDArray[Any], watch: Watch) -> Seen:
    """What the fitted weights will have seen: the cases of `train` and `valid`, and all that the runs they start from
    have.

    Raises: SpecError where a run that weights come from learnt the labels of cases that are now held out.
    """
    learnt = np.flatnonzero((split == "train") | (split == "valid"))
    held_out = np.flatnonzero(split == "test")
    ids, images, unlabelled = digest_ids(cases.ids[learnt]), digest_images(cases, learnt), np.array([], dtype=KEY)
    own = images
    for run in _runs(spec, wiring):
        seen = read_seen(run)
        held_ids, held_images = digest_ids(cases.ids[held_out]), digest_images(cases, held_out)
        by_id, by_image = np.isin(held_ids, seen["ids"]).sum(), np.isin(held_images, seen["images"]).sum()
        if by_image or (by_id and not len(seen["images"])):
            raise SpecError(
                f"weights come from '{run}', which learnt from the labels of cases that are now `test`"
                f" ({by_id} by id, {by_image} images by content)",
                "weights that have not seen the answer",
                "hold out the same cases in both runs, or start from other weights",
            )
        alone = np.isin(held_images, seen["images_unlabelled"]).sum()
        for text in _remarks(run, by_id, alone, np.isin(own, seen["images"]).sum()):
            watch(Notice(text, "warning"))
        ids, images = np.union1d(ids, seen["ids"]), np.union1d(images, seen["images"])
        unlabelled = np.union1d(unlabelled, seen["images_unlabelled"])
    ids.sort()
    return {"ids": ids, "images": images, "images_unlabelled": unlabelled}


def seen_unlabelled(spec: Spec, wiring: Wiring, cases: Cases, index: NDArray[Any]) -> Seen:
    """What weights will have seen that learn from these cases without their labels, and from all that the runs they
    start from have."""
    none = np.array([], dtype=KEY)
    seen: Seen = {"ids": none, "images": none, "images_unlabelled": digest_images(cases, index)}
    for run in _runs(spec, wiring):
        before = read_seen(run)
        seen = {name: np.union1d(known, before[name]) for name, known in seen.items()}
    return seen


def _remarks(run: Path, by_id: int, alone: int, learnt: int) -> list[str]:
    """What a reader of the figures should know about weights that are not refused."""
    told = []
    if by_id:
        told.append(f"{by_id} `test` ids stand in what '{run}' learnt from, though none of their images does")
    if alone:
        told.append(f"weights from '{run}' have seen {alone} test images without their labels (transductive)")
    if learnt:
        told.append(
            f"weights from '{run}' learnt from the labels of {learnt} images of `train` and `valid`: scores of those"
            " cases, and what learns from them, are optimistic"
        )
    return told


def _runs(spec: Spec, wiring: Wiring) -> list[Path]:
    """Run folders that weights come from; a file within a run counts as the run."""
    if spec.plan.network == "":
        return []
    named = [line.weights for _, line in wiring.encoders.values()] + [spec.plan.network.weights]
    places = [Path(name) if Path(name).exists() else Path(name.partition("#")[0]) for name in named if name]
    near = [(place, *place.absolute().parents[:2]) for place in places if place.exists()]
    found = [next((folder for folder in folders if (folder / SEEN).is_file()), None) for folders in near]
    return sorted({folder for folder in found if folder is not None})
