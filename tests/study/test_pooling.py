"""Two tables as one: what must be the same, which cases are left out, and whose words the pool speaks."""

from pathlib import Path

import numpy as np
import pytest

import mmfuse
from mmfuse import Cases, Domain, Table, TableError
from mmfuse.study.pooling import differences, held_in, other_knobs, overlap, pooled

CARD = {
    "cases": {"id": "case", "group": "patient"},
    "labels": {"d": ["no", "yes"]},
    "modalities": {
        "scan": {"use": "image", "column": "file", "size": 32},
        "meta": {"use": "table", "numeric": ["age"], "categorical": ["sex"]},
    },
    "split": {"column": "part"},
}


def domain(folder, name="a", n=6, card=CARD, decimal=".", **cells):
    folder = folder / name
    folder.mkdir(exist_ok=True)
    for i in range(n):
        (folder / f"{i}.png").write_bytes(f"{name} {i}".encode())
    whole = {
        "case": [f"{name}{i}" for i in range(n)],
        "patient": [f"{name}p{i // 2}" for i in range(n)],
        "file": [f"{i}.png" for i in range(n)],
        "age": ["60.5"] * n,
        "sex": ["f", "m"] * (n // 2),
        "d": ["no", "yes"] * (n // 2),
        "part": ["train"] * (n - 4) + ["valid"] * 2 + ["test"] * 2,
        **cells,
    }
    table = Table.of(whole, source=f"{name}.csv", decimal=decimal)
    return Domain(name, (), table, mmfuse.load_card(card), folder)


def changed(**sections):
    return {**CARD, **sections}


def found(here, there):
    return "\n".join(str(fault) for fault in differences(here, there))


# ── whether they can stand in for each other ──────────────────────────────────────────────────────────────────────────


def test_the_same_questions_of_the_same_inputs_in_other_words(tmp_path):
    other = changed(
        labels={"d": {"classes": ["yes", "no"], "positive": "yes", "column": "truth"}},
        modalities={**CARD["modalities"], "scan": {"use": "image", "column": "picture", "size": 32}},
    )
    there = domain(tmp_path, "b", card=other)
    assert not differences(domain(tmp_path), there)


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"labels": {"d": ["no", "maybe", "yes"]}}, "classes no, maybe, yes there, no, yes here"),
        ({"labels": {"e": ["no", "yes"]}}, "the label 'd' is in one of the tables alone"),
        ({"labels": {"d": {"classes": ["no", "yes"], "positive": "no"}}}, "positive class of 'd' is 'no' there"),
        ({"modalities": {"scan": CARD["modalities"]["scan"]}}, "the modality 'meta' is in one of the tables alone"),
        (
            {"modalities": {**CARD["modalities"], "scan": {"use": "vector", "numeric": ["age"]}}},
            "'scan' is 'vector' there and 'image' here",
        ),
        (
            {"modalities": {**CARD["modalities"], "meta": {"use": "table", "numeric": ["weight"]}}},
            "reads age, sex, weight in one of the tables alone",
        ),
    ],
)
def test_what_differs_is_named(tmp_path, sections, told):
    assert told in found(domain(tmp_path), domain(tmp_path, "b", card=changed(**sections)))


def test_an_ordered_label_keeps_its_order(tmp_path):
    one, two = (
        changed(labels={"d": {"classes": names, "ordered": True, "positive": "yes"}})
        for names in (["no", "yes"], ["yes", "no"])
    )
    assert "in another order there" in found(domain(tmp_path, card=one), domain(tmp_path, "b", card=two))


def test_vectors_in_a_file_are_those_of_one_table(tmp_path):
    card = changed(modalities={"v": {"use": "vector", "file": "v.npz"}})
    here, there = domain(tmp_path, card=card), domain(tmp_path, "b", card=card)
    (here.root / "v.npz").write_bytes(b"")
    assert "'v.npz', which holds the cases of one table" in found(here, there)


def test_knobs_that_differ_are_told_and_columns_are_none(tmp_path):
    scan = {"use": "image", "column": "picture", "size": 64}
    there = domain(tmp_path, "b", card=changed(modalities={**CARD["modalities"], "scan": scan}))
    (told,) = other_knobs(domain(tmp_path), there)
    assert told.startswith("scan.size is 32 in a and 64 in b")


# ── which cases are the same ──────────────────────────────────────────────────────────────────────────────────────────


def test_cases_are_known_by_id_by_group_and_by_the_content_of_a_file(tmp_path):
    here = domain(tmp_path)
    there = domain(tmp_path, "b", case=["a0", *(f"b{i}" for i in range(1, 6))],
                   patient=["x", "x", "ap2", "y", "z", "z"])  # fmt: skip
    (there.root / "5.png").write_bytes(b"a 3")
    same = overlap(there.cases(), here.cases())
    assert same.by_id.tolist() == [True, False, False, False, False, False]
    assert same.by_group.tolist() == [False, False, True, False, False, False]
    assert same.by_image.tolist() == [False, False, False, False, False, True]
    assert same.with_them.tolist() == [False, True, False, False, True, False]
    assert str(same) == ("1 by id, 1 by group, 1 by the content of an image, 2 of the same group as one of these")
    alone = overlap(there.cases(), here.cases(), local_ids=True)
    assert alone.mask.tolist() == [False, False, False, False, True, True]


