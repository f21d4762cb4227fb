"""A key that is set by hand and does nothing is refused, with the reason; one that does something passes."""

import pytest

from mmfuse.effects import without_effect
from mmfuse.toml import load

CARD = {
    "cases": {"id": "id"},
    "labels": {"y": ["a", "b"]},
    "modalities": {
        "photo": {"use": "image", "column": "p"},
        "meta": {"use": "table", "numeric": ["x"]},
    },
}
NETWORK = {
    "encoders": {"image": {"use": "timm", "model": "test_resnet"}, "table": "mlp"},
    "fusion": "concat",
    "head": "linear",
}
PLAN = {"network": NETWORK, "augment": {"a": {"use": "geometry", "on": ["image"]}}}
FROZEN = {
    **PLAN,
    "network": {**NETWORK, "encoders": {**NETWORK["encoders"], "image": {"use": "timm", "frozen": True}}},
}
BARE = {"decisions": {"d": {"use": "logistic", "features": ["table"]}}}
ONE = {"network": {"encoders": {"table": "mlp"}, "head": "linear"}}
PRETEXTS = {**PLAN, "pretexts": {"first": {"use": "cross-modal-contrast", "epochs": 3}}}


def told(plan, key, *jobs, card=CARD):
    spec = load(plan, card, sets=[])
    return "\n".join(map(str, without_effect([spec], [f"{key}=1"], jobs or ("train",))))


@pytest.mark.parametrize(
    ("plan", "key", "jobs", "why"),
    [
        (PLAN, "training.transductive", ("train",), "`mmfuse pretrain` alone reads it"),
        (PRETEXTS, "pretexts.first.epochs", ("train",), "`mmfuse pretrain` alone"),
        (PRETEXTS, "training.epochs", ("pretrain",), "`epochs` of its own"),
        (PRETEXTS, "training.loss", ("pretrain",), "reads no label"),
        (PRETEXTS, "training.patience", ("pretrain",), "keeps the last epoch"),
        (PRETEXTS, "decisions.d.use", ("pretrain",), "no predictions"),
        (PRETEXTS, "prediction.views", ("pretrain",), "nothing is predicted"),
        (FROZEN, "training.epochs", ("embed",), "nothing learns"),
        (FROZEN, "augment.a.p", ("embed",), "only encoders run"),
        (FROZEN, "split.seed", ("embed",), "read every case"),
        (BARE, "training.epochs", ("train",), "no network"),
        (BARE, "augment.a.p", ("compare",), "no network"),
        (BARE, "prediction.batch", ("train",), "no network"),
        (ONE, "network.side_heads", ("train",), "one modality alone"),
        (ONE, "training.modality_dropout", ("train",), "one modality alone"),
        (ONE, "prediction.views", ("train",), "no image"),
        (ONE, "training.compile", ("train",), "no encoder of images learns"),
        (PLAN, "training.ema_decay", ("train",), "is not 'ema'"),
        (PLAN, "training.swa_share", ("train",), "is not 'swa'"),
        (PLAN, "training.feature_views", ("train",), "no encoder of images is frozen"),
        (PLAN, "training.cache_limit", ("train",), "no encoder is frozen"),
        (FROZEN, "augment.a.degrees", ("train",), "are frozen and read each once"),
        (FROZEN, "network.encoders.image.lr", ("train",), "the encoder is frozen"),
        ({**PLAN, "training": {"schedule": "constant"}}, "training.schedule_by", ("train",), "the rate is constant"),
        ({**PLAN, "training": {"best": {"metric": ""}}}, "training.patience", ("train",), "no metric chooses"),
        ({**PLAN, "split": {"column": "s"}}, "split.seed", ("train",), "decides alone"),
        (PLAN, "split.values", ("train",), "no column is left out"),
    ],
)
def test_what_does_nothing_is_refused_with_the_reason(plan, key, jobs, why):
    assert f"--set {key}: has no effect" in told(plan, key, *jobs)
    assert why in told(plan, key, *jobs)


@pytest.mark.parametrize(
    ("plan", "key", "jobs"),
    [
        (PLAN, "training.epochs", ("train",)),
        (PLAN, "training.warmup", ("train",)),
        (PLAN, "modalities.photo.size", ("train",)),
        (PLAN, "seed", ("train",)),
        (PRETEXTS, "training.epochs", ("train", "pretrain")),
        (PRETEXTS, "training.lr", ("pretrain",)),
        (PRETEXTS, "training.batch", ("pretrain",)),
        (PRETEXTS, "pretexts.first.epochs", ("train", "pretrain")),
        (PRETEXTS, "training.transductive", ("pretrain",)),
        (FROZEN, "training.feature_views", ("train",)),
        (FROZEN, "training.frozen_precision", ("embed",)),
        ({**FROZEN, "training": {"feature_views": 4}}, "augment.a.degrees", ("train",)),
        (BARE, "training.folds", ("train",)),
        (BARE, "decisions.d.C", ("train",)),
        ({**PLAN, "split": {"column": "s"}}, "split.seed", ("compare",)),
        ({**PLAN, "split": {"column": "s", "labelled": 0.5}}, "split.seed", ("train",)),
        ({**PLAN, "training": {"average": "ema"}}, "training.ema_decay", ("train",)),
    ],
)
def test_what_does_something_passes(plan, key, jobs):
    assert not told(plan, key, *jobs)


def test_of_several_plans_one_that_is_changed_is_enough():
    specs = [load(BARE, CARD), load(PLAN, CARD)]
    assert not without_effect(specs, ["training.epochs=[1, 2]"], ["compare"])
    assert without_effect(specs[:1], ["training.epochs=[1, 2]"], ["compare"])


def test_the_mend_of_a_step_of_pretraining_says_where_it_is_set():
    assert "mend: --set pretexts.first.epochs=…" in told(PRETEXTS, "training.epochs", "pretrain")
