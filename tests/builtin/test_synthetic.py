"""The adapter of the drawn cohort: folder, table, card, and pictures that show what they are said to show."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from mmfuse import Cases, TableError, generator, load, load_card, read_table
from mmfuse.builtin.cohort import pictures, release
from mmfuse.builtin.cohort.canvas import Canvas
from mmfuse.builtin.cohort.model import LABELS, Model
from mmfuse.builtin.cohort.observer import posteriors
from mmfuse.builtin.cohort.sampling import draw
from mmfuse.builtin.synthetic import Synthetic

SMALL = Synthetic(cases=24, size=48)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "release"
    return folder, SMALL.tidy(folder)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# ── the folder ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_folder_holds_the_pictures_of_the_table_and_nothing_else(drawn):
    folder, tidy = drawn
    named = {path for m in ("clinic", "derm") for path in tidy.table[m] if path is not None}
    assert set(files(folder)) == named | {"release.json", "truth.csv"}
    for path in named:
        assert path.startswith("images/")
        with Image.open(folder / path) as image:
            assert (image.size, image.mode, image.format) == ((48, 48), "RGB", "PNG")


def test_the_same_knobs_draw_the_same_bytes(drawn, tmp_path):
    folder, tidy = drawn
    again = SMALL.tidy(tmp_path / "again")
    assert files(folder) == files(tmp_path / "again")
    assert tidy.notes == again.notes
    assert all((tidy.table[name] == again.table[name]).all() for name in tidy.table.names)
    other = Synthetic(cases=24, size=48, seed=1).tidy(tmp_path / "other")
    assert any((tidy.table[name] != other.table[name]).any() for name in LABELS)


def test_a_longer_cohort_continues_a_shorter_one(drawn, tmp_path):
    folder, tidy = drawn
    longer = Synthetic(cases=31, size=48).tidy(tmp_path)
    for name in tidy.table.names:
        assert (longer.table[name][:24] == tidy.table[name]).all()
    kept = files(tmp_path)
    for path, content in files(folder).items():
        if path.startswith("images/"):
            assert kept[path] == content
    short, long = (folder / "truth.csv").read_text(), (tmp_path / "truth.csv").read_text()
    assert long.startswith(short)


def test_a_drawing_cut_short_is_taken_up_again(drawn, tmp_path):
    folder, tidy = drawn
    SMALL.tidy(tmp_path)
    broken = tmp_path / next(path for path in tidy.table["derm"] if path)
    broken.write_bytes(b"half")
    (tmp_path / "truth.csv").unlink()
    SMALL.tidy(tmp_path)
    assert files(tmp_path) == files(folder)


def test_another_release_is_refused_and_left_alone(drawn):
    folder, _ = drawn
    before = files(folder)
    with pytest.raises(
        TableError, match=r"cases=24, seed=0[\s\S]*expected:[\s\S]*seed=5[\s\S]*mend: name another folder"
    ):
        Synthetic(cases=24, size=48, seed=5).tidy(folder)
    assert files(folder) == before


@pytest.mark.parametrize("marker", ['{"release": "another"}', "[1]", "no json"])
def test_a_foreign_marker_is_refused(tmp_path, marker):
    (tmp_path / "release.json").write_text(marker)
    with pytest.raises(TableError, match=r"not of a synthetic cohort|what a synthetic cohort wrote"):
        SMALL.tidy(tmp_path)
    assert set(files(tmp_path)) == {"release.json"}


def test_foreign_files_are_refused(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "mine.png").write_bytes(b"mine")
    with pytest.raises(TableError, match="holds images of something else"):
        SMALL.tidy(tmp_path)
    assert set(files(tmp_path)) == {"images/mine.png"}
    with pytest.raises(TableError, match="is a file"):
        SMALL.tidy(tmp_path / "images" / "mine.png")


def test_an_older_version_is_another_release(drawn, tmp_path):
    folder, _ = drawn
    marker = json.loads((folder / "release.json").read_text())
    (tmp_path / "release.json").write_text(json.dumps(marker | {"version": 0}))
    with pytest.raises(TableError, match="cohort 0 with"):
        SMALL.tidy(tmp_path)


# ── table, card, truth ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_table_holds_inputs_and_labels_and_nothing_that_is_shown(drawn):
    _, tidy = drawn
    inputs = {"lesion_id", "patient_id", "clinic", "derm", "age", "sex", "site"}
    assert set(tidy.table.names) == inputs | set(LABELS)
    cohort = draw(Model(), 24, 0)
    for name, classes in LABELS.items():
        told = [classes[i] if known else None for i, known in zip(cohort.truth[name], cohort.known[name], strict=True)]
        assert tidy.table[name].tolist() == told
    for modality, there in cohort.images.items():
        assert [path is not None for path in tidy.table[modality]] == there.tolist()


def test_the_card_reads_the_table(drawn):
    folder, tidy = drawn
    cases = Cases(tidy.table, load_card(tidy.card))
    assert cases.root == folder.resolve()
    assert cases.labels == Model().labels
    assert len(set(cases.groups)) < len(cases) == 24
    for modality in ("clinic", "derm"):
        for path in cases.rows().paths(modality):
            assert path is None or path.is_file()
    ages = cases.rows().numbers("age")
    assert np.nanmin(ages) >= 20
    assert np.nanmax(ages) < 90


def test_the_demo_recipe_runs_on_the_card(drawn):
    pytest.importorskip("mmfuse_metadata", reason="the recipe's second stage is mmfuse-metadata's")
    _, tidy = drawn
    plan = load("demo", tidy.card).plan
    assert list(plan.decisions) == ["scheme1", "logistic", "final"]
    assert plan.network.encoders["image"].weights == "none"


def test_truth_tells_each_case_and_its_ideal_posteriors(drawn):
    folder, tidy = drawn
    truth, cohort = read_table(folder / "truth.csv"), draw(Model(), 24, 0)
    assert truth["lesion_id"].tolist() == tidy.table["lesion_id"].tolist()
    for name, classes in LABELS.items():
        assert truth[f"true:{name}"].tolist() == [classes[k] for k in cohort.truth[name]]
    ideal, columns = posteriors(Model(), cohort), Model().labels.column_names
    assert {name.split(":")[1] for name in truth.names if name.startswith("ideal:")} == set(ideal)
    for subset, block in ideal.items():
        told = np.stack([truth.numbers(f"ideal:{subset}:{column}") for column in columns], axis=1)
        np.testing.assert_array_equal(told, block)


def test_knobs_are_refused_outside_their_range():
    for knobs in ({"cases": 0}, {"size": 8}, {"noise": 2.0}, {"absent": 0.6}, {"seed": -1}, {"lesions": 5}):
        with pytest.raises(ValidationError):
            Synthetic(**knobs)


def test_the_definition_is_light():
    heavy = "{'torch', 'pandas', 'scipy', 'sklearn', 'PIL'}"
    program = f"import sys, mmfuse.builtin.synthetic; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# ── pictures ────────────────────────────────────────────────────────────────────────────────────────────────────────


def shots(pen, shown, size=64, n=24):
    canvas = Canvas.of(size)
    made = [pen(generator(0, "shot", i), canvas, pictures.skin_tone(generator(0, "tone", i)), shown) for i in range(n)]
    return np.stack(made).astype(float)


def separation(low, high):
    """AUC of a statistic between pictures that show one and the other."""
    return roc_auc_score([0] * len(low) + [1] * len(high), [*low, *high])


def blueness(images):
    middle = images[:, 20:44, 20:44]
    return np.median(middle[..., 2] - middle[..., 0], axis=(1, 2))


def shine(images):
    """The brightest grey within the middle, above its median."""
    middle = images[:, 12:52, 12:52].min(axis=-1).reshape(len(images), -1)
    return np.quantile(middle, 0.995, axis=1) / np.median(images.min(axis=-1), axis=(1, 2))


def grain(images):
    """Contrast between pixels four apart."""
    grey = images.mean(axis=-1)[:, 12:52, 12:52]
    return np.abs(grey[:, 4:] - grey[:, :-4]).mean(axis=(1, 2))


def test_colour_elevation_and_freckles_are_to_be_seen_from_afar():
    flat = {"elevation": 0, "colour": 0, "freckles": 0}
    plain = shots(pictures.clinic, flat)
    assert separation(blueness(plain), blueness(shots(pictures.clinic, flat | {"colour": 1}))) > 0.98
    raised = shots(pictures.clinic, flat | {"elevation": 1})
    dark = separation(-raised.mean(axis=-1).min(axis=(1, 2)), -plain.mean(axis=-1).min(axis=(1, 2)))
    assert max(dark, separation(shine(plain), shine(raised))) > 0.9
    corner = (slice(None), slice(0, 14), slice(0, 64))
    spread = [
        images[corner].mean(axis=-1).std(axis=(1, 2))
        for images in (plain, shots(pictures.clinic, flat | {"freckles": 1}))
    ]
    assert separation(*spread) > 0.8


def test_structure_and_colour_are_to_be_seen_close_up():
    plain = shots(pictures.derm, {"structure": 0, "colour": 0})
    for structure in (1, 2):
        assert separation(grain(plain), grain(shots(pictures.derm, {"structure": structure, "colour": 0}))) > 0.95
    assert separation(blueness(plain), blueness(shots(pictures.derm, {"structure": 0, "colour": 1}))) > 0.98


def test_pictures_know_what_is_shown_and_not_what_is_true():
    cohort = draw(Model(), 12, 0)
    turned = {name: values[::-1] for name, values in cohort.truth.items()}
    empty = {name: np.full(12, -1) for name in cohort.cells}
    blind = dataclasses.replace(cohort, truth=turned, cells=empty, known={})
    for (m, i, picture), (k, j, other) in zip(release.drawn(cohort, 48), release.drawn(blind, 48), strict=True):
        assert (m, i) == (k, j)
        assert (picture == other).all()


@pytest.mark.parametrize(
    ("pen", "shown"),
    [(pictures.clinic, {"elevation": 1, "colour": 0, "freckles": 1}), (pictures.derm, {"structure": 2, "colour": 1})],
)
def test_a_larger_picture_shows_the_same_lesion(pen, shown):
    small, large = shots(pen, shown, 48, 4), shots(pen, shown, 96, 4)
    halved = large.reshape(4, 48, 2, 48, 2, 3).mean(axis=(2, 4))
    for a, b in zip(small, halved, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.97
