"""Bytes → text: which encoding a file is in, and what is to be told where that is a guess."""

from __future__ import annotations

import codecs
import re
import unicodedata
from pathlib import Path

from mmfuse.errors import TableError

GUESSED = "no UTF-8"
"""How the note on a guessed encoding begins."""
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_FOREIGN = re.compile(r"[^\s,;|\"]{0,20}[^\x00-\x7f][^\s,;|\"]{0,20}")
_SHOWN = 3


def decoded(path: Path) -> tuple[str, str]:
    """Return a file's text, each sign spelt in one way (Unicode's NFC), and its encoding.

    Raises: TableError for NUL bytes, or bytes that are not in the encoding that the first ones state.
    """
    data = path.read_bytes()
    text, encoding = _in_an_encoding(path, data)
    if "\0" in text:
        raise _no_text(path)
    # One spelling of each sign: a file system or a spreadsheet may write ü as one sign or as two.
    return text if text.isascii() else unicodedata.normalize("NFC", text), encoding


def doubts(text: str, encoding: str) -> tuple[str, ...]:
    """Return the note on an encoding that the bytes do not tell, with what the file says in it; none where they do."""
    if encoding.startswith("utf"):
        return ()
    words: dict[str, None] = {}
    for match in _FOREIGN.finditer(text):
        words[match[0]] = None
        if len(words) == _SHOWN:
            break
    said = ", ".join(f"'{word}'" for word in words)
    told = f"{GUESSED}, so read as {encoding} (Western European), where it says {said}"
    return (f"{told}; if that is wrong, save it as UTF-8",)


def _no_text(path: Path) -> TableError:
    found = "holds NUL bytes: it is no text, or UTF-16 without its mark"
    return TableError(found, "a text file", "save it as CSV in UTF-8", str(path))


def _in_an_encoding(path: Path, data: bytes) -> tuple[str, str]:
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            try:
                return data.decode(encoding), encoding
            except UnicodeDecodeError as error:
                found = f"its first bytes say {encoding}, but at byte {error.start}: {error.reason}"
                raise TableError(found, "text in one encoding", "save it as UTF-8", str(path)) from error
    if b"\0" in data:
        raise _no_text(path)
    for encoding in ("utf-8", "cp1252"):
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1"), "latin-1"
