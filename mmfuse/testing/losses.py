"""What every loss keeps: unknown labels and abstaining sources weigh nothing, and better answers cost less."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmfuse import EffectiveBatch, Features, Fused, Labels, Loss, Outputs, Scores
from mmfuse.testing import modules
from mmfuse.testing.heads import labels_of
from mmfuse.testing.kit import Given, need

_CASES = 6


def _targets(labels: Labels) -> Tensor:
    """(cases, labels) each class in turn; one case of each label is unknown."""
    known = torch.stack([torch.arange(_CASES) % len(label.classes) for label in labels], dim=1)
    for index in range(len(labels)):
        known[(index + 1) % _CASES, index] = -1
    return known


def _outputs(logits: Tensor, side: Tensor, weight: Tensor) -> Outputs:
    vector = torch.zeros(len(logits), 2)
    present = torch.ones(len(logits), dtype=torch.bool)
    scores = {"fused": Scores(logits), "side": Scores(side)}
    return Outputs(scores, {}, {"side": Features(vector)}, Fused(vector), {"side": present}, weight)


def _counts(labels: Labels) -> np.ndarray:
    return labels.counts(_targets(labels).numpy())


def _total(
    part: Loss,
    labels: Labels,
    logits: Tensor,
    targets: Tensor,
    side: Tensor | None = None,
    weight: Tensor = torch.ones(()),  # noqa: B008  # never written to
    progress: float = 0.5,
) -> Tensor:
    module = part.build(labels, _counts(labels))
    terms = module(_outputs(logits, logits if side is None else side, weight), targets, progress)
    need(isinstance(terms, dict) and bool(terms), f"gave {type(terms).__name__}", "{name: scalar}, which are summed")
    for name, term in terms.items():
        need(term.shape == (), f"term '{name}' {tuple(term.shape)}", "one number", "take the mean over cases")
    return torch.stack(list(terms.values())).sum()


def _logits(labels: Labels, seed: int = 1) -> Tensor:
    return 4 * modules.noise(_CASES, labels.columns, seed=seed) - 2


def gives_finite_terms_and_gradients(part: Loss, given: Given) -> None:
    labels = labels_of(given)
    logits = _logits(labels).requires_grad_()
    side = _logits(labels, 2)
    side[0] = float("nan")
    total = _total(part, labels, logits, _targets(labels), side)
    need(
        bool(torch.isfinite(total)),
        f"is {float(total.detach())} where a source abstains (NaN)",
        "a finite number",
        "leave NaN rows out before the loss",
    )
    total.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    need(
        bool(torch.isfinite(logits.grad).all()),
        "its gradient is not finite where a source abstains",
        "finite",
        "select rows first; 0 × NaN is NaN",
    )


def is_finite_at_any_progress(part: Loss, given: Given) -> None:
    """`progress` runs from 0 to 1 over all steps, both ends included."""
    labels = labels_of(given)
    for progress in (0.0, 0.25, 0.5, 0.75, 1.0):
        logits = _logits(labels).requires_grad_()
        total = _total(part, labels, logits, _targets(labels), progress=progress)
        total.backward()  # type: ignore[no-untyped-call]
        sound = bool(torch.isfinite(total)) and (logits.grad is None or bool(torch.isfinite(logits.grad).all()))
        found = f"is {float(total.detach())} at progress {progress:g}, or its gradient is not finite"
        need(sound, found, "finite numbers", "mind the first step (0) and the last (1)")


def lets_unknown_labels_weigh_nothing(part: Loss, given: Given) -> None:
    labels = labels_of(given)
    logits, targets = _logits(labels), _targets(labels)
    moved = logits.clone()
    for index, columns in enumerate(labels.slices.values()):
        moved[targets[:, index] < 0, columns] *= -3.0
    one, other = _total(part, labels, logits, targets), _total(part, labels, moved, targets)
    need(
        modules.same(one, other),
        f"moves by {modules.difference(one, other)} with logits of unknown labels (target -1)",
        "0",
        "mask targets >= 0",
    )


def is_zero_where_nothing_is_known(part: Loss, given: Given) -> None:
    labels = labels_of(given)
    logits = _logits(labels).requires_grad_()
    total = _total(part, labels, logits, torch.full((_CASES, len(labels)), -1))
    need(
        float(total.detach()) == 0,
        f"is {float(total.detach())} where no label is known",
        "0",
        "mind the mean of nothing",
    )
    total.backward()  # type: ignore[no-untyped-call]
    need(
        logits.grad is None or bool(torch.isfinite(logits.grad).all()),
        "its gradient is not finite where no label is known",
        "finite",
    )


def is_smaller_for_better_answers(part: Loss, given: Given) -> None:
    labels = labels_of(given)
    targets = _targets(labels)
    right = torch.zeros(_CASES, labels.columns)
    for index, columns in enumerate(labels.slices.values()):
        known = targets[:, index] >= 0
        right[known, columns.start + targets[known, index]] = 2.0
    good, bad = float(_total(part, labels, right, targets)), float(_total(part, labels, -right, targets))
    need(good < bad, f"is {good:.4g} for right answers and {bad:.4g} for wrong ones", "less for right ones")


def weighs_cases_if_it_says_so(part: Loss, given: Given) -> None:
    if not part.weighs_cases:
        return
    labels = labels_of(given)
    logits, targets = _logits(labels), _targets(labels)
    moved, weight = logits.clone(), torch.ones(_CASES)
    moved[0] *= -3.0
    weight[0] = 0.0
    one, other = (_total(part, labels, z, targets, weight=weight) for z in (logits, moved))
    need(modules.same(one, other), f"moves by {modules.difference(one, other)} with a case of weight 0", "0")
    plain, twice = (_total(part, labels, logits, targets, weight=w * torch.ones(_CASES)) for w in (1, 2))
    need(
        modules.same(2 * plain, twice),
        f"is {float(twice):.6g} where every case weighs 2, and {float(plain):.6g} where each weighs 1",
        "twice as much",
        "multiply by `outputs.weight`, and divide by the number of cases as before",
    )


def adds_up_over_batches_if_it_says_so(part: Loss, given: Given) -> None:
    if not part.accumulates:
        return
    labels = labels_of(given)
    logits, targets, side = _logits(labels), _targets(labels), _logits(labels, 2)
    present = {"side": torch.arange(_CASES) % 3 > 0, "other": torch.ones(_CASES, dtype=torch.bool)}
    side = torch.where(present["side"][:, None], side, float("nan"))
    weight = torch.linspace(0.5, 1.5, _CASES) if part.weighs_cases else torch.ones(_CASES)
    module = part.build(labels, _counts(labels))

    def total(rows: slice, effective: EffectiveBatch | None) -> Tensor:
        outputs = _outputs(logits[rows], side[rows], weight[rows])
        outputs = outputs._replace(present={name: mask[rows] for name, mask in present.items()}, effective=effective)
        return torch.stack(list(module(outputs, targets[rows], 0.5).values())).sum()

    every = EffectiveBatch(targets, present, weight)
    whole = total(slice(None), None)
    parts = total(slice(0, 2), every) + total(slice(2, None), every)
    need(
        modules.same(whole, parts),
        f"is {float(whole):.6g} of one batch, and {float(parts):.6g} summed over its two parts",
        "the same",
        "divide by what counts in `outputs.effective`, or leave `accumulates` out",
    )


def leaves_the_random_state_alone(part: Loss, given: Given) -> None:
    labels = labels_of(given)
    with modules.leaving_random_state_alone():
        _total(part, labels, _logits(labels), _targets(labels))


def moves_to_a_device_whole(part: Loss, given: Given) -> None:
    labels = labels_of(given)
    modules.moves_with_its_tensors(part.build(labels, _counts(labels)))


CHECKS = {
    "loss": (
        gives_finite_terms_and_gradients,
        is_finite_at_any_progress,
        lets_unknown_labels_weigh_nothing,
        is_zero_where_nothing_is_known,
        is_smaller_for_better_answers,
        weighs_cases_if_it_says_so,
        adds_up_over_batches_if_it_says_so,
        leaves_the_random_state_alone,
        moves_to_a_device_whole,
    )
}
USED = {"loss": lambda part, given: part.build(labels_of(given), _counts(labels_of(given)))}
