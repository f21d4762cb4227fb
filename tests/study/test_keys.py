"""A fit that another library, another code or another device made is another fit."""

import numpy as np
import pytest
from cohort import cases_of, pipeline_of

import mmfuse
from mmfuse import ingredients, versions
from mmfuse.events import FitName
from mmfuse.study.shelf import Shelf


@pytest.fixture
def key(tmp_path, monkeypatch):
    """The key of one fit, as it would be now."""
    pipeline = pipeline_of()
    cases = cases_of(pipeline.spec, n=30)

    def asked(spec=pipeline.spec, device="cpu"):
        shelf = Shelf(tmp_path / "study", cases.table, cases.root, pipeline.catalog, device, mmfuse.silent)
        return shelf._fit(spec, None, np.full(30, "train", dtype=object), FitName()).key

    return asked


def test_the_same_is_the_same(key):
    assert key() == key()


def test_another_version_of_a_library_is_another_fit(key, monkeypatch):
    before, real = key(), versions.library_versions
    for name in ("torch", "kornia", "xgboost", "scikit-learn"):
        monkeypatch.setattr(ingredients, "library_versions", lambda names, name=name: real(names) | {name: "0.0"})
        assert key() != before
    monkeypatch.setattr(ingredients, "library_versions", real)
    assert key() == before


def test_another_code_of_a_part_or_of_mmfuse_is_another_fit(key, monkeypatch):
    before = key()
    with monkeypatch.context() as part:
        part.setattr(ingredients, "code_digest", lambda kind: "another")
        assert key() != before
    assert key() == before
    monkeypatch.setattr(ingredients, "core_digest", lambda: "another")
    assert key() != before


def test_another_device_is_another_fit(key, monkeypatch):
    import torch

    before = key()
    assert key(device="auto") == before or torch.cuda.is_available()
    monkeypatch.setattr("mmfuse.net.devices.choose_device", lambda word: torch.device("cuda"))
    assert key(device="auto") != before
