"""Each check of the conformance kit bites: a planted bad part is refused by it, and a good one passes all."""

import bad_decisions
import bad_encoders
import bad_heads
import bad_inputs
import bad_metrics
import pytest

from mmfuse import PartError
from mmfuse.testing import Refusal, check, checks

GOOD = [
    bad_inputs.Plain(),
    bad_decisions.Mean(),
    bad_decisions.Stage(),
    bad_metrics.Accuracy(),
    bad_metrics.Together(),
    bad_inputs.Number(),
    bad_encoders.Good(),
    bad_encoders.FusionOf(),
    bad_encoders.MapsOrRefusal(),
    bad_heads.GoodHead(),
    bad_heads.LossOf(),
    bad_heads.Brighten(),
]

BAD = {
    "has a name and a line about itself": [bad_inputs.Nameless(), bad_inputs.Silent()],
    "has frozen knobs": [bad_inputs.Loose()],
    "refuses an unknown knob": [bad_inputs.TakesAll()],
    "has the method of its role": [bad_encoders.NoMethod()],
    "keeps its knobs when it is used": [bad_encoders.Restless()],
    "reads no file when it is used": [bad_encoders.ReadsFile()],
    "survives spec to toml to spec": [bad_inputs.Odd()],
    "gives finite features of one shape for 1 and 3 cases": [bad_encoders.NoPooling(), bad_encoders.CoarseFirst()],
    "gives what it says": [bad_encoders.Overclaims()],
    "keeps cases apart": [
        bad_encoders.BatchMean(),
        bad_encoders.BatchFusion(),
        bad_heads.BatchHead(),
        bad_heads.SharedLight(),
    ],
    "leaves its input and the random state alone": [
        bad_encoders.InPlace(),
        bad_encoders.Dice(),
        bad_encoders.DiceFusion(),
        bad_heads.InPlaceHead(),
        bad_heads.PaintsOver(),
    ],
    "lets the gradient reach every trainable weight": [
        bad_encoders.Idle(),
        bad_encoders.IdleFusion(),
        bad_heads.IdleHead(),
    ],
    "comes back from its state dict": [bad_encoders.Forgets(), bad_encoders.ForgetsFusion(), bad_heads.ForgetsHead()],
    "moves to a device whole": [
        bad_encoders.LeftBehind(),
        bad_encoders.LeftBehindFusion(),
        bad_heads.LeftBehindHead(),
        bad_heads.LeftBehindLoss(),
    ],
    "reads only what it declares": [bad_encoders.SilentReader(), bad_encoders.OtherLevel()],
    "gives one finite vector a case for 1 and 3 cases": [bad_encoders.FlatFusion()],
    "takes an image beside a table or refuses with a mend": [bad_encoders.MapsOnly()],
    "runs every presence pattern": [bad_encoders.DividesByNobody()],
    "does not mind the order of modalities": [bad_encoders.ByOrder()],
    "is symmetric if it says so": [bad_encoders.SaysSymmetric()],
    "refuses or takes unequal widths": [bad_encoders.NoMend()],
    "gives well formed views and losses": [bad_encoders.WrongView()],
    "ignores the content of absent cells": [bad_encoders.DividesByNobody()],
    "gives finite logits over all columns for 1 and 3 cases": [bad_heads.OneLabelHead()],
    "gives finite terms and gradients": [bad_heads.NanLoss()],
    "is finite at any progress": [bad_heads.DividesByProgress()],
    "lets unknown labels weigh nothing": [bad_heads.UnknownLoss()],
    "is zero where nothing is known": [bad_heads.OffsetLoss()],
    "is smaller for better answers": [bad_heads.Backwards()],
    "weighs cases if it says so": [bad_heads.Weightless(), bad_heads.Normalised()],
    "adds up over batches if it says so": [bad_heads.Averaged()],
    "leaves the random state alone": [bad_heads.DiceLoss()],
    "draws for each case from its generator alone": [bad_heads.GlobalDraw()],
    "gives images of the same shape in 0 1": [bad_heads.Overexposed()],
    "answers with probabilities that sum to one": [bad_decisions.Unnormalised()],
    "leaves out sources that abstain": [bad_decisions.Guesses()],
    "learns where sources abstain": [bad_decisions.NeedsAll()],
    "learns where nothing is known": [bad_decisions.NeedsTargets()],
    "copes with probabilities of exactly zero": [bad_decisions.Logs()],
    "decides each case by itself": [bad_decisions.Crowd()],
    "gives the same scores after save and load": [bad_decisions.Hidden()],
    "leaves its input alone": [bad_decisions.SpoilsScores()],
    "makes a bare classifier": [bad_decisions.Regresses()],
    "learns two and three classes": [bad_decisions.TwoOnly()],
    "gives the same for the same seed": [bad_decisions.Unseeded()],
    "leaves its table alone": [bad_decisions.SpoilsTable()],
    "is stored without pickle": [bad_decisions.Unstorable()],
    "gives one value a replicate and label": [bad_metrics.OneNumber(), bad_metrics.TooWide()],
    "suits some labels": [bad_metrics.SuitsNobody()],
    "comes to its ideal for honest probabilities": [bad_metrics.WrongIdeal()],
    "its trivial predictors are probabilities": [bad_metrics.NoPredictor()],
    "takes each replicate by itself": [bad_metrics.BesideOthers()],
    "weighs cases": [bad_metrics.Weightless()],
    "lets unknown and silent cases weigh nothing": [bad_metrics.CountsUnknown()],
    "prefers right answers": [bad_metrics.UpsideDown()],
    "does not mind the order of cases": [bad_metrics.FirstHalf()],
    "reads one array of the shape it names": [bad_inputs.Doubles()],
    "takes an empty row as absent": [bad_inputs.NeverAbsent()],
    "reads each row by itself": [bad_inputs.Ranks()],
    "reads the same after save and load": [bad_inputs.Forgetful()],
    "turns a picture into a picture": [bad_inputs.FloatStep()],
    "leaves its picture alone and repeats itself": [bad_inputs.PaintStep(), bad_inputs.DiceStep()],
    "makes tidy cases and their card": [bad_inputs.NoLicence()],
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
    named = {one.name for part in [*GOOD, bad_inputs.FloatStep(), bad_inputs.NoLicence()] for one in checks(part)}
    assert named - set(BAD) == ALONE


def test_all_refusals_come_at_once():
    with pytest.raises(PartError) as refused:
        check(bad_encoders.Dice())
    assert "encoder 'dice'" in str(refused.value)
