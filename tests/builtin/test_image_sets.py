"""Photographs of a case in columns of their own or in one cell: read, audited, traced, explained, refused by name."""

import numpy as np
import pytest
from PIL import Image as Pillow
from tiny_parts import Conv, Flat, Numbers, Side, make_spec

from mmfuse.advice.audit import audit
from mmfuse.advice.describe import describe
from mmfuse.builtin.modalities import Image
from mmfuse.catalog import Catalog
from mmfuse.commands.checking import _sets
from mmfuse.data.cases import Cases
from mmfuse.data.contents import content_keys
from mmfuse.data.inputs import read_inputs
from mmfuse.data.table import Table
from mmfuse.errors import Faults, SpecError, TableError
from mmfuse.explaining.explanations import Question, explain
from mmfuse.json_schema import schema
from mmfuse.net.predicting import fit_network
from mmfuse.parts import Modality
from mmfuse.seen import digest_images
from mmfuse.spec import TrainingSection
from mmfuse.study.pooling import image_keys
from mmfuse.study.probing.facts import look
from mmfuse.testing import check
from mmfuse.toml import dump, load
from mmfuse.wiring import wire

N = 10
SPLIT = np.array(["train"] * 8 + ["valid"] * 2, dtype=object)
SETS = [[0], [1, 2], [], [3, 4, 5], [6], [7, 8, 9, 10, 11], [12], [13, 14], [15], [16, 17]]


@pytest.fixture
def folder(tmp_path):
    for i in range(18):
        pixels = np.random.default_rng(i).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Pillow.fromarray(pixels).save(tmp_path / f"{i}.png")
    return tmp_path


def in_columns(sets):
    """Five columns; the images of a case stand anywhere among them."""
    cells = {f"photo{k}": [None] * N for k in range(5)}
    for i, some in enumerate(sets):
        for place, one in zip(np.random.default_rng(i).permutation(5), some, strict=False):
            cells[f"photo{place}"][i] = f"{one}.png"
    return cells


def in_cells(sets):
    return {"photos": [";".join(f"{one}.png" for one in some) or None for some in sets]}


def spec_of(modality, fusion=None, **options):
    encoders = {"photos": {"part": Conv(), "weights": "none", **options}, "age": {"part": Flat(), "weights": "none"}}
    training = TrainingSection(epochs=2, batch=4, frozen_precision="32-true")
    modalities = {"photos": modality, "age": Numbers(column="age")}
    return make_spec(modalities, encoders, fusion=fusion or Side(), side_heads=True, training=training)


def cases_of(spec, cells, folder):
    labels = np.array(["a", "b"])[np.arange(N) % 2].tolist()
    columns = {"id": [f"case{i}" for i in range(N)], **cells, "age": [str(i) for i in range(N)], "y": labels}
    return Cases(Table.of(columns), spec.card, folder)


COLUMNS = Image(columns=[f"photo{k}" for k in range(5)], size=8)
CELLS = Image(column="photos", size=8)
WAYS = [(COLUMNS, in_columns), (CELLS, in_cells)]


# ── the knob ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_column_or_several():
    assert Image(column="photo").columns == ("photo",)
    assert COLUMNS.columns == tuple(f"photo{k}" for k in range(5))
    assert COLUMNS.several
    assert not CELLS.several
    assert Image(column=["a", "b"]) == Image(columns=["a", "b"])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"columns": ["a", "a"]}, "columns a are named twice"),
        ({"columns": ["a"], "column": "b"}, "`column` and `columns` are one knob"),
        ({"columns": "a"}, "`columns` is 'a'; it is a list of names"),
        ({"columns": []}, "`columns` is []; it is a list of names"),
        ({"columns": [1]}, "`columns` is [1]; it is a list of names"),
        ({}, "is missing"),
    ],
)
def test_wrong_knobs_are_refused_by_name(line, words):
    from mmfuse.building import build

    faults = Faults()
    build(Modality, {"use": "image", **line}, "modalities.photos", Catalog(), faults)
    assert words in str(faults[0])
    assert faults[0].where.startswith("modalities.photos")


def test_a_card_may_be_written_with_columns_and_is_read_back(tmp_path):
    card = {
        "cases": {"id": "id"},
        "labels": {"y": ["a", "b"]},
        "modalities": {"photos": {"use": "image", "columns": ["a", "b"]}},
    }
    plan = {"network": {"encoders": {"image": {"use": "pixels", "pool": "max"}}, "head": "linear"}}
    spec = load(plan, card)
    assert spec.card.modalities["photos"].columns == ("a", "b")
    (tmp_path / "spec.toml").write_text(dump(spec))
    assert load(tmp_path / "spec.toml") == spec
    line = schema()["$defs"]["modality.image"]
    assert {"column", "columns"} <= set(line["properties"])
    assert line["anyOf"] == [{"required": ["columns"]}, {"required": ["column"]}]


