"""Controls: what is exchanged, masked or emptied, and what is left alone."""

import numpy as np
import pytest
from eyes import CARD, PLAN, STAGES, cases_of, columns, reference, spec_of

from mmfuse import Cases, Catalog, SpecError, Table, Variant, wire
from mmfuse.builtin.steps import CentreMask
from mmfuse.study.controls import all_but_slots, frame, in_all_slots, presence, shuffled

CATALOG = Catalog()


def split_of(cases):
    return cases.table["split"]


def test_a_shuffled_modality_has_the_same_cells_in_each_split_and_no_other_change():
    cells = {**CARD["modalities"], "left": {"use": "table", "numeric": ["l0", "l1"]}}
    fused = Variant("fused", "variant", spec_of(card={**CARD, "modalities": cells}))
    cases = cases_of(fused.spec)
    split = split_of(cases)
    made = shuffled(fused, "left", cases, split)
    assert made.spec == fused.spec
    pairs = [list(zip(table["l0"], table["l1"], strict=True)) for table in (cases.table, made.table)]
    assert pairs[0] != pairs[1]
    for word in ("train", "valid", "test"):
        here = split == word
        assert sorted(np.array(pairs[0])[here].tolist()) == sorted(np.array(pairs[1])[here].tolist())
    assert all((made.table[name] == cases.table[name]).all() for name in cases.table.names if name not in ("l0", "l1"))
    again = shuffled(fused, "left", cases, split)
    assert (again.table["l0"] == made.table["l0"]).all()


def test_shared_columns_are_not_exchanged():
    modalities = {**CARD["modalities"], "right": {"use": "vector", "numeric": ["l0", "r1"]}}
    fused = Variant("fused", "variant", spec_of(card={**CARD, "modalities": modalities}))
    cases = cases_of(fused.spec)
    with pytest.raises(SpecError, match="shares columns"):
        shuffled(fused, "left", cases, split_of(cases))


def test_the_best_fills_the_slots_of_its_use():
    made = in_all_slots(reference(decisions=STAGES), "left")
    assert made.spec.card.modalities["right"] == made.spec.card.modalities["left"]
    assert [*made.spec.card.modalities] == ["left", "right"]
    assert [*wire(made.spec).encoders] == ["left", "right"]
    with pytest.raises(SpecError, match="only table"):
        in_all_slots(reference(decisions=STAGES), "meta")


def test_presence_is_which_cells_are_empty():
    fused = reference()
    cases = cases_of(fused.spec, absent=0.4)
    made = presence(fused, cases, split_of(cases), CATALOG)
    cells = Cases(made.table, made.spec.card)
    assert set(made.spec.card.modalities["presence"].columns) == {"presence:r0", "presence:r1"}
    empty = np.array([cell is None for cell in cases.table["r0"]])
    assert (cells.table["presence:r0"] == np.where(empty, "empty", "there")).all()
    assert wire(made.spec).encoders == {}
    whole = cases_of(fused.spec)
    with pytest.raises(SpecError, match="same cells"):
        presence(fused, whole, split_of(whole), CATALOG)


def test_the_frame_of_images_alone():
    card = {**CARD, "modalities": {**CARD["modalities"], "eye": {"use": "image", "column": "eye", "steps": ["mirror"]}}}
    encoders = {**PLAN["network"]["encoders"], "eye": {"use": "timm", "model": "test_efficientnet", "weights": "none"}}
    fused = Variant("x", "variant", spec_of(card=card, network={**PLAN["network"], "encoders": encoders}))
    made = frame(fused, CATALOG)
    assert [*made.spec.card.modalities] == ["eye"]
    assert [step.name for step in made.spec.card.modalities["eye"].steps] == ["mirror", "centre-mask"]
    with pytest.raises(SpecError, match="no image"):
        frame(reference(), CATALOG)


def test_the_mask_leaves_the_frame_and_nothing_else():
    image = np.full((50, 100, 3), 7, np.uint8)
    masked = CentreMask(fraction=0.8).apply(image)
    assert (masked[5:45, 10:90] == 0).all()
    assert masked.sum() == 7 * 3 * (50 * 100 - 40 * 80)
    assert (image == 7).all()


def test_which_controls_there_are():
    cases = cases_of(reference().spec)
    names = [name for name, _ in all_but_slots(reference(), cases, split_of(cases), CATALOG)]
    assert names == ["left shuffled", "right shuffled", "presence alone"]
    assert Table.of(columns()).names == cases.table.names
