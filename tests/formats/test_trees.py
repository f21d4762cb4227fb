"""JSON and TOML within limits: depth, size, numbers and names."""

import json
from typing import Annotated

import pytest
from pydantic import Field

import mmfuse
from mmfuse import RunError, SpecError, read_json, read_toml
from mmfuse.formats import toml_files
from mmfuse.formats.toml_files import parse_toml
from mmfuse.toml import parse_value


def told(path, text, shape=dict, **options):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_json(path, shape, expected="numbers", **options)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[" * 1000 + "]" * 1000, "deep"),
        ("[" * 100_000, "deep"),
        ('{"a":' * 1000 + "1" + "}" * 1000, "deep"),
        ("[" * 70 + "]" * 70, "deeper than 64"),
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ('{"a": "\\ud800"}', "half a character"),
        ('{"a": ' + "9" * 1000 + "}", "bits"),
        ('{"a": ' + "9" * 9000 + "}", "no JSON"),
        ("{", "no JSON"),
        ("", "no JSON"),
        (b"\xff\xfe{}", "cannot be read"),
        ("[1]", "valid dictionary"),
    ],
    ids=range(12),
)
def test_json_that_is_refused(tmp_path, text, found):
    with pytest.raises(RunError, match=found):
        told(tmp_path / "a.json", text)


def test_json_is_of_its_shape_and_nothing_is_converted(tmp_path):
    shape = dict[str, Annotated[int, Field(ge=0)]]
    assert told(tmp_path / "a.json", '{"a": 1}', shape) == {"a": 1}
    for text in ('{"a": "1"}', '{"a": 1.0}', '{"a": true}', '{"a": -1}'):
        with pytest.raises(RunError, match="a: Input should be"):
            told(tmp_path / "a.json", text, shape)


def test_a_newer_format_is_told_before_anything_else(tmp_path):
    with pytest.raises(RunError, match="is of format 3"):
        told(tmp_path / "a.json", '{"format": 3, "what": []}', dict[str, int], newest=2)


def test_files_are_no_larger_than_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(toml_files, "LARGEST", 10)
    with pytest.raises(RunError, match="has 12 bytes"):
        told(tmp_path / "a.json", '{"a": 12345}', largest=10)
    (tmp_path / "a.toml").write_text("a = 123456789")
    with pytest.raises(SpecError, match="has 13 bytes"):
        read_toml(tmp_path / "a.toml")


@pytest.mark.parametrize(
    "text",
    ["x = " + "[" * 1000 + "]" * 1000, "x = " + "{a=" * 1000 + "1" + "}" * 1000, "x = " + "[" * 100_000,
     ".".join("a" * 200_000) + " = 1", "[" + ".".join("a" * 200_000) + "]", "x = " + "[" * 70 + "]" * 70],
    ids=range(6),
)  # fmt: skip
def test_deep_toml_is_refused_at_once(text):
    with pytest.raises(SpecError, match=r"nested deeper than 64|more than 64 steps"):
        parse_toml(text, where="plan.toml")


@pytest.mark.parametrize(("text", "found"), [("x = 0x" + "f" * 60, "240 bits"), ("x = " + "1" * 9000, "no TOML")])
def test_numbers_of_toml_have_64_bits(text, found):
    with pytest.raises(SpecError, match=found):
        parse_toml(text, where="plan.toml")


def test_a_tree_in_python_is_held_to_the_same():
    deep = {"cases": {"id": "id"}}
    for _ in range(1000):
        deep = {"network": deep}
    with pytest.raises(SpecError, match="nested deeper"):
        mmfuse.load(deep, {"cases": {"id": "id"}})


@pytest.mark.parametrize(
    "word",
    ["seed=" + "[" * 1000 + "]" * 1000, "seed=" + "{a=" * 1000 + "1" + "}" * 1000, "seed=" + "[" * 70 + "]" * 70,
     ".".join("a" * 1000) + "=1", "seed=0x" + "f" * 100],
    ids=range(5),
)  # fmt: skip
def test_set_is_held_to_the_same(word):
    with pytest.raises(SpecError, match=r"nested deeper|1000 steps|400 bits"):
        mmfuse.set_value({}, word)


def test_set_reads_what_it_read_before():
    assert parse_value("[a, 'b', 1, true]") == ["a", "b", 1, True]
    assert parse_value("1" * 9000) == "1" * 9000


def test_lint_and_a_deep_file(tmp_path):
    from click.testing import CliRunner

    from mmfuse.cli import main

    (tmp_path / "a.json").write_text(json.dumps({"accuracy": 0.5})[:-1] + ', "b": ' + "[" * 900 + "]" * 900 + "}")
    result = CliRunner().invoke(main, ["lint", str(tmp_path / "a.json")])
    assert isinstance(result.exception, SystemExit)
    assert "nested" in result.output
