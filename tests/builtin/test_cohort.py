"""The generative model and its ideal observer, against a brute force, a large sample, scikit-learn and the docs."""

import itertools
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from mmfuse.builtin.cohort.model import (
    AGES,
    CELLS,
    COLOUR_PRIOR,
    ELEVATION_PRIOR,
    LABELS,
    SEX_PRIOR,
    SHOWN,
    SITE_PRIOR,
    STRUCTURE_PRIOR,
    Model,
    age_prior,
    damage_chance,
)
from mmfuse.builtin.cohort.observer import Figures, figures, ideal_observer, posteriors
from mmfuse.builtin.cohort.sampling import draw

MODEL = Model()
ALONE = ("clinic", "derm", "meta", "clinic+meta", "derm+meta")
SUBSETS = ("clinic", "derm", "meta", "clinic+derm", "clinic+meta", "derm+meta", "clinic+derm+meta")


@pytest.fixture(scope="module")
def sample():
    """20,000 drawn cases, their known truth (cases, labels) and every subset's posteriors."""
    cohort = draw(MODEL, 20_000, 7)
    return cohort, np.stack([cohort.truth[name] for name in LABELS], axis=1), posteriors(MODEL, cohort)


# ── the synergy, and what each label is for ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("complete", [True, False])
def test_diagnosis_is_in_the_combination_alone(complete):
    ideal = ideal_observer(complete=complete)
    for subset in ALONE:
        assert max(ideal[subset]["diagnosis"][:3]) <= 0.55
    for subset in ("clinic+derm", "clinic+derm+meta"):
        assert 0.85 <= ideal[subset]["diagnosis"].accuracy <= 0.95


def test_each_label_is_where_it_is_said_to_be():
    ideal = ideal_observer(complete=True)
    auc = {subset: {name: f.auc for name, f in row.items()} for subset, row in ideal.items()}
    assert auc["clinic"]["elevation"] > 0.95
    assert auc["derm"]["elevation"] == auc["meta"]["elevation"] == pytest.approx(0.5)
    assert auc["derm"]["structure"] > 0.95
    assert auc["clinic"]["structure"] == auc["meta"]["structure"] == pytest.approx(0.5)
    assert min(auc["clinic"]["colour"], auc["derm"]["colour"]) > 0.85
    assert auc["clinic+derm"]["colour"] > max(auc["clinic"]["colour"], auc["derm"]["colour"]) + 0.05
    gain = ideal["clinic+derm+meta"]["sun_damage"].accuracy - ideal["clinic+derm"]["sun_damage"].accuracy
    assert gain > 0.12
    assert ideal["clinic+derm+meta"]["sun_damage"].accuracy > ideal["meta"]["sun_damage"].accuracy + 0.02


def test_some_labels_are_imbalanced_and_one_has_three_classes():
    priors = {name: q.joint.sum(axis=(1, 2, 3)) for name, q in MODEL.questions().items()}
    assert len(priors["structure"]) == 3
    assert priors["structure"].max() / priors["structure"].min() > 2
    assert priors["colour"].min() < 0.4
    assert priors["diagnosis"] == pytest.approx([0.5, 0.5])


def test_without_noise_complete_images_tell_all():
    ideal = ideal_observer(Model(noise=0.0), complete=True)["clinic+derm"]
    for name in ("diagnosis", "elevation", "structure", "colour", "sun_damage"):
        assert ideal[name] == pytest.approx(Figures(1.0, 1.0, 1.0, 0.0))


# ── exactness ───────────────────────────────────────────────────────────────────────────────────────────────────────


def brute_force(label):
    """{(class, clinic, derm, meta): chance} by walking every latent state, each flip and each empty cell by itself."""
    table = defaultdict(float)
    flip = {key: SHOWN[key] for key in SHOWN}

    def seen(true, classes, q):
        return [(value, 1 - q if value == true else q / (classes - 1)) for value in range(classes)]

    if label == "diagnosis":
        for e, s in itertools.product(range(2), range(3)):
            chance = ELEVATION_PRIOR[e] * STRUCTURE_PRIOR[s]
            for (ce, pe), (ds, ps) in itertools.product(
                seen(e, 2, flip["clinic", "elevation"]), seen(s, 3, flip["derm", "structure"])
            ):
                table[int((e == 1) != (s == 2)), ce, ds, 0] += chance * pe * ps
    if label == "colour":
        for c in range(2):
            for (cc, p), (dc, q) in itertools.product(
                seen(c, 2, flip["clinic", "colour"]), seen(c, 2, flip["derm", "colour"])
            ):
                table[c, cc, dc, 0] += COLOUR_PRIOR[c] * p * q
    if label == "sun_damage":
        chance, ages = damage_chance(), age_prior()
        for a, x, s, y in itertools.product(range(len(AGES)), range(2), range(4), range(2)):
            p = ages[a] * SEX_PRIOR[x] * SITE_PRIOR[s] * (chance[a, x, s] if y else 1 - chance[a, x, s])
            for gone in itertools.product([False, True], repeat=3):
                rate = np.prod([r if g else 1 - r for g, r in zip(gone, CELLS.values(), strict=True)])
                cells = tuple("" if g else value for g, value in zip(gone, (a, x, s), strict=True))
                for f, q in seen(y, 2, flip["clinic", "freckles"]):
                    table[y, f, 0, cells] += p * rate * q
    return table


