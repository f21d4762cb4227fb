"""Weights, and features that weights made, are refused where they have learnt the labels of what is now held out,
whatever it is called (law 2); what is not refused and flatters is told, and stays with the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.cases import Cases
from mmfuse.errors import Faults, MmfuseError, RunError, SpecError
from mmfuse.events import Notice, Watch, silent
from mmfuse.seen import (
    MANIFEST,
    NAMES,
    NONE,
    SEEN,
    Pictures,
    Recognised,
    Seen,
    as_first,
    file_seen,
    read_seen,
    recognise,
    seen_of,
    together,
    unknown_file,
    vouched,
)
from mmfuse.spec import Spec
from mmfuse.wiring import Wiring, wire

_FILES = (SEEN, "network/network.safetensors", "network/network.json")
"""Of a run, what its manifest must vouch for before weights are taken from it."""


_UNKNOWN = "have seen, so nobody can tell whether `test` cases are among it (files that `mmfuse embed` writes say it)"


class _Source(NamedTuple):
    """Something that has learnt and that training starts from."""

    place: Path
    what: str
    """`weights`, or `vectors`."""
    seen: Seen
    silent: bool = False
    """It does not say what it has seen; that was told."""

    def __str__(self) -> str:
        return f"{self.what} from '{self.place}'"


def refuse_seen(spec: Spec, wiring: Wiring, cases: Cases, split: NDArray[Any], watch: Watch) -> Seen:
    """What the fitted weights will have seen: the cases of `train` and `valid`, and all that the runs and files of
    features they start from have.

    Raises: SpecError where one of these learnt the labels of cases, or of groups, that are now held out; RunError for
    a run that nothing vouches for.
    """
    learnt, pictures = np.flatnonzero((split == "train") | (split == "valid")), Pictures.of(cases)
    sources = _sources(spec, wiring, cases, watch)
    for source in sources:
        for text in _remarks(source, cases, split, pictures):
            watch(Notice(text, "warning"))
    tell_copies(pictures, split, watch)
    first = together(source.seen for source in sources)
    return together([seen_of(cases, learnt, pictures), first]) | as_first(first)


def seen_faults(spec: Spec, cases: Cases, split: NDArray[Any], watch: Watch = silent) -> Faults:
    """Return what `Pipeline.fit` refuses of the weights and features that a plan starts from, before anything is
    trained; what it would remark is told to `watch`. `split` (n,) of train, valid, test."""
    faults = Faults()
    try:
        sources = _sources(spec, wire(spec), cases, watch)
        pictures = Pictures.of(cases) if sources else None
        for source in sources:
            for text in _remarks(source, cases, split, pictures):  # type: ignore[arg-type]  # there are sources
                watch(Notice(text, "warning"))
    except MmfuseError as error:
        faults.take_over(error)
    return faults


def seen_unlabelled(spec: Spec, wiring: Wiring, cases: Cases, index: NDArray[Any], watch: Watch) -> Seen:
    """What weights will have seen that learn from these cases without their labels, and from all that the runs and
    files of features they start from have. Raises: RunError for a run that nothing vouches for."""
    first = first_seen(spec, wiring, cases, watch)
    return together([seen_of(cases, index, labelled=False), first]) | as_first(first)


def first_seen(spec: Spec, wiring: Wiring, cases: Cases, watch: Watch) -> Seen:
    """What the first weights of a plan have seen, and those behind the files of features that it reads."""
    return together(source.seen for source in _sources(spec, wiring, cases, watch))


def tell_copies(pictures: Pictures, split: NDArray[Any], watch: Watch) -> None:
    """Tells of images that are the same, byte by byte, in what is learnt from and in what is held out."""
    digests = {name: pictures.distinct(np.flatnonzero(split == name)) for name in ("train", "valid", "test")}
    for held, other in (("test", "train"), ("test", "valid"), ("valid", "train")):
        same = int(np.isin(digests[held], digests[other]).sum())
        if same:
            text = (
                f"{same} images of `{held}` stand in `{other}` too, the same byte by byte: figures of `{held}` flatter;"
                " put their cases into one group, or drop one of them"
            )
            watch(Notice(text, "warning"))


# ── one source ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _remarks(source: _Source, cases: Cases, split: NDArray[Any], pictures: Pictures) -> list[str]:
    """What a reader of the figures should know of what training starts from.

    Raises: SpecError where it learnt the labels of `test` cases, or of cases of their groups.
    """
    seen, told, all_found = source.seen, [], recognise(cases, source.seen, pictures)
    held_out, learnt = np.flatnonzero(split == "test"), np.flatnonzero((split == "train") | (split == "valid"))
    found, held, own = all_found.at(held_out), pictures.distinct(held_out), pictures.distinct(learnt)
    # whose pictures are known on both sides and differ is somebody else of the same name; then names of groups are, too
    coincide = bool(found.others.any()) and not found.by_image.any()
    if (found.by_id & ~found.others).any() or found.by_image.any() or (found.by_group.any() and not coincide):
        raise _seen_before(source, found, int(np.isin(held, seen["images"]).sum()))
    for count, what in ((found.by_id.sum(), "ids"), (found.by_group.sum(), "groups")):
        if count:
            why = "though none of their images does" if what == "ids" else "as their ids do, of other images"
            told.append(f"{count} `test` {what} stand in what '{source.place}' learnt from, {why}")
    alone, of = int(np.isin(held, seen["images_unlabelled"]).sum()), "test images"
    if not (len(held) and len(seen["images_unlabelled"])):
        unlabelled = {**dict.fromkeys(NAMES, NONE), "ids": seen["ids_unlabelled"]}
        alone, of = int(recognise(cases, unlabelled, pictures).at(held_out).by_id.sum()), "`test` cases, by id,"
    if alone:
        told.append(f"{source} have seen {alone} {of} without their labels (transductive)")
    if len(seen["unknown"]) and not source.silent:
        told.append(f"{source} rest on features in a file that does not say what the weights that made them {_UNKNOWN}")
    again, of = int(np.isin(own, seen["images"]).sum()), "images"
    if not (len(own) and len(seen["images"])):
        again, of = int(all_found.at(learnt).any.sum()), "cases"
    if again:
        told.append(
            f"{source} learnt from the labels of {again} {of} of `train` and `valid`: scores of those cases, and what"
            " learns from them, are optimistic"
        )
    return told


def _seen_before(source: _Source, found: Recognised, images: int) -> SpecError:
    return SpecError(
        f"{source.what} come from '{source.place}', which learnt from the labels of cases that are now `test`"
        f" ({found.by_id.sum()} by id, {images} images by content, {found.by_group.sum()} by group)",
        "weights that have not seen the answer, of a case or of another of its group",
        "hold out the same cases in both runs, groups whole, or start from other weights; if names alone coincide,"
        " give these ids or groups names of their own",
    )


# ── where weights and features come from ──────────────────────────────────────────────────────────────────────────────


def _sources(spec: Spec, wiring: Wiring, cases: Cases, watch: Watch) -> list[_Source]:
    """The runs and files of features that training starts from, with what each has seen; a file that does not say is
    told of."""
    out = []
    for run in _runs(spec, wiring):
        vouched(run, _FILES)
        out.append(_Source(run, "weights", read_seen(run)))
    for path in _feature_files(spec, wiring, cases):
        seen = file_seen(path)
        if seen is None and path.is_file():
            watch(
                Notice(f"vectors from '{path}': it does not say what the weights that made them {_UNKNOWN}", "warning")
            )
            out.append(_Source(path, "vectors", unknown_file(path), silent=True))
        elif seen is not None:
            out.append(_Source(path, "vectors", seen))
    return out


def _feature_files(spec: Spec, wiring: Wiring, cases: Cases) -> list[Path]:
    modalities = [spec.card.modalities[name] for name in wiring.inputs]
    return sorted({cases.root / name for modality in modalities for name in modality.feature_files})


def _runs(spec: Spec, wiring: Wiring) -> list[Path]:
    """Run folders that weights come from; what lies within a run counts as the run, whether it is whole or not."""
    if spec.plan.network == "":
        return []
    lines = [line.weights for _, line in wiring.encoders.values()]
    named = [name for name in [*lines, spec.plan.network.weights] if name and name not in ("none", "pretrained")]
    places = [Path(name) if Path(name).exists() else Path(name.partition("#")[0]) for name in named]
    return sorted({run for place in places if place.exists() for run in _run_of(place)})


def _run_of(place: Path) -> Iterable[Path]:
    """The run that a folder or file belongs to; a file of weights that belongs to none stands for itself.

    Raises: RunError for a folder that is no run.
    """
    near = [place, *place.absolute().parents[:2]]
    for folder in near:
        if (folder / SEEN).is_file() or ((folder / MANIFEST).is_file() and (folder / "spec.toml").is_file()):
            return [folder]
    if place.is_dir() or (place.parent / "network.json").is_file():
        raise RunError(
            "is no source of weights: nothing says what they have seen",
            f"a whole run, with {MANIFEST} and {SEEN}",
            "name a run that `mmfuse train` or `mmfuse pretrain` wrote",
            str(place),
        )
    return []
