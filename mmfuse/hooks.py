"""All hooks on one screen. A hook returns values; it is not handed a callback. Entry-point group: `mmfuse`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from mmfuse.events import Event
    from mmfuse.knobs import Part

PROJECT = "mmfuse"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def mmfuse_parts() -> list[type[Part]]:  # type: ignore[empty-body]
    """The parts that this plugin brings."""


@hookspec
def mmfuse_recipes() -> list[Path]:  # type: ignore[empty-body]
    """Plans that this plugin ships: TOML files, named by their stem; the first comment line says what each is."""


@hookspec
def mmfuse_commands(cli: click.Group) -> None:
    """Adds commands to the command line."""


@hookspec
def mmfuse_watch(event: Event) -> None:
    """Sees every event of a run."""