@pytest.mark.parametrize("label", ["diagnosis", "colour", "sun_damage"])
def test_the_tables_are_those_of_a_brute_force(label):
    walked = brute_force(label)
    joint = MODEL.questions()[label].joint
    assert joint.sum() == pytest.approx(1)
    assert np.sort(joint[joint > 0]) == pytest.approx(np.sort([p for p in walked.values() if p > 0]))
    cells = {key[1:] for key in walked}
    best = sum(max(walked[c, *cell] for c in range(2)) for cell in cells)
    assert ideal_observer(complete=True)["clinic+derm+meta"][label].accuracy == pytest.approx(best)


@pytest.mark.parametrize("subset", SUBSETS)
def test_expected_figures_are_those_of_a_large_sample(sample, subset):
    _, truth, ideal = sample
    spoken = ~np.isnan(ideal[subset][:, 0])
    for i, (name, columns) in enumerate(MODEL.labels.slices.items()):
        p, y = ideal[subset][spoken, columns], truth[spoken, i]
        classes = range(p.shape[1])
        expected = ideal_observer()[subset][name]
        top = np.isclose(p, p.max(axis=1, keepdims=True), atol=1e-9)
        hits = (top / top.sum(axis=1, keepdims=True))[np.arange(len(y)), y]
        prior = MODEL.questions()[name].joint.sum(axis=(1, 2, 3))
        lift = np.isclose(p / prior, (p / prior).max(axis=1, keepdims=True), atol=1e-9)
        recalls = (lift / lift.sum(axis=1, keepdims=True))[np.arange(len(y)), y]
        # four standard errors of a share among 17,000 cases, and of one class's share among 3,000
        assert hits.mean() == pytest.approx(expected.accuracy, abs=0.016)
        assert np.mean([recalls[y == c].mean() for c in classes]) == pytest.approx(
            expected.balanced_accuracy, abs=0.025
        )
        aucs = [roc_auc_score(y == c, p[:, c].round(12)) for c in classes]
        assert np.mean(aucs) == pytest.approx(expected.auc, abs=0.016)
        assert log_loss(y, p, labels=list(classes)) == pytest.approx(expected.log_loss, abs=0.03)


def test_posteriors_are_the_shares_among_cases_that_show_the_same(sample):
    cohort, truth, ideal = sample
    both = cohort.images["clinic"] & cohort.images["derm"]
    p = ideal["clinic+derm"][:, MODEL.labels.slices["diagnosis"]][:, 1]
    for e, s in itertools.product(range(2), range(3)):
        alike = both & (cohort.shown["clinic"]["elevation"] == e) & (cohort.shown["derm"]["structure"] == s)
        assert np.ptp(p[alike]) < 1e-12
        assert truth[alike, 0].mean() == pytest.approx(p[alike][0], abs=0.03)
    damaged = ideal["clinic+meta"][:, MODEL.labels.slices["sun_damage"]][:, 1]
    for low in np.arange(0, 1, 0.2):
        alike = (damaged >= low) & (damaged < low + 0.2)
        assert truth[alike, 4].mean() == pytest.approx(damaged[alike].mean(), abs=0.04)


def test_the_ideal_observer_speaks_where_something_is_present(sample):
    cohort, _, ideal = sample
    present = cohort.present()
    for subset, block in ideal.items():
        speaks = np.any([present[m] for m in subset.split("+")], axis=0)
        assert (np.isnan(block).any(axis=1) == ~speaks).all()
        for columns in MODEL.labels.slices.values():
            assert block[speaks, columns].sum(axis=1) == pytest.approx(np.ones(speaks.sum()))


