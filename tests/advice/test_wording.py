"""What `audit` says of the words of labels, inputs and groups; and that value maps mend it everywhere."""

from __future__ import annotations

import numpy as np
import pytest

import mmfuse
from mmfuse import Cases, Table, TableError, assign, audit, load_card
from mmfuse.errors import SpecError

N = 60
SEX = ["male", "male", "Male", "MALE", "female"]
SAME = {"Male": "male", "MALE": "male"}


def cases_of(card=None, **columns) -> Cases:
    base = {
        "id": [f"c{i}" for i in range(N)],
        "patient": [("p" if i % 7 == 3 else "P") + str(i // 2) for i in range(N)],
        "sex": [SEX[i % 5] for i in range(N)],
        "dx": [("mel", "nv", "mel")[i % 3] for i in range(N)],
        "split": [("train", "valid", "test", "train", "train")[i % 5] for i in range(N)],
    }
    card = {
        "cases": {"id": "id"},
        "labels": {"dx": ["nv", "mel"]},
        "modalities": {"meta": {"use": "table", "categorical": ["sex"]}},
        **(card or {}),
    }
    return Cases(Table.of({**base, **columns}, source="t.csv"), load_card(card))


def said(cases: Cases, level: str) -> list[str]:
    return [str(one) for one in audit(cases, assign(cases, cases.card.split), files=False) if one.level == level]


def test_the_same_word_but_for_case_is_said_and_mapped():
    told = "\n".join(said(cases_of({"cases": {"id": "id", "group": "patient"}}), "warning"))
    assert "several categories of modality 'meta': 'MALE' and 'male', 'Male' and 'male'" in told
    assert '[columns] sex = { values = { MALE = "male", Male = "male" } }' in told
    assert "groups are the same word but for case" in told
    cases = cases_of({"columns": {"sex": {"values": SAME}}})
    assert set(cases.rows().categories("sex")) == {"male", "female"}
    assert "but for case" not in "\n".join(said(cases, "warning"))


def test_a_class_that_differs_in_case_is_refused_with_the_map():
    with pytest.raises(TableError) as caught:
        cases_of(dx=[("mel", "nv", "MEL")[i % 3] for i in range(N)])
    assert "the same word as 'mel' but for case: [columns] dx = { values = { MEL = \"mel\" } }" in str(caught.value)
    cases = cases_of({"columns": {"dx": {"values": {"MEL": "mel"}}}}, dx=["mel", "nv", "MEL"] * 20)
    assert np.bincount(cases.targets[:, 0]).tolist() == [20, 40]
    both = cases_of({"labels": {"dx": ["nv", "mel", "MEL"]}}, dx=[("mel", "nv", "MEL")[i % 3] for i in range(N)])
    assert any("classes are the same word but for case: 'MEL' and 'mel'" in text for text in said(both, "warning"))


def test_values_are_used_for_groups_splits_sets_and_numbers():
    maps = {
        "patient": {"values": {f"p{i}": f"P{i}" for i in range(N)}},
        "split": {"values": {"Lernen": "train", "2.0": "valid", "T": "test"}},
        "symptoms": {"values": {"Pain": "pain", "1": "itch", "unknown": ""}},
    }
    card = {
        "cases": {"id": "id", "group": "patient"},
        "columns": maps,
        "split": {"column": "split"},
        "modalities": {"meta": {"use": "table", "multi": {"symptoms": "&"}}},
    }
    cases = cases_of(
        card,
        split=[("Lernen", "2", "T", "Lernen")[i // 2 % 4] for i in range(N)],
        symptoms=[("Pain&1.0", "pain", "unknown", "itch & Pain")[i % 4] for i in range(N)],
    )
    assert len(set(cases.groups.tolist())) == N // 2
    assert set(assign(cases, cases.card.split).tolist()) == {"train", "valid", "test"}
    for rows in (cases.rows(), cases.rows(np.arange(8)).take(slice(0, 4)), cases.take(np.arange(4)).rows()):
        assert rows.sets("symptoms", "&")[:4] == [{"pain", "itch"}, {"pain"}, set(), {"pain", "itch"}]
    assert cases.rows().text("symptoms")[2] is None
    reader = cases.card.modalities["meta"].fit(cases.rows())
    assert reader.names == ("symptoms=itch", "symptoms=pain", "symptoms (unknown)", "symptoms (missing)")


def test_sets_are_in_one_form():
    cases = cases_of(symptoms=[("1&2.0", "1.0", "2&TRUE", "true&")[i % 4] for i in range(N)])
    assert cases.rows().sets("symptoms", "&")[:4] == [{"1", "2"}, {"1"}, {"2", "true"}, {"true"}]


def test_a_map_of_two_steps_is_refused():
    with pytest.raises(SpecError, match="'b' is itself replaced by 'c'"):
        load_card({"cases": {"id": "id"}, "columns": {"x": {"values": {"a": "b", "b": "c"}}}})


def test_new_cases_say_what_is_but_for_case():
    known, new = cases_of(sex=["male", "female"] * 30), cases_of(sex=["Male", "male", "divers"] * 20)
    reader = known.card.modalities["meta"].fit(known.rows())
    assert reader.flags(new.rows())[:3] == (
        "sex 'Male' (not in training; 'male' is, the same word but for case)",
        "",
        "sex 'divers' (not in training)",
    )


def test_an_open_positive_class_is_asked_for_and_nothing_is_trained():
    open_card = {"labels": {"dx": {"classes": ["nv", "mel"], "positive": "?"}}}
    cases = cases_of(open_card)
    (error,) = said(cases, "error")
    assert error.startswith("labels.dx.positive: the positive class is still open")
    assert "name the class that sensitivity" in error
    plan = {"decisions": {"only": {"use": "logistic", "features": ["meta"]}}}
    with pytest.raises(SpecError, match="the positive class is still open") as caught:
        mmfuse.Pipeline(mmfuse.load(plan, cases.card)).fit(cases)
    assert "one of nv, mel" in str(caught.value)
    assert not [text for text in said(cases_of(), "error") if "positive" in text]
    asked = load_card({"cases": {"id": "id"}, "labels": {"x": {"classes": ["?", "a"], "positive": "?"}}})
    assert not asked.labels["x"].is_open  # a class may be called so


def test_a_number_as_a_label_is_an_error():
    days = [str(10 * (i % 30)) for i in range(N)]
    card = {"labels": {"survival_days": sorted(set(days))}}
    (error,) = said(cases_of(card, survival_days=days), "error")
    assert "label survival_days: is a number: 30 classes from 0 to 290" in error
    assert "cut it into classes" in error
    assert "followed for less" in error
    assert not said(cases_of({"labels": {"grade": ["0", "1", "2"]}}, grade=[i % 3 for i in range(N)]), "error")


def test_what_probably_means_no_value_is_said():
    dx = [("mel", "nv", "unknown")[i % 3] for i in range(N)]
    cases = cases_of({"labels": {"dx": ["nv", "mel", "unknown"]}}, dx=dx, sex=["f", "k. A."] * 30)
    (warning,) = [text for text in said(cases, "warning") if "no value" in text]
    assert "its class unknown probably mean no value, and 'unknown' is the positive class" in warning
    assert any("holds 'k. A.' (30), probably missing" in text for text in said(cases, "info"))


def test_inputs_that_are_called_like_what_is_known_later():
    noise = np.random.default_rng(0).integers(0, 3, N).tolist()
    names = ("biopsed", "mel_thick_mm", "Therapie", "dnn_prob")
    modality = {"meta": {"use": "table", "categorical": list(names)}}
    told = "\n".join(said(cases_of({"modalities": modality}, **dict.fromkeys(names, noise)), "warning"))
    for name in names[:3]:
        assert f"column {name}: by its name it was known only after the diagnosis, and it is an input" in told
    assert "column dnn_prob: by its name it was made by a model" in told
    settled = {"modalities": modality, "columns": {name: {"known": "before the diagnosis"} for name in names}}
    assert "by its name" not in "\n".join(said(cases_of(settled, **dict.fromkeys(names, noise)), "warning"))


def test_a_number_beside_which_all_others_are_one_is_said():
    modality = {"modalities": {"meta": {"use": "table", "numeric": ["age"]}}}
    ages = [str(20 + i) for i in range(N)]
    assert not any("farther" in text for text in said(cases_of(modality, age=ages), "warning"))
    (warning,) = [text for text in said(cases_of(modality, age=[*ages[:-1], "1e308"]), "warning") if "farther" in text]
    assert f"1e308 in row {N + 1}; scaled, all others are one number" in warning
    same = [str(10**15 + i) for i in range(N)]
    assert not any("farther" in text for text in said(cases_of(modality, age=same), "warning"))
    commas = Table.of({"id": range(4), "dx": ["nv", "mel"] * 2, "x": ["1.234", "5", "6", "7"]}, decimal=",")
    audit(Cases(commas, load_card({"cases": {"id": "id"}, "labels": {"dx": ["nv", "mel"]}})), np.full(4, "train"))
    numeric = {"modalities": {"meta": {"use": "table", "numeric": ["x"]}}}
    (fault,) = [
        one
        for one in audit(Cases(commas, load_card({"cases": {"id": "id"}, **numeric})), np.full(4, "train"))
        if one.level == "error"
    ]
    assert "no numbers: '1.234'" in fault.text
