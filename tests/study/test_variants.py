"""Variations of plans, and specs with less in them."""

import pytest
from eyes import CARD, PLAN, STAGES, reference, spec_of

from mmfuse import Catalog, SpecError, Variant, dump, wire
from mmfuse.study.variants import LATE, logistics, metadata, network_alone, restricted, singles, varied
from mmfuse.toml import tree

CATALOG = Catalog()


def test_every_combination_is_a_variant_named_by_what_varies():
    found = varied(
        [PLAN_FILE], CARD, ["network.fusion=[concat, {use=gated}]", "training.epochs=[1, 2]"], catalog=CATALOG
    )
    assert [variant.name for variant in found] == [
        "plan (fusion=concat, epochs=1)", "plan (fusion=concat, epochs=2)",
        "plan (fusion=gated, epochs=1)", "plan (fusion=gated, epochs=2)",
    ]  # fmt: skip
    assert [variant.spec.plan.training.epochs for variant in found] == [1, 2, 1, 2]
    assert [variant.spec.plan.network.fusion.name for variant in found] == ["concat", "concat", "gated", "gated"]


@pytest.fixture(autouse=True)
def plan_file(tmp_path, monkeypatch):
    import tomli_w

    monkeypatch.chdir(tmp_path)
    (tmp_path / PLAN_FILE).write_text(tomli_w.dumps(PLAN))


PLAN_FILE = "plan.toml"


@pytest.mark.parametrize("text", ["network.fusion", "network.fusion=concat", "=[1]", "network.fusion=[]"])
def test_what_is_no_list_is_refused(text):
    with pytest.raises(SpecError, match="KEY="):
        varied([PLAN_FILE], CARD, [text], catalog=CATALOG)


def test_two_variants_of_one_name_are_refused():
    with pytest.raises(SpecError, match="two variants"):
        varied([PLAN_FILE, PLAN_FILE], CARD, catalog=CATALOG)


def test_a_network_alone_answers_as_fused():
    spec = network_alone(spec_of(decisions=STAGES))
    assert spec.plan.decisions == {}
    assert wire(spec).answer == "fused"
    with pytest.raises(SpecError, match="no network answers"):
        network_alone(spec_of(network="", decisions={"a": {"use": "logistic", "features": ["meta"]}}))


def test_one_modality_keeps_the_knobs_and_what_its_answer_rests_on():
    spec = spec_of(decisions=STAGES)
    left = restricted(spec, {"left"})
    assert [*left.card.modalities] == ["left"]
    assert left.plan.network.encoders == spec.plan.network.encoders
    assert left.plan.training == spec.plan.training
    assert {name: line.reads for name, line in left.plan.decisions.items()} == {
        "mixed": ("fused",), "stage": ("mixed",), "final": ("mixed", "stage"),
    }  # fmt: skip
    assert left.plan.decisions["stage"].part == spec.plan.decisions["stage"].part
    assert wire(left).sees(wire(left).answer) == ("left",)


def test_a_table_alone_has_no_network():
    meta = restricted(spec_of(decisions=STAGES), {"meta"})
    assert meta.plan.network == ""
    assert {name: (line.reads, line.features) for name, line in meta.plan.decisions.items()} == {
        "stage": ((), ("meta",)), "final": (("stage",), ()),
    }  # fmt: skip


def test_two_of_three_keep_their_fusion_and_side_heads():
    pair = restricted(spec_of(decisions=STAGES), {"left", "right"})
    assert pair.plan.network.fusion.name == "concat"
    assert set(pair.plan.decisions["mixed"].reads) == {"fused", "left", "right"}


def test_what_is_restricted_can_be_written_and_read_again():
    spec = restricted(spec_of(decisions=STAGES), {"right"})
    import tomllib

    from mmfuse import load

    assert load(tomllib.loads(dump(spec)), catalog=CATALOG) == spec


def test_nothing_that_answers_is_refused():
    with pytest.raises(SpecError, match="answers from meta alone"):
        restricted(spec_of(), {"meta"})


def test_singles_are_all_that_the_answer_rests_on():
    assert [variant.name for variant in singles(reference(decisions=STAGES))] == [
        "left alone",
        "meta alone",
        "right alone",
    ]
    assert [variant.name for variant in singles(reference())] == ["left alone", "right alone"]
    assert singles(Variant("left", "variant", restricted(spec_of(), {"left"}))) == []


def test_logistic_regressions_read_what_the_answer_rests_on():
    (variant,) = logistics(reference(decisions=STAGES), CATALOG)
    assert variant.spec.plan.network == ""
    assert variant.sources == {LATE: "late", "logistic, concatenated": "concatenated"}
    assert variant.spec.plan.decisions["concatenated"].features == ("left", "meta", "right")
    assert variant.spec.plan.decisions["late"].reads == ("logistic-left", "logistic-meta", "logistic-right")


def test_images_without_frozen_features_have_no_logistic_regression():
    card = {**CARD, "modalities": {**CARD["modalities"], "eye": {"use": "image", "column": "eye"}}}
    encoders = {**PLAN["network"]["encoders"], "eye": {"use": "timm", "model": "test_efficientnet", "weights": "none"}}
    learnt = Variant("x", "variant", spec_of(card=card, network={**PLAN["network"], "encoders": encoders}))
    assert logistics(learnt, CATALOG) == []
    frozen = {**encoders, "eye": {**encoders["eye"], "frozen": True}}
    held = Variant("x", "variant", spec_of(card=card, network={**PLAN["network"], "encoders": frozen}))
    (variant,) = logistics(held, CATALOG)
    assert [*variant.spec.plan.network.encoders] == ["eye"]
    assert wire(variant.spec).sources == ()


def test_metadata_are_the_tables_even_where_the_plan_reads_none():
    (variant,) = metadata(reference(), CATALOG)
    assert variant.spec.plan.decisions["logistic"].features == ("meta",)
    assert variant.role == "metadata"


def test_without_a_logistic_part_it_is_said_so():
    with pytest.raises(SpecError, match="logistic"):
        metadata(reference(), Catalog(installed=False))


def test_the_reference_itself_is_left_as_it_is():
    spec = spec_of(decisions=STAGES)
    before = tree(spec.plan)
    restricted(spec, {"left"})
    assert tree(spec.plan) == before
