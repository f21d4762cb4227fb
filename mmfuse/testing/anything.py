"""What every part keeps, whatever its role (law 1)."""

from __future__ import annotations

import copy
import inspect
import io
import os
import re
from pathlib import Path
from typing import Any
from unittest import mock

from pydantic import ValidationError

from mmfuse import ROLES, MmfuseError, Part, again
from mmfuse.testing.kit import Given, Refusal, need, used

_METHODS = {
    "modality": "fit",
    "step": "apply",
    "augmentation": "build",
    "encoder": "build",
    "fusion": "build",
    "head": "build",
    "loss": "build",
    "pretext": "build",
    "decision": "fit",
    "stage": "estimator",
    "metric": "score",
    "adapter": "tidy",
}
"""The one method that a part of each role brings."""
_CODE = (".py", ".pyc", ".pyi", ".so")
_SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/")
"""What libraries look at while they are imported."""


def has_a_name_and_a_line_about_itself(part: Part, given: Given) -> None:
    need(
        bool(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", part.name)),
        f"is called '{part.name}'",
        "small letters, digits and single hyphens",
        'name = "tiny-conv"',
    )
    about = (type(part).__doc__ or "").strip()
    need(bool(about), "has no docstring", "a first line, which is its line in `mmfuse parts`")


def has_the_method_of_its_role(part: Part, given: Given) -> None:
    role = next((role for role in ROLES if role.role == part.role), None)
    method = _METHODS.get(part.role)
    if role is None or method is None:
        return
    own = inspect.getattr_static(type(part), method) is not inspect.getattr_static(role, method)
    signature = inspect.signature(getattr(role, method))
    need(own, f"has no method `{method}`", f"`def {method}{signature}`", f"the one method of a {role.__name__}")


def has_frozen_knobs(part: Part, given: Given) -> None:
    for knob in type(part).model_fields:
        try:
            setattr(part, knob, getattr(part, knob))
        except ValidationError:
            continue
        raise Refusal(f"knob '{knob}' can be set after it was made", "frozen knobs", "leave model_config alone")


def refuses_an_unknown_knob(part: Part, given: Given) -> None:
    try:
        type(part)(**{**dict(part), "no_such_knob": 1})
    except (ValidationError, MmfuseError):
        return
    raise Refusal("takes a knob `no_such_knob`", "a refusal", "leave model_config alone")


def survives_spec_to_toml_to_spec(part: Part, given: Given) -> None:
    try:
        made = again(part)
    except Exception as error:
        raise Refusal(
            f"cannot be written as TOML and read again: {error}",
            "knobs that TOML has: numbers, text, booleans, lists, tables",
        ) from error
    need(made == part, f"{part!r} came back as {made!r}", "the same knobs")


def keeps_its_knobs_when_it_is_used(part: Part, given: Given) -> None:
    before = copy.deepcopy(dict(part))
    used(part, given)
    changed = sorted(knob for knob, value in before.items() if getattr(part, knob) != value)
    found = ", ".join(f"'{knob}' is {getattr(part, knob)!r} and was {before[knob]!r}" for knob in changed)
    need(not changed, f"its knobs changed while it was used: {found}", "the same knobs", "work on a copy")


def reads_no_file_when_it_is_used(part: Part, given: Given) -> None:
    """What a part knows is in its knobs and weights: a run must work where that file is not."""
    opened: list[str] = []
    real = io.open

    def look(file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:  # noqa: ANN401  # open's own signature
        if isinstance(file, str | bytes | os.PathLike) and set(mode) <= set("rbt"):
            opened.append(os.fsdecode(file))
        return real(file, mode, *rest, **named)

    with mock.patch("builtins.open", look), mock.patch("io.open", look):
        used(part, given)
    data = [
        path
        for path in opened
        if Path(path).suffix not in _CODE and not path.startswith(_SYSTEM) and ".dist-info" not in path
    ]
    found = f"reads {', '.join(dict.fromkeys(data))} when it is made"
    need(not data, found, "no file", "weights: `Encoder.start`; else a knob, or what `fit` learns")


CHECKS = (
    has_a_name_and_a_line_about_itself,
    has_the_method_of_its_role,
    has_frozen_knobs,
    refuses_an_unknown_knob,
    survives_spec_to_toml_to_spec,
    keeps_its_knobs_when_it_is_used,
    reads_no_file_when_it_is_used,
)
