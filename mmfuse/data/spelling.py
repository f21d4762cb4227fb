"""Words that are the same but for case and spaces: `male`, `Male`, `MALE`. They are told of and mapped by the card
(`[columns] sex = { values = { Male = "male" } }`), never taken for one unasked.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from mmfuse.data.words import SHOWN, Texts, canonical, texts

_SPACES = re.compile(r"[\s_]+")


def folded(word: str) -> str:
    """Return the word without differences of case, spaces (underscores too) and character width: what is equal then is
    the same word but for case.
    """
    if word.isascii() and word.islower() and word.isalpha():
        return word
    return _SPACES.sub(" ", unicodedata.normalize("NFKC", word).casefold()).strip()


def variants(counts: Mapping[str, int]) -> dict[str, str]:
    """Return {word: the spelling to take for it} for the words of `counts` (word → cells) that another one equals but
    for case: the most frequent spelling, of equally frequent ones the one in small letters, then the first in order.
    """
    alike: dict[str, list[str]] = {}
    for word in counts:
        alike.setdefault(folded(word), []).append(word)
    found: dict[str, str] = {}
    for words in alike.values():
        if len(words) > 1:
            best = min(words, key=lambda word: (-counts[word], word != word.lower(), word))
            found |= {word: best for word in sorted(words) if word != best}
    return found


def but_for_case(word: str, known: Iterable[str]) -> str:
    """Return the one of `known` that is the same word but for case, empty if there is none."""
    form = folded(word)
    return next((other for other in known if other != word and folded(other) == form), "")


def value_map(column: str, words: Mapping[str, str]) -> str:
    """Return the line of a card that maps these words: `[columns] sex = { values = { Male = "male" } }`."""
    pairs = ", ".join(f'{toml_key(word)} = "{_escaped(meant)}"' for word, meant in list(words.items())[:SHOWN])
    more = ", …" if len(words) > SHOWN else ""
    return f"[columns] {toml_key(column)} = {{ values = {{ {pairs}{more} }} }}"


def toml_key(name: str) -> str:
    """Return a name as TOML wants it on the left of `=`."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{_escaped(name)}"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def mapped(words: Texts, values: Mapping[str, str], missing: Sequence[str], decimal: str) -> Texts:
    """Return (n,) the words with those that `values` names replaced; a word of `missing` in their place is None.

    A word is named as it stands, or in its one form (`1` for `1.0`).
    """
    forms = {canonical(word): None if meant in missing else meant for word, meant in values.items()}
    exact = {word: None if meant in missing else meant for word, meant in values.items()}

    def meant(word: str) -> str | None:
        form = canonical(word, decimal)
        return exact[word] if word in exact else forms.get(form, word)

    known = {word: meant(word) for word in set(words.tolist()) if word is not None}
    return texts(None if word is None else known[word] for word in words)