@settings(max_examples=25, deadline=None)
@given(noise=st.floats(0, 1.6))
def test_more_modalities_never_hurt_on_the_same_cases(noise):
    ideal = ideal_observer(Model(noise=noise), complete=True)
    for small, large in itertools.permutations(SUBSETS, 2):
        if set(small.split("+")) < set(large.split("+")):
            for name in LABELS:
                a, b = ideal[small][name], ideal[large][name]
                assert all(x <= y + 1e-9 for x, y in zip(a[:3], b[:3], strict=True))
                assert b.log_loss <= a.log_loss + 1e-9


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=2, max_size=4))
def test_figures_of_a_table_are_those_of_its_cases(counts):
    table = np.array(counts, dtype=float)
    table[:, 0] += 1
    table[0] += 1
    cases = [(c, s) for c, row in enumerate(table) for s, n in enumerate(row) for _ in range(int(n))]
    y, s = np.array(cases).T
    p = (table / table.sum(axis=0))[:, s].T
    found = figures(table / table.sum())
    assert found.auc == pytest.approx(np.mean([roc_auc_score(y == c, p[:, c].round(12)) for c in range(len(table))]))
    assert found.log_loss == pytest.approx(log_loss(y, p, labels=range(len(table))))
    assert found.accuracy == pytest.approx(table.max(axis=0).sum() / table.sum())


# ── drawing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_rates_are_those_of_the_model(sample):
    cohort, truth, _ = sample
    absent = {m: ~there for m, there in cohort.images.items()}
    assert not (absent["clinic"] & absent["derm"]).any()
    for there in absent.values():
        assert there.mean() == pytest.approx(0.08, abs=0.008)
    for known in cohort.known.values():
        assert (~known).mean() == pytest.approx(0.05, abs=0.007)
    for (name, rate), size in zip(CELLS.items(), (len(AGES), 2, 4), strict=True):
        assert (cohort.cells[name] == size).mean() == pytest.approx(rate, abs=0.007)
    factors = dict(zip(LABELS, truth.T, strict=True)) | {"freckles": truth[:, 4]}
    for (modality, attribute), flip in SHOWN.items():
        wrong = cohort.shown[modality][attribute] != factors[attribute]
        assert wrong.mean() == pytest.approx(flip, abs=0.013)


def test_absence_and_unknown_labels_tell_nothing(sample):
    cohort, truth, _ = sample
    for gone in [*(~there for there in cohort.images.values()), *(~known for known in cohort.known.values())]:
        for i in range(truth.shape[1]):
            assert truth[gone, i].mean() == pytest.approx(truth[~gone, i].mean(), abs=0.09)


def test_patients_have_one_to_three_lesions_and_one_age(sample):
    cohort, _, _ = sample
    sizes = np.bincount(cohort.patients)
    assert set(sizes[:-1]) == {1, 2, 3}
    assert (np.diff(cohort.patients) >= 0).all()
    for name, size in (("age", len(AGES)), ("sex", 2)):
        filled = cohort.cells[name] < size
        pairs = set(zip(cohort.patients[filled].tolist(), cohort.cells[name][filled].tolist(), strict=True))
        assert len(pairs) == len(set(cohort.patients[filled].tolist()))


def test_a_longer_cohort_continues_a_shorter_one():
    short, long = draw(MODEL, 40, 3), draw(MODEL, 70, 3)
    assert (long.patients[:40] == short.patients).all()
    for name in ("truth", "known", "cells", "images"):
        for key, values in getattr(short, name).items():
            assert (getattr(long, name)[key][:40] == values).all()
    assert any((draw(MODEL, 40, 4).truth[name] != short.truth[name]).any() for name in LABELS)


def test_noise_and_absence_change_no_other_draw():
    plain, changed = draw(MODEL, 60, 0), draw(Model(noise=0.0, absent=0.3, unknown=0.4), 60, 0)
    for name in LABELS:
        assert (plain.truth[name] == changed.truth[name]).all()
    assert (changed.shown["clinic"]["elevation"] == changed.truth["elevation"]).all()
    assert sum((~there).sum() for there in changed.images.values()) > sum(
        (~there).sum() for there in plain.images.values()
    )


# ── documentation ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("heading", "complete"), [("### As the cohort is", False), ("### Nothing absent", True)])
def test_the_documented_table_is_the_computed_one(heading, complete):
    page = (Path(__file__).parents[2] / "docs" / "synthetic.md").read_text(encoding="utf-8")
    lines = page.split(heading + "\n")[1].split("\n#")[0].splitlines()
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    ideal = ideal_observer(complete=complete)
    assert rows[0][1:] == list(LABELS)
    written = {row[0]: row[1:] for row in rows[2:]}
    computed = {
        subset: [f"{f.accuracy:.3f} / {f.balanced_accuracy:.3f} / {f.auc:.3f}" for f in row.values()]
        for subset, row in ideal.items()
    }
    assert written == computed
