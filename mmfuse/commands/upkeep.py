"""`doctor` and `cache`: whether this installation can work, and what mmfuse keeps on the disk."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

import mmfuse
from mmfuse.commands.app import App, Command
from mmfuse.commands.listing import json_option, state
from mmfuse.show import duration

SECONDS = 5.0
"""How long the trial trains, after its first epoch."""
_YES, _MEND = "yes", "set MMFUSE_CACHE to another folder"
CASES = 256
"""How many cases it trains on."""


@click.command(cls=Command)
@json_option
@click.pass_obj
def doctor(app: App, wants_json: bool) -> None:
    """Look whether this installation can work.

    Versions, devices, plugins, cache, and a training step of five seconds. Exit code 1 if something is to be mended.
    """
    _ = app.guests  # what fails in adding its commands is known then
    looked: dict[str, Any] = {
        "mmfuse": mmfuse.__version__,
        "python": f"{platform.python_version()} on {platform.platform()}",
        "libraries": libraries(),
        "plugins": {each.name: state(each) for each in app.catalog.plugins},
        "cache": _cache(),
    }
    found = mmfuse.hardware()
    looked["processors"] = {"count": os.cpu_count(), "torch threads": found.threads, "memory": found.allocator}
    looked["cuda"] = {
        "devices": list(found.cuda),
        "built for": found.cuda_build or "the CPU alone",
        "chosen by auto": str(mmfuse.choose_device("auto")),
        "precision of frozen encoders": found.frozen,
    }
    if not wants_json:
        for topic, value in looked.items():
            _show(app, topic, value)
        app.screen.text(f"\ntraining a tiny network for {SECONDS:.0f} seconds …")
    looked["trial"] = trial()
    faults = [f"{name} is missing" for name, version in looked["libraries"].items() if not version]
    faults += [f"plugin {each.name}: {each.failure}" for each in app.catalog.plugins if each.failure]
    faults += [f"the cache cannot be written to: {_MEND}"] if looked["cache"]["may be written"] != _YES else []
    if wants_json:
        app.screen.json(looked | {"faults": faults})
    else:
        _show(app, "trial", looked["trial"])
        app.screen.text("\n" + ("\n".join(["to mend:", *faults]) if faults else "all is well"))
    if faults:
        raise SystemExit(1)


def _show(app: App, topic: str, value: Any) -> None:  # noqa: ANN401  # what was looked at
    if isinstance(value, dict):
        app.screen.heading(topic)
        app.screen.table(("what", "found"), [(name, _words(item)) for name, item in value.items()])
    else:
        app.screen.text(f"{topic} {value}")


def _words(item: Any) -> str:  # noqa: ANN401
    if isinstance(item, list):
        return ", ".join(map(str, item)) or "none"
    return str(item) if item != "" else "missing"


def libraries() -> dict[str, str]:
    """{library: installed version, "" missing} of all that mmfuse needs."""
    try:
        needed = importlib.metadata.requires("mmfuse") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    names = [re.match(r"[\w.-]+", line) for line in needed if "extra ==" not in line]
    return {name.group(): _version(name.group()) for name in names if name}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _cache() -> dict[str, str]:
    root = mmfuse.cache_root()
    standing = next(folder for folder in [root, *root.parents] if folder.exists())
    return {
        "folder": str(root),
        "size": size(mmfuse.cache_size()),
        "free on its disk": size(shutil.disk_usage(standing).free),
        "may be written": _YES if os.access(standing, os.W_OK) else f"no; {_MEND}",
    }


def size(count: int) -> str:
    """Bytes as people say them: `3.2 GB`."""
    for unit, bytes_in_it in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= bytes_in_it:
            return f"{count / bytes_in_it:.1f} {unit}"
    return f"{count} bytes"


class _EnoughError(Exception):
    """The trial has lasted long enough."""


def trial(seconds: float = SECONDS) -> dict[str, Any]:
    """Trains a tiny network on numbers drawn here until `seconds` are over: its speed, and how long the start took."""
    columns = [f"x{index}" for index in range(16)]
    draw = mmfuse.generator(0, "doctor")
    table = mmfuse.Table.of(
        {"id": range(CASES), "answer": draw.choice(["no", "yes"], CASES)}
        | {n: draw.normal(size=CASES) for n in columns}
    )
    card = {
        "cases": {"id": "id"},
        "labels": {"answer": ["no", "yes"]},
        "modalities": {"numbers": {"use": "table", "numeric": columns}},
        "split": {"fractions": {"train": 1.0}},
    }
    plan = {
        "network": {"encoders": {"numbers": "mlp"}, "head": "linear"},
        "training": {"epochs": 100_000, "best": {"metric": ""}},
    }
    alone = mmfuse.Catalog(installed=False)
    spec = mmfuse.load(plan, card, catalog=alone)
    began = time.perf_counter()
    ends: list[float] = []

    def watch(event: object) -> None:
        if isinstance(event, mmfuse.EpochEnded):
            ends.append(time.perf_counter())
            if ends[-1] - ends[0] >= seconds:
                raise _EnoughError

    with suppress(_EnoughError):
        mmfuse.Pipeline(spec, catalog=alone, watch=watch).fit(mmfuse.Cases(table, spec.card))
    rate = CASES * (len(ends) - 1) / (ends[-1] - ends[0])
    return {"epochs": len(ends), "cases a second": round(rate), "first epoch after": duration(ends[0] - began)}


@click.command(cls=Command)
@click.option("--clear", is_flag=True, help="Delete what is cached; it is made again when it is needed.")
@json_option
@click.pass_obj
def cache(app: App, clear: bool, wants_json: bool) -> None:
    """Show where decoded images are kept, and how much.

    Decoded images and frozen features are kept by content and shared by all runs.
    """
    root = Path(mmfuse.cache_root())
    held = mmfuse.cache_size()
    if clear:
        app.interrupted = "interrupted; part of the cache may be left"
        mmfuse.clear_cache()
    if wants_json:
        app.screen.json({"folder": str(root), "bytes": mmfuse.cache_size(), "freed": held if clear else 0})
    else:
        app.screen.text(f"{root}: {size(held)}{' deleted' if clear else ''}")
