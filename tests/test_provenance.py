"""Weights that saw the labels of cases now held out are refused, whatever the cases are called; pictures are told."""

from hashlib import sha256

import numpy as np
import pytest
from cohort import CARD, cases_of, columns, spec_of
from PIL import Image

from mmfuse.errors import RunError, SpecError
from mmfuse.provenance import refuse_seen, seen_unlabelled
from mmfuse.run import write_json
from mmfuse.seen import digest_ids, digest_images, read_seen
from mmfuse.wiring import wire

PICTURE = {"modalities": {**CARD["modalities"], "clinic": {"use": "image", "column": "clinic", "size": 8}}}
N = 20
HALVES = np.array(["train"] * 8 + ["valid"] * 4 + ["test"] * 8, dtype=object)
"""Two cases a patient."""


def drawn(folder, n=N, start=0):
    """Cells with a picture a case, the last one absent; pictures differ by their number."""
    cells = columns(n=n)
    cells["clinic"] = [f"{i}.png" for i in range(n)]
    for i in range(n):
        Image.fromarray(np.full((4, 4, 3), start + i, np.uint8)).save(folder / f"{i}.png")
    cells["clinic"][-1] = None
    return cells


def spec_from(run="", card=PICTURE):
    """A spec whose table encoder starts from a run."""
    weights = {"weights": str(run)} if run else {}
    encoders = {"table": {"use": "linear", **weights}, "vector": "linear"}
    return spec_of(card, network={"encoders": encoders, "fusion": "concat", "head": "linear"})


def look(spec, cases, split, told=None):
    return refuse_seen(spec, wire(spec), cases, split, (told if told is not None else []).append)


def vouch(folder):
    """Writes the manifest of what a folder holds."""
    files = {path: path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    digests = {name: {"bytes": 0, "sha256": sha256(path.read_bytes()).hexdigest()} for path, name in files.items()}
    write_json(folder / "manifest.json", {"format": 1, "files": digests})


def keep(folder, **seen):
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "seen.npz", **seen)
    vouch(folder)


@pytest.fixture
def run(tmp_path):
    """(folder of a run, its cells): a run as far as this room is concerned, trained on the first twelve cases."""
    cells = drawn(tmp_path)
    seen = look(spec_from(), cases_of(spec_from(), cells, tmp_path), HALVES)
    (tmp_path / "run" / "network").mkdir(parents=True)
    (tmp_path / "run" / "network" / "network.safetensors").write_bytes(b"")
    keep(tmp_path / "run", **seen)
    return tmp_path / "run", cells


def test_what_is_seen_are_digests_of_train_and_valid(run, tmp_path):
    seen = read_seen(run[0])
    cases = cases_of(spec_from(), run[1], tmp_path)
    np.testing.assert_array_equal(seen["ids"], np.sort(digest_ids(cases.ids[:12])))
    np.testing.assert_array_equal(seen["images"], digest_images(cases, np.arange(12)))
    assert (len(seen["ids"]), len(seen["images"]), len(seen["images_unlabelled"])) == (12, 12, 0)
    assert not any("case" in str(digest) for digest in seen["ids"])


def test_nothing_is_refused_without_a_run(run, tmp_path):
    for weights in ("", "none", "pretrained", str(tmp_path / "0.png")):
        assert len(look(spec_from(weights), cases_of(spec_from(), run[1], tmp_path), HALVES)["ids"]) == 12


@pytest.mark.parametrize("place", ["run", "run#meta", "run/network", "run/network/network.safetensors"])
def test_held_out_cases_that_the_run_learnt_from_are_refused(run, tmp_path, place):
    spec = spec_from(tmp_path / place)
    with pytest.raises(SpecError) as caught:
        look(spec, cases_of(spec, run[1], tmp_path), HALVES[::-1])
    assert "8 by id, 8 images by content" in str(caught.value)
    assert str(run[0]) in str(caught.value)
    assert "hold out the same cases in both runs" in str(caught.value)


