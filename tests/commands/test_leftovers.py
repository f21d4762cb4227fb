"""What is refused or killed leaves nothing behind, or what the next command puts away."""

import shutil

import pytest


@pytest.mark.parametrize("text", ["id,answer:no\nnobody,0.5\n", "nothing\n", ""])
def test_predictions_that_are_refused_leave_no_study(here, mmfuse, text):
    (here / "p.csv").write_text(text)
    before = sorted(path.name for path in here.iterdir())
    for words in (["compare", "cases.csv"], ["compare", "plan.toml", "cases.csv"]):
        mmfuse(*words, "--out", "study", "--with", "them=p.csv", code=1)
        assert sorted(path.name for path in here.iterdir()) == before


def test_a_study_that_stands_stays_as_it_was_where_predictions_are_refused(here, mmfuse):
    mmfuse("compare", "plan.toml", "cases.csv", "--out", "study", "--no-baselines", "--no-controls")
    before = {path: path.read_bytes() for path in sorted((here / "study").rglob("*")) if path.is_file()}
    (here / "p.csv").write_text("nothing\n")
    mmfuse("compare", "plan.toml", "cases.csv", "--out", "study", "--folds", "2", "--with", "them=p.csv", code=1)
    assert {path: path.read_bytes() for path in sorted((here / "study").rglob("*")) if path.is_file()} == before


def test_work_beside_a_run_that_stands_is_put_away(here, mmfuse):
    words = ["train", "plan.toml", "cases.csv", "--out", "run"]
    mmfuse(*words)
    (here / "run.work" / "network").mkdir(parents=True)
    (here / "run.work" / "network" / "done").touch()
    shutil.copytree(here / "run.work", here / "other.work")
    told = mmfuse(*words, code=1).output
    assert "run.work was left of the training of run, which stands: removed" in told
    assert "holds a run already" in told
    assert not (here / "run.work").exists()
    assert (here / "other.work").exists()
