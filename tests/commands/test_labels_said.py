"""What `check` and `train` say of labels that a person has still to settle."""

from __future__ import annotations


def with_column(here, name, cells):
    rows = (here / "cases.csv").read_text().splitlines()
    told = [f"{rows[0]},{name}", *(f"{row},{cell}" for row, cell in zip(rows[1:], cells, strict=True))]
    (here / "cases.csv").write_text("\n".join(told) + "\n")


def with_label(here, line):
    card = (here / "cases.toml").read_text()
    (here / "cases.toml").write_text(card.replace("[labels]\n", f"[labels]\n{line}\n"))


def test_a_number_as_a_label_is_said_before_training(here, mmfuse):
    days = [str(10 * i) for i in range(60)]
    with_column(here, "days", days)
    with_label(here, f"days = {days}")
    done = mmfuse("check", "plan.toml", "cases.csv", "--no-files", code=1)
    assert "label days: is a number: 60 classes from 0 to 590" in done.output
    told = mmfuse("train", "plan.toml", "cases.csv", "--out", "run", "--dry-run")
    assert "label days is a number: 60 classes" in " ".join(told.output.split())


def test_an_open_positive_class_is_asked_for(here, mmfuse):
    with_column(here, "kind", ["a", "b"] * 30)
    with_label(here, 'kind = { classes = ["a", "b"], positive = "?" }')
    done = mmfuse("check", "plan.toml", "cases.csv", code=1)
    assert "the positive class is still open (one of a, b)" in done.output
    assert "what the table holds" in done.output
    assert (
        "the positive class is still open" in mmfuse("train", "plan.toml", "cases.csv", "--out", "run", code=1).output
    )
    assert not (here / "run").exists()
    told = mmfuse("check", "plan.toml", "cases.csv", "--set", "labels.kind.positive=b")
    assert "still open" not in told.output
