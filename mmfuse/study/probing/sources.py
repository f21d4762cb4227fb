"""What is asked for a label: each column alone, the pattern of missing cells, and facts of the image files.

Each source says what would be expected of it. An input may tell much; where cells are missing, how a file was written
and what its margin looks like should tell nothing; what stands beside the inputs should be known to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmfuse.advice.audit import presence
from mmfuse.advice.leaks import names_someone
from mmfuse.data.readers import holds_paths
from mmfuse.data.table import canonical
from mmfuse.data.words import Texts, number
from mmfuse.labels import Floats, Ints
from mmfuse.study.probing.facts import Facts, Seen
from mmfuse.study.probing.reading import Answerer, Categories, Measures, Numbers

if TYPE_CHECKING:
    from mmfuse.data.cases import Cases

FEW = 20
"""Cases that a category needs to be spoken of, and a source to be asked."""
_MANY = 0.5
"""Share of different words in a column above which it is text, of which the length alone is asked."""


class Expectation(NamedTuple):
    """What a kind of source may tell before it is worth a word, and what to do then."""

    auc: float
    """The hypothesis that is tested."""
    clearly: float
    """What the lower end of the interval has to exceed."""
    level: Literal["warning", "info", "shown"]
    """Of the finding; `shown`: what it tells is shown among others, and no fault."""
    mend: str = ""
    nearly: float = 1.0
    """Where it has to tell more than another source: an AUC that is too much whatever the other tells; 1: none is."""


INPUT = Expectation(
    0.85,
    0.9,
    "warning",
    'was it known before the diagnosis? if not: [columns] {column} = {{ known = "after the diagnosis" }}',
)
BESIDE = Expectation(
    0.5,
    0.55,
    "warning",
    'if it came after the diagnosis: [columns] {column} = {{ known = "after the diagnosis" }}; if images or cells may'
    " tell it (device, site): leave some of its values out of training ([split] leave_out) and judge on them",
)
MARKED = Expectation(0.5, 0.55, "info")
MISSING = Expectation(
    0.5,
    0.55,
    "warning",
    "ask why these cells are empty; compare with a model of this pattern alone, and on whole cases",
)
FILE = Expectation(
    0.5, 0.55, "warning", "ask which device or clinic wrote them; write all files alike (format, size, EXIF, quality)"
)
MARGIN = Expectation(0.5, 0.55, "warning", "crop the margins of all images alike before they are encoded (`steps`)")
CONTENT = Expectation(1.0, 1.0, "shown")
"""Light, what stands inside, and bytes (fine structure takes more of them) are what a picture is taken for."""
BORDER = Expectation(
    0.5,
    0.6,
    "warning",
    "a ruler, ink, text? look at the borders of some images of this class; crop or mask them",
    nearly=0.95,
)


@dataclass(frozen=True, eq=False)
class Source:
    """One thing that is asked."""

    where: str
    """A column of the table, or what of which images."""
    expected: Expectation
    answers: Answerer
    there: NDArray[np.bool_]
    """(n,) cases that it can speak of."""
    column: str = ""
    """Of the table, or of the paths."""
    beside: str = ""
    """`where` of the source that it has to tell more than, if any."""


def table_sources(cases: Cases, columns: Iterable[str], gaps: Iterable[str]) -> Iterator[Source]:
    """Each of `columns` alone, input or not, and the pattern of missing cells in the columns `gaps`."""
    inputs = set(input_columns(cases))
    everyone = np.ones(len(cases), dtype=bool)
    for column in columns:
        line = cases.card.columns.get(column)
        expected = INPUT if column in inputs else MARKED if line is not None and line.marked else BESIDE
        answers = _column(cases.table[column], cases.table.decimal, len(cases))
        if answers is not None:
            yield Source(f"column {column}", expected, answers, everyone, column)
    cells = [[cell is None for cell in cases.table[column]] for column in gaps]
    absent = [*np.array(cells, dtype=bool).reshape(len(cells), len(cases)), *(~p for p in presence(cases).values())]
    varied = {flags.tobytes(): flags for flags in absent if flags.any() and not flags.all()}
    if varied:
        yield Source("missing cells", MISSING, Measures(_patterns(list(varied.values()))), everyone)


def input_columns(cases: Cases) -> list[str]:
    """Columns that modalities read, images left out, in order of their names."""
    modalities = cases.card.modalities.values()
    return sorted({column for modality in modalities for column in modality.columns if not modality.is_image})


def asked_columns(cases: Cases) -> list[str]:
    """Columns that are neither label, id, group, split nor paths of files, and do not tell people apart.

    Nor those that a modality names by a pattern (`e*`): one of many numbers of an embedding means nothing by itself.
    """
    card = cases.card
    skipped = {card.cases.id, card.cases.group, card.split.column, *(label.column for label in cases.labels)}
    skipped |= {c for modality in card.modalities.values() if holds_paths(modality) for c in modality.columns}
    knobs = [value for modality in card.modalities.values() for _, value in modality if isinstance(value, tuple)]
    patterns = [word for words in knobs for word in words if isinstance(word, str) and "*" in word]
    skipped |= {name for name in cases.table.names for pattern in patterns if fnmatchcase(name, pattern)}
    return [name for name in cases.table.names if name not in skipped and not names_someone(name)]


def kinds(words: Texts, decimal: str) -> tuple[list[str], Ints]:
    """The different words in their one form, and (n,) which each cell holds; -1 where it is empty."""
    forms = {word: canonical(word, decimal) for word in set(words) if word is not None}
    names = sorted(set(forms.values()))
    at = {name: i for i, name in enumerate(names)}
    return names, np.array([-1 if word is None else at[forms[word]] for word in words], dtype=np.int64)


def _column(words: Texts, decimal: str, n: int) -> Answerer | None:
    """Numbers by bins, categories by name; of text the length, and of rare words. None where nothing varies."""
    names, codes = kinds(words, decimal)
    if len(names) + bool((codes < 0).any()) < 2:
        return None
    values = np.array([number(name, decimal) for name in names])
    if names and not np.isnan(values).any() and len(names) > FEW:
        return Numbers(np.append(values, np.nan)[codes])
    known = int((codes >= 0).sum())
    if len(names) > max(_MANY * known, FEW):
        return Numbers(np.append([float(len(name)) for name in names], np.nan)[codes])
    return Categories(codes)


def _patterns(absent: Sequence[NDArray[np.bool_]]) -> Floats:
    """Each column's gaps, how many there are, and the patterns that are frequent."""
    flags = np.stack(absent, axis=1)
    rows = [row.tobytes() for row in flags]
    frequent = [row for row, count in Counter(rows).items() if count >= FEW]
    shown = [[row == other for row in rows] for other in frequent]
    parts = [flags, flags.sum(axis=1, keepdims=True), np.array(shown, dtype=float).reshape(len(frequent), len(flags)).T]
    return np.concatenate(parts, axis=1).astype(float)


