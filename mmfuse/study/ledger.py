"""How often test cases were looked at on this machine, and by how many specs: each further look makes the best figure
less of a surprise. Digests alone are kept, in a file that other users cannot read.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmfuse.data.disk import cache_root, private_folder
from mmfuse.decide.scores import ScoreTable

FILE = "evaluations.jsonl"
"""In the cache's root; `mmfuse cache --clear` leaves it."""


class Looks(NamedTuple):
    """How often the same test cases were evaluated, by how many specs."""

    times: int
    specs: int

    def __str__(self) -> str:
        often = "once" if self.times == 1 else f"{self.times} times"
        return f"these test cases were evaluated {often} by {self.specs} {'spec' if self.specs == 1 else 'specs'}"


class Ledger:
    """The file in which evaluations are counted. Nothing fails because it cannot be written: it is only a count."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_root() / FILE

    def add(self, test: ScoreTable, spec: str) -> Looks:
        """Counts one evaluation of these cases by the spec of this digest; gives the looks until now, this included."""
        line = {"cases": cases_digest(test), "spec": _keyed("spec", spec), "time": int(time.time())}
        try:
            private_folder(self.path.parent)
            handle = os.open(self.path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
            try:
                os.write(handle, (json.dumps(line) + "\n").encode())  # one short write: lines never mix
            finally:
                os.close(handle)
        except OSError:
            seen = self.looks(test)
            return Looks(seen.times + 1, max(1, seen.specs))
        return self.looks(test)

    def looks(self, test: ScoreTable) -> Looks:
        """What was counted for these cases."""
        wanted, found = cases_digest(test), []
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return Looks(0, 0)
        for line in lines:
            try:
                entry = json.loads(line)
                if entry["cases"] == wanted:
                    found.append(str(entry["spec"]))
            except (ValueError, KeyError, TypeError):
                continue  # a torn line counts nothing
        return Looks(len(found), len(set(found)))


def cases_digest(test: ScoreTable) -> str:
    """A digest of which cases these are and what is true of them, in whatever order; ids cannot be read from it."""
    order = np.argsort(test.ids)
    about = [list(test.labels.column_names), test.ids[order].tolist(), test.targets[order].tolist()]
    return _keyed("cases", json.dumps(about, ensure_ascii=False))


def _keyed(what: str, text: str) -> str:
    return hashlib.blake2b(f"{what}/{text}".encode(), digest_size=16).hexdigest()
