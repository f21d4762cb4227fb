"""The adapter of derm7pt: what it makes of the official release, and what it refuses."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from mmfuse import TableError, load_card
from mmfuse_skin import Derm7pt
from mmfuse_skin.derm7pt import facts
from mmfuse_skin.derm7pt.release import runs

OFFICIAL_CODES = {
    # (train, valid, test) by official numeric code, written down apart from the facts
    "diagnosis": ((19, 7, 16), (256, 100, 219), (90, 61, 101), (32, 25, 40), (16, 10, 19)),
    "pigment_network": ((160, 84, 156), (160, 75, 146), (93, 44, 93)),
    "blue_whitish_veil": ((339, 157, 320), (74, 46, 75)),
    "vascular_structures": ((347, 163, 313), (43, 22, 52), (23, 18, 30)),
    "pigmentation": ((253, 112, 223), (44, 26, 48), (116, 65, 124)),
    "streaks": ((273, 123, 257), (39, 24, 44), (101, 56, 94)),
    "dots_and_globules": ((84, 45, 100), (156, 60, 118), (173, 98, 177)),
    "regression_structures": ((317, 152, 289), (96, 51, 106)),
}


def test_facts_agree_with_themselves():
    sizes = {split: sum(facts.RUNS[split]) for split in facts.SPLITS}
    assert sizes == {"train": 413, "valid": 203, "test": 395}
    assert sum(facts.MISSING_CLINICAL.values()) == 9 == 2 * facts.ROWS - facts.IMAGES
    assert [criterion.column for criterion in facts.CRITERIA] == list(OFFICIAL_CODES)
    for criterion in facts.CRITERIA:
        assert tuple(criterion.counts.values()) == OFFICIAL_CODES[criterion.column]
        assert criterion.positive in criterion.classes
        for name, words in criterion.classes.items():
            assert sum(words.values()) == sum(criterion.counts[name]), (criterion.column, name)
        for place, split in enumerate(facts.SPLITS):
            assert sum(counts[place] for counts in criterion.counts.values()) == sizes[split]
    assert all(sum(words.values()) == facts.ROWS for words in facts.METADATA.values())


def test_official_release(official_derm7pt):
    tidy = Derm7pt().tidy(official_derm7pt.folder)
    table = tidy.table
    assert len(table) == 1011
    assert Counter(table["split"]) == {"train": 413, "valid": 203, "test": 395}
    for label, line in tidy.card["labels"].items():
        counts = Counter(zip(table[label], table["split"], strict=True))
        found = tuple(tuple(counts[name, split] for split in ("train", "valid", "test")) for name in line["classes"])
        assert found == OFFICIAL_CODES[label]
    assert sum(path is None for path in table["clinic"]) == 9
    assert [i for i, path in enumerate(table["clinic"]) if path is None] == sorted(official_derm7pt.replaced)
    assert None not in table["derm"]
    assert any("9 lesions" in note for note in tidy.notes)


def test_rows_keep_their_own_words(official_derm7pt):
    table = Derm7pt().tidy(official_derm7pt.folder).table
    for column in ("elevation", "location", "sex", "management", "derm"):
        assert list(table[column]) == [row[column] for row in official_derm7pt.rows]
    assert list(table["diagnosis_raw"]) == [row["diagnosis"] for row in official_derm7pt.rows]


@pytest.mark.parametrize(
    ("label", "word", "name"),
    [
        ("diagnosis", "reed or spitz nevus", "nevus"),
        ("diagnosis", "melanoma metastasis", "melanoma"),
        ("diagnosis", "melanosis", "misc"),
        ("diagnosis", "seborrheic keratosis", "sk"),
        ("vascular_structures", "within regression", "regular"),
        ("vascular_structures", "dotted", "irregular"),
        ("pigmentation", "localized regular", "regular"),
        ("pigmentation", "diffuse irregular", "irregular"),
        ("regression_structures", "combinations", "present"),
        ("pigment_network", "atypical", "atypical"),
    ],
)
def test_grouping_by_name(official_derm7pt, label, word, name):
    table = Derm7pt().tidy(official_derm7pt.folder).table
    given = {name for name, row in zip(table[label], official_derm7pt.rows, strict=True) if row[label] == word}
    assert given == {name}


def test_folds_and_halves(official_derm7pt):
    table = Derm7pt().tidy(official_derm7pt.folder).table
    sizes = Counter(table["fold"])
    assert [sizes[str(number)] for number in range(1, 11)] == [96, 105, 106, 106, 100, 103, 103, 102, 96, 94]
    for split, numbers in (("train", "1234"), ("valid", "56"), ("test", ("7", "8", "9", "10"))):
        assert {fold for fold, own in zip(table["fold"], table["split"], strict=True) if own == split} == set(numbers)
    train = official_derm7pt.lists["train"]
    assert {table["half"][row] for row in train[:206]} == {"a"}
    assert {table["half"][row] for row in train[206:]} == {"b"}
    assert Counter(table["half"]) == {"a": 206, "b": 207, None: 1011 - 413}


def test_runs():
    assert runs([1, 4, 9, 0, 2, 1]) == [3, 2, 1]
    assert runs([3]) == [1]


def test_card(official_derm7pt, tmp_path):
    tidy = Derm7pt().tidy(official_derm7pt.folder)
    assert Path(tidy.card["cases"]["root"]) == official_derm7pt.folder / "images"
    assert tidy.card["labels"]["diagnosis"] == {
        "classes": ["bcc", "nevus", "melanoma", "misc", "sk"],
        "positive": "melanoma",
    }
    assert sum(len(line["classes"]) for line in tidy.card["labels"].values()) == 24
    marked = set(tidy.card["columns"])
    assert {"management", "level_of_diagnostic_difficulty", "seven_point_score", "notes", "diagnosis_raw"} <= marked
    inputs = {word for modality in tidy.card["modalities"].values() for word in modality.get("categorical", ())}
    assert inputs == {"elevation", "location", "sex"}
    assert "redistributed" in tidy.card["source"]["licence"]
    card = load_card(tidy.card)
    assert card.columns["management"].marked
    assert card.modalities["clinic"].steps[0].pixels == 25


@pytest.mark.parametrize("above", [1, 2])
def test_folders_above_are_found(derm7pt, tmp_path, above):
    inner = tmp_path / "release_v0" / "release_v0"
    derm7pt.folder = inner if above == 2 else derm7pt.folder
    derm7pt.folder.mkdir(parents=True)
    derm7pt.write(images=False)
    assert len(Derm7pt(strict=False).tidy(tmp_path).table) == 1011


def test_unknown_words_are_all_listed(derm7pt):
    derm7pt.rows[4]["diagnosis"] = "clark naevus"
    derm7pt.rows[6]["streaks"] = ""
    with pytest.raises(TableError) as caught:
        Derm7pt(strict=False).tidy(derm7pt.write(images=False))
    assert len(caught.value.faults) == 2
    text = str(caught.value)
    assert "row 6, column diagnosis" in text
    assert "'clark naevus'" in text
    assert "did you mean 'clark nevus'?" in text
    assert "row 8, column streaks" in text


def test_differing_counts_are_refused_or_noted(derm7pt):
    nevus = next(i for i in derm7pt.lists["valid"] if derm7pt.rows[i]["diagnosis"] == "clark nevus")
    derm7pt.rows[nevus]["diagnosis"] = "melanoma"
    folder = derm7pt.write()
    with pytest.raises(TableError) as caught:
        Derm7pt().tidy(folder)
    faults = {(fault.where, fault.found, fault.expected) for fault in caught.value.faults}
    assert faults == {
        ("meta.csv, diagnosis, valid", "rows of 'nevus': 99", "100"),
        ("meta.csv, diagnosis, valid", "rows of 'melanoma': 62", "61"),
        ("meta.csv, diagnosis", "rows of 'clark nevus': 398", "399"),
        ("meta.csv, diagnosis", "rows of 'melanoma': 2", "1"),
    }
    assert "strict=false" in str(caught.value)
    tidy = Derm7pt(strict=False).tidy(folder)
    assert tidy.table["diagnosis"][nevus] == "melanoma"
    assert "meta.csv, diagnosis, valid: rows of 'nevus': 99 (official release: 100)" in tidy.notes


def test_shifted_rows_do_not_pass(derm7pt):
    scores = [row["seven_point_score"] for row in derm7pt.rows]
    for row, score in zip(derm7pt.rows, [*scores[1:], scores[0]], strict=True):
        row["seven_point_score"] = score
    with pytest.raises(TableError, match="sum of the criteria's points"):
        Derm7pt().tidy(derm7pt.write())


def test_missing_images_are_refused_or_absent(derm7pt):
    folder = derm7pt.write()
    (folder / "images" / derm7pt.rows[10]["derm"]).unlink()
    with pytest.raises(TableError, match=r"1 files are missing: A1l/Aal0010\.JPG"):
        Derm7pt().tidy(folder)
    assert Derm7pt(strict=False).tidy(folder).table["derm"][10] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lists: lists["test"].append(lists["train"][0]), "more than once"),
        (lambda lists: lists["test"].pop(), "never"),
        (lambda lists: lists["valid"].append(1011), "beyond the last row: 1011"),
    ],
)
def test_lists_must_partition_the_rows(derm7pt, change, message):
    change(derm7pt.lists)
    with pytest.raises(TableError, match=message):
        Derm7pt(strict=False).tidy(derm7pt.write(images=False))


def test_a_position_that_is_no_number(derm7pt):
    folder = derm7pt.write(images=False)
    path = folder / "meta" / "valid_indexes.csv"
    path.write_text(
        path.read_text().replace("indexes\n", "indexes\nfirst\n").replace("indexes\r\n", "indexes\r\nfirst\r\n")
    )
    with pytest.raises(TableError, match="row 2, column indexes: 'first'"):
        Derm7pt().tidy(folder)


def test_what_is_no_release(derm7pt, tmp_path):
    with pytest.raises(TableError, match="neither here nor in release_v0"):
        Derm7pt().tidy(tmp_path)
    folder = derm7pt.write(images=False)
    (folder / "meta" / "test_indexes.csv").unlink()
    (folder / "images").rmdir()
    with pytest.raises(TableError) as caught:
        Derm7pt().tidy(folder)
    assert len(caught.value.faults) == 2


def test_real_words(data):
    with (data / "derm7pt_table" / "meta.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == facts.ROWS
    for criterion in facts.CRITERIA:
        words = {word: n for own in criterion.classes.values() for word, n in own.items()}
        assert Counter(row[criterion.column] for row in rows) == words
