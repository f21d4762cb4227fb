"""Features carry what the weights behind them have seen: training on a file of them is refused as the weights are."""

import numpy as np
import pytest
from click.testing import CliRunner

import mmfuse
from mmfuse.cli import main
from mmfuse.errors import MmfuseError
from mmfuse.seen import MARK, file_seen, read_seen

CARD = """
[cases]
id = "id"
group = "patient"
[labels]
sick = ["no", "yes"]
[modalities]
meta = { use = "table", numeric = ["a", "b"] }
[split]
column = "SPLIT"
"""
PLAN = '[network]\nencoders.meta = { use = "mlp", widths = [4] }\nhead = "linear"\n[training]\nepochs = 1\n'
START = PLAN.replace("widths = [4]", 'widths = [4], weights = "run", frozen = true')
VECTORS = '[network]\nencoders.emb = { use = "linear" }\nhead = "linear"\n[training]\nepochs = 1\n'


def card(split, vectors=""):
    text = CARD.replace("SPLIT", split)
    if vectors:
        text = text.replace('meta = { use = "table", numeric = ["a", "b"] }', f"emb = {{ {vectors} }}")
    return text


@pytest.fixture
def words(tmp_path, monkeypatch):
    """A folder with a table of two splits, `one` and its reverse `two`; and the command line in it."""
    monkeypatch.chdir(tmp_path)
    rng, rows = np.random.default_rng(0), ["id,patient,a,b,sick,one,two"]
    for case in range(40):
        one, two = ("train", "test") if case < 20 else ("test", "train")
        a, b = rng.normal(size=2) + case % 2
        rows.append(f"c{case},p{case // 2},{a:.4f},{b:.4f},{('no', 'yes')[case % 2]},{one},{two}")
    (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n")
    for name, text in (
        ("plan", PLAN),
        ("start", START),
        ("vectors", VECTORS),
        ("one", card("one")),
        ("two", card("two")),
    ):
        (tmp_path / f"{name}.toml").write_text(text)

    def run(*given, code=0):
        result = CliRunner().invoke(main, [str(word) for word in given])
        assert result.exit_code == code, result.output
        return " ".join(result.stderr.split())

    run("train", "plan.toml", "cases.csv", "--card", "one.toml", "--out", "run")
    return run


KNOBS = {
    "npz": 'use = "vector", file = "f.npz"',
    "parquet": 'use = "vector", file = "f.parquet", ids = "id", numeric = ["meta:*"]',
}
REFUSED = "which learnt from the labels of cases that are now `test` (20 by id, 0 images by content, 20 by group)"


@pytest.mark.parametrize("suffix", KNOBS)
@pytest.mark.parametrize("source", ["plan", "run"])
def test_features_of_weights_are_refused_as_the_weights_are(words, tmp_path, suffix, source):
    assert f"weights come from 'run', {REFUSED}" in words(
        "train", "start.toml", "cases.csv", "--card", "two.toml", "--out", "direct", code=1
    )
    if source == "run":
        words("train", "start.toml", "cases.csv", "--card", "one.toml", "--out", "second")
    given = "start.toml" if source == "plan" else "second"
    words("embed", given, "cases.csv", "--card", "one.toml", "--out", f"f.{suffix}")
    (tmp_path / "emb.toml").write_text(card("two", KNOBS[suffix]))
    told = words("train", "vectors.toml", "cases.csv", "--card", "emb.toml", "--out", "other", code=1)
    assert f"vectors come from '{tmp_path / 'f'}.{suffix}', {REFUSED}" in told
    (tmp_path / "emb.toml").write_text(card("one", KNOBS[suffix]))
    told = words("train", "vectors.toml", "cases.csv", "--card", "emb.toml", "--out", "same")
    assert f"vectors from '{tmp_path / 'f'}.{suffix}' learnt from the labels of 20 cases of `train` and `valid`" in told
    assert "optimistic" in words("evaluate", "same", "--on", "test")


def test_what_was_seen_goes_on_through_runs_of_features(words, tmp_path):
    """Weights → features → a run on them → its frozen encoder's features: the first cases are still known."""
    words("embed", "start.toml", "cases.csv", "--card", "one.toml", "--out", "f.npz")
    (tmp_path / "emb.toml").write_text(card("one", KNOBS["npz"]))
    (tmp_path / "held.toml").write_text(VECTORS.replace('"linear" }', '"linear", frozen = true }'))
    words("train", "held.toml", "cases.csv", "--card", "emb.toml", "--out", "third")
    words("embed", "third", "cases.csv", "--card", "emb.toml", "--out", "g.npz")
    (tmp_path / "emb.toml").write_text(card("two", 'use = "vector", file = "g.npz"'))
    assert REFUSED in words("train", "vectors.toml", "cases.csv", "--card", "emb.toml", "--out", "x", code=1)
    seen = read_seen(tmp_path / "third")
    assert set(read_seen(tmp_path / "run")["ids"]) <= set(seen["first_ids"])


def test_features_of_first_weights_have_seen_nothing(words, tmp_path):
    """A run's own head learnt; its frozen encoder did not."""
    (tmp_path / "held.toml").write_text(PLAN.replace("widths = [4]", "widths = [4], frozen = true"))
    words("train", "held.toml", "cases.csv", "--card", "one.toml", "--out", "held")
    for source in ("held", "held.toml"):
        words("embed", source, "cases.csv", "--card", "one.toml", "--out", "f.npz")
        (tmp_path / "emb.toml").write_text(card("two", KNOBS["npz"]))
        told = words("train", "vectors.toml", "cases.csv", "--card", "emb.toml", "--out", f"on {source}")
        assert "does not say" not in told
        assert "optimistic" not in told
        (tmp_path / "f.npz").unlink()


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_a_file_that_does_not_say_is_warned_of_with_every_figure(words, tmp_path, suffix):
    words("embed", "start.toml", "cases.csv", "--card", "one.toml", "--out", "f.npz")
    with np.load("f.npz") as arrays:
        bare = {name: arrays[name] for name in arrays.files if not name.startswith(MARK)}
    np.savez("f.npz", **bare)
    mmfuse.Table.of({"id": bare["ids"].tolist(), **{f"meta:{i}": v for i, v in enumerate(bare["vectors"].T)}}).write(
        "f.parquet", numeric=[f"meta:{i}" for i in range(bare["vectors"].shape[1])]
    )
    assert file_seen(tmp_path / f"f.{suffix}") is None
    (tmp_path / "emb.toml").write_text(card("two", KNOBS[suffix]))
    told = words("train", "vectors.toml", "cases.csv", "--card", "emb.toml", "--out", "other")
    assert (
        f"vectors from '{tmp_path / 'f'}.{suffix}': it does not say what the weights that made them have seen" in told
    )
    assert "it does not say" in words("evaluate", "other")
    start = VECTORS.replace('"linear" }', '"linear", weights = "other" }')
    (tmp_path / "on.toml").write_text(start)
    told = words("train", "on.toml", "cases.csv", "--card", "emb.toml", "--out", "further")
    assert "weights from 'other' rest on features in a file that does not say" in told


def test_features_in_a_csv_are_said_to_carry_nothing(words):
    told = words("embed", "start.toml", "cases.csv", "--card", "one.toml", "--out", "f.csv")
    assert "a .csv has no place for what the weights behind these features have seen" in told
    (told,) = {words("embed", "plan.toml", "cases.csv", "--card", "one.toml", "--modality", "meta", "--out", "f.csv")}
    assert "no place" not in told  # nothing was seen


def test_digests_that_are_none_are_refused(words, tmp_path):
    words("embed", "start.toml", "cases.csv", "--card", "one.toml", "--out", "f.npz")
    with np.load("f.npz") as arrays:
        broken = {**{name: arrays[name] for name in arrays.files}, f"{MARK}ids": np.zeros((2, 3))}
    np.savez("f.npz", **broken)
    with pytest.raises(MmfuseError, match="what it says of the weights behind it cannot be read"):
        file_seen(tmp_path / "f.npz")
