"""The parts and recipes that come with mmfuse.

A guest: it uses the same door and hooks as every plugin, and brings only what a plugin could.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

from mmfuse import Part, hookimpl

_ROOMS = (
    "modalities", "steps", "augmentations", "encoders", "fusions", "heads", "losses", "decisions", "metrics",
    "synthetic",
)  # fmt: skip


@hookimpl
def mmfuse_parts() -> list[type[Part]]:
    """Every part that is defined in this package's light modules."""
    found: list[type[Part]] = []
    for room in _ROOMS:
        module = import_module(f"mmfuse.builtin.{room}")
        found += [
            value
            for value in vars(module).values()
            if inspect.isclass(value) and issubclass(value, Part) and value.__module__ == module.__name__
        ]
    return found


@hookimpl
def mmfuse_recipes() -> list[Path]:
    """The plans beside this file."""
    return sorted((Path(__file__).parent / "recipes").glob("*.toml"))
