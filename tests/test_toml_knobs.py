"""A plan's [modalities] may change knobs of the card's, by a use as well: a recipe carries its own preprocessing and
names no column.
"""

import pytest
from specs import tree

from mmfuse.errors import SpecError
from mmfuse.toml import dump, load, load_plan


def both():
    """(plan, card) as trees."""
    raw = tree()
    card = {name: raw.pop(name) for name in ("cases", "labels", "modalities")}
    return raw, card


def test_lines_without_a_use_change_knobs():
    plan, card = both()
    before = load(plan, card).card.modalities
    plan["modalities"] = {"image": {"size": 48, "steps": [{"use": "border-crop", "pixels": 2}]}, "derm": {"size": 32}}
    spec = load(plan, card)
    after = spec.card.modalities
    assert list(after) == list(before)
    assert (after["clinic"].size, after["derm"].size) == (48, 32)
    assert [step.name for step in after["derm"].steps] == ["border-crop"]
    assert after["clinic"].column == before["clinic"].column
    assert after["meta"] == before["meta"]
    assert load(spec.plan, spec.card) == spec
    assert "size = 32" in dump(spec)
    assert load(plan, card, sets=["modalities.image.size=16"]).card.modalities["derm"].size == 16
    assert load(plan, spec.card).card == spec.card  # a card built in Python
    load_plan(plan)


def test_lines_with_a_use_are_the_modalities():
    plan, card = both()
    plan["modalities"] = {name: dict(line) for name, line in card["modalities"].items() if name != "derm"}
    plan["augment"] = {}
    assert "derm" not in load(plan, card).card.modalities


@pytest.mark.parametrize(
    ("lines", "where", "mend"),
    [
        ({"imag": {"size": 48}}, "modalities.imag", "did you mean 'image'?"),
        ({"image": {"sise": 48}}, "modalities.clinic.sise", "did you mean 'size'?"),
        ({"derm": {"size": 0}}, "modalities.derm.size", ""),
    ],
)
def test_what_cannot_be_changed(lines, where, mend):
    plan, card = both()
    with pytest.raises(SpecError) as caught:
        load({**plan, "modalities": lines}, card)
    assert where in [fault.where for fault in caught.value.faults]
    assert any(mend in fault.mend for fault in caught.value.faults)


def test_a_fault_names_the_file_that_it_stands_in(tmp_path):
    plan, card = both()
    import tomli_w

    (tmp_path / "plan.toml").write_text(tomli_w.dumps({**plan, "modalities": {"derm": {"size": 0}}}))
    (tmp_path / "card.toml").write_text(tomli_w.dumps(card))
    with pytest.raises(SpecError) as caught:
        load(tmp_path / "plan.toml", tmp_path / "card.toml")
    assert [fault.where for fault in caught.value.faults] == [f"{tmp_path / 'plan.toml'}, modalities.derm.size"]
