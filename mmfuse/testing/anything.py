"""What every part keeps, whatever its role (law 1)."""

from __future__ import annotations

import re

from pydantic import ValidationError

from mmfuse import MmfuseError, Part, again
from mmfuse.testing.kit import Given, Refusal, need


def has_a_name_and_a_line_about_itself(part: Part, given: Given) -> None:
    need(
        bool(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", part.name)),
        f"is called '{part.name}'",
        "small letters, digits and single hyphens",
        'name = "tiny-conv"',
    )
    about = (type(part).__doc__ or "").strip()
    need(bool(about), "has no docstring", "a first line, which is its line in `mmfuse parts`")


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


def has_no_knob_that_is_none(part: Part, given: Given) -> None:
    for knob in type(part).model_fields:
        need(
            getattr(part, knob) is not None,
            f"knob '{knob}' is None",
            "a value that TOML has",
            'use "" or 0, and say what it means',
        )


def survives_spec_to_toml_to_spec(part: Part, given: Given) -> None:
    try:
        made = again(part)
    except Exception as error:
        raise Refusal(
            f"cannot be written as TOML and read again: {error}",
            "knobs that TOML has: numbers, text, booleans, lists, tables",
        ) from error
    need(made == part, f"{part!r} came back as {made!r}", "the same knobs")


CHECKS = (
    has_a_name_and_a_line_about_itself,
    has_frozen_knobs,
    refuses_an_unknown_knob,
    has_no_knob_that_is_none,
    survives_spec_to_toml_to_spec,
)
