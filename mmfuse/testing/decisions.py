"""What decisions and second stages keep.

Sums of one; they cope with unknown labels, absent sources and classes that never occur.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from mmfuse import DecisionFusion, Label, Labels, SecondStage
from mmfuse.testing.kit import Given, need

LABELS = Labels([Label("two", ("a", "b")), Label("three", ("a", "b", "never"))])
"""The kit's labels; class `never` occurs in no case."""
_CASES, _SOURCES = 40, 3


def _problem(views: int) -> tuple[np.ndarray, np.ndarray]:
    """(sources, views, cases, columns) log-probabilities that know something, and (cases, labels) targets.

    Some of the targets are unknown.
    """
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, size=(_CASES, len(LABELS)))
    logits = rng.normal(size=(_SOURCES, views, _CASES, LABELS.columns)) + 1.5 * LABELS.one_hot(targets)
    targets[::7, 0] = -1
    targets[::5, 1] = -1
    return LABELS.log_softmax(logits), targets


def _problem_of(part: DecisionFusion) -> tuple[np.ndarray, np.ndarray]:
    least, most = part.arity
    scores, targets = _problem(3 if part.per_view else 1)
    return scores[: most or max(least, _SOURCES)], targets


def _fitted(part: DecisionFusion) -> tuple[Any, np.ndarray]:
    scores, targets = _problem_of(part)
    return part.fit(scores, targets, LABELS, np.ones(_CASES)), scores


def _sums_to_one(p: np.ndarray, where: str) -> None:
    for name, columns in LABELS.slices.items():
        total = p[:, columns].sum(axis=1)
        need(
            bool(np.allclose(total, 1, atol=1e-6)),
            f"label '{name}' sums to {total.min():.4f} … {total.max():.4f} {where}",
            "1 within each label",
        )
    need(bool((p >= -1e-9).all()), f"a probability of {p.min():.3g} {where}", "0 or more")


def answers_with_probabilities_that_sum_to_one(part: DecisionFusion, given: Given) -> None:
    rule, scores = _fitted(part)
    p = rule(scores, LABELS)
    need(p.shape == (_CASES, LABELS.columns), f"gave {p.shape}", f"({_CASES}, {LABELS.columns}): cases, columns")
    _sums_to_one(p, "with unknown labels and a class that never occurs")


def leaves_out_sources_that_abstain(part: DecisionFusion, given: Given) -> None:
    rule, scores = _fitted(part)
    scores = scores.copy()
    scores[0, :, : 10 if len(scores) > 1 else 0] = np.nan
    scores[:, :, 10:12] = np.nan
    p = rule(scores, LABELS)
    need(
        bool(np.isnan(p[10:12]).all()),
        "answers for a case about which all sources abstain",
        "NaN: a case with nothing has no prediction, never a number",
    )
    need(
        not np.isnan(np.delete(p, [10, 11], axis=0)).any(),
        "abstains where some source speaks",
        "the others, renormalised",
    )
    _sums_to_one(np.delete(p, [10, 11], axis=0), "where a source abstains")


def learns_where_sources_abstain(part: DecisionFusion, given: Given) -> None:
    scores, targets = _problem_of(part)
    scores[0, :, : 10 if len(scores) > 1 else 0] = np.nan
    scores[:, :, 10:12] = np.nan
    rule = part.fit(scores, targets, LABELS, np.ones(_CASES))
    _sums_to_one(np.delete(rule(scores, LABELS), [10, 11], axis=0), "after learning where sources abstain")


def learns_where_nothing_is_known(part: DecisionFusion, given: Given) -> None:
    scores, targets = _problem_of(part)
    rule = part.fit(scores, np.full_like(targets, -1), LABELS, np.ones(_CASES))
    _sums_to_one(rule(scores, LABELS), "after learning from unknown labels alone")


def copes_with_probabilities_of_exactly_zero(part: DecisionFusion, given: Given) -> None:
    """Votes are such: of forests, of neighbours, of sets. They are -inf as logarithms, also in all sources at once."""
    scores, targets = _problem_of(part)
    with np.errstate(divide="ignore"):
        scores[:, :, ::2] = np.log(LABELS.one_hot(LABELS.argmax(scores[:, :, ::2])))
    scores[0, :, 1, 0] = -np.inf
    scores = LABELS.log_softmax(scores)
    rule = part.fit(scores, targets, LABELS, np.ones(_CASES))
    p = rule(scores, LABELS)
    need(
        not np.isnan(p).any(),
        f"gives {int(np.isnan(p).sum())} NaN where a log-probability is -inf",
        "probabilities: 0 times -inf is NaN, so weigh probabilities, or raise -inf to a finite number first",
    )
    _sums_to_one(p, "where a log-probability is -inf")


