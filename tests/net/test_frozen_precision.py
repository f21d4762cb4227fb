"""The precision of frozen encoders: a rule, kept by the run; and memory that is used again."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from tiny_parts import Coarse, Side, make_cases, two_pictures
from torch import nn

from mmfuse.net.devices import frozen_precision
from mmfuse.net.freezing import run_frozen
from mmfuse.net.predicting import FittedNetwork, fit_network
from mmfuse.spec import TrainingSection

CPU = torch.device("cpu")
CASES = 16


def conv():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


def test_images_go_through_in_bfloat16_and_come_out_near():
    module, images = conv(), torch.rand(4, 3, 16, 16)
    full, half = (run_frozen(module, images, word).vector for word in ("32-true", "bf16-mixed"))
    assert torch.equal(full, module(images))
    assert half.dtype == torch.float32
    assert not torch.equal(full, half)
    assert (nn.functional.cosine_similarity(full, half) > 0.999).all()
    rows = torch.rand(4, 5)
    layer = nn.Linear(5, 3)
    assert torch.equal(run_frozen(layer, rows, "bf16-mixed").vector, layer(rows))


def test_what_is_around_it_does_not_matter():
    module, images = conv(), torch.rand(4, 3, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        inside = run_frozen(module, images, "32-true").vector
    assert torch.equal(inside, run_frozen(module, images, "32-true").vector)


def test_auto_is_a_rule_of_the_device(monkeypatch):
    for able, expected in [({"avx512_bf16": True}, "bf16-mixed"), ({"avx2": True}, "32-true")]:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able)
        assert frozen_precision("auto", CPU) == expected
        assert frozen_precision("32-true", CPU) == "32-true"
        assert frozen_precision("bf16-mixed", CPU) == "bf16-mixed"


@pytest.mark.parametrize("fusion", [Side(), Coarse()])
def test_a_run_keeps_its_precision_on_another_machine(fusion, tmp_path, monkeypatch):
    training = TrainingSection(epochs=1, batch=8)
    spec, wiring = two_pictures(fusion, frozen=True, training=training)
    numbers = list(range(CASES))
    cases = make_cases(spec, {"one": numbers, "two": numbers, "age": numbers, "y": ["a", "b"] * (CASES // 2)}, CASES)
    split = np.array(["train"] * 12 + ["valid"] * 4, dtype=object)
    answers = {}
    for word, able in (("bf16-mixed", True), ("32-true", False)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: {"avx512_bf16": able})
        fitted, _ = fit_network(spec, wiring, cases, split, None, device="cpu")
        fitted.save(tmp_path / word)
        about = json.loads((tmp_path / word / "network.json").read_text())
        assert about["networks"]["network"]["frozen_precision"] == word
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: {"avx512_bf16": not able})
        again = FittedNetwork.load(tmp_path / word, spec, wiring, "cpu")
        answers[word] = fitted.predict(cases)["fused"]
        np.testing.assert_array_equal(again.predict(cases)["fused"], answers[word])
        vectors = again.embed(cases, "one")[0]
        np.testing.assert_array_equal(vectors, fitted.embed(cases, "one")[0])
        altered, _ = again.embed(cases, "one", altered=lambda reading: reading)
        np.testing.assert_allclose(altered, vectors, rtol=1e-2, atol=1e-2)
    assert not np.array_equal(answers["bf16-mixed"], answers["32-true"])


BLOCKS = textwrap.dedent("""
    import resource
    import torch
    from torch import nn
    from mmfuse.net.devices import hardware, ready

    ready(nn.Linear(1, 1), torch.device("cpu"))
    def work():
        for _ in range(5):
            torch.zeros(16 * 2**20).add_(1)
    work()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, hardware().allocator, sep="|")
""")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is Linux's")
def test_large_blocks_are_used_again_unless_that_is_switched_off():
    faults, words = {}, {}
    for word in ("keep", "system"):
        environment = {**os.environ, "MMFUSE_ALLOCATOR": word}
        done = subprocess.run(
            [sys.executable, "-c", BLOCKS], env=environment, capture_output=True, text=True, check=True
        )
        faults[word], words[word] = done.stdout.strip().split("|")
    if not words["keep"].startswith("keeps"):
        pytest.skip(words["keep"])
    # five blocks of 64 MB are 82 thousand pages of 4 kB, or fewer where the system gives larger ones
    assert int(faults["keep"]) * 10 < int(faults["system"])
    assert "MMFUSE_ALLOCATOR=system" in words["system"]
