"""One torch thread in unit tests (two cores that fight make tiny tests many times slower), and a cache of their own."""

import sys

import pytest


@pytest.fixture(autouse=True)
def one_thread():
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MMFUSE_CACHE", str(tmp_path_factory.mktemp("cache")))
