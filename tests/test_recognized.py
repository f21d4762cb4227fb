"""Cases that a run was fitted to are known again, by id, content and group: in flags, scores, `evaluate` and `stress`;
pictures that stand on both sides of a split are told of with every figure."""

import json

import numpy as np
import pytest
from cohort import cases_of, columns, pipeline_of
from PIL import Image

import mmfuse
from mmfuse.cli import main
from mmfuse.events import Notice

ALONE = {
    "network": "",
    "decisions": {"stage": {"use": "straight", "reads": [], "features": ["table"]}},
}
SPLITS = ("train", "train", "valid", "test")
PICTURES = """
[cases]
id = "id"
group = "patient"
[labels]
bright = ["no", "yes"]
[modalities]
scan = { use = "image", column = "scan", size = 8 }
[split]
column = "split"
"""
PLAN = """
[network]
encoders.image = { use = "pixels" }
head = "linear"
[training]
epochs = 1
best = { metric = "" }
"""


def fitted(told):
    pipeline, cells = pipeline_of(told.append, **ALONE), columns()
    pipeline.fit(cases_of(pipeline.spec, cells))
    return pipeline, cells, np.isin(cells["split"], ["train", "valid"])


def warnings(told):
    return [event.text for event in told if isinstance(event, Notice) and event.level == "warning"]


def renamed(cells, *names):
    return {**cells, **{name: [f"new {word}" for word in cells[name]] for name in names}}


def in_training(pipeline, cells):
    """(n,) what the flags say of it."""
    flags = pipeline.flags(cases_of(pipeline.spec, cells))
    return np.array(["; ".join(one for one in flag.split("; ") if "was in training" in one) for flag in flags])


def test_cases_are_flagged_by_id_whatever_its_letters_and_spaces():
    pipeline, cells, learnt = fitted([])
    for other in (cells["id"], [f" {name.upper()} " for name in cells["id"]]):
        flags = in_training(pipeline, {**cells, "id": other, "patient": [f"new {name}" for name in cells["patient"]]})
        np.testing.assert_array_equal(flags == "was in training", learnt)
        assert {*flags[~learnt].tolist()} == {""}


def test_cases_are_flagged_by_group():
    pipeline, cells, learnt = fitted([])
    flags = in_training(pipeline, renamed(cells, "id"))
    np.testing.assert_array_equal(flags == "another case of its group was in training", learnt)
    assert not any(in_training(pipeline, renamed(cells, "id", "patient")))


def test_ids_that_differ_in_letters_alone_are_told_apart_where_a_table_has_both():
    pipeline, cells, learnt = fitted([])
    cells = renamed(cells, "patient")
    new = {name: column[:4] for name, column in cells.items()}
    new["id"] = ["CASE 000", "case 000", "CASE 001", "other"]
    assert learnt[:2].all()
    assert in_training(pipeline, new).tolist() == ["", "was in training", "was in training", ""]


def test_the_score_of_cases_that_it_was_fitted_to_is_told(tmp_path):
    told = []
    pipeline, cells, learnt = fitted(told)
    pipeline.save(tmp_path / "run")
    again = mmfuse.Pipeline.load(tmp_path / "run", catalog=pipeline.catalog, device="cpu", watch=told.append)
    for one in (pipeline, again):
        told.clear()
        one.score(cases_of(one.spec, cells))
        assert warnings(told) == [
            f"{learnt.sum()} of 60 cases have ids that this run learnt from; the figures flatter it"
        ]
        told.clear()
        one.score(cases_of(one.spec, renamed(cells, "id", "patient")))
        assert not warnings(told)


