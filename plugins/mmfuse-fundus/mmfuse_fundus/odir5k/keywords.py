"""What the doctors' diagnostic keywords say of one eye, by the organisers' labelling rules.

Suspected counts as found; a normal fundus is normal only where nothing else is said; what is said of the image alone
(dust, quality) decides nothing; every other word is `O`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

NORMAL = "normal fundus"
SILENT = frozenset(
    {
        "lens dust",
        "low image quality",
        "image offset",
        "optic disk photographically invisible",
        "anterior segment image",
        "no fundus image",
    }
)
"""Words that belong to no label."""
FOUND = (
    ("D", re.compile(r"diabetic|non[ -]?proliferative|proliferative retinopathy")),
    ("G", re.compile(r"glaucoma")),
    ("C", re.compile(r"cataract")),
    ("A", re.compile(r"age[ -]related macular degeneration")),
    ("H", re.compile(r"hypertensive")),
    ("M", re.compile(r"myop")),
)
"""Label → what its words hold."""
_BETWEEN = re.compile(r"[,，;；、]")


class Said(NamedTuple):
    """What an eye's keywords say."""

    labels: frozenset[str]
    """Empty where nothing decides."""
    contradiction: bool
    """Whether a normal fundus and a disease are both said; the disease decides."""
    others: tuple[str, ...]
    """Words that were counted as `O`."""


def words_of(text: str | None) -> tuple[str, ...]:
    """The keywords of a cell, in lower case; they are separated by commas, narrow or wide."""
    words = (" ".join(word.lower().split()) for word in _BETWEEN.split(text or ""))
    return tuple(word for word in words if word)


def read_keywords(text: str | None) -> Said:
    """The labels that a cell of keywords states for its eye."""
    labels: set[str] = set()
    others = []
    words = words_of(text)
    for word in words:
        if word == NORMAL or word in SILENT:
            continue
        letter = next((letter for letter, pattern in FOUND if pattern.search(word)), "O")
        labels.add(letter)
        if letter == "O":
            others.append(word)
    normal = NORMAL in words
    if normal and not labels:
        return Said(frozenset({"N"}), False, ())
    return Said(frozenset(labels), normal, tuple(others))


def union(left: Said, right: Said) -> frozenset[str]:
    """The labels of a patient: what either eye has; normal only where no eye has anything else."""
    both = left.labels | right.labels
    return both - {"N"} if both - {"N"} else both
