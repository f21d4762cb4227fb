"""Which parts and recipes there are, who brought them, and what failed.

An ordinary object: nothing is registered at import, nothing is global. A plugin that fails is reported by name with its
reason and left out; two parts of one role and name are an error that names both who brought them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from mmfuse import hooks
from mmfuse.discovery import PluginInfo, blaming, refuse_unknown_hooks, sources
from mmfuse.errors import PluginError, SpecError, nearest
from mmfuse.events import Event, Notice, Watch, launched
from mmfuse.knobs import Part
from mmfuse.parts import ROLES, Metric

if TYPE_CHECKING:
    import click

_SPACES = {"stage": "decision"}
"""Roles that share the name space of another."""


@dataclass(frozen=True)
class Entry:
    """A part and who brought it."""

    role: str
    name: str
    part: type[Part]
    origin: str
    version: str

    @property
    def about(self) -> str:
        """The first line of the part's docstring."""
        return (self.part.__doc__ or "").strip().partition("\n")[0]


@dataclass(frozen=True)
class Recipe:
    """A plan that a plugin ships."""

    name: str
    path: Path
    about: str
    origin: str


@dataclass
class _Loaded:
    manager: pluggy.PluginManager
    plugins: list[PluginInfo] = field(default_factory=list)
    entries: dict[tuple[str, str], Entry] = field(default_factory=dict)
    recipes: dict[str, Recipe] = field(default_factory=dict)
    clashes: dict[tuple[str, str], str] = field(default_factory=dict)
    blind: set[str] = field(default_factory=set)
    """Plugins whose watching failed."""


class Catalog:
    """All parts: the builtin ones, those of `plugins` (modules or objects with hooks) and `files`, and of every
    installed distribution.

    `MMFUSE_PLUGINS` names the installed plugins that are allowed (`skin,metadata`) or, with a minus, denied (`-skin`).
    Everything is found when it is first asked for.
    """

    def __init__(
        self, *plugins: object, files: Sequence[str | Path] = (), installed: bool = True, builtin: bool = True
    ) -> None:
        self._given = plugins
        self._files = tuple(Path(file) for file in files)
        self._installed, self._builtin = installed, builtin

    @property
    def plugins(self) -> tuple[PluginInfo, ...]:
        """Every plugin that was found, those that failed included."""
        return tuple(self._loaded.plugins)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All parts, by role in the order data flows, then by name."""
        order = [role.role for role in ROLES]
        return tuple(sorted(self._loaded.entries.values(), key=lambda entry: (order.index(entry.role), entry.name)))

    @property
    def recipes(self) -> dict[str, Recipe]:
        """{name: recipe}."""
        return dict(sorted(self._loaded.recipes.items()))

    def names(self, *roles: str) -> tuple[str, ...]:
        """Names of the parts of these roles."""
        return tuple(entry.name for entry in self.entries if entry.role in roles)

    @property
    def failures(self) -> str:
        """A remark for messages: which plugins were left out because they failed; empty if none was."""
        failed = [plugin.name for plugin in self.plugins if plugin.failure]
        return f" (left out because they failed: {', '.join(failed)}; see `mmfuse plugins`)" if failed else ""

    def find(self, role: str, name: str) -> type[Part]:
        """The part of this role and name.

        Raises: SpecError with the nearest known name; PluginError if two plugins bring it.
        """
        key = (_SPACES.get(role, role), name)
        if key in self._loaded.clashes:
            raise PluginError(
                self._loaded.clashes[key],
                "one part of a role and name",
                "deny one by MMFUSE_PLUGINS=-NAME, or uninstall it",
            )
        entry = self._loaded.entries.get(key)
        if entry is None or entry.role != role:
            raise SpecError(f"no {role} is called '{name}'", mend=nearest(name, self.names(role)) + self.failures)
        return entry.part

    def metrics(self) -> dict[str, Metric]:
        """{name: metric} of every metric that needs no knob: what evaluations show."""
        parts = {entry.name: entry.part for entry in self.entries if entry.role == Metric.role}
        return {
            name: part()  # type: ignore[misc]  # of that role
            for name, part in parts.items()
            if not any(knob.is_required() for knob in part.model_fields.values())
        }

    def watch(self, event: Event) -> tuple[str, ...]:
        """Shows an event to every plugin that watches. One that raises is no longer asked.

        Gives what now failed, a sentence each.
        """
        told = []
        for implementation in self._loaded.manager.hook.mmfuse_watch.get_hookimpls():
            name = implementation.plugin_name
            if name not in self._loaded.blind:
                failed = PluginInfo(name, "")
                with blaming(failed, "mmfuse_watch"):
                    implementation.function(event)
                if failed.failure:
                    self._loaded.blind.add(name)
                    self._info(name).blame(failed.failure)
                    told.append(f"plugin '{name}' no longer watches: {failed.failure}")
        return tuple(told)

    def commands(self, cli: click.Group) -> None:
        """Lets every plugin add its commands."""
        for implementation in self._loaded.manager.hook.mmfuse_commands.get_hookimpls():
            with blaming(self._info(implementation.plugin_name), "mmfuse_commands"):
                implementation.function(cli)

    def _info(self, name: str) -> PluginInfo:
        return next(info for info in self._loaded.plugins if info.name == name)

    @cached_property
    def _loaded(self) -> _Loaded:
        manager = pluggy.PluginManager(hooks.PROJECT)
        manager.add_hookspecs(hooks)
        loaded = _Loaded(manager)
        for info, load in sources(self._given, self._files, self._installed, self._builtin):
            began = time.perf_counter()
            if any(info.name == other.name for other in loaded.plugins):  # two files may have one name
                info.name = f"{info.name} ({len(loaded.plugins)})"
            loaded.plugins.append(info)
            with blaming(info, "import"):
                plugin = load()
                refuse_unknown_hooks(plugin)
                manager.register(plugin, info.name)
            info.seconds = time.perf_counter() - began
            if not info.failure:
                _collect(loaded, info)
            elif manager.has_plugin(info.name):  # refused half-way
                manager.unregister(name=info.name)
        return loaded


def _collect(loaded: _Loaded, info: PluginInfo) -> None:
    """Takes over a plugin's parts and recipes, or writes down why not."""
    plugin = loaded.manager.get_plugin(info.name)
    for implementation in loaded.manager.hook.mmfuse_parts.get_hookimpls():
        if implementation.plugin is plugin:
            with blaming(info, "mmfuse_parts"):
                parts: Any = implementation.function()
                for part in parts:
                    with blaming(info, "part"):
                        _add_part(loaded, info, part)
    for implementation in loaded.manager.hook.mmfuse_recipes.get_hookimpls():
        if implementation.plugin is plugin:
            with blaming(info, "mmfuse_recipes"):
                paths: Any = implementation.function()
                for path in paths:
                    with blaming(info, "recipe"):
                        _add_recipe(loaded, info, Path(path))


