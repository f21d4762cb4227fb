"""Words → dates, for splits by time. The order of day and month is taken from the column as a whole, and told."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.words import listed
from mmfuse.errors import TableError

_ISO = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?(?:[T ]\d{1,2}:\d{2}.*)?", re.ASCII)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})", re.ASCII)
_SPOKEN = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?: \d{1,2}:\d{2}.*)?", re.ASCII)


def days(words: Iterable[str | None], where: str) -> tuple[NDArray[np.float64], str]:
    """(n,) words → (n,) days since year 1 (NaN where None), and which form they had.

    Known forms: 2019, 2019-03, 2019-03-31 (with or without a time), 20190331, 31/3/2019, 31.3.2019, and 3/31/2019
    where the column can only be read so.

    Raises: TableError listing the words that are no dates, or saying that day and month come in both orders.
    """
    words = list(words)
    known = {word for word in words if word is not None}
    spoken = [match for match in map(_SPOKEN.fullmatch, known) if match]
    month_first = any(int(match[3]) > 12 for match in spoken)
    if month_first and any(int(match[1]) > 12 for match in spoken):
        raise TableError(
            "dates with the day first and with the month first both occur",
            "one order",
            "write ISO dates: 2019-03-31",
            where,
        )
    found = {word: _day(word, month_first) for word in known}
    refused = Counter(word for word in words if word is not None and np.isnan(found[word]))
    if refused:
        mend = "write ISO dates: 2019-03-31; list words for missing under `missing` in [cases]"
        raise TableError(f"{refused.total()} cells are no dates: {listed(refused)}", "dates", mend, where)
    form = "year first"
    if spoken:
        sure = month_first or any(int(match[1]) > 12 for match in spoken)
        form = ("month/day/year" if month_first else "day/month/year") + (
            "" if sure else " (no day above 12 proves it)"
        )
    return np.array([np.nan if word is None else found[word] for word in words], dtype=np.float64), form


def _day(word: str, month_first: bool) -> float:
    if match := _COMPACT.fullmatch(word) or _ISO.fullmatch(word):
        year, month, day = int(match[1]), int(match[2] or 1), int(match[3] or 1)
    elif match := _SPOKEN.fullmatch(word):
        day, month, year = int(match[1]), int(match[3]), int(match[4])
        if month_first:
            day, month = month, day
    else:
        return np.nan
    try:
        return float(datetime.date(year, month, day).toordinal())
    except ValueError:
        return np.nan
