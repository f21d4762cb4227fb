"""Nothing of a stranger's table moves the cursor of a terminal, and no export holds a formula."""

from __future__ import annotations

import io
import json
import re

import click
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import mmfuse
from mmfuse import Card, Cases, CasesSection, Fault, Finding, Table, TableError, visible
from mmfuse.cli import main
from mmfuse.commands.given import export
from mmfuse.data.formulas import unguarded
from mmfuse.show import Branch, JsonLines, Lines, LiveBars, Quiet, Screen, as_json

HOSTILE = "a\x1b[2J\x1b]0;t\x07\u202egpj\x9b1m\r\nwarning: all is fine\x00\u2066"
UNSAFE = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@given(st.text(st.characters()))
def test_what_is_visible_is_one_line_without_controls(text):
    shown = visible(text)
    assert not UNSAFE.search(shown)
    assert "\n" not in shown
    assert visible(shown) == shown
    assert not UNSAFE.search(visible(text, lines=True))


@pytest.mark.parametrize("text", ["plain", "größe 東京 – ‘x’", "a\u200db", "  two  blanks", "👩‍⚕️", ""])
def test_other_text_stays(text):
    assert visible(text) == text
    assert visible(f"{text}\n{text}", lines=True) == f"{text}\n{text}"


def test_controls_are_written_out():
    assert visible("\x1b[2J\u202ex\ty\n\x9b") == "\\x1b[2J\\u202ex y \\x9b"


def test_refusals_and_findings():
    told = [str(Fault(HOSTILE, HOSTILE, HOSTILE, HOSTILE)), str(Finding("error", HOSTILE, HOSTILE, HOSTILE))]
    told.append(str(TableError(HOSTILE, HOSTILE, HOSTILE, HOSTILE)))
    for text in told:
        assert not UNSAFE.search(text)
        assert "warning" not in [line[:7] for line in text.split("\n")]
    assert [text.count("\n") for text in told] == [2, 1, 2]


def test_a_long_cell_does_not_flood_the_screen():
    told = str(Fault("t.csv", f"'{'x' * 100_000}' is no class", "a class"))
    assert len(told) < 5000
    assert told.endswith("…\n  expected: a class")


EVENTS = [
    mmfuse.Notice(HOSTILE, "warning"),
    mmfuse.StepStarted(HOSTILE, 1, 2),
    mmfuse.Progress(HOSTILE, 1, 2),
    mmfuse.Progress(HOSTILE, 2, 2),
    mmfuse.EpochEnded(HOSTILE, 1, 2, {HOSTILE: 0.5}, {HOSTILE: 0.5}),
    mmfuse.StepEnded(HOSTILE, 1.0),
]


@pytest.mark.parametrize("watcher", [Quiet, Lines, JsonLines])
def test_events(watcher):
    stream = io.StringIO()
    for event in EVENTS:
        watcher(stream)(event)
    assert stream.getvalue()
    assert not UNSAFE.search(stream.getvalue())
    assert "\nwarning: all is fine" not in stream.getvalue()
    if watcher is JsonLines:
        assert json.loads(stream.getvalue().split("\n")[0])["text"] == HOSTILE  # and nothing is lost


def test_bars():
    stream = Terminal()
    with LiveBars(stream) as bars:
        for event in EVENTS:
            bars(event)
    assert not re.search("\x1b\\]|\x1b\\[2J|\x07|\u202e|\x9b", stream.getvalue())


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_screens(stream):
    screen = Screen(stream())
    screen.text(HOSTILE)
    screen.table([HOSTILE], [[HOSTILE], [(HOSTILE, 1.0)]])
    screen.tree(Branch(HOSTILE, (Branch(HOSTILE),)))
    screen.heading(HOSTILE)
    screen.json({HOSTILE: HOSTILE})
    shown = click.unstyle(screen.stream.getvalue())
    assert not UNSAFE.search(shown)
    assert json.loads(as_json({HOSTILE: HOSTILE})) == {HOSTILE: HOSTILE}


def test_a_hostile_table_is_refused_in_visible_words(tmp_path):
    cells = [HOSTILE.replace("\0", ""), "b"]
    Table.of({"id": cells, "dx": [f"{cells[0]}!", "x"], "photo": [f"{cells[0]}.jpg", "../../b"]}).write(
        tmp_path / "c.csv"
    )
    (tmp_path / "c.toml").write_text(
        '[cases]\nid = "id"\n[labels]\ndx = ["x", "y"]\n[modalities]\nm = { use = "image", column = "photo" }\n'
    )
    for command in (["check", "first-look", str(tmp_path / "c.csv")], ["describe", str(tmp_path / "c.csv")]):
        result = CliRunner().invoke(main, command)
        assert not UNSAFE.search(result.output)
        assert "\\x1b" in result.output
    result = CliRunner().invoke(main, ["parts", "evil\x1b[2J"])
    assert not UNSAFE.search(result.output)


# ── formulas ──────────────────────────────────────────────────────────────────────────────────────────────────────────

CELLS = ["=1+1", "@SUM(A1)", "+49 30", "-x", "-0.5", "+1e-3", "-", "a=b", "'=x", "＝1+1", None, "1"]
GUARDED = ["'=1+1", "'@SUM(A1)", "'+49 30", "'-x", "-0.5", "+1e-3", "-", "a=b", "'=x", "'＝1+1", None, "1"]


def test_exports_hold_no_formulas(tmp_path, monkeypatch):
    table = Table.of({"id": range(len(CELLS)), "=cmd": CELLS, "n": [-0.5] * len(CELLS)})
    export(table, tmp_path / "t.csv", numeric=("n",))
    read = mmfuse.read_table(tmp_path / "t.csv")
    assert read.names == ("id", "'=cmd", "n")
    assert read["'=cmd"].tolist() == GUARDED
    assert unguarded(read)["=cmd"].tolist() == [cell if cell != "'=x" else "=x" for cell in CELLS]
    monkeypatch.setenv("MMFUSE_FORMULAS", "keep")
    export(table, tmp_path / "t.csv")
    assert mmfuse.read_table(tmp_path / "t.csv")["=cmd"].tolist() == CELLS


def test_data_is_left_as_it_is(tmp_path):
    table = Table.of({"id": CELLS, "n": range(len(CELLS))})  # a row of empty cells alone would be left out
    table.write(tmp_path / "t.csv")
    assert mmfuse.read_table(tmp_path / "t.csv")["id"].tolist() == CELLS
    export(table, tmp_path / "t.parquet")
    assert mmfuse.read_table(tmp_path / "t.parquet")["id"].tolist() == CELLS


def test_decimal_commas_are_numbers():
    table = mmfuse.guarded(Table.of({"x": ["-0,5", "-0.5"]}, decimal=","))
    assert table["x"].tolist() == ["-0,5", "'-0.5"]


def test_guarded_predictions_are_read_again(tmp_path):
    ids, classes = ["=1", "@2", "c"], ("-ve", "+ve")
    card = Card(cases=CasesSection(id="id"), labels={"dx": {"classes": classes}})
    cases = Cases(Table.of({"id": ids, "dx": ["-ve", "+ve", "+ve"]}), card)
    export(Table.of({"id": ids, "dx": ["+ve", "-ve", "+ve"]}), tmp_path / "p.csv")
    assert "'=1,'+ve" in (tmp_path / "p.csv").read_text()
    scores, _ = mmfuse.read_outside(tmp_path / "p.csv", "other", cases, np.array(ids))
    assert cases.labels.argmax(scores.probabilities("other"))[:, 0].tolist() == [1, 0, 1]
