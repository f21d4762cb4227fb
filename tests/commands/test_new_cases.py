"""New cases are read by the run's card; the card beside them may map further words to those that the run knows."""

from __future__ import annotations

from mmfuse import Table, load_card
from mmfuse.commands.given import new_cases

RUN = {
    "cases": {"id": "id"},
    "labels": {"dx": ["nv", "mel"]},
    "modalities": {"meta": {"use": "table", "categorical": ["sex", "site"]}},
    "columns": {"sex": {"values": {"M": "male", "männlich": "male"}}, "stage": {"known": "after the diagnosis"}},
}


def test_the_map_of_a_run_is_kept_and_added_to(tmp_path):
    table = Table.of({"nr": range(5), "sex": ["M", "Male", "H", "male", "f"], "site": ["A", "a", "b", "b", "b"]})
    table.write(tmp_path / "new.csv")
    known = load_card(RUN)
    (tmp_path / "new.toml").write_text(
        '[cases]\nid = "nr"\n[columns.sex.values]\nMale = "male"\nH = "M"\n[columns.site.values]\nA = "a"\n'
    )
    cases = new_cases(tmp_path / "new.csv", None, known)
    assert cases.ids.tolist() == ["0", "1", "2", "3", "4"]
    assert cases.rows().categories("sex").tolist() == ["male"] * 4 + ["f"]
    assert cases.rows().categories("site").tolist() == ["a", "a", "b", "b", "b"]
    assert cases.card.columns["stage"].marked
    (tmp_path / "new.toml").unlink()
    table.with_columns({"id": range(5)}).write(tmp_path / "new.csv")
    plain = new_cases(tmp_path / "new.csv", None, known)
    assert plain.rows().categories("sex").tolist() == ["male", "Male", "H", "male", "f"]


def test_what_reading_inferred_of_new_cases_is_told(trained, tmp_path, mmfuse):
    from mmfuse import read_table

    text = (trained / "cases.csv").read_text()
    (tmp_path / "new.csv").write_text(text + "," * text.splitlines()[0].count(",") + "\n")
    (tmp_path / "new.toml").write_text((trained / "cases.toml").read_text())
    for words in (
        ("predict", trained / "run", tmp_path / "new.csv", "--out", tmp_path / "p.csv"),
        ("evaluate", trained / "run", tmp_path / "new.csv"),
    ):
        told = mmfuse(*words).stderr
        assert "note: 1 row of empty cells is left out: row 62" in told
        assert "encoding utf-8" in told
    assert len(read_table(tmp_path / "p.csv")) == 60
