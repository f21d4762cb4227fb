"""The image files behind a table: can each be read as the card says, is it the same as another case's (by content)?"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mmfuse.attribution import attributed
from mmfuse.data.contents import content_keys
from mmfuse.data.findings import Finding, Level
from mmfuse.data.readers import fit_reader, may_give_files, read_some, rows_apart
from mmfuse.data.splits import Names
from mmfuse.data.words import SHOWN
from mmfuse.data.workers import in_threads
from mmfuse.errors import Fault, PartError, TableError
from mmfuse.events import Meter, Watch

if TYPE_CHECKING:
    from mmfuse.data.cases import Cases
    from mmfuse.data.rows import Rows
    from mmfuse.parts import Modality


_Remark = tuple[str, str]
"""What is odd, and the mend."""
FLAT = 2
"""Grey levels within which an image shows nothing; a compressed black image is off by one or two."""


class _Use(NamedTuple):
    case: int
    column: str
    path: Path
    row: int
    """Among those that the modality's reader is asked for."""


def picture_findings(cases: Cases, split: Names, watch: Watch) -> list[Finding]:
    """Files that the modality's own reader refuses, images of one colour, and images that several cases share; threads
    decode each once."""
    findings: list[Finding] = []
    same: dict[str, list[_Use]] = defaultdict(list)
    for name, modality in cases.card.modalities.items():
        if not may_give_files(modality):
            continue
        try:
            rows, uses = _uses(cases, name, modality)
        except (TableError, PartError) as error:  # cells that name no one file
            findings += [Finding("error", fault.where, fault.found, fault.mend) for fault in error.faults]
            continue
        faults, blank, odd = _looked_at(rows, name, modality, uses, watch)
        findings += [*_unreadable(name, modality, uses, faults), *_blank(cases, name, uses, blank)]
        findings += _odd(cases, name, uses, odd)
        sound = [use for use in uses if use.path not in faults]
        for use, key in zip(sound, content_keys([use.path for use in sound]), strict=True):
            same[key].append(use)
    return findings + _shared(cases, split, [uses for key, uses in same.items() if key])


def _uses(cases: Cases, name: str, modality: Modality) -> tuple[Rows, list[_Use]]:
    """Rows of one image each at most, and which files each case has; none where a modality reads no files. Raises:
    TableError as the modality's reader does."""
    rows = cases.rows()
    reader, column = fit_reader(name, modality, rows), ", ".join(modality.columns)
    alone, of = rows_apart(name, reader, rows)
    places = np.arange(len(rows)) if of is None else of
    with attributed(reader, "`files`", f"modality {name}"):
        files = enumerate(reader.files(alone))
    return alone, [_Use(int(places[i]), column, path, i) for i, path in files if path is not None]


def _looked_at(
    rows: Rows, name: str, modality: Modality, uses: list[_Use], watch: Watch
) -> tuple[dict[Path, Fault], set[Path], dict[_Remark, set[Path]]]:
    """{file: what its reader says against it}, the files that show one colour, and {what is odd, the mend: files}. A
    modality that goes on without such files is asked for its reason."""
    first = {use.path: use.row for use in reversed(uses)}
    if "on_error" in type(modality).model_fields:
        modality = modality.model_copy(update={"on_error": "raise"})
    reader, meter = fit_reader(name, modality, rows), Meter(watch, f"checking {name}", len(first))

    def look(path: Path) -> tuple[Fault | bool, tuple[_Remark, ...]]:
        try:
            pixels, present = read_some(name, reader, rows, np.array([first[path]]))
            with attributed(reader, "`remarks`", f"modality {name}"):
                remarks = reader.remarks(path)
        except (TableError, PartError) as error:
            return error.faults[0], ()
        return bool(modality.is_image and present.any() and np.ptp(pixels.astype(np.float32)) <= FLAT), remarks

    faults, blank, odd = {}, set(), defaultdict(set)
    for path, (told, remarks) in zip(first, in_threads(look, first), strict=True):
        meter.add(1)
        if isinstance(told, Fault):
            faults[path] = told
        elif told:
            blank.add(path)
        for remark in remarks:
            odd[remark].add(path)
    return faults, blank, dict(odd)


def _unreadable(name: str, modality: Modality, uses: list[_Use], faults: dict[Path, Fault]) -> list[Finding]:
    bad = [use for use in uses if use.path in faults]
    # A modality may have said that it goes on without such images.
    level: Level = "warning" if dict(modality).get("on_error") == "absent" else "error"
    told = {use.path: faults[use.path] for use in bad}
    findings = [Finding(level, fault.where, fault.found, fault.mend) for fault in list(told.values())[:SHOWN]]
    if len(told) > SHOWN:
        what = "images" if modality.is_image else "files"
        text = f"{len(bad)} of {len(uses)} {what} cannot be used; {len(told) - SHOWN} files are not listed"
        findings.append(Finding(level, f"modality {name}", text, "check `root` in [cases]"))
    return findings


def _blank(cases: Cases, name: str, uses: list[_Use], blank: set[Path]) -> list[Finding]:
    """Images that show nothing: black, or of one colour."""
    text, mend = "are of one colour and show nothing", "look at the files; empty the cells of images that failed"
    return _odd(cases, name, uses, {(text, mend): blank})


def _odd(cases: Cases, name: str, uses: list[_Use], odd: dict[_Remark, set[Path]]) -> list[Finding]:
    """Images that can be read and are not what they should be."""
    findings = []
    for (text, mend), paths in odd.items():
        bad = [use for use in uses if use.path in paths]
        rows = [f"row {cases.table.rows[use.case]} (id {cases.ids[use.case]})" for use in bad[:SHOWN]]
        more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        if bad:
            told = f"{len(bad)} images {text}: {', '.join(rows)}{more}"
            findings.append(Finding("warning", f"modality {name}", told, mend))
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
        Finding(level, "images", f"identical {text}: {_examples(cases, split, kinds[kind])}", mend)
        for kind, (level, text, mend) in said.items()
        if kinds[kind]
    ]


def _examples(cases: Cases, split: Names, alike: list[list[_Use]]) -> str:
    def one(use: _Use) -> str:
        place = f"row {cases.table.rows[use.case]} (id {cases.ids[use.case]}), {use.column}"
        return f"{place}, {split[use.case]}" if split[use.case] else place

    shown = " | ".join(" = ".join(one(use) for use in uses[:3]) for uses in alike[:SHOWN])
    return shown + (f" | and {len(alike) - SHOWN} more" if len(alike) > SHOWN else "")