def test_what_is_held_out_is_known_and_new(tmp_path):
    here = domain(tmp_path)
    there = domain(
        tmp_path, "b", case=["a0", *(f"b{i}" for i in range(1, 6))], d=["no", "yes", None, "no", "yes", "no"]
    )
    held = held_in(here, here.cases(), there, "all")
    assert held.cases.ids[held.index].tolist() == ["b3", "b4", "b5"]
    assert "b: 2 of 6 cases stand in a too and are left out (1 by id, 1 of the same group as one of these): a0, b1" in (
        held.notes
    )
    assert "b: 1 cases without any known label are left out" in held.notes
    assert held_in(here, here.cases(), there, "test").index.tolist() == [4, 5]


def test_a_table_of_which_nothing_is_left_is_refused(tmp_path):
    here = domain(tmp_path)
    with pytest.raises(TableError, match=r"all 6 cases stand in a.csv too \(6 by id"):
        held_in(here, here.cases(), domain(tmp_path, "b", case=[f"a{i}" for i in range(6)]), "all")
    with pytest.raises(TableError, match="no label is known for any of 6 cases"):
        held_in(here, here.cases(), domain(tmp_path, "b", d=[None] * 6), "all")
    there = domain(tmp_path, "b")
    with pytest.raises(TableError, match="no column 'd', of label 'd'"):
        held_in(here, here.cases(), Domain("b", (), without(there.table, "d"), there.card, there.root), "all")
    with pytest.raises(TableError, match="no case is `test`"):
        held_in(here, here.cases(), domain(tmp_path, "b", part=["train"] * 6), "test")


def without(table, column):
    return Table({name: cells for name, cells in table.columns.items() if name != column}, source=table.source)


# ── one table of them all ─────────────────────────────────────────────────────────────────────────────────────────────


def pool_of(here, *others, **options):
    cases = here.cases()
    held = [held_in(here, cases, there, "all", **options) for there in others]
    return pooled(here, cases, held)


def test_the_pool_says_in_the_first_table_s_words_what_the_others_say(tmp_path):
    other = changed(
        labels={"d": {"classes": ["yes", "no"], "positive": "yes", "column": "truth"}},
        modalities={**CARD["modalities"], "scan": {"use": "image", "column": "picture", "size": 32}},
    )
    there = domain(tmp_path, "b", card=other, decimal=",", truth=["yes"] * 5 + ["no"], age=["7,5"] * 6,
                   picture=["5.png", None, *["1.png"] * 4])  # fmt: skip
    here = domain(tmp_path)
    pool = pool_of(here, there)
    cases = Cases(pool.table, pool.card, here.root)
    assert cases.ids.tolist() == [*(f"a{i}" for i in range(6)), *(f"b{i}" for i in range(6))]
    assert cases.targets[6:, 0].tolist() == [1, 1, 1, 1, 1, 0]
    assert cases.rows().numbers("age").tolist() == [60.5] * 6 + [7.5] * 6
    paths = cases.rows().paths("file")
    assert paths[0] == here.root / "0.png"
    assert paths[6] == there.root / "5.png"
    assert paths[7] is None
    assert cases.groups.tolist() == [f"{name}p{i // 2}" for name in "ab" for i in range(6)]


def test_equal_ids_of_other_people_are_kept_apart(tmp_path):
    here, there = domain(tmp_path), domain(tmp_path, "b", case=[f"a{i}" for i in range(6)], patient=["ap0"] * 6)
    pool = pool_of(here, there, local_ids=True)
    cases = Cases(pool.table, pool.card, here.root)
    assert cases.ids.tolist()[6:] == [f"b/a{i}" for i in range(6)]
    assert set(cases.groups[6:]) == {"b/ap0"}


def test_groups_of_one_form_stay_one_group_and_lone_cases_stay_alone(tmp_path):
    here = domain(tmp_path, patient=["1", "1.0", "2", "2", None, None])
    there = domain(tmp_path, "b", card=changed(cases={"id": "case"}))
    pool = pool_of(here, there)
    groups = Cases(pool.table, pool.card, here.root).groups
    assert groups[0] == groups[1] != groups[2] == groups[3]
    assert len(set(groups)) == 2 + 2 + 6


def test_each_split_of_a_pool_tests_one_table(tmp_path):
    here = domain(tmp_path)
    pool = pool_of(here, domain(tmp_path, "b"), domain(tmp_path, "c"))
    learnt = here.table["part"]
    assert pool.split(learnt, 0).tolist() == [*learnt, *[""] * 12]
    assert pool.split(learnt, 2).tolist() == ["train", "train", "valid", "valid", "", "", *[""] * 6, *["test"] * 6]


def test_the_folder_is_where_relative_paths_lie(tmp_path):
    here = domain(tmp_path)
    assert here.cases().rows().paths("file")[0] == Path(tmp_path / "a" / "0.png")
    assert np.all(here.cases().targets[:, 0] == [0, 1] * 3)
