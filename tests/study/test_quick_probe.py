"""The part of the probe that every `check` runs: columns and missing cells alone, in bounded time."""

from __future__ import annotations

import numpy as np
import pytest

from mmfuse import Cases, Table, assign, load_card, probe
from mmfuse.study.probing import asking

N = 240


def cohort(n=N, inputs=(), **columns) -> Cases:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, n)
    base = {
        "id": range(n),
        "patient": [f"p{i // 2}" for i in range(n)],
        "dx": [("benign", "malignant")[t] for t in truth],
        "age": rng.integers(20, 90, n).tolist(),
    }
    made = {name: column(truth, rng) for name, column in columns.items()}
    card = {
        "cases": {"id": "id", "group": "patient"},
        "labels": {"dx": ["benign", "malignant"]},
        "modalities": {"meta": {"use": "table", "numeric": ["age"], "categorical": list(inputs)}},
    }
    return Cases(Table.of({**base, **made}, source="t.csv"), load_card(card))


def quick(cases: Cases) -> dict[str, str]:
    """{where: text} of its warnings."""
    found = probe(cases, assign(cases, cases.card.split), quick=True)
    return {one.where: one.text for one in found if one.level == "warning"}


def treatment(truth, rng):
    return [("watch", "excise")[t] for t in truth]


def gaps(truth, rng):
    return [f"x{rng.integers(3)}" if t else None for t in truth]


def noise(truth, rng):
    return rng.choice(["a", "b", "c"], len(truth)).tolist()


def thick(truth, rng):
    return [f"{t * 2 + rng.random():.2f}" for t in truth]


def test_what_tells_too_much_is_found():
    found = quick(cohort(inputs=("procedure", "seen", "site"), procedure=treatment, seen=gaps, site=noise, depth=thick))
    assert {"column procedure", "column depth", "missing cells"} <= set(found)
    assert "AUC 1.00" in found["column procedure"]
    assert "AUC 1.00" in found["missing cells"]
    assert "column site" not in found
    assert "column age" not in found


def test_nothing_is_found_where_nothing_is():
    assert quick(cohort(inputs=("site", "kind"), site=noise, kind=noise, beside=noise)) == {}


@pytest.fixture
def low(monkeypatch):
    monkeypatch.setattr(asking, "QUICK_CASES", 100)
    monkeypatch.setattr(asking, "QUICK_COLUMNS", 3)


def test_it_says_of_how_many(low):
    columns = {f"beside {name}": noise for name in "abcdef"}
    cases = cohort(inputs=("last",), **columns, last=treatment)
    split = assign(cases, cases.card.split)
    told = probe(cases, split, quick=True)
    asked = [one.text for one in told if "asked alone were columns and missing cells" in one.text]
    assert len(asked) == 1
    assert f"of 100 of {(split != 'test').sum()} cases and 3 of 8 columns; `--probe` asks more" in asked[0]
    assert [one.where for one in told if one.level == "warning"] == ["column last", "label dx"]  # inputs come first
    assert told == probe(cases, split, quick=True)


def test_questions_are_bounded_by_classes(monkeypatch):
    monkeypatch.setattr(asking, "QUICK_QUESTIONS", 2)
    told = probe(cohort(a=noise, b=noise), np.full(N, "train"), quick=True)
    assert any("of 2 of 3 columns" in one.text for one in told)


def test_many_rare_patterns_of_gaps_are_no_fault():
    def holes(truth, rng):
        return [None if rng.random() < 0.4 else "x" for _ in truth]

    names = [f"col {name}" for name in "abcdefghijklmnop"]
    cases = cohort(inputs=names, **dict.fromkeys(names, holes))
    split = np.full(N, "train")
    for told in (probe(cases, split, quick=True), probe(cases, split, files=False)):
        assert not [one for one in told if one.where == "missing cells"]
