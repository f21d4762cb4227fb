"""Which parts and recipes there are, who brought them, and what failed.

An ordinary object: nothing is registered at import, nothing is global. A plugin that fails is reported by name with its
reason and left out. Of two parts of one role and name, one that comes with mmfuse keeps the name; any other goes by its
qualified one (`DISTRIBUTION:NAME`), and where mmfuse has none the name alone is refused, with both who brought it.
"""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from mmfuse import hooks
from mmfuse.discovery import PluginInfo, add_commands, blaming, refuse_unknown_hooks, sources
from mmfuse.errors import PluginError, SpecError, nearest
from mmfuse.events import Event, FitName, Notice, Watch, launched
from mmfuse.knobs import Part
from mmfuse.parts import ROLES, Metric

if TYPE_CHECKING:
    import click

_OWN = "mmfuse"
"""The origin of what comes with mmfuse."""

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
    bringer: str = ""
    """What stands before the `:` of its qualified name."""

    @property
    def qualified(self) -> str:
        """`DISTRIBUTION:NAME`, which means this part and no other."""
        return self.name if ":" in self.name else f"{self.bringer}:{self.name}"

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
    clashes: dict[tuple[str, str], list[Entry]] = field(default_factory=dict)
    """Those that would share a role and name that none of mmfuse's own has; they stand by their qualified names."""
    shadowed: dict[tuple[str, str], list[Entry]] = field(default_factory=dict)
    """Those whose name a part of mmfuse has."""
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
        """The part of this role and name, which may be qualified (`DISTRIBUTION:NAME`).

        Raises: SpecError with the nearest known name; PluginError if two plugins bring it.
        """
        key = (_SPACES.get(role, role), name)
        if key in self._loaded.clashes:
            raise PluginError(
                _told(self._loaded.clashes[key]),
                "a name that is one part's alone",
                f"say whose: use = {' or '.join(repr(entry.qualified) for entry in self._loaded.clashes[key])};"
                " or deny one by MMFUSE_PLUGINS=-NAME",
            )
        entry = self._loaded.entries.get(key) or self._qualified(key)
        if entry is None or entry.role != role:
            raise SpecError(f"no {role} is called '{name}'", mend=nearest(name, self.names(role)) + self.failures)
        return entry.part

    def knows(self, name: str, roles: Collection[str]) -> str:
        """Return the role among `roles` in which this name, qualified or not, means a part (or several that clash);
        empty: in none."""
        for role in roles:
            key = (_SPACES.get(role, role), name)
            entry = self._loaded.entries.get(key) or self._qualified(key)
            if entry is not None and entry.role == role:
                return role
            if any(clashing.role == role for clashing in self._loaded.clashes.get(key, ())):
                return role
        return ""

    def _qualified(self, key: tuple[str, str]) -> Entry | None:
        """The part that a qualified name means."""
        space, name = key
        bringer, _, short = name.rpartition(":")
        entry = self._loaded.entries.get((space, short)) if bringer else None
        return entry if entry is not None and entry.bringer == bringer else None

    def shadowed(self, parts: Iterable[Part]) -> tuple[str, ...]:
        """Return a sentence for each of these parts whose name another one would have, were it not mmfuse's own."""
        told = dict[str, None]()
        for part in parts:
            for entry in self._loaded.shadowed.get((_SPACES.get(part.role, part.role), part.name), ()):
                told[f"'{part.name}' is mmfuse's own {part.role}; the one of {entry.origin} is '{entry.name}'"] = None
        return tuple(told)

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

    def commands(self, cli: click.Group, taken: Collection[str] = ()) -> tuple[str, ...]:
        """Lets every plugin add its commands. One that is in `taken`, or that another plugin added before, is left out.

        Gives what failed and what was left out, a sentence each.
        """
        adders = self._loaded.manager.hook.mmfuse_commands.get_hookimpls()
        return add_commands([(self._info(one.plugin_name), one.function) for one in adders], cli, taken)

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
    before, clash = loaded.entries.get(key), loaded.clashes.get(key)
    entry = Entry(role.role, part.name, part, info.origin, info.version, info.bringer)
    if before is None and clash is None:
        loaded.entries[key] = entry
    elif before is not None and before.origin == _OWN != info.origin:
        loaded.shadowed.setdefault(key, []).append(_renamed(loaded, entry))
        info.remark(f"{entry.role} '{part.name}' is mmfuse's own: here it is called '{entry.qualified}'")
    elif before is None or before.part is not part:
        if before is not None:
            del loaded.entries[key]
            loaded.clashes[key] = clash = [_renamed(loaded, before)]
        assert clash is not None
        clash.append(_renamed(loaded, entry))
        for each in loaded.plugins:
            if each.bringer in {one.bringer for one in clash}:
                each.remark(f"{_told(clash)}: it is called {' or '.join(one.name for one in clash)}")
    else:
        return
    info.parts += 1


def _renamed(loaded: _Loaded, entry: Entry) -> Entry:
    """The entry by its qualified name. Raises: PluginError if one distribution brings two of a name."""
    key = (_SPACES.get(entry.role, entry.role), entry.qualified)
    if key in loaded.entries:
        raise PluginError(f"{entry.origin} brings {entry.role} '{entry.name}' twice")
    named = dataclasses.replace(entry, name=entry.qualified, part=_called(entry.part, entry.qualified))
    loaded.entries[key] = named
    return named


@cache
def _called(part: type[Part], name: str) -> type[Part]:
    """The same part by another name, which then stands in specs and messages."""
    own = {"name": name, "__module__": part.__module__, "__qualname__": part.__qualname__, "__doc__": part.__doc__}
    return type(part)(part.__name__, (part,), own)  # type: ignore[misc]  # a class of that class


def _told(clash: Sequence[Entry]) -> str:
    names = {entry.name.rpartition(":")[2] for entry in clash}
    return f"{clash[0].role} '{names.pop()}' is brought by {' and by '.join(entry.origin for entry in clash)}"


def _add_recipe(loaded: _Loaded, info: PluginInfo, path: Path) -> None:
    before = loaded.recipes.get(path.stem)
    if before is not None:
        raise PluginError(f"recipe '{path.stem}' is brought by {before.origin} and by {info.origin}")
    with path.open(encoding="utf-8") as file:
        first = file.readline()
    loaded.recipes[path.stem] = Recipe(path.stem, path, first.lstrip("# ").strip(), info.origin)
    info.recipes += 1


def named_after(event: Event, fit: FitName) -> Event:
    """The event with the name of its fit, unless it has one."""
    if not fit.known() or event.fit.known():
        return event
    named = copy.copy(event)  # whatever a plugin's own kind of event takes to be made
    object.__setattr__(named, "fit", fit)
    return named


class Journal:
    """A watcher that keeps what it is told, with its time and the name of the fit, and hands it on to another one and
    to every plugin that watches. Under torchrun the first process alone tells."""

    def __init__(self, catalog: Catalog, watch: Watch, fit: FitName = FitName()) -> None:  # noqa: B008  # frozen
        self._catalog, self._watch, self.fit = catalog, watch, fit
        self.events: list[tuple[float, Event]] = []

    def __call__(self, event: Event) -> None:
        if launched()[0]:
            return
        event = named_after(event, self.fit)
        failed = [Notice(text, "warning", fit=self.fit) for text in self._catalog.watch(event)]
        for told in (event, *failed):
            self.events.append((time.time(), told))
            self._watch(told)
