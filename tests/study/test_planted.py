"""What is planted is found, and nothing else: with real parts, from cases to words."""

import numpy as np
import pytest
from eyes import CARD, PLAN, columns, spec_of

import mmfuse
from mmfuse import Catalog, Design, Table, Variant, compare, judge
from mmfuse.study.variants import network_alone

CATALOG = Catalog()


def compared(folder, variants, cells, **design):
    table, card = Table.of(cells), variants[0].spec.card
    return judge(compare(variants, table, card, folder, folder / "study", Design(**design), catalog=CATALOG))


def against_the_best_single(judged, one, label):
    found = [c for c in judged.contests if c.in_family and (c.one, c.label) == (one, label) and "alone" in c.other]
    assert len(found) == 1
    return found[0]


def test_fusion_helps_where_both_are_needed_and_nowhere_else(tmp_path):
    fused, gated = (
        Variant(name, "variant", spec_of(network={**PLAN["network"], "fusion": name})) for name in ("concat", "gated")
    )
    judged = compared(tmp_path, [fused, gated], columns(n=1600))
    for name in ("concat", "gated"):
        assert against_the_best_single(judged, name, "both").word == "helps"
        alone = against_the_best_single(judged, name, "one")
        assert alone.word in ("no difference larger than δ", "cannot tell with these cases")
        assert alone.other == "left alone"
    assert not any("on both" in sentence for sentence in judged.reached)
    metadata = next(c for c in judged.contests if c.other == "metadata only" and c.label == "both")
    assert metadata.word == "helps"
    assert not metadata.in_family


@pytest.mark.slow
def test_a_gain_of_capacity_is_explained_by_its_control(tmp_path):
    """`right` is a copy of `left`: what two encoders of one unit gain over one is no other modality."""
    cells = columns(n=1600)
    cells |= {"r0": cells["l0"], "r1": cells["l1"]}
    one, other = (np.array(cells[name], dtype=float) for name in ("l0", "l1"))
    cells["both"] = np.where(one * other > 0, "yes", "no")
    encoder, head = ({"use": "mlp", "widths": [width], "dropout": 0.0} for width in (1, 4))
    narrow = {"encoders": {"vector": encoder}, "fusion": "concat", "head": head}
    card = {**CARD, "labels": {"both": ["no", "yes"]}}
    spec = spec_of(card=card, network=narrow, training={**PLAN["training"], "epochs": 30}, seed=1)
    judged = compared(tmp_path, [Variant("fused", "variant", spec)], cells)
    gain = next(c for c in judged.contests if c.in_family and "alone" in c.other)
    assert gain.word == "helps"
    assert any("in all slots' reaches fused" in sentence for sentence in judged.reached)
    assert not any("shuffled' reaches fused" in sentence for sentence in judged.reached)


def test_a_pattern_of_empty_cells_that_tells_the_label_reaches_the_fused_model(tmp_path):
    cells = columns(n=1200)
    rng = np.random.default_rng(0)
    told = (np.asarray(cells["one"]) == "yes") & (rng.random(1200) < 0.9)
    noise = {name: [f"{value:.3f}" for value in rng.normal(size=1200)] for name in ("l0", "l1", "r0")}
    cells |= noise | {"r1": [None if empty else "1.0" for empty in told]}
    card = {**CARD, "labels": {"one": ["no", "yes"]}}
    judged = compared(tmp_path, [Variant("fused", "variant", spec_of(card=card))], cells)
    assert any("'presence alone' reaches fused" in sentence for sentence in judged.reached)
    presence = next(line for line in judged.lines if line.name == "presence alone")
    assert presence.figures["macro-auc"] == pytest.approx(0.95, abs=0.04)


@pytest.mark.slow
def test_on_the_synthetic_cohort_synergy_helps_and_a_label_of_one_modality_never(tmp_path):
    tidy = CATALOG.find("adapter", "synthetic")(cases=900, seed=0, size=64).tidy(tmp_path)
    spec = mmfuse.load("demo", tidy.card, catalog=CATALOG)
    fused = Variant("fused", "variant", network_alone(spec))
    study = compare(
        [fused], tidy.table, spec.card, tmp_path, tmp_path / "study", Design(controls=False), catalog=CATALOG
    )
    judged = judge(study)
    assert against_the_best_single(judged, "fused", "diagnosis").word == "helps"
    assert against_the_best_single(judged, "fused", "elevation").word != "helps"
    assert against_the_best_single(judged, "fused", "structure").word != "helps"
