"""What is shown beside the first table: the positive class by name, operating points, several labels, what failed."""

import io

import numpy as np
import pytest

import mmfuse
from mmfuse.commands.figures import show_figures
from mmfuse.show import Screen

SEVERAL = mmfuse.Labels([mmfuse.Label("sign", ("no", "yes")), mmfuse.Label("scar", ("yes", "no"), positive="yes")])
GRADES = mmfuse.Labels([mmfuse.Label("grade", ("low", "middle", "high"), positive="middle")])


def scores(labels, n=120):
    rng = np.random.default_rng(0)
    targets = np.stack([rng.integers(0, len(label.classes), n) for label in labels], axis=1)
    logits = rng.normal(size=(n, labels.columns)) + labels.one_hot(targets)
    ids, split = np.array([f"c{i}" for i in range(n)]), np.repeat(["train", "valid", "test"], n // 3)
    return mmfuse.ScoreTable({"fused": logits[None]}, ids, ids, split, np.full(n, -1), targets, labels)


def points(table, **rules):
    valid = table.take(table.split == "valid")
    return mmfuse.OperatingPoints.fit(rules, {"fused": valid.probabilities("fused")}, valid.targets, table.labels)


def shown(table, **options):
    stream = io.StringIO()
    show_figures(Screen(stream), mmfuse.evaluate(table, "test", **options), "fused")
    return stream.getvalue()


def test_the_positive_class_and_its_point_are_named():
    table = scores(GRADES)
    fitted = points(table, grade="sensitivity >= 0.8")
    text = shown(table, points=fitted)
    positives = int((table.targets[table.split == "test", 0] == 1).sum())
    assert f"positive: middle ({positives} cases, {40 - positives} others)" in text
    point = fitted.of("fused")["grade"]
    at = mmfuse.evaluate(table, "test", points=fitted)["sources"]["fused"]["grade"]["at"]
    assert f"fused (the answer) at sensitivity >= 0.8 (p >= {point.threshold:.4g}, fitted on {point.positives}" in text
    assert f"sensitivity {at['sensitivity']:.3f}, specificity {at['specificity']:.3f}" in text
    assert "all labels together" not in text


def test_few_positives_are_flagged_and_the_undefined_is_no_number():
    table = scores(GRADES)
    table.targets[:, 0] = np.where(np.arange(120) % 40 < 3, 1, 0)
    text = shown(table)
    assert "positive: middle (3 cases, 37 others, too few for more than a hint)" in text
    majority = next(line for line in text.split("positive:")[1].splitlines() if line.startswith("majority"))
    assert "–" in majority


def test_several_labels_are_judged_together():
    table = scores(SEVERAL)
    text = shown(table)
    right = (SEVERAL.argmax(table.probabilities("fused")) == table.targets)[table.split == "test"]
    line = next(line for line in text.split("all labels together")[1].splitlines() if line.startswith("fused"))
    assert f"{right.all(axis=1).mean():.3f}" in line
    assert f"{(~right).mean():.3f}" in line
    assert "leaves out" not in text
    table.targets[:, 0] = 0
    assert "macro F1 of positives leaves out sign" in shown(table)


def test_metrics_of_plugins_are_columns_and_failures_are_told():
    class Third(mmfuse.Metric):
        """A third."""

        def score(self, p, targets, labels, weight):
            return np.full((len(weight), len(labels)), 1 / 3)

    class Breaks(mmfuse.Metric):
        """Fails."""

        def score(self, p, targets, labels, weight):
            raise ValueError("no")

    class Knob(mmfuse.Metric):
        """Needs a knob."""

        power: float

    class Brings:
        @mmfuse.hookimpl
        def mmfuse_parts(self):
            return [Third, Breaks, Knob]

    metrics = mmfuse.Catalog(Brings(), installed=False).metrics()
    assert {"third", "breaks"} <= {*metrics}
    assert "knob" not in metrics
    assert {*mmfuse.MEASURES} <= {*metrics}
    text = shown(scores(GRADES), metrics=metrics)
    header = next(line for line in text.splitlines() if "third" in line)
    assert "calib. error" in header
    assert "0.333" in text
    assert "metric 'breaks' failed and is not shown: ValueError: no" in text


@pytest.mark.parametrize("labels", [GRADES, SEVERAL], ids=["grades", "several"])
def test_the_catalogs_metrics_and_the_measures_say_the_same(labels):
    table = scores(labels)
    catalog = mmfuse.Catalog(installed=False)
    assert mmfuse.evaluate(table, "test", metrics=catalog.metrics()) == mmfuse.evaluate(table, "test")