# ── pictures ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def write(folder, copies=(), start=0):
    """A table of 40 pictures; of `copies` (a, b) the file of b is that of a, byte by byte."""
    rng, lines = np.random.default_rng(start), ["id,patient,scan,bright,split"]
    for case in range(40):
        grey = np.clip(80 + 80 * (case % 2) + 30 * rng.standard_normal((8, 8)), 0, 255).astype(np.uint8)
        Image.fromarray(grey).save(folder / f"{case}.png")
        split = SPLITS[case // 2 % 4]
        lines.append(f"c{case},p{case},{case}.png,{('no', 'yes')[case % 2]},{split}")
    for one, other in copies:
        (folder / f"{other}.png").write_bytes((folder / f"{one}.png").read_bytes())
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")
    (folder / "cases.toml").write_text(PICTURES)
    (folder / "plan.toml").write_text(PLAN)


@pytest.fixture
def run_words(tmp_path, monkeypatch):
    from click.testing import CliRunner

    monkeypatch.chdir(tmp_path)

    def run(*words):
        result = CliRunner().invoke(main, [str(word) for word in words])
        assert result.exit_code == 0, result.output
        return result

    return run


COPIES = [
    "1 images of `test` stand in `train` too, the same byte by byte",
    "1 images of `test` stand in `valid` too, the same byte by byte",
    "1 images of `valid` stand in `train` too, the same byte by byte",
]


def test_pictures_on_both_sides_are_told_with_every_figure(run_words, tmp_path):
    """Cases 0–3, 8 … are `train`, 4, 5, 12 … `valid`, 6, 7, 14 … `test`."""
    write(tmp_path, copies=[(0, 6), (4, 7), (1, 12)])
    told = run_words("train", "plan.toml", "cases.csv", "--out", "run")
    for text in COPIES:
        assert text in told.stderr
        assert f"to be known: {text}" in told.stdout
        assert text in run_words("evaluate", "run").stderr
        assert text in run_words("evaluate", "run", "--on", "valid").stderr
    figures = json.loads(run_words("evaluate", "run", "--json", "-").stdout)
    assert [any(text in one for one in figures["provenance"]) for text in COPIES] == [True] * 3
    shown = run_words("compare", "plan.toml", "cases.csv", "--out", "study", "--no-baselines").stdout
    assert [text in shown for text in COPIES] == [True] * 3
    again = run_words("compare", "--out", "study", "--show").stdout
    assert [text in again for text in COPIES] == [True] * 3
    assert COPIES[0] in run_words("stress", "run", "cases.csv", "--corruption", "absent").output


def test_no_copies_no_remark(run_words, tmp_path):
    write(tmp_path, copies=[(6, 7), (0, 1)])  # within a split
    assert "byte by byte" not in run_words("train", "plan.toml", "cases.csv", "--out", "run").output
    assert mmfuse.Run(tmp_path / "run").remarks == ()


def test_new_cases_are_known_by_content_id_and_group(run_words, tmp_path):
    write(tmp_path)
    run_words("train", "plan.toml", "cases.csv", "--out", "run")
    new = tmp_path / "new"
    new.mkdir()
    write(new, start=1)
    rows = (new / "cases.csv").read_text().splitlines()[:9]
    rows = [row.replace("c", "n", 1).replace("p", "q", 1) for row in rows[1:]]
    (new / "0.png").write_bytes((tmp_path / "2.png").read_bytes())
    rows[1] = rows[1].replace("n1,q1", "  C1 ,q1")  # in another spelling
    rows[2] = rows[2].replace("q2", "P2")
    rows[3] = rows[3].replace("n3,q3", "C3,q3").replace("3.png", "")  # its id alone can tell
    (new / "cases.csv").write_text("\n".join(["id,patient,scan,bright,split", *rows]) + "\n")
    (new / "cases.toml").write_text(PICTURES)
    expected = (
        "1 of 8 cases have ids that this run learnt from, 1 of 8 cases have ids that this run learnt from, and other"
        " images, 1 of 8 cases have images that this run learnt from, under other ids, 1 of 8 cases are of groups that"
        " this run learnt from; the figures flatter it"
    )
    told = run_words("evaluate", "run", new / "cases.csv", "--json", "figures.json")
    assert expected in " ".join(told.stderr.split())
    assert json.loads((tmp_path / "figures.json").read_text())["provenance"] == [expected]
    told = run_words("stress", "run", new / "cases.csv", "--on", "all", "--corruption", "absent")
    assert expected in " ".join(told.output.split())
    told = run_words("predict", "run", new / "cases.csv", "--out", "predictions.csv")
    assert "4 of 8 cases, or others of the same id or group, were in training" in " ".join(told.stderr.split())
    flags = mmfuse.read_table(tmp_path / "predictions.csv")["flags"].tolist()
    assert flags[:3] == [
        "was in training",
        "a case of this id was in training, with other images",
        "another case of its group was in training",
    ]
    assert flags[3].startswith("was in training; ")  # and it has nothing
    assert flags[4:] == [None] * 4


def test_copies_across_a_split_are_told_in_stress_of_test(run_words, tmp_path):
    write(tmp_path)
    run_words("train", "plan.toml", "cases.csv", "--out", "run")
    (tmp_path / "6.png").write_bytes((tmp_path / "0.png").read_bytes())
    told = run_words("stress", "run", "cases.csv", "--corruption", "absent").output
    assert "1 of 10 cases have images that this run learnt from, under other ids" in " ".join(told.split())