def test_renamed_cases_and_files_are_known_by_content(run, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    cells = dict(run[1])
    cells["id"] = [f"new {i}" for i in range(N)]
    cells["clinic"] = [None if name is None else f"renamed {name}" for name in cells["clinic"]]
    for i in range(N):
        (other / f"renamed {i}.png").write_bytes((tmp_path / f"{i}.png").read_bytes())
    spec = spec_from(run[0])
    with pytest.raises(SpecError, match="0 by id, 8 images by content"):
        look(spec, cases_of(spec, cells, other), HALVES[::-1])


def test_the_same_cases_held_out_are_fine_and_what_was_seen_adds_up(run, tmp_path):
    more = tmp_path / "more"
    more.mkdir()
    cells = drawn(more, n=8, start=100)
    cells["id"] = [f"more {i}" for i in range(8)]
    cells["patient"] = [f"more {name}" for name in cells["patient"]]
    spec, told = spec_from(run[0]), []
    seen = look(spec, cases_of(spec, cells, more), HALVES[8:16], told)
    assert (len(seen["ids"]), len(seen["images"])) == (12 + 4, 12 + 4)
    assert not told
    look(spec, cases_of(spec, run[1], tmp_path), HALVES, told)
    assert [notice.level for notice in told] == ["warning"]
    assert "learnt from the labels of 12 images of `train` and `valid`" in told[0].text


def test_ids_alone_decide_where_there_are_no_images(tmp_path):
    cells = columns(n=N)
    spec = spec_from(card={})
    keep(tmp_path / "run", **look(spec, cases_of(spec, cells), HALVES))
    spec = spec_from(tmp_path / "run", card={})
    with pytest.raises(SpecError, match="8 by id, 0 images by content"):
        look(spec, cases_of(spec, cells), HALVES[::-1])
    look(spec, cases_of(spec, cells), HALVES)


def test_equal_ids_of_other_pictures_are_told_not_refused(run, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    cells, told = drawn(other, start=100), []
    spec = spec_from(run[0])
    look(spec, cases_of(spec, cells, other), HALVES[::-1], told)
    assert "8 `test` ids stand in what" in told[0].text


def test_pictures_seen_without_labels_are_flagged(run, tmp_path):
    spec, told = spec_from(run[0]), []
    cases = cases_of(spec, run[1], tmp_path)
    nothing = np.array([], dtype="U64")
    pictures = digest_images(cases, np.arange(N))
    keep(run[0], ids=nothing, images=nothing, images_unlabelled=pictures)
    seen = look(spec, cases, HALVES, told)
    assert [notice.text for notice in told] == [
        f"weights from '{run[0]}' have seen 7 test images without their labels (transductive)"
    ]
    np.testing.assert_array_equal(seen["images_unlabelled"], np.sort(pictures))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", b"no zip at all"])
def test_a_broken_record_is_named(run, tmp_path, content):
    (run[0] / "seen.npz").write_bytes(content)
    vouch(run[0])
    spec = spec_from(run[0])
    with pytest.raises(RunError, match="name a whole run") as caught:
        look(spec, cases_of(spec, run[1], tmp_path), HALVES)
    assert str(run[0] / "seen.npz") in str(caught.value)


def test_nothing_held_out_is_nothing_to_refuse(run, tmp_path):
    spec = spec_from(run[0])
    split = np.where(HALVES == "test", "train", HALVES)
    assert len(look(spec, cases_of(spec, run[1], tmp_path), split)["ids"]) == N


# ── groups, spelling, and runs that nothing vouches for ───────────────────────────────────────────────────────────────


def test_another_case_of_a_group_that_was_learnt_from_is_refused(run, tmp_path):
    """The weights saw one lesion of a patient; another of his, with a picture of its own, may not be tested."""
    other = tmp_path / "other"
    other.mkdir()
    cells = drawn(other, start=100)
    cells["id"] = [f"second {name}" for name in cells["id"]]
    spec = spec_from(run[0])
    with pytest.raises(SpecError, match="0 by id, 0 images by content, 8 by group"):
        look(spec, cases_of(spec, cells, other), HALVES[::-1])
    cells["patient"] = [name.upper() for name in cells["patient"]]
    with pytest.raises(SpecError, match="8 by group"):
        look(spec, cases_of(spec, cells, other), HALVES[::-1])
    cells["patient"] = [f"other {name}" for name in cells["patient"]]
    look(spec, cases_of(spec, cells, other), HALVES[::-1])


def test_groups_count_where_both_tables_name_them(tmp_path):
    """A table without a group column has ids alone: its id `p0` is no patient `p0`."""
    cells, bare = columns(n=N), {"cases": {"id": "id", "case_is": "lesion"}}
    spec = spec_from(card=bare)
    keep(tmp_path / "run", **look(spec, cases_of(spec, {**cells, "id": [f"p{i}" for i in range(N)]}), HALVES))
    spec = spec_from(tmp_path / "run", card={})
    look(spec, cases_of(spec, cells), HALVES[::-1])


def test_ids_count_whatever_their_letters_and_spaces(tmp_path):
    cells = columns(n=N)
    spec = spec_from(card={})
    keep(tmp_path / "run", **look(spec, cases_of(spec, cells), HALVES))
    spec = spec_from(tmp_path / "run", card={})
    cells["id"] = [f"{name.upper().replace(' ', '  ')} " for name in cells["id"]]
    cells["patient"] = [f"new {name}" for name in cells["patient"]]
    with pytest.raises(SpecError, match="8 by id"):
        look(spec, cases_of(spec, cells), HALVES[::-1])


def test_ids_decide_where_this_table_has_no_pictures(run):
    """The run saw pictures; a table without any cannot tell its cases apart from those by content."""
    spec = spec_from(run[0], card={})
    with pytest.raises(SpecError, match="8 by id, 0 images by content"):
        look(spec, cases_of(spec, columns(n=N)), HALVES[::-1])


def test_cases_seen_without_labels_are_told_by_id_where_there_are_no_pictures(tmp_path):
    cells, told = columns(n=N), []
    spec = spec_from(card={})
    keep(tmp_path / "run", **seen_unlabelled(spec, wire(spec), cases_of(spec, cells), np.arange(N), told.append))
    spec = spec_from(tmp_path / "run", card={})
    seen = look(spec, cases_of(spec, cells), HALVES, told)
    assert [notice.text for notice in told] == [
        f"weights from '{tmp_path / 'run'}' have seen 8 `test` cases, by id, without their labels (transductive)"
    ]
    assert len(seen["ids_unlabelled"]) == len(seen["first_ids_unlabelled"]) == N


def test_a_run_without_its_record_is_no_source_of_weights(run, tmp_path):
    spec = spec_from(run[0])
    cases = cases_of(spec, run[1], tmp_path)
    (run[0] / "spec.toml").write_text("")
    vouch(run[0])
    look(spec, cases, HALVES)
    (run[0] / "seen.npz").unlink()
    for place in ("run", "run#meta", "run/network", "run/network/network.safetensors"):
        spec = spec_from(tmp_path / place)
        with pytest.raises(RunError, match="is missing: nobody knows what the run's weights have seen"):
            look(spec, cases, HALVES)
    (run[0] / "manifest.json").unlink()
    for place in ("run", "run/network"):
        spec = spec_from(tmp_path / place)
        with pytest.raises(RunError, match="is no source of weights"):
            look(spec, cases, HALVES)


@pytest.mark.parametrize("name", ["seen.npz", "network/network.safetensors"])
def test_a_run_whose_record_or_weights_were_exchanged_is_no_source(run, tmp_path, name):
    spec = spec_from(run[0])
    cases = cases_of(spec, run[1], tmp_path)
    look(spec, cases, HALVES)
    empty = dict.fromkeys(read_seen(run[0]), np.array([], dtype="S32"))
    np.savez(tmp_path / "empty.npz", **empty)
    (run[0] / name).write_bytes((tmp_path / "empty.npz").read_bytes())
    with pytest.raises(RunError, match="was changed since it was written: the run is no source of weights"):
        look(spec, cases, HALVES[::-1])


def test_a_record_of_before_groups_is_read_and_says_all_that_it_knows(run):
    seen = read_seen(run[0])
    keep(run[0], **{name: seen[name] for name in ("ids", "images", "images_unlabelled")})
    before = read_seen(run[0])
    assert len(before["groups"]) == 0
    np.testing.assert_array_equal(before["first_images"], seen["images"])
    assert len(seen["first_images"]) == 0