def _add_part(loaded: _Loaded, info: PluginInfo, part: type[Part]) -> None:
    role = next((role for role in ROLES if isinstance(part, type) and issubclass(part, role)), None)
    if role is None or part is role:
        raise PluginError(f"{part!r} fills no role", f"a subclass of one of {[role.__name__ for role in ROLES]}")
    if part.contract > role.contract:
        raise PluginError(
            f"part '{part.name}' is written for contract {part.contract} of role '{role.role}'",
            f"contract {role.contract} or older, which this mmfuse knows",
            "update mmfuse",
        )
    key = (_SPACES.get(role.role, role.role), part.name)
    before = loaded.entries.get(key)
    if before is not None and before.part is not part:
        text = f"{role.role} '{part.name}' is brought by {before.origin} and by {info.origin}"
        loaded.clashes[key] = text
        info.blame(text)
        return
    loaded.entries[key] = Entry(role.role, part.name, part, info.origin, info.version)
    info.parts += 1


def _add_recipe(loaded: _Loaded, info: PluginInfo, path: Path) -> None:
    before = loaded.recipes.get(path.stem)
    if before is not None:
        raise PluginError(f"recipe '{path.stem}' is brought by {before.origin} and by {info.origin}")
    with path.open(encoding="utf-8") as file:
        first = file.readline()
    loaded.recipes[path.stem] = Recipe(path.stem, path, first.lstrip("# ").strip(), info.origin)
    info.recipes += 1


class Journal:
    """A watcher that keeps what it is told, with its time, and hands it on to another one and to every plugin that
    watches. Under torchrun the first process alone tells."""

    def __init__(self, catalog: Catalog, watch: Watch) -> None:
        self._catalog, self._watch = catalog, watch
        self.events: list[tuple[float, Event]] = []

    def __call__(self, event: Event) -> None:
        if launched()[0]:
            return
        failed = [Notice(text, "warning") for text in self._catalog.watch(event)]
        for told in (event, *failed):
            self.events.append((time.time(), told))
            self._watch(told)
