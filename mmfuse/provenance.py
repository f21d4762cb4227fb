"""What any weight has learnt from, by content, so that a case can be recognised whatever it is called (law 2).

Only keyed digests are kept: neither an id nor a picture can be read from them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.cases import Cases
from mmfuse.data.contents import content_keys
from mmfuse.errors import RunError, SpecError
from mmfuse.events import Notice, Watch
from mmfuse.spec import Spec
from mmfuse.wiring import Wiring

Seen = dict[str, NDArray[Any]]
"""`ids` and `images`: sorted digests; `images_unlabelled`: of pictures that were seen without their labels."""


def digest_ids(ids: NDArray[Any]) -> NDArray[Any]:
    """(n,) digests of case ids."""
    return np.array([hashlib.blake2b(f"id/{name}".encode(), digest_size=16).hexdigest() for name in ids])


def digest_images(cases: Cases, index: NDArray[Any]) -> NDArray[Any]:
    """Digests of the content of every image file of these cases, sorted."""
    found: set[str] = set()
    rows = cases.rows(index)
    for modality in cases.card.modalities.values():
        if modality.is_image:
            for column in modality.columns:
                paths = [path for path in rows.paths(column) if path is not None]
                found.update(key for key in content_keys(paths) if key)
    return np.array(sorted(found), dtype="U64")


def read_seen(run: Path) -> Seen:
    """A run's `seen.npz`. Raises: RunError if it cannot be read."""
    try:
        with np.load(run / "seen.npz", allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise RunError(
            f"cannot be read: {error}", "what the run's weights have seen", "name a whole run", str(run / "seen.npz")
        ) from error


def refuse_seen(spec: Spec, wiring: Wiring, cases: Cases, split: NDArray[Any], watch: Watch) -> Seen:
    """What the fitted weights will have seen: the cases of `train` and `valid`, and all that the runs they start from
    have.

    Raises: SpecError where a run that weights come from learnt the labels of cases that are now held out.
    """
    learnt = np.flatnonzero((split == "train") | (split == "valid"))
    held_out = np.flatnonzero(split == "test")
    ids, images, unlabelled = digest_ids(cases.ids[learnt]), digest_images(cases, learnt), np.array([], dtype="U64")
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
        if alone:
            watch(
                Notice(
                    f"weights from '{run}' have seen {alone} test images without their labels (transductive)", "warning"
                )
            )
        ids, images = np.union1d(ids, seen["ids"]), np.union1d(images, seen["images"])
        unlabelled = np.union1d(unlabelled, seen["images_unlabelled"])
    return {"ids": np.sort(ids), "images": images, "images_unlabelled": unlabelled}


def _runs(spec: Spec, wiring: Wiring) -> list[Path]:
    """Run folders that weights come from."""
    if spec.plan.network == "":
        return []
    named = [line.weights.partition("#")[0] for _, line in wiring.encoders.values()] + [spec.plan.network.weights]
    return sorted({Path(name) for name in named if name and (Path(name) / "seen.npz").is_file()})
