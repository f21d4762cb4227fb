"""TOML from files and `--set`, of limited size and depth."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from pathlib import Path
from typing import Any

from mmfuse.errors import MmfuseError, SpecError
from mmfuse.formats.trees import DEEPEST, fault_of

LARGEST = 4 * 2**20
"""Bytes of a TOML file."""
BITS = 63
"""Of whole numbers, as the language of TOML says."""

_EXPECTED = 'KEY = VALUE lines under [section]; words in quotes: "…"'
_STEP = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')"""
_LONG_KEY = re.compile(rf"^[ \t]*\[*[ \t]*(?:{_STEP}[ \t]*\.[ \t]*){{{DEEPEST}}}", re.MULTILINE)
"""A key of so many steps: the time that Python's reader takes for one grows with their square."""


def read_toml(path: Path, *, error: type[MmfuseError] = SpecError, mend: str = "") -> dict[str, Any]:
    """Return the tree of a TOML file of up to 4 MiB and 64 levels.

    Raises: `error` naming file and line.
    """
    where = str(path)
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise error(f"has {size:,} bytes", f"a TOML file of {LARGEST:,} bytes at most", mend, where)
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise error("no such file", "a TOML file", mend or "check the path", where) from None
    except OSError as fault:
        raise error(f"cannot be read: {fault.strerror}", "a TOML file", mend, where) from fault
    except UnicodeDecodeError as fault:
        raise error(f"cannot be read: {fault}", "a TOML file in UTF-8", mend or "save it as UTF-8", where) from fault
    except ValueError as fault:  # a path that can be none
        raise error(f"cannot be read: {fault}", "a TOML file", mend, where) from fault
    return parse_toml(text, where=where, error=error, mend=mend)


def parse_toml(text: str, *, where: str, error: type[MmfuseError] = SpecError, mend: str = "") -> dict[str, Any]:
    """Return the tree of TOML text, each sign spelt in one way (NFC) as in tables.

    Raises: `error` naming `where` and the line.
    """
    text = text if text.isascii() else unicodedata.normalize("NFC", text)
    if _LONG_KEY.search(text):
        raise error(f"holds a key of more than {DEEPEST} steps", "keys as in network.encoders.image.model", mend, where)
    try:
        tree = tomllib.loads(text)
    except RecursionError:
        raise error(f"is nested deeper than {DEEPEST} levels", "a plan or a card", mend, where) from None
    except ValueError as fault:  # TOMLDecodeError, or a number of too many digits
        raise error(f"is no TOML: {fault}", _EXPECTED, mend, where) from fault
    if found := fault_of(tree, BITS):
        raise error(found, "a plan or a card", mend, where)
    return tree
