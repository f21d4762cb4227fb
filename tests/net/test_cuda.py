"""The same networks on a CUDA device."""

import numpy as np
import pytest
import torch
from tiny_parts import Brighten, Side, make_cases, two_pictures

from mmfuse.net.predicting import FittedNetwork, fit_network
from mmfuse.spec import PredictionSection, TrainingSection

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")]


@pytest.mark.parametrize("precision", ["auto", "32-true", "16-mixed"])
@pytest.mark.parametrize("frozen", [False, True])
def test_it_trains_there_and_speaks_the_same_on_a_cpu(tmp_path, precision, frozen):
    training = TrainingSection(epochs=3, batch=8, modality_dropout=0.3, precision=precision, clip=1.0, accumulate=2)
    spec, wiring = two_pictures(
        Side(reads_all=not frozen),
        training=training,
        frozen=frozen,
        augment={"bright": {"part": Brighten(), "on": "picture"}},
        prediction=PredictionSection(views=("identity", "rotate-90")),
    )
    rng = np.random.default_rng(0)
    numbers = [[None if rng.random() < 0.3 else i + 100 * column for i in range(40)] for column in range(3)]
    cases = make_cases(
        spec, {"one": numbers[0], "two": numbers[1], "age": numbers[2], "y": rng.choice(["a", "b"], 40)}, 40
    )
    split = np.array(["train"] * 30 + ["valid"] * 10, dtype=object)
    state = torch.cuda.get_rng_state()
    fitted, scores = fit_network(spec, wiring, cases, split, np.arange(40) % 2, device="cuda")
    assert torch.equal(state, torch.cuda.get_rng_state())
    fitted.save(tmp_path / "network")
    on_cpu = FittedNetwork.load(tmp_path / "network", spec, wiring, "cpu").predict(cases)
    for source, given in fitted.predict(cases).items():
        np.testing.assert_allclose(given, on_cpu[source], rtol=1e-2, atol=1e-2)
        assert (np.isnan(given) == np.isnan(scores[source])).all()