def picture_sources(seen: Iterable[Seen]) -> Iterator[Source]:
    """Facts of the image files of each column, where some image can be read and the fact varies."""
    for one in seen:
        there = np.array([facts is not None for facts in one.facts], dtype=bool)
        some = [facts for facts in one.facts if facts is not None]
        if len(some) >= FEW:
            yield from _facts_sources(one.column, there, some)


def _facts_sources(column: str, there: NDArray[np.bool_], some: list[Facts]) -> Iterator[Source]:
    def measured(what: str, expected: Expectation, rows: list[Sequence[float]], beside: str = "") -> Source:
        values = np.zeros((len(there), len(rows[0])))
        values[there] = rows
        return Source(f"images of {column}, {what}", expected, Measures(values), there, column, beside)

    forms = {form: i for i, form in enumerate(sorted({facts.form for facts in some}))}
    if len(forms) > 1:
        codes = np.full(len(there), -1)
        codes[there] = [forms[facts.form] for facts in some]
        yield Source(f"images of {column}, how files are written", FILE, Categories(codes), there, column)
    if np.ptp([facts.margins for facts in some], axis=0).any():
        yield measured("black or white margins", MARGIN, [facts.margins for facts in some])
    inside = measured("inside", CONTENT, [facts.inside.tolist() for facts in some])
    yield inside
    yield measured("brightness and contrast", CONTENT, [(a, b, a * a, b * b) for a, b in (f.light for f in some)])
    yield measured("bytes of the file", CONTENT, [(f.size, f.size**2) for f in some])
    yield measured("border", BORDER, [facts.border.tolist() for facts in some], inside.where)
