"""`lint`: published figures held against arithmetic that is true of every table of answers.

For referees and for one's own drafts: nothing but the figures is needed, no cases and no run.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import click
from pydantic import Field
from typing_extensions import TypedDict

import mmfuse
from mmfuse.commands.app import App, Command

LABELS, ROUNDING = "labels", "rounding"
"""Words beside figures: how many labels they speak of together, and how far each may lie from the true one."""


_Number = Annotated[float, Field(allow_inf_nan=False)]


class _Evaluation(TypedDict):
    """What `evaluate --json` writes, as far as it is looked at."""

    sources: dict[str, dict[str, dict[str, Any]]]
    trivial: dict[str, dict[str, dict[str, Any]]]
    together: dict[str, dict[str, _Number | None]]
    trivial_together: dict[str, dict[str, _Number | None]]
    counts: dict[str, dict[str, int]]


class Reported(NamedTuple):
    """Figures of one table of answers, as they were written."""

    title: str
    words: Mapping[str, str]
    """{name: what stands there}; `labels` and `rounding` among them."""


@click.command(cls=Command)
@click.argument("words", nargs=-1, required=True, metavar="NAME=VALUE... | FILE")
@click.option(
    "--labels", type=click.IntRange(min=1), help="How many labels the figures speak of together.  [default: 1]"
)
@click.option(
    "--rounding", type=click.FloatRange(min=0), help="How far a figure may lie off.  [default: half of its last digit]"
)
@click.pass_context
def lint(context: click.Context, words: tuple[str, ...], labels: int | None, rounding: float | None) -> None:
    """Say what cannot be true of published figures.

    Figures of one table of answers, as in `accuracy=.9423 precision=.9909 recall=99.23% labels=8`; or a JSON file of
    them, an evaluation written by `evaluate --json`, or a CSV with a figure a column and a table of answers a line.
    With several labels, sensitivity and its kin are those of all (case, label) pairs. Exit code 1 where something
    cannot be.
    """
    app: App = context.obj
    found = 0
    for title, evaluation in _evaluations(words):
        faults = mmfuse.lint_evaluation(evaluation)
        found += len(faults)
        for text in faults or ["nothing contradicts in this evaluation"]:
            app.screen.text(f"{title}: {text}")
    for reported in _read(words):
        values, most = _values(reported)
        faults = mmfuse.lint(
            values,
            labels=labels or _whole(reported.words.get(LABELS, "1"), reported.title),
            rounding=most if rounding is None else rounding,
        )
        found += len(faults)
        title = f"{reported.title}: " if reported.title else ""
        for text in faults:
            app.screen.text(f"{title}{text}")
        unread = [name for name in values if not mmfuse.lintable(name)]
        if unread:
            app.screen.text(f"{title}not looked at, as no rule speaks of them: {', '.join(unread)}")
        if not faults and len(unread) < len(values):
            app.screen.text(f"{title}nothing contradicts: one table of answers can have these figures")
    context.exit(1 if found else 0)


def _read(words: Sequence[str]) -> list[Reported]:
    pairs, files = [word for word in words if "=" in word], [word for word in words if "=" not in word]
    if pairs and files:
        raise click.UsageError(f"{files[0]!r}: give NAME=VALUE words, or one FILE")
    if not files:
        named = [word.partition("=")[::2] for word in pairs]
        twice = sorted({name for name, _ in named if [name for name, _ in named].count(name) > 1})
        if twice:
            raise click.UsageError(f"{', '.join(twice)} is given twice")
        return [Reported("", dict(named))]
    return [reported for file in files for reported in _from_file(Path(file))]


def _evaluations(words: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """Those of the files that `evaluate --json` wrote: they say themselves whose figures stand where."""
    found = []
    files = [word for word in words if "=" not in word]
    if len(files) < len(words):
        return []
    for word in files:
        if Path(word).suffix.lower() != ".csv" and _is_evaluation(_json(Path(word))):
            expected = "an evaluation as `evaluate --json` writes it"
            told = mmfuse.read_json(Path(word), _Evaluation, expected=expected, error=mmfuse.TableError)
            lost = {
                label for of in (told["sources"], told["trivial"]) for by_label in of.values() for label in by_label
            }
            if lost - told["counts"].keys():
                named = sorted(lost - told["counts"].keys())[0]
                raise mmfuse.TableError(f"has no counts of label '{named}'", expected, where=word)
            found.append((Path(word).name, dict(told)))
    return found


def _is_evaluation(told: object) -> bool:
    return isinstance(told, dict) and {"sources", "trivial", "together", "trivial_together", "counts"} <= told.keys()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise mmfuse.TableError(
            f"cannot be read: {reason}", "a JSON or CSV file of figures, or NAME=VALUE words", where=str(path)
        ) from error


def _json(path: Path) -> Any:  # noqa: ANN401  # whatever JSON holds
    return mmfuse.read_json(path, expected="figures as {name: value}", error=mmfuse.TableError)


def _from_file(path: Path) -> list[Reported]:
    if path.suffix.lower() == ".csv":
        return [
            Reported(f"{path.name}, line {number}", {name: cell for name, cell in line.items() if name and cell})
            for number, line in enumerate(csv.DictReader(io.StringIO(_text(path))), 2)
        ]
    told = _json(path)
    if _is_evaluation(told):
        return []
    tables = _tables(path.name, told)
    if not tables:
        raise mmfuse.TableError("holds no figures", "{name: value}, a list of such, or an evaluation", where=str(path))
    return tables


def _tables(title: str, told: Any) -> list[Reported]:  # noqa: ANN401  # whatever JSON holds
    """Every table of figures in JSON, at any depth: the numbers that stand side by side are of one table."""
    if isinstance(told, list):
        return [one for number, item in enumerate(told, 1) for one in _tables(f"{title}, {number}", item)]
    if not isinstance(told, dict):
        return []
    # JSON keeps no zeros at the end: numbers side by side were written with as many digits as the longest of them
    digits = max((len(repr(value).partition(".")[2]) for value in told.values() if isinstance(value, float)), default=0)
    words = {name: f"{value:.{digits}f}" for name, value in told.items() if isinstance(value, float)}
    words |= {name: str(value) for name, value in told.items() if type(value) in (int, str)}
    own = [Reported(title, words)] if any(mmfuse.lintable(name) for name in words) else []
    return own + [one for name, value in told.items() for one in _tables(f"{title}, {name}", value)]


def _values(reported: Reported) -> tuple[dict[str, float], float]:
    """{name: figure}, and half of the last digit of the coarsest of them (or the rounding that stands among them)."""
    values, most = {}, 0.0
    for name, word in reported.words.items():
        if name in (LABELS, ROUNDING):
            continue
        value, half = _number(name, word, reported.title)
        if value is not None:
            values[name.strip()] = value
            most = max(most, half) if mmfuse.lintable(name) else most
    if ROUNDING in reported.words:
        most = _number(ROUNDING, reported.words[ROUNDING], reported.title)[0] or 0.0
    return values, most


def _number(name: str, word: str, title: str) -> tuple[float | None, float]:
    """A share, written `.942`, `0.942` or `94.2%`, and half of its last digit; None for a word beside figures."""
    text = word.strip()
    scale = 0.01 if text.endswith("%") else 1.0
    plain = text.removesuffix("%").strip()
    try:
        value = float(plain)
    except ValueError:
        if mmfuse.lintable(name):
            raise mmfuse.TableError(
                f"'{word}' is no number", "a share, as .942 or 94.2%", where=", ".join(filter(None, (title, name)))
            ) from None
        return None, 0.0
    digits = len(plain.partition(".")[2]) if "e" not in plain.lower() else 12
    return value * scale, 0.5 * 10.0**-digits * scale * (1 + 1e-9)


def _whole(word: str, title: str) -> int:
    if not word.strip().isdigit() or int(word) < 1:
        raise mmfuse.TableError(f"labels={word}", "how many labels: 1 or more", where=title)
    return int(word)
