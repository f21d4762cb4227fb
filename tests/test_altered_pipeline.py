"""Altered inputs go through the whole pipeline: network, decisions and second stages."""

import numpy as np
import pytest
from cohort import TWO_STAGES, cases_of, pipeline_of

import mmfuse
from mmfuse.errors import SpecError

ALONE = {"network": "", "decisions": {"stage": {"use": "straight", "features": ["table", "vector"]}}}


@pytest.fixture(scope="module")
def fitted():
    import torch

    torch.set_num_threads(1)
    pipeline = pipeline_of(decisions=TWO_STAGES)
    return pipeline.fit(cases_of(pipeline.spec, n=80))


@pytest.fixture
def cases(fitted):
    return cases_of(fitted.spec, n=80)


def test_what_was_read_may_be_altered(fitted, cases):
    """The network sees the change; a second stage's own columns of the table stay."""

    def without_vectors(read):
        gone = {**read.present, "emb": read.present["emb"] & False}
        return mmfuse.Reading(read.ids, read.inputs, gone)

    cells = {name: cases.table[name].tolist() for name in cases.table.names}
    blanked = cases_of(fitted.spec, {**cells, **dict.fromkeys(("e0", "e1", "e2"), [None] * len(cases))})
    altered, expected = fitted.sources(cases, without_vectors), fitted.sources(blanked)
    for name in expected.sources:
        np.testing.assert_allclose(altered.sources[name], expected.sources[name], atol=1e-5)
    assert np.isnan(altered.sources["emb"]).all()


def test_nothing_is_altered_where_there_is_no_network():
    pipeline = pipeline_of(**ALONE)
    pipeline.fit(cases_of(pipeline.spec))
    with pytest.raises(SpecError, match="no network"):
        pipeline.sources(cases_of(pipeline.spec), lambda read: read)
