"""What describe makes of words: missing or not, numbers or not, the same but for case, positive or not."""

from __future__ import annotations

import cProfile
import pstats

import numpy as np
import pytest

from mmfuse import Table, TableError, describe, load_card
from mmfuse.advice.leaks import name_words
from mmfuse.advice.vocabulary import disease_class, known_later, means_missing

N = 120


def drafted(cells, name="crp", **more):
    """(card, notes of the column) of a table with this column, repeated to `N` cells."""
    column = [cells[i % len(cells)] for i in range(N)]
    card, notes = describe(Table.of({"id": [f"c{i}" for i in range(N)], name: column, **more}))
    return card, "\n".join(note for note in notes if name in note)


def numbers(words, every=9):
    """Numbers, and every ninth cell one of `words`."""
    return [words[i // every % len(words)] if i % every == 0 else f"{1 + i / 7:.2f}" for i in range(N)]


@pytest.mark.parametrize("word", ["<0.1", ">90", "85+", "40-50", "54y", "6 mm", "1,234", "<= 5", "~3", "4a", "2 x"])
def test_a_word_with_digits_never_means_missing(word):
    card, told = drafted(numbers([word]))
    assert card["cases"]["missing"] == [""]
    assert "modalities" not in card
    assert "left out" in told
    assert f"'{word}'" in told


def test_what_means_missing_beside_what_does_not():
    card, told = drafted(numbers(["<0.1", "NA", "k.A."]))
    assert card["cases"]["missing"] == [""]
    assert "left out: crp: '<0.1'" in told


def test_a_number_may_be_all_units():
    for cells in (
        [f"{i} mm" for i in range(1, 30)],
        [f"{i}y" for i in range(20, 60)],
        [f"1,{i}" for i in range(200, 240)],
    ):
        card, told = drafted(cells)
        assert "modalities" not in card
        assert "left out: crp: numbers with units" in told
    bands, _ = drafted(["<40", "40-50", "51-84", "85+"])  # all of them are: categories, in which nothing is lost
    assert bands["modalities"]["meta"] == {"use": "table", "categorical": ["crp"]}


@pytest.mark.parametrize("word", ["negative", "trace", "none", "n. d.", "not detected", "undetectable"])
def test_a_word_that_may_mean_little_is_not_missing(word):
    card, told = drafted(numbers([word]))
    assert card["cases"]["missing"] == [""]
    assert f"left out: crp: '{word}'" in told


MISSING = (
    "unknown", "NA", "#N/A", "NaT", "<NA>", "#DIV/0!", "(null)", "n.a", "not reported", "Unbekannt", "k.A.", "k. A.",
    "inconnu", "Non renseigné", "desconocido", "s/d", "Sin dato", "не известно", "н/д", "不详", "不明", "#WERT!", "#NV",
    "?", "-", "--", "***",
)  # fmt: skip


@pytest.mark.parametrize("word", MISSING)
def test_words_for_missing(word):
    assert means_missing(word)
    card, told = drafted(numbers([word]))
    assert card["cases"]["missing"] == ["", word]
    assert card["modalities"]["meta"]["numeric"] == ["crp"]
    assert "stand among the numbers" in told
    for beside in (["a", "b"], ["benign", "malignant"]):
        card, told = drafted([*beside, word], "diagnosis")
        line = card["labels"]["diagnosis"]
        line = line if isinstance(line, dict) else {"classes": line, "positive": line[-1]}
        assert line["classes"] == [word, *beside]
        assert line["positive"] == ("malignant" if "malignant" in beside else "?")
        assert f"'{word}' (40) is probably missing" in told


@pytest.mark.parametrize("word", ["+", "++", "ok", "no", "m", "North America", "0", "III", "-1"])
def test_words_that_mean_something(word):
    assert not means_missing(word)


def test_minus_beside_plus_is_a_finding():
    card, told = drafted(["-", "+", "++"], "her2")
    assert card["modalities"]["meta"]["categorical"] == ["her2"]
    assert "missing" not in told


@pytest.mark.parametrize(
    ("classes", "positive"),
    [
        (["benign", "malignant"], "malignant"),
        (["nv", "mel", "bcc"], "mel"),
        (["gutartig", "bösartig"], "bösartig"),
        (["bénin", "Malin"], "Malin"),
        (["доброкачественное", "злокачественное"], "злокачественное"),
        (["良性", "恶性"], "恶性"),
        (["no cancer", "cancer"], "cancer"),
        (["healthy", "invasive carcinoma"], "invasive carcinoma"),
        (["carcinoma", "sarcoma"], ""),
        (["f", "m"], ""),
        (["benign", "not malignant"], ""),
    ],
)
def test_the_positive_class_is_known_or_asked_for(classes, positive):
    assert disease_class(classes) == positive
    card, told = drafted(classes, "diagnosis")
    line = card["labels"]["diagnosis"]
    if positive:
        assert line[-1] == positive
        assert f"positive class '{positive}'" in told
    else:
        assert line == {"classes": sorted(classes), "positive": "?"}
        assert "please name its `positive` class" in told


def test_zero_and_one_need_no_question():
    assert drafted(["0", "1"], "label")[0]["labels"] == {"label": ["0", "1"]}


def test_the_same_word_but_for_case_is_mapped():
    card, told = drafted(["male", "male", "Male", "MALE ", "female"], "sex")
    assert card["columns"] == {"sex": {"values": {"MALE": "male", "Male": "male"}}}
    assert "the same word but for case: 'MALE' = 'male', 'Male' = 'male'" in told
    card, told = drafted(["mel", "mel", "nv", "MEL", "lower  back", "lower_back", "lower_back"], "diagnosis")
    assert card["labels"]["diagnosis"] == ["lower_back", "nv", "mel"]
    assert card["columns"]["diagnosis"]["values"] == {"MEL": "mel", "lower  back": "lower_back"}
    card, _ = drafted(["CH", "ch"], "country")
    assert "modalities" not in card  # one word in all cells
    load_card(card)
    _, told = drafted([f"P{i}" for i in range(30)] + ["p1"], "patient")
    assert "the same word but for case: 'p1' and 'P1'; one patient?" in told


def test_categories_of_one_cell_are_mapped_too():
    cells = ["pain", "itch", "Pain;itch", "itch;pain", "bleeding", "pain;bleeding"]
    card, told = drafted(cells, "symptoms")
    assert card["modalities"]["meta"]["multi"] == {"symptoms": ";"}
    assert card["columns"] == {"symptoms": {"values": {"Pain": "pain"}}}
    assert "'Pain' = 'pain'" in told


def test_a_number_is_no_label():
    cells = [str(i) for i in range(80)]
    with pytest.raises(TableError) as caught:
        describe(Table.of({"id": range(80), "cost": cells}), labels=["cost"])
    (fault,) = caught.value.faults
    assert "is a number: 80 different values" in fault.found
    assert "cut it into classes" in fault.mend
    with pytest.raises(TableError, match="followed for less"):
        describe(Table.of({"id": range(80), "survival_days": cells}), labels=["survival_days"])
    card, told = drafted(cells, "outcome")
    assert "labels" not in card
    assert "no label: outcome: called like a label, but a number" in told
    # few numbers, and codes, are classes
    grades = {"id": range(80), "grade": [str(i % 5) for i in range(80)], "code": [str(i % 40) for i in range(80)]}
    assert set(describe(Table.of(grades), labels=["grade", "code"])[0]["labels"]) == {"grade", "code"}


def test_survival_times_are_told():
    rng = np.random.default_rng(0)
    table = Table.of(
        {"id": range(N), "os_months": rng.integers(1, 150, N).tolist(), "event": rng.integers(0, 2, N).tolist()}
    )
    card, notes = describe(table)
    assert card["columns"] == {name: {"known": "after the diagnosis"} for name in ("os_months", "event")}
    assert any("os_months with event: survival times" in note and "followed for less" in note for note in notes)


@pytest.mark.parametrize(
    "name",
    [
        "biopsed", "iddx_1", "iddx_full", "mel_thick_mm", "dx_type", "management", "diagnosis_confidence", "Therapie",
        "Histologiebefund", "Nachbehandlung", "Breslow (mm)", "traitement", "Tratamiento", "biópsia", "лечение",
        "гистология", "病理结果", "治疗", "chirurgia", "mel_mitotic_index", "pathologyReport", "Excision date",
        "invasion_depth",
    ],
)  # fmt: skip
def test_names_that_speak_of_later(name):
    assert known_later(name_words(name))


@pytest.mark.parametrize(
    "name", ["age", "sex", "anatom_site_general", "clin_size_long_diam_mm", "image_type", "degree"]
)
def test_names_that_do_not(name):
    assert not known_later(name_words(name))


def steps(rows: int, columns: int) -> int:
    """How many calls within mmfuse describing a table takes: every cell a word of its own, numbers and text."""
    cells = {
        f"{'abcdefghij'[k % 10]}{k} lab": [f"{i + 0.5 + k}" if k % 2 else f"words {i} of {k}" for i in range(rows)]
        for k in range(columns)
    }
    table = Table.of({"id": range(rows), "sex": [("m", "f")[i % 2] for i in range(rows)], **cells})
    watch = cProfile.Profile()
    watch.runcall(describe, table)
    called = pstats.Stats(watch).stats  # type: ignore[attr-defined]
    return sum(calls for (file, _, _), (calls, *_) in called.items() if "mmfuse" in file)


def test_describing_grows_with_the_table_and_no_faster():
    assert steps(400, 8) > 400
    assert steps(1600, 8) < 2.4 * steps(800, 8)
    assert steps(60, 320) < 2.4 * steps(60, 160)


def test_words_among_paths_are_told():
    paths = [f"a{i}.jpg" for i in range(28)]
    _, notes = describe(Table.of({"id": [f"c{i}" for i in range(30)], "photo": [*paths, "NR", "NR"]}))
    (told,) = [note for note in notes if "no image file" in note]
    assert "'photo' holds 'NR' (2)" in told
    _, notes = describe(Table.of({"id": [f"c{i}" for i in range(28)], "photo": paths}))
    assert not any("no image file" in note for note in notes)


def test_decimal_commas_among_numbers_are_named():
    cells = [f"{i},5" if i % 3 else f"{i}.5" for i in range(30)]
    table = Table.of({"id": [f"c{i}" for i in range(30)], "crp": cells, "dose": [f"{i},{i}{i % 7}" for i in range(30)]})
    _, notes = describe(table)
    told = [note for note in notes if "numbers with a decimal comma" in note]
    assert len(told) == 2
    assert "missing" not in told[0]
    with pytest.raises(TableError, match="write decimal points"):
        table.numbers("crp")


def test_thousands_are_no_decimal_commas():
    _, notes = describe(
        Table.of({"id": [f"c{i}" for i in range(30)], "wbc": [f"{i + 1},{100 + i}" for i in range(30)]})
    )
    assert not any("decimal comma" in note for note in notes)


def test_nr_is_told_among_numbers_and_categories():
    rows = range(40)
    table = Table.of({"id": [f"c{i}" for i in rows], "er": [("pos", "neg", "NR")[i % 3] for i in rows]})
    _, notes = describe(table)
    assert any("'er' holds 'NR' (13), a finding, or missing" in note for note in notes)
