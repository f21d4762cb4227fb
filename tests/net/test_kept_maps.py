"""Maps and tokens of frozen encoders on disk: what a fusion declares, read batch by batch, the same as from an encoder
that runs."""

import numpy as np
import pytest
from tiny_parts import Coarse, Side, make_cases, two_pictures

from mmfuse.data.cache import clear_cache, stores
from mmfuse.data.inputs import Block
from mmfuse.events import Notice
from mmfuse.net.assembling import Assembler, fit_readers
from mmfuse.net.network import FusionNetwork
from mmfuse.net.predicting import FittedNetwork, fit_network
from mmfuse.spec import PredictionSection, TrainingSection

CASES = 24
SPLIT = np.array(["train"] * 18 + ["valid"] * 6, dtype=object)
VIEWS = PredictionSection(views=("identity", "rotate-90"))
SHAPES = {"one": (3, 8, 8), "two": (3, 8, 8), "age": (1,)}


def cohort(fusion, limit=20.0, **options):
    training = TrainingSection(epochs=3, batch=6, cache_limit=limit, modality_dropout=0.3)
    spec, wiring = two_pictures(fusion, training=training, frozen=True, prediction=VIEWS, **options)
    rng = np.random.default_rng(0)
    pictures = [[None if rng.random() < 0.2 else i + 100 * column for i in range(CASES)] for column in range(2)]
    columns = {"one": pictures[0], "two": pictures[1], "age": range(CASES), "y": rng.choice(["a", "b"], CASES)}
    return spec, wiring, make_cases(spec, columns, CASES)


def fit(spec, wiring, cases, events=None):
    watch = (lambda event: None) if events is None else events.append
    return fit_network(spec, wiring, cases, SPLIT, np.arange(CASES) % 2, watch=watch)


def kinds():
    return sorted(folder.name.split("-")[0] for folder in stores() if not folder.name.startswith("images"))


@pytest.mark.parametrize(
    ("fusion", "kept"),
    [
        (Side(), ["vectors"] * 2),
        (Coarse(), ["maps"] * 2 + ["vectors"] * 2),
        (Side(reads_all=True), ["maps"] * 4 + ["tokens"] * 2 + ["vectors"] * 2),
    ],
)
@pytest.mark.parametrize("share", [False, True])
def test_exactly_what_the_fusion_declares_is_kept_and_a_warm_run_equals_a_cold_one(fusion, kept, share):
    spec, wiring, cases = cohort(fusion, share=share)
    fitted, cold = fit(spec, wiring, cases)
    # a store for each level and view; both pictures have equal readers, and encoders with other weights unless shared
    assert kinds() == sorted(kept * (1 if share else 2))
    _, warm = fit(spec, wiring, cases)
    for source, scores in cold.items():
        np.testing.assert_array_equal(warm[source], scores)
    # one batch of all cases and one of `valid` are sums of other shapes, which not every processor orders alike
    np.testing.assert_allclose(
        fitted.predict(cases)["fused"][:, SPLIT == "valid"], cold["fused"][:, SPLIT == "valid"], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("fusion", [Coarse(), Side(reads_all=True)])
def test_above_the_limit_the_encoder_runs_each_epoch_and_says_the_same(fusion, tmp_path):
    kept, events = cohort(fusion), []
    _, cached = fit(*kept, events)
    told = [event.text for event in events if isinstance(event, Notice) and "cache_limit" in event.text]
    assert len(told) == 1
    assert "one: vector 4, map" in told[0]
    clear_cache()
    events.clear()
    spec, wiring, cases = cohort(fusion, limit=0.0)
    fitted, fresh = fit(spec, wiring, cases, events)
    assert kinds() == []
    told = [event.text for event in events if isinstance(event, Notice) and "cache_limit" in event.text]
    assert len(told) == 2
    assert all("runs each epoch" in text for text in told)
    for source, scores in cached.items():
        np.testing.assert_allclose(fresh[source], scores, rtol=2e-3, atol=2e-3)
    fitted.save(tmp_path / "network")
    again = FittedNetwork.load(tmp_path / "network", kept[0], kept[1], "cpu").predict(cases)
    assert "maps" in kinds()
    for source, scores in fitted.predict(cases).items():
        np.testing.assert_allclose(again[source], scores, rtol=2e-3, atol=2e-3)


def test_the_largest_are_left_out_until_the_rest_fits():
    spec, wiring, cases = cohort(Side(reads_all=True))
    present = [len({*cases.table[name]} - {None}) for name in ("one", "two")]
    assert present[0] != present[1]
    # a case of either takes 4 float32, and 4×8×8 + 4×2×2 + 4×4 float16, under each of two views
    sizes = [count * 2 * (4 * 4 + 2 * (256 + 16 + 16)) for count in present]
    for limit, expected in [(sum(sizes), {"one", "two"}), (sum(sizes) - 1, None), (min(sizes) - 1, set())]:
        smaller = {("one", "two")[int(np.argmin(sizes))]}
        spec, wiring, cases = cohort(Side(reads_all=True), limit=limit / 1e9)
        network = FusionNetwork(spec, wiring, SHAPES, cases.labels).eval()
        readers = fit_readers(spec, wiring, cases, np.arange(18))
        data = Assembler(spec, wiring, cases, lambda event: None).data(network, readers, ("identity", "rotate-90"))
        assert set(data.known) == (smaller if expected is None else expected)
        assert data.still == {"one", "two"}
        assert data.heavy


def test_features_are_read_batch_by_batch(monkeypatch):
    """Never the whole set: of the maps no more rows are asked for at once than a batch has."""
    spec, wiring, cases = cohort(Coarse())
    fit(spec, wiring, cases)
    asked, take = [], Block.take

    def noted(block, index):
        found = take(block, index)
        if block.dtype == np.float16:
            asked.append(len(found))
        return found

    monkeypatch.setattr(Block, "take", noted)
    fit(spec, wiring, cases)
    assert asked
    assert max(asked) <= 8  # a last case joins the batch of six before it; eight are answered at once
