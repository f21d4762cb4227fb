"""What a part says of itself, its properties, names the part too where its code fails."""

import dataclasses
from functools import cached_property

import numpy as np
import pytest

import mmfuse
from mmfuse.errors import PartFailedError, SpecError
from mmfuse.hooks import hookimpl
from mmfuse.metrics import evaluate
from mmfuse.parts import DecisionFusion, FeatureFusion, Metric, Modality, Pretext, Reader
from tests.cohort import CARD, NETWORK, cases_of


class BoomError(Exception):
    """A stranger's own error."""


def failing(role, fact, **more):
    """A part of a role, `bad`, of which one property fails."""

    def boom(self):
        raise BoomError("no")

    return type("Bad", (role,), {fact: property(boom), "__module__": __name__, "__annotations__": {}, **more})


FACTS = [
    (role, fact)
    for role in (DecisionFusion, FeatureFusion, Metric, Modality, Pretext)
    for fact, value in vars(role).items()
    if isinstance(value, property) and not fact.startswith("_")
]


@pytest.mark.parametrize(("role", "fact"), FACTS)
def test_every_fact_of_a_part_is_put_on_it(role, fact):
    part = failing(role, fact)()
    with pytest.raises(PartFailedError, match=rf"{role.role} 'bad' \(.*\) fails in `{fact}`: BoomError: no") as caught:
        getattr(part, fact)
    assert isinstance(caught.value.__cause__, BoomError)


def test_an_ideal_that_asks_for_more_is_put_on_what_failed():
    with pytest.raises(PartFailedError, match="`larger_is_better`"):
        _ = failing(Metric, "larger_is_better")().ideal


@pytest.mark.parametrize("fact", ["shape", "dtype", "names", "skips_unreadable"])
def test_every_fact_of_a_reader_is_put_on_it(fact):
    reader = dataclasses.dataclass(frozen=True)(failing(Reader, fact))()
    with pytest.raises(PartFailedError, match=rf"Bad \(.*\) fails in `{fact}`: BoomError: no"):
        getattr(reader, fact)


def test_a_fact_that_is_kept_and_a_refusal_of_its_own():
    class Kept(Modality):
        """Keeps what it says."""

        @cached_property
        def columns(self):
            raise BoomError("no")

        @property
        def several(self):
            """In its own words."""
            raise SpecError("refused")

    with pytest.raises(PartFailedError, match="`columns`"):
        _ = Kept().columns
    with pytest.raises(SpecError, match="refused"):
        _ = Kept().several
    assert Kept.several.__doc__ == "In its own words."


@pytest.mark.parametrize("role", [FeatureFusion, DecisionFusion, Modality])
def test_wiring_names_the_part(role):
    fact, more = {"fusion": ("arity", {}), "decision": ("arity", {}), "modality": ("several", {})}[role.role]
    if role is Modality:
        more = {"columns": property(lambda self: ("age",))}
    part = failing(role, fact, **more)

    class Brings:
        @hookimpl
        def mmfuse_parts(self):
            return [part]

    plan, card = {"network": NETWORK}, CARD
    if role is FeatureFusion:
        plan = {"network": {**NETWORK, "fusion": "bad"}}
    elif role is DecisionFusion:
        plan = {"network": NETWORK, "decisions": {"d": {"use": "bad", "reads": ["fused"]}}}
    else:
        card = {**CARD, "modalities": {**CARD["modalities"], "more": {"use": "bad"}}}
        plan = {"network": {**NETWORK, "encoders": {**NETWORK["encoders"], "more": "linear"}}}
    with pytest.raises(PartFailedError, match=rf"'bad' \(.*\) fails in `{fact}`"):
        mmfuse.load(plan, card, catalog=mmfuse.Catalog(Brings(), installed=False))


@pytest.mark.parametrize("fact", ["by_label", "of_positive", "ranks", "remark", "suits"])
def test_a_metric_that_fails_takes_no_other_with_it(fact):
    def score(self, p, targets, labels, weight):
        return np.ones((len(weight), len(labels)))

    def boom(self, labels):
        raise BoomError("no")

    own = {"suits": boom} if fact == "suits" else {}
    metric = failing(Metric, fact if not own else "unused", score=score, **own)()
    spec = mmfuse.load({"network": NETWORK}, CARD)
    cases = cases_of(spec)
    scores = np.log(np.full((1, len(cases), cases.labels.columns), 0.5))
    table = mmfuse.ScoreTable({"s": scores}, cases.ids, cases.groups, np.full(len(cases), "test"),
                              np.full(len(cases), -1), cases.targets, cases.labels)  # fmt: skip
    made = evaluate(table, metrics={"bad": metric})
    assert "no" in made["failed"]["bad"]
    if fact != "remark":  # which intervals do not show
        with pytest.raises(PartFailedError, match="'bad'"):
            mmfuse.interval(table, "s", metric=metric)
