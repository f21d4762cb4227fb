"""What the probe says of sources that tell nothing at all."""

from __future__ import annotations

import numpy as np
import pytest

from mmfuse import Cases, Table, load_card, probe

N = 120


@pytest.mark.parametrize("with_age", [True, False])
def test_a_source_without_differences_is_no_strongest_one(with_age):
    rng = np.random.default_rng(0)
    columns = {
        "id": [f"c{i:03d}" for i in range(N)],
        "y": ["a", "b"] * (N // 2),
        "seen": [f"{i % 28 + 1:02d}/{i % 12 + 1:02d}/{2000 + i % 24}x" for i in range(N)],
        **({"age": rng.integers(20, 90, N).tolist()} if with_age else {}),
    }
    modality = {"use": "table", **({"numeric": ["age"]} if with_age else {"categorical": ["seen"]})}
    card = load_card({"cases": {"id": "id"}, "labels": {"y": ["a", "b"]}, "modalities": {"meta": modality}})
    told = [str(found) for found in probe(Cases(Table.of(columns), card), np.full(N, "train"), quick=True)]
    (told,) = [text for text in told if "sources asked alone" in text]
    assert "[0.50, 0.50]" not in told
    assert ("column age AUC" in told) == with_age
