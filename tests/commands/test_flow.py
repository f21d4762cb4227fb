"""What `check` and a dry run say of frozen modalities before anything is trained."""

import pytest

from mmfuse import load, wire
from mmfuse.commands.flow import flow

CARD = {
    "cases": {"id": "id"},
    "labels": {"y": ["a", "b"]},
    "modalities": {name: {"use": "image", "column": name, "size": 32} for name in ("one", "two", "beside")},
}


@pytest.mark.parametrize(
    ("views", "expected"), [(0, "frozen one: not augmented"), (4, "frozen one: 4 views kept of each image")]
)
def test_frozen_modalities_and_their_views(views, expected):
    plan = {
        "augment": {"turns": {"use": "geometry", "on": ["one", "two", "beside"]}},
        "network": {
            "encoders": {"one": {"use": "pixels", "frozen": True}, "two": {"use": "pixels"}},
            "fusion": "concat",
            "head": "linear",
        },
        "training": {"feature_views": views},
    }
    spec = load(plan, CARD)
    lines = [branch.text for top in flow(spec, wire(spec), has_valid=False).branches for branch in top.branches]
    (told,) = [line for line in lines if line.startswith("augment turns")]
    assert expected in told
