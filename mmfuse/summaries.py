"""How objects show themselves: one line at a prompt, a small table in a notebook, from the same facts."""

from __future__ import annotations

import html


class Summarized:
    """Base of what shows itself by its `summary`."""

    def summary(self) -> dict[str, str]:
        """Return {what: its value in words}, in order; no cell of a table and no id is among them."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}: {value}' for name, value in self.summary().items())})"

    def _repr_html_(self) -> str:
        """Return a table of two columns for a notebook; every word is escaped."""
        rows = [
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
            for name, value in self.summary().items()
        ]
        return f"<table><caption>{html.escape(type(self).__name__)}</caption>{''.join(rows)}</table>"


def counted(number: int, word: str) -> str:
    """Return the number with its noun: 1 case, 2 cases."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
