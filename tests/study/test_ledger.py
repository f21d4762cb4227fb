"""Looks at test cases are counted, whoever looks, and nothing can be read from the file."""

import stat

import numpy as np
import pytest

from mmfuse import Label, Labels, Ledger, Looks, ScoreTable
from mmfuse.study.ledger import FILE


def looked_at(ids=("patient Smith", "patient Jones"), targets=((0,), (1,))):
    labels = Labels([Label("d", ("a", "b"))])
    n = len(ids)
    return ScoreTable(
        {}, np.array(ids), np.array(ids), np.array(["test"] * n), np.full(n, -1), np.array(targets), labels
    )


def test_looks_are_counted_by_cases_and_by_spec():
    ledger = Ledger()
    assert ledger.looks(looked_at()) == Looks(0, 0)
    assert [ledger.add(looked_at(), spec) for spec in ("one", "one", "two")] == [Looks(1, 1), Looks(2, 1), Looks(3, 2)]
    assert str(ledger.looks(looked_at())) == "these test cases were evaluated 3 times by 2 specs"
    assert str(Looks(1, 1)) == "these test cases were evaluated once by 1 spec"


def test_the_order_of_cases_does_not_matter_and_their_truth_does():
    ledger = Ledger()
    ledger.add(looked_at(), "one")
    assert ledger.looks(looked_at(("patient Jones", "patient Smith"), ((1,), (0,)))).times == 1
    assert ledger.looks(looked_at(targets=((1,), (1,)))).times == 0
    assert ledger.looks(looked_at(("patient Smith", "patient X"))).times == 0


def test_the_file_is_private_and_holds_digests_alone(tmp_path):
    ledger = Ledger(tmp_path / "state" / FILE)
    ledger.add(looked_at(), "my secret plan")
    text = ledger.path.read_text()
    assert stat.S_IMODE(ledger.path.stat().st_mode) == 0o600
    assert not any(word in text for word in ("Smith", "Jones", "secret"))


def test_a_torn_line_counts_nothing(tmp_path):
    ledger = Ledger(tmp_path / FILE)
    ledger.add(looked_at(), "one")
    with ledger.path.open("a") as file:
        file.write('{"cases": "\n[]\n7\n')
    assert ledger.looks(looked_at()) == Looks(1, 1)
    assert ledger.add(looked_at(), "two") == Looks(2, 2)


def test_clearing_the_cache_leaves_it():
    from mmfuse import clear_cache

    Ledger().add(looked_at(), "one")
    clear_cache()
    assert Ledger().looks(looked_at()).times == 1


@pytest.mark.skipif("__import__('os').geteuid() == 0", reason="root may write anywhere")
def test_what_cannot_be_written_stops_nothing(tmp_path):
    place = tmp_path / "closed"
    place.mkdir(mode=0o500)
    assert Ledger(place / FILE).add(looked_at(), "one") == Looks(1, 1)
