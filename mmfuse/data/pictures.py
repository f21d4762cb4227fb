"""The image files behind a table: is each there, can it be decoded, is it the same as another case's (by content)?"""

from __future__ import annotations

import io
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mmfuse.data.cases import resolve
from mmfuse.data.contents import content_key
from mmfuse.data.findings import Finding, Level
from mmfuse.data.splits import Names
from mmfuse.data.words import SHOWN
from mmfuse.data.workers import in_threads
from mmfuse.events import Meter, Watch

if TYPE_CHECKING:
    from mmfuse.data.cases import Cases


class _Use(NamedTuple):
    case: int
    modality: str
    column: str
    path: Path


def picture_findings(cases: Cases, split: Names, watch: Watch) -> list[Finding]:
    """Missing and unreadable files, and images that several cases share; each file is decoded once, in threads."""
    uses = _uses(cases)
    paths = sorted({use.path for use in uses})
    seen: dict[Path, tuple[str, str]] = {}
    meter = Meter(watch, "checking images", len(paths))
    for path, looked in zip(paths, in_threads(_look, paths), strict=True):
        seen[path] = looked
        meter.add(1)
    same: dict[str, list[_Use]] = defaultdict(list)
    for use in uses:
        key = seen[use.path][0]
        if key:
            same[key].append(use)
    faults = {path: fault for path, (_, fault) in seen.items() if fault}
    return _unreadable(cases, uses, faults) + _shared(cases, split, list(same.values()))


def _uses(cases: Cases) -> list[_Use]:
    return [
        _Use(i, name, column, resolve(cell, cases.root))
        for name, modality in cases.card.modalities.items()
        if modality.is_image
        for column in modality.columns
        for i, cell in enumerate(cases.table[column])
        if cell is not None
    ]


def _look(path: Path) -> tuple[str, str]:
    """(key of the content, why it cannot be used); one of the two is empty, or the file is unreadable but known."""
    from PIL import Image

    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return "", "no such file"
    except OSError as error:
        return "", f"cannot be read: {error.strerror}"
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.draft("RGB", (64, 64))  # JPEG: all of the file is read, few pixels are made
            image.load()
    except Exception as error:  # decoders raise many kinds
        return content_key(data), f"cannot be decoded: {error or type(error).__name__}"
    return content_key(data), ""


def _unreadable(cases: Cases, uses: list[_Use], faults: dict[Path, str]) -> list[Finding]:
    findings = []
    for name, modality in cases.card.modalities.items():
        mine = [use for use in uses if use.modality == name and use.path in faults]
        if not mine:
            continue
        # A modality may have said that it goes on without such images.
        level: Level = "warning" if dict(modality).get("on_error") == "absent" else "error"
        total = sum(use.modality == name for use in uses)
        mend = f"mend the files, empty the cells, or set on_error = 'absent' for '{name}'"
        findings += [
            Finding(level, f"{cases.where(use.case, use.column)}, file {use.path}", faults[use.path], mend)
            for use in mine[:SHOWN]
        ]
        if len(mine) > SHOWN:
            text = f"{len(mine)} of {total} images cannot be used; {len(mine) - SHOWN} are not listed"
            findings.append(Finding(level, f"modality {name}", text, "check `root` in [cases]"))
    return findings


def _shared(cases: Cases, split: Names, alike: list[list[_Use]]) -> list[Finding]:
    """Images that are the same, byte by byte: within a case, a group, a split, or (a leak) across splits."""
    kinds: dict[str, list[list[_Use]]] = defaultdict(list)
    for uses in alike:
        who = {use.case for use in uses}
        if len({str(split[i]) for i in who} - {""}) > 1:
            kinds["splits"].append(uses)
        elif len({str(cases.groups[i]) for i in who}) > 1:
            kinds["groups"].append(uses)
        elif len(who) > 1:
            kinds["cases"].append(uses)
        elif len(uses) > 1:
            kinds["case"].append(uses)
    said: dict[str, tuple[Level, str, str]] = {
        "splits": ("error", "images stand in two splits: a leak", "put their cases in one group, or drop one of them"),
        "groups": (
            "warning",
            "images belong to different groups",
            "are they one patient? name another `group`, or drop one",
        ),
        "cases": ("info", "images belong to several cases of one group", ""),
        "case": ("warning", "images stand twice in one case", "check the columns of paths"),
    }
    return [
        Finding(level, "images", f"{len(kinds[kind])} identical {text}: {_examples(cases, split, kinds[kind])}", mend)
        for kind, (level, text, mend) in said.items()
        if kinds[kind]
    ]


def _examples(cases: Cases, split: Names, alike: list[list[_Use]]) -> str:
    def one(use: _Use) -> str:
        place = f"row {cases.table.rows[use.case]} (id {cases.ids[use.case]}), {use.column}"
        return f"{place}, {split[use.case]}" if split[use.case] else place

    shown = " | ".join(" = ".join(one(use) for use in uses[:3]) for uses in alike[:SHOWN])
    return shown + (f" | and {len(alike) - SHOWN} more" if len(alike) > SHOWN else "")