def test_the_conformance_kit_passes_a_set():
    check(COLUMNS)


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("modality", "cells"), WAYS)
def test_each_image_is_there_and_each_case_has_its_own(modality, cells, folder):
    cases = cases_of(spec_of(modality), cells(SETS), folder)
    block = read_inputs({"photos": modality.fit(cases.rows())}, cases)["photos"]
    assert block.there.tolist() == [bool(some) for some in SETS]
    rows, of = block.places(np.arange(N))
    keys = content_keys([folder / f"{i}.png" for i in range(18)])
    found = [sorted(block.keys[rows[of == i]].astype(str).tolist()) for i in range(N)]
    assert found == [sorted(keys[one] for one in some) for some in SETS]
    again, _ = block.places(np.array([5, 2, 0]))
    assert len(again) == 6


def test_columns_and_cells_of_the_same_images_are_one(folder):
    told = []
    for modality, cells in WAYS:
        spec = spec_of(modality)
        told.append(fit_network(spec, wire(spec), cases_of(spec, cells(SETS), folder), SPLIT, None, device="cpu")[1])
    for source, scores in told[0].items():
        np.testing.assert_array_equal(scores, told[1][source])


def test_one_image_in_any_column_is_the_single_image_to_the_bit(folder):
    singles = [some[:1] for some in SETS]
    one, several = spec_of(CELLS), spec_of(COLUMNS)
    first = fit_network(one, wire(one), cases_of(one, in_cells(singles), folder), SPLIT, None, device="cpu")[1]
    other = cases_of(several, in_columns(singles), folder)
    second = fit_network(several, wire(several), other, SPLIT, None, device="cpu")[1]
    for source, scores in first.items():
        np.testing.assert_array_equal(scores, second[source])


@pytest.mark.parametrize(("modality", "cells"), WAYS)
def test_missing_files_are_named_by_row_and_path(modality, cells, folder):
    (folder / "4.png").unlink()
    (folder / "17.png").unlink()
    cases = cases_of(spec_of(modality), cells(SETS), folder)
    with pytest.raises(TableError) as error:
        read_inputs({"photos": modality.fit(cases.rows())}, cases)
    where = [fault.where for fault in error.value.faults]
    assert len(where) == 2
    assert "row 5 (id case3), column photo" in where[0]
    assert str(folder / "4.png") in where[0]
    assert "row 11 (id case9)" in where[1]
    findings = [str(one) for one in audit(cases, SPLIT) if one.level == "error"]
    assert len(findings) == 2
    assert "4.png" in findings[0]


def test_an_unreadable_image_may_be_absent_while_its_case_is_there(folder):
    (folder / "4.png").write_bytes(b"nothing")
    (folder / "0.png").write_bytes(b"nothing either")
    modality = CELLS.model_copy(update={"on_error": "absent"})
    cases = cases_of(spec_of(modality), in_cells(SETS), folder)
    block = read_inputs({"photos": modality.fit(cases.rows())}, cases)["photos"]
    assert np.bincount(block.places(np.arange(N))[1], minlength=N).tolist() == [0, 2, 0, 2, 1, 5, 1, 2, 1, 2]
    assert block.there.tolist() == [i not in (0, 2) for i in range(N)]


def test_a_path_that_climbs_out_of_the_root_is_refused_wherever_it_stands(folder):
    cells = in_cells(SETS)
    cells["photos"][1] = "1.png;../2.png"
    cases = cases_of(spec_of(CELLS), cells, folder)
    with pytest.raises(TableError, match=r"'\.\./2\.png' climbs out of the root"):
        read_inputs({"photos": CELLS.fit(cases.rows())}, cases)


# ── audit, provenance, drafts, explanations, refusals ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("modality", "cells"), WAYS)
def test_copies_are_found_and_all_images_are_remembered(modality, cells, folder):
    sets = [*SETS[:8], [15, 3], SETS[9]]
    cases = cases_of(spec_of(modality), cells(sets), folder)
    told = " ".join(str(one) for one in audit(cases, SPLIT))
    assert "identical images stand in two splits: a leak" in told
    assert "row 5 (id case3)" in told
    assert "row 10 (id case8)" in told
    expected = set(content_keys([folder / f"{one}.png" for one in sets[3]]))
    assert {*digest_images(cases, np.array([3])).astype(str).tolist()} == expected
    assert len(digest_images(cases, np.arange(N))) == 18
    assert [len(keys) for keys in image_keys(cases)] == [len(some) for some in sets]
    there = [any(seen.facts[i] for seen in look(cases, lambda event: None)) for i in range(N)]
    assert there == [bool(some) for some in sets]


