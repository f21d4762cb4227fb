"""Features and fixed draws that other code or another library made are computed anew."""

import pytest
from test_feature_views import assembled, cohort

from mmfuse import versions
from mmfuse.data.cache import stores
from mmfuse.net import embeddings, sights


@pytest.fixture
def kept():
    """Compute what is not there, and give the names of all stores of vectors."""

    def compute():
        assembled(*cohort(views=3))
        return {folder.name for folder in stores() if folder.name.startswith("vectors")}

    return compute


def test_the_same_code_shares_what_is_kept(kept):
    assert kept() == kept()


@pytest.mark.parametrize("library", embeddings.LIBRARIES)
def test_another_release_of_a_library(kept, monkeypatch, library):
    before, real = kept(), versions.library_versions
    monkeypatch.setattr(embeddings, "library_versions", lambda names: real(names) | {library: "0.0"})
    assert len(kept() - before) == len(before)


def test_another_code_of_the_encoder_or_of_mmfuse(kept, monkeypatch):
    before = kept()
    monkeypatch.setattr(embeddings, "code_digest", lambda kind: "another")
    first = kept()
    assert len(first - before) == len(before)
    monkeypatch.setattr(embeddings, "core_digest", lambda: "another")
    assert len(kept() - first) == len(before)


def test_another_code_of_an_augmentation_makes_draws_anew_and_nothing_else(kept, monkeypatch):
    before = kept()
    monkeypatch.setattr(sights, "code_digest", lambda kind: "another")
    assert len(kept() - before) == 1
