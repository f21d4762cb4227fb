"""Card and plan: frozen values with the meanings that the file format promises."""

import pytest
from pydantic import ValidationError

import mmfuse
from mmfuse.card import Card, CasesSection, ColumnLine, LabelLine, SplitSection
from mmfuse.labels import Label, Labels
from mmfuse.parts import Encoder
from mmfuse.spec import (
    BestEpoch,
    DecisionLine,
    EncoderLine,
    NetworkSection,
    Plan,
    Spec,
    TrainingSection,
)


class Plain(Encoder):
    """Plain."""


def test_a_list_of_classes_is_short_for_a_label():
    card = Card(cases=CasesSection(id="id"), labels={"x": ["a", "b"], "y": {"classes": ["c", "d"], "positive": "c"}})
    assert card.labels["x"] == LabelLine(classes=("a", "b"))
    assert card.label_set == Labels([Label("x", ("a", "b")), Label("y", ("c", "d"), positive="c")])
    assert card.label_set[0].column == "x"


@pytest.mark.parametrize(
    ("known", "allow", "marked"),
    [
        ("", False, False),
        ("before the diagnosis", False, False),
        ("after the diagnosis", False, True),
        ("made by a model", False, True),
        ("after the diagnosis", True, False),
    ],
)
def test_what_marks_a_column(known, allow, marked):
    assert ColumnLine(known=known, allow=allow).marked is marked


def test_a_bare_part_will_do_where_a_line_is_expected():
    line = EncoderLine(part=Plain())
    assert NetworkSection(encoders={"x": Plain()}).encoders["x"] == line
    assert (line.share, line.weights, line.frozen) == (False, "pretrained", False)


def test_a_single_name_may_stand_without_brackets():
    rule = mmfuse.Catalog().find("decision", "mean")()
    assert DecisionLine(part=rule, reads="fused") == DecisionLine(part=rule, reads=("fused",))
    assert BestEpoch(sources="fused") == BestEpoch()


@pytest.mark.parametrize(
    "make",
    [
        lambda: TrainingSection(epochs=0),
        lambda: TrainingSection(lr=0),
        lambda: TrainingSection(folds=1),
        lambda: TrainingSection(warmup=1.0),
        lambda: TrainingSection(modality_dropout=1.0),
        lambda: TrainingSection(nonsense=1),
        lambda: SplitSection(fractions={"training": 0.5}),
        lambda: SplitSection(fractions={"train": 1.5}),
        lambda: LabelLine(classes=("a", "b"), weight=-1),
        lambda: NetworkSection(),
        lambda: EncoderLine(part=mmfuse.Catalog().find("decision", "mean")()),
    ],
)
def test_ranges_are_kept(make):
    with pytest.raises(ValidationError):
        make()


def test_values_are_frozen_and_sections_not_shared():
    spec = Spec(card=Card(cases=CasesSection(id="id")))
    with pytest.raises(ValidationError, match="frozen"):
        spec.plan.seed = 3
    assert SplitSection().fractions is not SplitSection().fractions
    assert SplitSection().fractions == {"train": 0.7, "valid": 0.15, "test": 0.15}
    assert spec.plan == Plan()


def test_the_sections_of_a_file_are_those_of_both_trees():
    assert not set(Card.model_fields) & set(Plan.model_fields)
    assert set(Spec.sections) == set(Card.model_fields) | set(Plan.model_fields)
