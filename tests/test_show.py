"""What reaches the screen: whole words in pipes, nothing cut on terminals, and events as lines, bars and JSON."""

import io
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmfuse
from mmfuse.show import (
    WATCHERS,
    Branch,
    JsonLines,
    Lines,
    LiveBars,
    Quiet,
    Screen,
    as_json,
    cell,
    duration,
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


EVENTS = [
    mmfuse.StepStarted("network", 1, 2),
    mmfuse.Progress("decoding", 5, 10),
    mmfuse.Progress("decoding", 10, 10),
    mmfuse.EpochEnded("network", 1, 3, {"loss": 0.51234}, {"log-loss": math.nan}, True, 123.4, 65.0),
    mmfuse.Notice("look here", "warning"),
    mmfuse.Notice("by the way"),
    mmfuse.StepEnded("network", 75.0),
]


def show(watcher):
    for event in EVENTS:
        watcher(event)
    return watcher.stream.getvalue()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        (3, "3"),
        (0.12345, "0.123"),
        (math.nan, "–"),
        (("a", 1.0), "a, 1.000"),
        ("evil\x1b[2Jname\n", "evil [2Jname "),
    ],
)
def test_values_as_words(value, words):
    assert cell(value) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (12.4, "12 s"), (59.6, "1 min 00 s"), (80, "1 min 20 s"), (7500, "2 h 05 min")],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_json_holds_no_nan_and_takes_arrays():
    value = {"a": np.array([1.0, math.nan]), "b": np.int64(3), 4: (math.inf, "x"), "c": {"d": None, "e": True}}
    assert json.loads(as_json(value)) == {"a": [1.0, None], "b": 3, "4": [None, "x"], "c": {"d": None, "e": True}}


WORDS = st.text(st.characters(codec="ascii", exclude_categories=["C", "Z"]), min_size=1, max_size=60)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=5))
def test_a_pipe_gets_whole_words_in_straight_columns(rows):
    stream = io.StringIO()
    Screen(stream).table(("first", "second"), rows)
    lines = stream.getvalue().splitlines()
    assert len(lines) == len(rows) + 2
    start = lines[0].index("second")
    for (first, second), line in zip(rows, lines[2:], strict=True):
        assert line[:start].rstrip() == first
        assert line[start:] == second


def test_numbers_stand_to_the_right():
    stream = io.StringIO()
    Screen(stream).table(("name", "n"), [("a", 5), ("b", 1000), ("c", None)])
    assert [line[-4:] for line in stream.getvalue().splitlines()[2:4]] == ["   5", "1000"]


def test_a_terminal_folds_and_cuts_nothing(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    stream = Terminal()
    word = "abcdefghijklmnopqrstuvwxyz" * 3
    Screen(stream).table(("name", "text"), [("[red]x[/red]", word)])
    text = "".join(ch for ch in stream.getvalue() if ch.isalpha())
    assert "…" not in stream.getvalue()
    assert "[red]x[/red]" in stream.getvalue()
    assert text.count("z") == 3


def test_trees_are_the_same_in_pipes_and_terminals():
    tree = Branch("root", (Branch("a", (Branch("b"), Branch("c"))), Branch("d")))
    piped, shown = io.StringIO(), Terminal()
    Screen(piped).tree(tree)
    Screen(shown).tree(tree)
    assert piped.getvalue() == "root\n├─ a\n│  ├─ b\n│  └─ c\n└─ d\n"
    assert [line.split()[-1] for line in shown.getvalue().splitlines()] == ["root", "a", "b", "c", "d"]


def test_quiet_shows_warnings_alone():
    assert show(Quiet(io.StringIO())) == "warning: look here\n"


def test_json_lines_hold_every_event_and_field():
    lines = [json.loads(line) for line in show(JsonLines(io.StringIO())).splitlines()]
    assert [line["event"] for line in lines] == [type(event).__name__ for event in EVENTS]
    epoch = lines[3]
    assert epoch["losses"] == {"loss": 0.51234}
    assert epoch["valid"] == {"log-loss": None}
    assert (epoch["epoch"], epoch["epochs"], epoch["cases_per_second"]) == (1, 3, 123.4)
    assert all(line["time"] >= 0 for line in lines)


def test_lines_say_epoch_losses_metric_speed_and_time_left():
    lines = show(Lines(io.StringIO())).splitlines()
    assert lines[0] == "step 1 of 2: network"
    assert lines[1] == "  decoding: 10"
    for words in ("epoch 1 of 3", "loss 0.5123", "valid log-loss nan", "best so far", "123 cases/s", "1 min 05 s left"):
        assert words in lines[2]
    assert lines[3:] == ["warning: look here", "note: by the way", "  network: done in 1 min 15 s"]


def test_bars_show_epochs_and_let_notices_scroll(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    stream = Terminal()
    with LiveBars(stream) as bars:
        for event in EVENTS[:4]:
            bars(event)
        bars.bars.refresh()
        assert "step 1 of 2: network" in stream.getvalue()
        assert "loss 0.5123" in stream.getvalue()
        for event in EVENTS[4:]:
            bars(event)
    assert "warning: look here" in stream.getvalue()
    assert "done in 1 min 15 s" in stream.getvalue()


def test_every_watcher_takes_every_event():
    for make in WATCHERS.values():
        show(make(io.StringIO()))


@pytest.mark.parametrize("epochs", [1, 7, 10, 11, 50, 1000])
def test_a_pipe_gets_one_line_a_tenth_of_the_epochs_and_the_last(epochs):
    lines = Lines(io.StringIO())
    for epoch in range(1, epochs + 1):
        lines(mmfuse.EpochEnded("network", epoch, epochs, {"fused": 0.5}))
    shown = [int(line.split("epoch ")[1].split()[0]) for line in lines.stream.getvalue().splitlines()]
    assert len(shown) == min(epochs, 10)
    assert shown[-1] == epochs
    assert len({10 * epoch // epochs for epoch in shown}) == len(shown)


def test_lines_say_which_fit_they_are_of_where_there_are_several():
    lines, records = Lines(io.StringIO()), JsonLines(io.StringIO())
    for number in (1, 2):
        fit = mmfuse.FitName("study", "late", number, 3)
        for event in (
            mmfuse.StepStarted("network", 1, 1, fit=fit),
            mmfuse.EpochEnded("network", 2, 2, {"fused": 0.5}, fit=fit),
            mmfuse.Notice("look", "warning", fit=fit),
            mmfuse.StepEnded("network", 1.0, fit=fit),
            mmfuse.Progress("decoding", 2, 2, fit=fit),
        ):
            lines(event)
            records(event)
    told = lines.stream.getvalue().splitlines()
    assert len(set(told)) == len(told) == 10
    assert all("late, seed 1, fold 3: " in line for line in told[:5])
    held = [json.loads(line)["fit"] for line in records.stream.getvalue().splitlines()]
    assert held[5:] == [{"run": "study", "variant": "late", "seed": 2, "fold": 3}] * 5
