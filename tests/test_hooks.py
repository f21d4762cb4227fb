"""All hooks on one screen: few, prefixed, each with a line that says what it returns, and documented."""

import inspect
from pathlib import Path

from mmfuse import hooks

NAMES = sorted(name for name in dir(hooks) if name.startswith("mmfuse_"))


def test_these_are_all_hooks():
    assert NAMES == ["mmfuse_commands", "mmfuse_parts", "mmfuse_recipes", "mmfuse_watch"]


def test_every_hook_is_a_specification_with_one_sentence():
    for name in NAMES:
        function = getattr(hooks, name)
        assert function.mmfuse_spec, name
        assert inspect.getdoc(function).endswith("."), name


def test_they_fit_on_a_screen():
    assert len(Path(hooks.__file__).read_text().splitlines()) <= 45


def test_the_marker_marks_for_mmfuse():
    @hooks.hookimpl
    def mmfuse_parts():
        return []

    assert mmfuse_parts.mmfuse_impl