def test_a_draft_takes_numbered_columns_of_images_for_one_set():
    cells = {**in_columns(SETS), **in_cells(SETS), "derm": [f"d{i}.png" for i in range(N)]}
    labels = np.array(["a", "b"])[np.arange(N) % 2].tolist()
    card, notes = describe(Table.of({"id": [f"case{i}" for i in range(N)], **cells, "label": labels}))
    modalities = card["modalities"]
    assert modalities["photo"] == {"use": "image", "columns": [f"photo{k}" for k in range(5)]}
    assert modalities["photos"] == {"use": "image", "column": "photos"}
    assert modalities["derm"] == {"use": "image", "column": "derm"}
    assert any("please check: modality 'photo'" in note and "a set" in note for note in notes)


@pytest.mark.parametrize("method", ["integrated-gradients", "grad-cam"])
@pytest.mark.parametrize("pool", ["mean", "max", "attention"])
def test_every_image_of_a_case_has_its_overlay(method, pool, folder):
    pytest.importorskip("captum")
    spec = spec_of(COLUMNS, pool=pool)
    cells = in_columns(SETS)
    cases = cases_of(spec, cells, folder)
    network, _ = fit_network(spec, wire(spec), cases, SPLIT, None, device="cpu")
    (told,) = explain(network, cases, ["case3"], Question(method=method, steps=16))
    names = ["photos-1", "photos-2", "photos-3"]
    assert list(told.pictures) == names
    assert sorted(overlay.modality for overlay in told.overlays) == names
    reader = COLUMNS.fit(cases.rows())
    alone, of = reader.apart(cases.rows())
    pixels, _ = reader.read(alone)
    listed = pixels[of == 3]  # as the table lists them
    for number, image in enumerate(listed, 1):
        np.testing.assert_array_equal(told.pictures[f"photos-{number}"], image.transpose(1, 2, 0))


def test_attributions_of_all_images_sum_to_the_difference(folder):
    """Completeness: shares of every image and column add up to what the answer moved by."""
    pytest.importorskip("captum")
    import torch

    from mmfuse.explaining.attributing import integrated_gradients
    from mmfuse.explaining.subjects import Subject, see_through
    from mmfuse.net.assembling import Assembler

    spec = spec_of(COLUMNS)
    cases = cases_of(spec, in_columns(SETS), folder)
    network, _ = fit_network(spec, wire(spec), cases, SPLIT, None, device="cpu")
    member = network.members["network"]
    data = Assembler(spec, network.wiring, cases, lambda event: None).unknown(member.readers)
    subject = Subject(see_through(member.network), data, 5)
    names = subject.names(("age", "photos"))
    assert len(names) == 6
    found = integrated_gradients(subject, names, "fused", 0, slice(0, 2), "black", 256)
    blank = {name: torch.zeros_like(subject.inputs[name]) for name in names}
    with torch.no_grad():
        moved = subject.log_p("fused", slice(0, 2))[0, 0] - subject.log_p("fused", slice(0, 2), blank)[0, 0]
    assert float(sum(share.sum() for share in found.values())) == pytest.approx(float(moved), abs=2e-3)


def test_vectors_that_attention_pooled_do_not_leave_the_network(folder):
    spec = spec_of(COLUMNS, frozen=True, pool="attention")
    cases = cases_of(spec, in_columns(SETS), folder)
    network, _ = fit_network(spec, wire(spec), cases, SPLIT, None, device="cpu")
    with pytest.raises(SpecError, match="'photos' is pooled by attention, which learns from labels"):
        network.embed(cases, "photos")


def test_maps_of_several_images_in_a_cell_are_refused_before_training(folder):
    spec = spec_of(CELLS, fusion=Side(reads_all=True))
    fitting = (spec, wire(spec), cases_of(spec, in_cells(SETS), folder), SPLIT, None)
    with pytest.raises(SpecError, match="'photos' holds several images a case"):
        fit_network(*fitting, device="cpu")
    single = cases_of(spec, in_cells([some[:1] for some in SETS]), folder)
    network, _ = fit_network(spec, wire(spec), single, SPLIT, None, device="cpu")
    with pytest.raises(SpecError, match="'photos' holds several images a case"):
        network.predict(fitting[2])
    (told,) = _sets(spec, fitting[2])
    assert told.level == "error"
    assert "'photos' holds several images a case" in told.text
    assert not _sets(spec, single)
