"""Each check of the conformance kit bites: a planted bad part is refused by it, and a good one passes all."""

import bad_light_parts as light
import bad_torch_parts as heavy
import pytest

from mmfuse import PartError
from mmfuse.testing import Refusal, check, checks

GOOD = [
    light.Plain(),
    light.Mean(),
    light.Stage(),
    light.Accuracy(),
    light.Number(),
    heavy.Good(),
    heavy.FusionOf(),
    heavy.GoodHead(),
    heavy.LossOf(),
    heavy.Brighten(),
]

BAD = {
    "has a name and a line about itself": [light.Nameless(), light.Silent()],
    "has frozen knobs": [light.Loose()],
    "refuses an unknown knob": [light.TakesAll()],
    "has no knob that is none": [light.NoneKnob()],
    "survives spec to toml to spec": [light.Odd()],
    "gives finite features of one shape for 1 and 3 cases": [heavy.NoPooling(), heavy.CoarseFirst()],
    "keeps cases apart": [heavy.BatchMean(), heavy.BatchFusion(), heavy.BatchHead(), heavy.SharedLight()],
    "leaves its input and the random state alone": [
        heavy.InPlace(),
        heavy.Dice(),
        heavy.DiceFusion(),
        heavy.InPlaceHead(),
        heavy.PaintsOver(),
    ],
    "lets the gradient reach every trainable weight": [heavy.Idle(), heavy.IdleFusion(), heavy.IdleHead()],
    "comes back from its state dict": [heavy.Forgets(), heavy.ForgetsFusion(), heavy.ForgetsHead()],
    "moves to a device whole": [
        heavy.LeftBehind(),
        heavy.LeftBehindFusion(),
        heavy.LeftBehindHead(),
        heavy.LeftBehindLoss(),
    ],
    "gives one finite vector a case for 1 and 3 cases": [heavy.FlatFusion()],
    "runs every presence pattern": [heavy.DividesByNobody()],
    "does not mind the order of modalities": [heavy.ByOrder()],
    "is symmetric if it says so": [heavy.SaysSymmetric()],
    "refuses or takes unequal widths": [heavy.NoMend()],
    "gives well formed views and losses": [heavy.WrongView()],
    "ignores the content of absent cells": [heavy.DividesByNobody()],
    "gives finite logits over all columns for 1 and 3 cases": [heavy.OneLabelHead()],
    "gives finite terms and gradients": [heavy.NanLoss()],
    "lets unknown labels weigh nothing": [heavy.UnknownLoss()],
    "is zero where nothing is known": [heavy.OffsetLoss()],
    "is smaller for better answers": [heavy.Backwards()],
    "leaves the random state alone": [heavy.DiceLoss()],
    "draws for each case from its generator alone": [heavy.GlobalDraw()],
    "gives images of the same shape in 0 1": [heavy.Overexposed()],
    "answers with probabilities that sum to one": [light.Unnormalised()],
    "leaves out sources that abstain": [light.Guesses()],
    "learns where sources abstain": [light.NeedsAll()],
    "learns where nothing is known": [light.NeedsTargets()],
    "decides each case by itself": [light.Crowd()],
    "gives the same scores after save and load": [light.Hidden()],
    "leaves its input alone": [light.SpoilsScores()],
    "makes a bare classifier": [light.Regresses()],
    "learns two and three classes": [light.TwoOnly()],
    "gives the same for the same seed": [light.Unseeded()],
    "leaves its table alone": [light.SpoilsTable()],
    "is stored without pickle": [light.Unstorable()],
    "gives one value a replicate and label": [light.OneNumber()],
    "weighs cases": [light.Weightless()],
    "lets unknown and silent cases weigh nothing": [light.CountsUnknown()],
    "prefers right answers": [light.UpsideDown()],
    "does not mind the order of cases": [light.FirstHalf()],
    "reads one array of the shape it names": [light.Doubles()],
    "takes an empty row as absent": [light.NeverAbsent()],
    "reads each row by itself": [light.Ranks()],
    "reads the same after save and load": [light.Forgetful()],
    "turns a picture into a picture": [light.FloatStep()],
    "leaves its picture alone and repeats itself": [light.PaintStep(), light.DiceStep()],
    "makes tidy cases and their card": [light.NoLicence()],
}
PAIRS = [(name, part) for name, parts in BAD.items() for part in parts]
ALONE = {"ignores the content of an absent cell"}
"""Kept by the network whatever an encoder does; `test_absence` plants a network that looks."""


@pytest.mark.parametrize("part", GOOD, ids=lambda part: part.name)
def test_a_good_part_passes(part):
    check(part)


@pytest.mark.parametrize(
    ("name", "part"), PAIRS, ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else value.name
)
def test_a_bad_part_is_refused(name, part, tmp_path):
    given = {"release": tmp_path} if part.role == "adapter" else {}
    one = next(one for one in checks(part, **given) if one.name == name)
    with pytest.raises(Refusal) as refused:
        one()
    assert refused.value.found
    assert refused.value.expected


def test_every_check_has_a_bad_part():
    named = {one.name for part in [*GOOD, light.FloatStep(), light.NoLicence()] for one in checks(part)}
    assert named - set(BAD) == ALONE


def test_all_refusals_come_at_once():
    with pytest.raises(PartError) as refused:
        check(heavy.Dice())
    assert "encoder 'dice'" in str(refused.value)
