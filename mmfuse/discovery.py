"""Where plugins come from: builtin, installed distributions, files, objects; each with the call that imports it.

Nothing is imported here by itself, and what a plugin raises is written down as its failure, never let through.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mmfuse import hooks
from mmfuse.errors import PluginError, nearest
from mmfuse.estimators import FILE_MODULE

if TYPE_CHECKING:
    import click

GIVEN = "given"
"""The origin of a plugin that is an object."""
SLOW = 1.0
"""Seconds from which on an import is called slow."""


@dataclass
class PluginInfo:
    """A plugin as it was found: what its import cost in seconds, what it brought, or why it is left out."""

    name: str
    origin: str
    version: str = ""
    seconds: float = 0.0
    parts: int = 0
    recipes: int = 0
    failure: str = ""
    sha256: str = ""
    """Of an unpackaged file's content."""
    remarks: str = ""
    """What else is to be known of it: names that others have as well."""

    @property
    def bringer(self) -> str:
        """What stands before the `:` in the qualified names of its parts: the distribution; of a file its name."""
        return self.name if self.sha256 or self.origin == GIVEN else self.origin

    @property
    def is_slow(self) -> bool:
        """Whether its import alone takes so long that every command is the slower for it."""
        return self.seconds >= SLOW

    def __str__(self) -> str:
        """What it is wherever it is imported: what its import cost differs each time."""
        return " ".join(filter(None, (self.name, self.origin, self.version, self.sha256)))

    def remark(self, text: str) -> None:
        """Writes down one more remark, if it is new."""
        if text not in self.remarks:
            self.remarks = f"{self.remarks}; {text}" if self.remarks else text

    def blame(self, text: str) -> None:
        """Writes down one more failure, in one line."""
        text = " ".join(text.split())
        self.failure = f"{self.failure}; {text}" if self.failure else text


class blaming:  # noqa: N801  # reads as a statement
    """Writes an exception down as the plugin's failure instead of letting it through."""

    def __init__(self, info: PluginInfo, doing: str) -> None:
        self.info, self.doing = info, doing

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is None or isinstance(error, KeyboardInterrupt):
            return False
        self.info.blame(f"{self.doing}: {type(error).__name__}: {error}")
        return True


def add_commands(
    adders: Iterable[tuple[PluginInfo, Callable[[click.Group], object]]], cli: click.Group, taken: Collection[str]
) -> tuple[str, ...]:
    """Let every plugin add its commands to `cli`; one that is in `taken`, or that another plugin added before, is left
    out. Give what failed and what was left out, a sentence each."""
    from click import Group

    told, whose = list[str](), dict[str, str](dict.fromkeys([*taken, *cli.commands], "mmfuse"))
    for info, add in adders:
        own, failed = Group(), PluginInfo(info.name, info.origin)
        with blaming(failed, "mmfuse_commands"):
            add(own)
        for name, command in own.commands.items():
            if name in whose:
                failed.remark(f"its command '{name}' is left out, {whose[name]} has one of this name")
            else:
                cli.add_command(command, name)
                whose[name] = info.name
        if failed.failure:
            info.blame(failed.failure)
        if failed.remarks:
            info.remark(failed.remarks)
        told += [f"plugin '{info.name}' ({info.origin}): {t}" for t in (failed.failure, failed.remarks) if t]
    return tuple(told)


def sources(
    given: Sequence[object], files: Sequence[Path], installed: bool, builtin: bool
) -> Iterator[tuple[PluginInfo, Callable[[], object]]]:
    """Every plugin to be tried, with the call that imports it: builtin, installed (as `MMFUSE_PLUGINS` allows), files,
    objects.
    """
    if builtin:
        yield PluginInfo("builtin", "mmfuse", _version("mmfuse")), lambda: importlib.import_module("mmfuse.builtin")
    if installed:
        yield from _installed(os.environ.get("MMFUSE_PLUGINS", ""))
    for file in files:
        yield PluginInfo(file.stem, str(file), sha256=_sha256(file)), _import_file(file)
    for one in given:
        name = one.__name__ if isinstance(one, ModuleType | type) else type(one).__name__
        yield PluginInfo(name, GIVEN), _constant(one)


def _installed(words: str) -> Iterator[tuple[PluginInfo, Callable[[], object]]]:
    points = sorted(importlib.metadata.entry_points(group=hooks.PROJECT), key=lambda point: point.name)
    for word in _unknown(words, {point.name for point in points}):
        yield PluginInfo(word, "MMFUSE_PLUGINS"), _refusal(word, [point.name for point in points])
    for point in points:
        if _allowed(words, point.name):
            dist = point.dist
            yield PluginInfo(point.name, dist.name if dist else "?", dist.version if dist else ""), point.load


def _constant(value: object) -> Callable[[], object]:
    return lambda: value


def refuse_unknown_hooks(plugin: object) -> None:
    """A hook that is misspelt, unmarked or left out is the plugin's fault, not a silence."""
    known = [name for name in dir(hooks) if name.startswith("mmfuse_")]
    found = [name for name in dir(plugin) if name.startswith("mmfuse_") and callable(getattr(plugin, name))]
    for name in found:
        if name not in known:
            raise PluginError(f"'{name}' is no hook", mend=nearest(name, known))
        if getattr(getattr(plugin, name), f"{hooks.PROJECT}_impl", None) is None:
            raise PluginError(f"'{name}' is not marked as a hook", mend="write @mmfuse.hookimpl above it")
    if not found:
        raise PluginError("no hook is in it", f"one of {', '.join(known)}", "give its parts by mmfuse_parts()")


def _split(words: str) -> tuple[set[str], set[str]]:
    """(allowed, denied) of `skin,-fundus`."""
    names = {word.strip() for word in words.split(",") if word.strip()}
    denied = {name for name in names if name.startswith("-")}
    return names - denied, {name[1:] for name in denied}


def _allowed(words: str, name: str) -> bool:
    allowed, denied = _split(words)
    return name not in denied and (not allowed or name in allowed)


def _unknown(words: str, installed: set[str]) -> list[str]:
    """The allowed ones that are not there; to deny what is not there does no harm."""
    return sorted(_split(words)[0] - installed)


def _refusal(word: str, installed: list[str]) -> Callable[[], object]:
    def load() -> object:
        raise PluginError(f"MMFUSE_PLUGINS names '{word}', which is not installed", mend=nearest(word, installed))

    return load


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def _import_file(file: Path) -> Callable[[], Any]:
    def load() -> ModuleType:
        if not file.is_file():
            raise PluginError(f"no file '{file}'", "a Python file with a hook", "check the path after --plugin")
        name = f"{FILE_MODULE}{file.stem}_{_sha256(file)[:8]}"
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise PluginError(f"'{file}' is no Python file", "a file ending in .py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    return load
