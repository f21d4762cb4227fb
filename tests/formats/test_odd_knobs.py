"""Values that break a part's own check of its knobs are told as a fault of the plan, beside the others."""

import pytest
from pydantic import field_validator

import mmfuse
from mmfuse import Catalog, SecondStage, SpecError, hookimpl


class Whole(SecondStage):
    """Its check divides."""

    part_of: float = 1.0

    @field_validator("part_of")
    @classmethod
    def _whole(cls, share):
        if round(1 / share) < 1:
            raise ValueError("is more than all")
        return share


class Brings:
    @hookimpl
    def mmfuse_parts(self):
        return [Whole]


@pytest.mark.parametrize(("share", "error"), [(0, "ZeroDivisionError"), (1e-320, "OverflowError")])
def test_a_check_that_breaks_is_a_fault_of_the_plan(share, error):
    plan = {"decisions": {"w": {"use": "whole", "features": ["m"], "part_of": share}, "v": {"use": "whoel"}}}
    with pytest.raises(SpecError) as caught:
        mmfuse.load_plan(plan, Catalog(Brings(), installed=False))
    told = [fault.found for fault in caught.value.faults]
    assert f"these values break the check of stage 'whole': {error}" in told[0]
    assert told[1] == "no decision or stage is called 'whoel'"
