"""Each check of objectives without labels bites: a planted bad one is refused by it, and a good one passes all."""

import bad_pretexts
import pytest

from mmfuse.testing import Refusal, check, checks

BAD = {
    "tells its draws and what speaks against it": bad_pretexts.NoDraws(),
    "gives finite losses and gradients whoever is absent": bad_pretexts.MeanOfNothing(),
    "lets the gradient reach every trainable weight": bad_pretexts.IdlePretext(),
    "joins processes alike whoever is absent": bad_pretexts.JoinsPresent(),
    "begins epochs with sentences": bad_pretexts.Mute(),
    "comes back from its state dict": bad_pretexts.ForgetsPlaces(),
    "leaves its input alone": bad_pretexts.WritesOver(),
    "moves to a device whole": bad_pretexts.LeftBehindPretext(),
}


def refused(name, part):
    one = next(one for one in checks(part) if one.name == name)
    with pytest.raises(Refusal) as refusal:
        one()
    return refusal.value


def test_a_good_objective_passes():
    check(bad_pretexts.Good())


@pytest.mark.parametrize("name", BAD)
def test_a_bad_one_is_refused(name):
    refusal = refused(name, BAD[name])
    assert refusal.found
    assert refusal.expected


def test_a_loss_a_case_is_refused():
    found = refused("gives finite losses and gradients whoever is absent", bad_pretexts.OneTerm()).found
    assert "'each' (12,)" in found


def test_every_check_has_a_bad_objective():
    roles = {one.name for one in checks(bad_pretexts.Good()) if "pretexts" in one.run.__module__}
    assert roles == set(BAD)
