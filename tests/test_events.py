"""Events are frozen values; the core tells them to whoever watches and prints nothing."""

import dataclasses
import inspect

import pytest

from mmfuse import events
from mmfuse.events import EpochEnded, Event, Meter, Notice, Progress, silent

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
