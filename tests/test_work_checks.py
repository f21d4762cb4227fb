"""What an interrupted training left is used as it was written, for the same data, or refused by name."""

import pytest
from test_work import Killed, fit, opened, same, whole  # noqa: F401  # a fixture

from mmfuse.card import Card, CasesSection
from mmfuse.data.cases import Cases
from mmfuse.data.table import Table
from mmfuse.errors import RunError
from mmfuse.events import EpochEnded
from mmfuse.spec import Plan, Spec
from mmfuse.work import Work, identity


@pytest.fixture
def interrupted(whole, tmp_path):  # noqa: F811
    """A work folder of two networks that are done and one that is half done."""
    _, events = whole
    last = max(i for i, event in enumerate(events) if isinstance(event, EpochEnded))
    with pytest.raises(Killed):
        fit(opened(tmp_path, False), last)
    return tmp_path / "run.work"


def flip(path, place=0.5):
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1
    path.write_bytes(data)


def test_a_flipped_bit_of_any_file_of_a_step_is_refused_by_name(interrupted):
    step = interrupted / "network"
    files = [path for path in sorted(step.rglob("*")) if path.is_file() and path.name != "done"]
    assert len(files) >= 3
    for path in files:
        flip(path)
        expected = rf"{path.name}: was changed since it was written(?s:.*)remove .*network: --resume then"
        with pytest.raises(RunError, match=expected):
            fit(opened(interrupted.parent, True))
        flip(path)
    (step / "done").write_text("")
    with pytest.raises(RunError, match="done: cannot be read"):
        fit(opened(interrupted.parent, True))


def test_a_file_of_a_step_that_is_gone_is_refused_by_name(interrupted):
    (interrupted / "fold-1" / "scores.npz").unlink()
    with pytest.raises(RunError, match=r"scores\.npz: is missing"):
        fit(opened(interrupted.parent, True))


def test_once_the_step_is_removed_the_training_goes_on(interrupted, whole):  # noqa: F811
    import shutil

    flip(interrupted / "network" / "scores.npz")
    shutil.rmtree(interrupted / "network")
    again, _ = fit(opened(interrupted.parent, True))
    same(whole[0], again)


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9, 0.999])
def test_a_flipped_bit_of_a_checkpoint_is_refused_by_name(interrupted, place):
    (checkpoint,) = interrupted.glob("*/checkpoint.safetensors")
    flip(checkpoint, place)
    with pytest.raises(RunError, match=r"checkpoint\.safetensors: cannot be read"):
        fit(opened(interrupted.parent, True))


def test_images_that_changed_since_the_kill_are_another_training(tmp_path):
    from mmfuse.builtin.modalities import Image

    for name in "ab":
        (tmp_path / name).write_bytes(name.encode())
    card = Card(cases=CasesSection(id="id", root="."), labels={}, modalities={"eye": Image(column="path")})
    cases = Cases(Table.of({"id": ["1", "2"], "path": ["a", "b"]}), card, tmp_path, labelled=False)
    spec = Spec(card=card, plan=Plan())

    def about():
        return identity(spec, cases, ["train"] * 2, [], "cpu")

    before = about()
    Work.open(tmp_path / "run", before, False).step("network").joinpath("done").touch()
    Work.open(tmp_path / "run", about(), True)
    (tmp_path / "b").write_bytes(b"c")
    with pytest.raises(RunError, match="was interrupted with another content of images or weights"):
        Work.open(tmp_path / "run", about(), True)
    assert {name for name, digest in about().items() if before[name] != digest} == {"content of images or weights"}
    (tmp_path / "b").unlink()
    assert about()["content of images or weights"] != before["content of images or weights"]
