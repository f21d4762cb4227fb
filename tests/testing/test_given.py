"""What the caller of the kit may say: the flows of a fusion that takes some alone, and a release of sets of images."""

import bad_encoders
import pytest
import torch
from bad_encoders import Net
from PIL import Image
from torch import nn

from mmfuse import Adapter, FeatureFusion, FlowShape, PartError, SpecError, Table, Tidy
from mmfuse.testing import check, checks


class Pair(FeatureFusion):
    """Joins the map of `eye` with the vector of `meta`, and takes nothing else."""

    @property
    def needs(self):
        return ("vector", "maps")

    @property
    def arity(self):
        return (2, 2)

    def build(self, flows):
        if set(flows) != {"eye", "meta"}:
            raise SpecError(f"fuses {sorted(flows)}", "'eye' and 'meta'", "name the modalities so")
        width = flows["eye"].maps[-1][0] + flows["meta"].width

        def forward(net, features, present):
            places = features["eye"].maps[-1].mean(dim=(2, 3))
            return net.layer(torch.cat([places, features["meta"].vector], dim=1))

        return Net(forward, layer=nn.Linear(width, 5))


FLOWS = {"eye": FlowShape(16, ((24, 3, 3),)), "meta": FlowShape(7)}


def test_a_fusion_of_certain_flows_is_checked_with_them():
    check(Pair(), flows=FLOWS)
    with pytest.raises(PartError, match="'eye' and 'meta'"):
        check(Pair())


class Film(Pair):
    """The vector of `meta` scales the map of `eye` where both are there, and adds nothing of its own."""

    def build(self, flows):
        if set(flows) != {"eye", "meta"}:
            raise ValueError(f"no 'eye' and 'meta' among {sorted(flows)}")

        def forward(net, features, present):
            both = (present["eye"] & present["meta"])[:, None]
            return features["eye"].maps[-1].mean(dim=(2, 3)) * (1 + net.layer(features["meta"].vector) * both)

        return Net(forward, layer=nn.Linear(flows["meta"].width, flows["eye"].maps[-1][0]))


def test_a_weight_that_learns_only_where_both_modalities_are_present_does_learn():
    check(Film(), flows=FLOWS)


def test_what_many_checks_find_alike_stands_once_with_the_keyword_that_mends_it():
    with pytest.raises(PartError) as refused:
        check(Film())
    said = "raises ValueError: no 'eye' and 'meta' among ['a', 'c']"
    alike = [fault for fault in refused.value.faults if fault.found == said]
    assert len(alike) == 1
    assert "more checks)" in alike[0].where
    assert alike[0].mend == "say `flows=` if it takes another input than the kit's"


def test_given_flows_are_the_only_ones():
    one = next(one for one in checks(bad_encoders.MapsOnly(), flows=FLOWS) if "table" in one.name)
    one()  # the caller has said which flows there are
    bare = next(one for one in checks(bad_encoders.MapsOnly()) if "table" in one.name)
    with pytest.raises(AssertionError, match="one modality without maps"):
        bare()


CARD = {
    "cases": {"id": "id"},
    "labels": {"answer": ["no", "yes"]},
    "modalities": {"photos": {"use": "image", "column": "photos"}},
    "source": {"licence": "CC0"},
}


class Release(Adapter):
    """Several photographs a cell."""

    missing: bool = False

    def tidy(self, release):
        last = "none.png" if self.missing else "c.png"
        columns = {"id": ["1", "2"], "photos": ["a.png;b.png", last], "answer": ["no", "yes"]}
        return Tidy(Table.of(columns), CARD)


def test_an_adapter_may_bring_sets(tmp_path):
    for name in "abc":
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
    check(Release(), release=tmp_path)
    with pytest.raises(PartError, match=r"1 images do not exist.*case 2, column photos.*none\.png"):
        check(Release(missing=True), release=tmp_path)
