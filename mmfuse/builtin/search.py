"""The weights of a simplex of sources: exhaustive over a lattice for accuracies, convex for the log loss. NumPy;
SciPy for the latter.

An accuracy is a sum over cases of what a hit is worth, so all candidates are tried at once by matrix products. Cases
are taken by who speaks about them, because weights are shared among those (law 3).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np

from mmfuse import Labels, SpecError
from mmfuse.builtin.rules import Bools, Floats, Ints, filled, finite, speaking

MOST = 1_000_000
"""Candidates beyond which a search is refused."""

_CELLS = 1 << 16
"""Numbers of one working array (half a megabyte: it stays in the processor's cache)."""

_EQUAL = 1e-12
"""Objectives this close are equal: sums of the same hits in another order."""

_TINY = float(np.finfo(float).tiny)


class Problem(NamedTuple):
    """What is searched: log-probabilities (-inf: exactly 0); who speaks; what is known of the truth."""

    logs: Floats
    """(sources, views, cases, columns), 0 where a source abstains."""
    speaks: Bools
    """(sources, cases)"""
    targets: Ints
    worth: Floats
    """(cases, labels) what a hit (or the log loss) of the case counts; sums to one over a label's cases."""
    labels: Labels
    share: Floats
    """(labels,) what a label counts; sums to one over those where anything is known."""


def pose(scores: Floats, targets: Ints, labels: Labels, weight: Floats, balanced: bool) -> Problem:
    """The problem of these scores. `balanced`: each class that occurs counts the same within its label."""
    speaks = speaking(scores)
    worth = np.zeros(targets.shape)
    for index in range(len(labels)):
        truth = targets[:, index]
        counted = np.where((truth >= 0) & speaks.any(axis=0), weight, 0.0)
        if balanced:
            of_class = np.bincount(np.maximum(truth, 0), counted, minlength=len(labels[index].classes))
            counted = counted / np.where(of_class > 0, of_class, 1.0)[np.maximum(truth, 0)]
        worth[:, index] = counted / max(counted.sum(), _TINY)
    share = labels.weights * (worth.sum(axis=0) > 0)
    return Problem(filled(scores, speaks), speaks, targets, worth, labels, share / max(share.sum(), _TINY))


def lattice(sources: int, parts: int) -> Ints:
    """(candidates, sources) all ways to share `parts` equal parts among the sources, in lexicographic order."""
    bars = np.array(list(combinations(range(parts + sources - 1), sources - 1)), dtype=np.int64)
    edges = np.pad(bars, ((0, 0), (1, 1)), constant_values=-1)
    edges[:, -1] = parts + sources - 1
    return np.diff(edges, axis=1) - 1


def search(problem: Problem, mix: str, step: float, each_label: bool) -> Floats:
    """(sources, labels) lattice weights that hit most; of equals the candidate nearest to equal weights, then the
    first.

    Raises: SpecError where the lattice has more than a million candidates.
    """
    sources, parts = len(problem.logs), round(1 / step)
    number = comb(parts + sources - 1, sources - 1)
    if number > MOST:
        sizes = range(1, parts)
        fits = max(1, bisect_right(sizes, MOST, key=lambda n: comb(n + sources - 1, sources - 1)))
        raise SpecError(
            f"a simplex of {sources} sources in steps of {step:g} has {number:,} candidates",
            f"at most {MOST:,}",
            f"step = {1 / fits:.2g} or more, fewer sources, or objective = 'log-loss', which needs no grid",
        )
    counts = lattice(sources, parts)
    values = hits(problem, counts, mix)
    distance = ((sources * counts - parts) ** 2).sum(axis=1)
    if not each_label:
        values = np.repeat((values @ problem.share)[:, None], values.shape[1], axis=1)
    best = [np.flatnonzero(value >= value.max() - _EQUAL) for value in values.T]
    return np.stack([counts[rows[np.argmin(distance[rows])]] / parts for rows in best], axis=1)


def hits(problem: Problem, counts: Ints, mix: str) -> Floats:
    """(candidates, labels) summed worth of the cases that each candidate answers rightly; of equal classes the first
    is the answer.
    """
    out = np.zeros((len(counts), len(problem.labels)))
    for sources, cases in _patterns(problem.speaks):
        reduced = counts[:, sources]
        silent = reduced.sum(axis=1) == 0
        reduced = np.where(silent[:, None], 1, reduced)
        reduced //= np.gcd.reduce(reduced, axis=1)[:, None]
        rows, back = np.unique(reduced, axis=0, return_inverse=True)
        weights = rows / rows.sum(axis=1, keepdims=True)
        for index, part in enumerate(problem.labels.slices.values()):
            chosen = cases[problem.worth[cases, index] > 0]
            if len(chosen):
                logs = problem.logs[np.ix_(sources, np.arange(problem.logs.shape[1]), chosen)][..., part]
                found = _label_hits(weights, logs, problem.targets[chosen, index], problem.worth[chosen, index], mix)
                out[:, index] += found[back.reshape(-1)]
    return out


def _patterns(speaks: Bools) -> Iterator[tuple[Ints, Ints]]:
    """(who speaks, about which cases) for each combination of sources that occurs."""
    patterns, member = np.unique(speaks, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        if pattern.any():
            yield np.flatnonzero(pattern), np.flatnonzero(member.reshape(-1) == number)


def _label_hits(weights: Floats, logs: Floats, truth: Ints, worth: Floats, mix: str) -> Floats:
    """(candidates,) worth hit for one label: `logs` (sources, views, n, classes), `weights` (candidates, sources)."""
    logs = np.exp(logs).mean(axis=1, keepdims=True) if mix == "probabilities" else finite(logs)
    views, classes = logs.shape[1], logs.shape[3]
    others = np.array([[k for k in range(classes) if k != t] for t in range(classes)])[truth]
    behind = np.take_along_axis(logs, others[None, None], axis=3) - np.take_along_axis(
        logs, truth[None, None, :, None], axis=3
    )
    behind = np.ascontiguousarray(behind.transpose(0, 1, 3, 2))
    # An equal class of lower index takes the case from the true one.
    needed = np.where(truth > others.T, _TINY, 0.0)
    ahead = _ahead_in_one_view if views == 1 else _ahead_in_mean_of_views
    out = np.empty(len(weights))
    step = max(1, _CELLS // behind[0].size)
    for start in range(0, len(weights), step):
        lead = ahead(weights[start : start + step], behind)
        out[start : start + step] = (lead >= needed).all(axis=1) @ worth
    return out


def _mixed(weights: Floats, blocks: Floats) -> Floats:
    """(candidates, …) mixtures of (sources, …). A matrix product over so few sources is several times slower than
    their sum.
    """
    shape = (-1, *[1] * (blocks.ndim - 1))
    out = weights[:, 0].reshape(shape) * blocks[0]
    term = np.empty_like(out)
    for source in range(1, len(blocks)):
        out += np.multiply(weights[:, source].reshape(shape), blocks[source], out=term)
    return out


def _ahead_in_one_view(weights: Floats, behind: Floats) -> Floats:
    """(candidates, others, n) lead of the truth: no softmax is needed to know which class is first."""
    lag = _mixed(weights, behind[:, 0])
    return np.negative(lag, out=lag)


def _ahead_in_mean_of_views(weights: Floats, behind: Floats) -> Floats:
    """(candidates, others, n) lead of the truth in the mean over views of the probabilities, from log-odds of the
    others to it.
    """
    lead = np.zeros((len(weights), *behind.shape[2:]))
    for view in range(behind.shape[1]):
        odds = _mixed(weights, behind[:, view])
        np.exp(odds, out=odds)
        p_truth = odds.sum(axis=1, keepdims=True)
        np.divide(1.0, np.add(p_truth, 1.0, out=p_truth), out=p_truth)
        np.subtract(1.0, odds, out=odds)
        lead += np.multiply(odds, p_truth, out=odds)
    return lead


# ── log loss ────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Term(NamedTuple):
    """One label's known cases."""

    logs: Floats
    """(sources, views, n, classes)"""
    speaks: Bools
    truth: Ints
    worth: Floats


def least_log_loss(problem: Problem, mix: str, each_label: bool) -> Floats:
    """(sources, labels) weights on the simplex with the least log loss.

    With one view and every source speaking about every case the loss is convex and the minimum is the global one.
    Otherwise (a mean over views of a softmax, weights shared among those who speak) it is the best of several
    descents.
    """
    terms = {}
    for index, part in enumerate(problem.labels.slices.values()):
        rows = np.flatnonzero(problem.worth[:, index] > 0)
        share = 1.0 if each_label else problem.share[index]
        if len(rows) and share > 0:
            block = problem.logs[:, :, rows, part] if mix == "probabilities" else finite(problem.logs[:, :, rows, part])
            terms[index] = _Term(
                block, problem.speaks[:, rows], problem.targets[rows, index], share * problem.worth[rows, index]
            )
    sources = len(problem.logs)
    weights = np.full((sources, len(problem.labels)), 1 / sources)
    if each_label:
        for index, term in terms.items():
            weights[:, index] = _descend([term], sources, mix)
    elif terms:
        weights[:] = _descend(list(terms.values()), sources, mix)[:, None]
    return weights


def _descend(terms: list[_Term], sources: int, mix: str) -> Floats:
    from scipy.optimize import minimize

    if sources == 1:
        return np.ones(1)
    convex = all(term.speaks.all() and (mix == "probabilities" or term.logs.shape[1] == 1) for term in terms)
    corners = np.eye(sources)
    starts = [np.full(sources, 1 / sources)]
    if not convex:
        starts += [0.8 * corner + 0.2 / sources for corner in corners]

    def objective(weights: Floats) -> tuple[float, Floats]:
        return _loss(np.maximum(weights, 0.0), terms, mix)

    simplex = {"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": lambda w: np.ones(sources)}
    found = [*starts, *corners]
    for start in starts:
        result = minimize(
            objective, start, jac=True, method="SLSQP", bounds=[(0, 1)] * sources, constraints=[simplex],
            options={"ftol": 1e-15, "maxiter": 500},
        )  # fmt: skip
        clipped = np.clip(result.x, 0.0, 1.0)
        found.append(clipped / clipped.sum())
    losses = np.array([objective(weights)[0] for weights in found])
    return found[int(np.argmin(np.where(losses <= losses.min() + _EQUAL, -1.0, losses)))]


def _loss(weights: Floats, terms: list[_Term], mix: str) -> tuple[float, Floats]:
    """The log loss and its gradient by the weights, through the sharing among those who speak."""
    of_case = _log_loss_of_logits if mix == "logits" else _log_loss_of_probabilities
    total, gradient = 0.0, np.zeros(len(weights))
    for term in terms:
        mass = weights @ term.speaks
        given = np.where(mass > 0, weights[:, None] * term.speaks, term.speaks)
        shares = given / given.sum(axis=0)
        losses, by_share = of_case(shares, term)
        total += float(term.worth @ losses)
        slope = term.speaks * (by_share - (shares * by_share).sum(axis=0)) / np.where(mass > 0, mass, np.inf)
        gradient += slope @ term.worth
    return total, gradient


def _log_loss_of_logits(shares: Floats, term: _Term) -> tuple[Floats, Floats]:
    """(n,) losses and their (sources, n) gradient by the shares, for the mean over views of the softmax of mixed
    logits.
    """
    mixed = np.einsum("sn,svnk->vnk", shares, term.logs)
    mixed -= mixed.max(axis=2, keepdims=True)
    p = np.exp(mixed)
    p /= p.sum(axis=2, keepdims=True)
    at = term.truth[None, :, None]
    of_truth = np.maximum(np.take_along_axis(p, at, axis=2)[:, :, 0], _TINY)
    part = of_truth / of_truth.sum(axis=0)
    z_truth = np.take_along_axis(term.logs, at[None], axis=3)[..., 0]
    z_mean = np.einsum("vnk,svnk->svn", p, term.logs)
    return -np.log(of_truth.mean(axis=0)), -np.einsum("vn,svn->sn", part, z_truth - z_mean)


def _log_loss_of_probabilities(shares: Floats, term: _Term) -> tuple[Floats, Floats]:
    """The same for a mixture of probabilities."""
    of_truth = np.exp(np.take_along_axis(term.logs, term.truth[None, None, :, None], axis=3)[..., 0]).mean(axis=1)
    mixed = np.maximum((shares * of_truth).sum(axis=0), _TINY)
    return -np.log(mixed), -of_truth / mixed
