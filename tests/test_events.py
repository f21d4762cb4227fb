"""Events are frozen values; the core tells them to whoever watches and prints nothing."""

import dataclasses
import inspect

import pytest

from mmfuse import events
from mmfuse.catalog import Catalog, Journal
from mmfuse.events import EpochEnded, Event, FitName, Meter, Notice, Progress, silent
from mmfuse.hooks import hookimpl

KINDS = [kind for _, kind in inspect.getmembers(events, inspect.isclass) if issubclass(kind, Event)]


@pytest.mark.parametrize("kind", KINDS)
def test_events_are_frozen(kind):
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen
    assert kind.__doc__


def test_events_compare_by_content():
    assert Progress("decoding", 1, 2) == Progress("decoding", 1, 2) != Progress("decoding", 2, 2)
    assert Notice("text").level == "info"
    with pytest.raises(dataclasses.FrozenInstanceError):
        Notice("text").text = "other"


def test_epochs_do_not_share_what_they_hold():
    one, other = EpochEnded("network", 1, 2), EpochEnded("network", 2, 2)
    assert one.losses is not other.losses


def test_silence(capsys):
    assert silent(Notice("nobody hears this")) is None
    assert capsys.readouterr() == ("", "")


def test_a_meter_tells_seldom_and_at_the_end(monkeypatch):
    now, told = [0], []
    monkeypatch.setattr("mmfuse.events.EVERY", 10)
    monkeypatch.setattr("mmfuse.events.time.monotonic", lambda: now[0])
    meter = Meter(told.append, "decoding", 100)
    for _ in range(50):
        now[0] += 1
        meter.add(2)
    assert [event.done for event in told] == [22, 44, 66, 88, 100]


def test_a_fit_in_words_and_in_a_record():
    assert str(FitName(run="out", variant="late", seed=2, fold=1, inner_fold=3)) == "late, seed 2, fold 1, inner fold 3"
    assert str(FitName(run="out")) == str(FitName()) == ""
    assert Notice("text", fit=FitName("out", "late", 2)).record() == {
        "fit": {"run": "out", "variant": "late", "seed": 2}, "text": "text", "level": "info",
    }  # fmt: skip
    assert Notice("text").record() == {"text": "text", "level": "info"}


def test_whoever_watches_is_told_the_fit_plugins_too():
    """Also of a plugin's own kind of event, whatever it takes to be made; one that is named already keeps its name."""

    class Odd(Event):
        def __init__(self, one, other):
            object.__setattr__(self, "both", (one, other))

    heard, seen = [], []

    class Plugin:
        @hookimpl
        def mmfuse_watch(self, event):
            heard.append(event)

    journal = Journal(Catalog(Plugin(), installed=False), seen.append, FitName("out", "late", 1))
    for event in (Notice("a"), EpochEnded("network", 1, 2), Odd(1, 2), Notice("b", fit=FitName(variant="other"))):
        journal(event)
    names = ["late", "late", "late", "other"]
    assert [event.fit.variant for event in seen] == names
    assert heard == seen
    assert [event.fit.variant for _, event in journal.events] == names
    assert seen[2].both == (1, 2)