def decides_each_case_by_itself(part: DecisionFusion, given: Given) -> None:
    rule, scores = _fitted(part)
    among, alone = rule(scores, LABELS)[:1], rule(scores[:, :, :1], LABELS)
    need(
        bool(np.allclose(among, alone, atol=1e-9)),
        f"case 1 differs by {np.abs(among - alone).max():.2g} alone and among {_CASES}",
        "0",
    )


def gives_the_same_scores_after_save_and_load(part: DecisionFusion, given: Given) -> None:
    rule, scores = _fitted(part)
    with tempfile.TemporaryDirectory() as folder:
        rule.save(Path(folder) / "rule")
        loaded = part.rule.load(Path(folder) / "rule")
    need(
        bool(np.array_equal(rule(scores, LABELS), loaded(scores, LABELS))),
        "differs after save and load",
        "the same, bit for bit",
        "all that decides in the record's fields",
    )


def leaves_its_input_alone(part: DecisionFusion, given: Given) -> None:
    scores, targets = _problem_of(part)
    before, known = scores.copy(), targets.copy()
    part.fit(scores, targets, LABELS, np.ones(_CASES))(scores, LABELS)
    need(
        np.array_equal(before, scores) and np.array_equal(known, targets),
        "changes its input in place",
        "the input left alone",
    )


# ── second stages ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _table(classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    targets = np.arange(_CASES) % classes
    return rng.normal(size=(_CASES, 6)) + targets[:, None], targets


def _answers(estimator: Any, x: np.ndarray) -> np.ndarray:  # noqa: ANN401  # scikit-learn's estimators
    scored = getattr(estimator, "predict_proba", None) or getattr(estimator, "decision_function", None)
    need(scored is not None, "has neither predict_proba nor decision_function", "one of them")
    return np.asarray(scored(x))  # type: ignore[misc]


def makes_a_bare_classifier(part: SecondStage, given: Given) -> None:
    from sklearn.base import clone, is_classifier
    from sklearn.exceptions import NotFittedError

    estimator = part.estimator(0)
    need(is_classifier(estimator), f"made a {type(estimator).__name__}", "a scikit-learn classifier")
    clone(estimator)
    try:
        estimator.predict(_table()[0])
    except (NotFittedError, AttributeError, ValueError):
        return
    need(False, "predicts before it was fitted", "a bare estimator", "make a new one in `estimator`")


def learns_two_and_three_classes(part: SecondStage, given: Given) -> None:
    for classes in (2, 3):
        x, targets = _table(classes)
        answers = _answers(part.estimator(0).fit(x, targets), x)
        need(len(answers) == _CASES, f"{answers.shape} for {_CASES} cases", "a row a case")
        need(bool(np.isfinite(answers).all()), "an answer is not finite", "finite numbers")


def gives_the_same_for_the_same_seed(part: SecondStage, given: Given) -> None:
    x, targets = _table()
    one, other = (_answers(part.estimator(3).fit(x, targets), x) for _ in range(2))
    need(
        bool(np.array_equal(one, other)),
        f"differs by {np.abs(one - other).max():.2g} between two fits with one seed",
        "the same",
        "random_state=seed",
    )


def leaves_its_table_alone(part: SecondStage, given: Given) -> None:
    x, targets = _table()
    before = x.copy()
    part.estimator(0).fit(x, targets)
    need(bool(np.array_equal(before, x)), "changes its input in place", "the input left alone")


def is_stored_without_pickle(part: SecondStage, given: Given) -> None:
    x, targets = _table()
    fitted = part.estimator(0).fit(x, targets)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"estimator.{part.suffix}"
        part.save(fitted, path)
        loaded = part.load(path, 0)
    need(
        bool(np.array_equal(_answers(fitted, x), _answers(loaded, x))),
        "differs after save and load",
        "the same, bit for bit",
    )


CHECKS: dict[str, tuple[Any, ...]] = {
    "decision": (
        answers_with_probabilities_that_sum_to_one,
        leaves_out_sources_that_abstain,
        learns_where_sources_abstain,
        learns_where_nothing_is_known,
        copes_with_probabilities_of_exactly_zero,
        decides_each_case_by_itself,
        gives_the_same_scores_after_save_and_load,
        leaves_its_input_alone,
    ),
    "stage": (
        makes_a_bare_classifier,
        learns_two_and_three_classes,
        gives_the_same_for_the_same_seed,
        leaves_its_table_alone,
        is_stored_without_pickle,
    ),
}
USED = {"decision": lambda part, given: _fitted(part), "stage": lambda part, given: part.estimator(0)}
