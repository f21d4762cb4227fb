"""Slope and intercept of calibration for one probability a case, for many replicates of weights at once.

Replicates lie near one another: all are first solved from moments around the solution for equal weights, which are one
matrix product, and then by Newton's method on the cases themselves until they stand.
"""

from __future__ import annotations

import math

import numpy as np

from mmfuse.labels import Floats
from mmfuse.metrics.basis import CELLS, average

SMALLEST = 1e-12
"""Probabilities below it count as it in logarithms, so that one wrong certainty does not make a figure infinite."""

_ROUNDS = 60
_LARGEST_STEP = 2.0
_NEAR = 1e-4
"""Newton's method squares the distance: a step of this size ends within about 1e-8 of the root."""

_ORDER_OF_SHIFT = 12
"""Of the Taylor series for an intercept; the logistic's converges within pi, so up to 0.5 off it errs by 1e-10."""

_ORDER_OF_LINE = 4


def logit(chance: Floats) -> Floats:
    """ln(q / (1 - q)) of probabilities, kept 1e-12 away from 0 and 1."""
    chance = np.clip(chance, SMALLEST, 1 - SMALLEST)
    return np.log(chance) - np.log1p(-chance)


def _expit(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def _derivatives(chance: Floats, order: int) -> list[Floats]:
    """The logistic function and its derivatives up to `order`, from its values: d/dx q = q - q^2."""
    polynomial, out = np.polynomial.Polynomial([0.0, 1.0]), []
    for _ in range(order + 1):
        out.append(polynomial(chance))
        polynomial = polynomial.deriv() * np.polynomial.Polynomial([0.0, 1.0, -1.0])
    return out


# ── slope ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def slope(chance: Floats, came: Floats, weight: Floats) -> Floats:
    """`chance` (n,) in [0, 1], `came` (n,) 0 or 1, `weight` (replicates, n) → (replicates,)."""
    out = np.full(len(weight), np.nan)
    x = logit(chance)
    if not len(x) or x.std() < 1e-9 or _separated(x, came):
        return out
    unit = x.std()
    x = (x - x.mean()) / unit
    whole = _newton(x, came, np.ones((1, len(x))), np.zeros((1, 2)))
    if np.isnan(whole).any():
        whole[:] = 0.0
    begin = whole + _guess(x, came, weight, whole[0])
    step = max(1, CELLS // len(x))
    for start in range(0, len(weight), step):
        block = slice(start, start + step)
        out[block] = _newton(x, came, weight[block], begin[block])[:, 1] / unit
    return out


def _separated(x: Floats, came: Floats) -> bool:
    """Whether a threshold tells the outcomes apart, or one of them is absent."""
    true, false = x[came > 0], x[came == 0]
    return not len(true) or not len(false) or true.min() >= false.max() or true.max() <= false.min()


def _guess(x: Floats, came: Floats, weight: Floats, centre: Floats) -> Floats:
    """(replicates, 2) about how far each replicate's intercept and slope lie from `centre`; 0 where that is far.

    The gradient of the likelihood as a polynomial in both, by its moments there.
    """
    fitted = _derivatives(_expit(centre[0] + centre[1] * x), _ORDER_OF_LINE)
    pull = weight @ np.stack([came - fitted[0], (came - fitted[0]) * x], axis=1)
    moments = [
        weight @ np.stack([fitted[k] * x**q for q in range(k + 2)], axis=1) / math.factorial(k)
        for k in range(1, _ORDER_OF_LINE + 1)
    ]
    move = np.zeros_like(pull)
    for _ in range(3):
        rest, bend = pull.copy(), np.zeros((len(pull), 3))
        first, second = _powers(move[:, 0], _ORDER_OF_LINE), _powers(move[:, 1], _ORDER_OF_LINE)
        for k, moment in enumerate(moments, 1):
            for m in range(k + 1):
                share = math.comb(k, m) * first[:, k - m] * second[:, m]
                rest -= share[:, None] * moment[:, m : m + 2]
            for m in range(k):
                share = k * math.comb(k - 1, m) * first[:, k - 1 - m] * second[:, m]
                bend += share[:, None] * moment[:, m : m + 3]
        with np.errstate(all="ignore"):
            move = move + _solved(bend, rest)
        move = np.where((np.abs(move) < 1).all(axis=1, keepdims=True), move, 0.0)
    return move


def _powers(values: Floats, order: int) -> Floats:
    """(n,) → (n, order + 1): the powers from 0 on."""
    return np.cumprod(  # type: ignore[return-value]
        np.column_stack([np.ones(len(values)), *[values] * order]), axis=1
    )


def _solved(bend: Floats, pull: Floats) -> Floats:
    """(r, 2) solutions of [[a, b], [b, c]] move = pull, from (r, 3) a, b, c."""
    a, b, c = bend.T
    above = np.stack([c * pull[:, 0] - b * pull[:, 1], a * pull[:, 1] - b * pull[:, 0]], axis=1)
    return above / (a * c - b * b)[:, None]


def _newton(x: Floats, came: Floats, weight: Floats, begin: Floats) -> Floats:
    """(replicates, 2) intercept and slope; NaN where it does not settle, as where a resample is separated."""
    terms = np.stack([np.ones_like(x), x, x * x], axis=1)
    out, now, open_ = np.full_like(begin, np.nan), begin.copy(), np.arange(len(begin))
    mass = weight.sum(axis=1)
    for _ in range(_ROUNDS):
        w = weight if len(open_) == len(weight) else weight[open_]
        fitted = now[open_] @ -terms[:, :2].T
        with np.errstate(over="ignore"):
            np.exp(fitted, out=fitted)
        fitted += 1
        np.reciprocal(fitted, out=fitted)
        slack = came - fitted
        slack *= w
        fitted *= 1 - fitted
        fitted *= w
        bend = fitted @ terms
        firm = bend[:, 0] * bend[:, 2] - bend[:, 1] ** 2 > 1e-10 * mass[open_] ** 2
        bend[~firm] = (1.0, 0.0, 1.0)
        move = _solved(bend, slack @ terms[:, :2])
        size = np.abs(move).max(axis=1)
        move *= np.minimum(1.0, _LARGEST_STEP / np.maximum(size, 1e-300))[:, None]
        now[open_] += move
        settled = firm & (size < _NEAR)
        out[open_[settled]] = now[open_[settled]]
        open_ = open_[firm & ~settled]
        if not len(open_):
            break
    return out


# ── intercept ───────────────────────────────────────────────────────────────────────────────────────────────────────


def intercept(chance: Floats, came: Floats, weight: Floats) -> Floats:
    """`chance` (n,) in [0, 1], `came` (n,) 0 or 1, `weight` (replicates, n) → (replicates,)."""
    out = np.full(len(weight), np.nan)
    x = logit(chance)
    rate = average(came, weight) if len(x) else out
    defined = np.flatnonzero((rate > 0) & (rate < 1))
    if not len(defined):
        return out
    centre = float(_shift(x, np.array([np.median(rate[defined])]), np.ones((1, len(x))))[0])
    out[defined] = centre + _near_shift(x + centre, rate[defined], weight[defined])
    far = np.flatnonzero((rate > 0) & (rate < 1) & ~(np.abs(out - centre) < 0.5))
    step = max(1, CELLS // len(x))
    for start in range(0, len(far), step):
        block = far[start : start + step]
        out[block] = _shift(x, rate[block], weight[block])
    return out


def _near_shift(x: Floats, rate: Floats, weight: Floats) -> Floats:
    """(replicates,) what is added to `x` so that the mean probability is `rate`, by a Taylor series; good up to 0.5."""
    moments = np.zeros((len(weight), _ORDER_OF_SHIFT + 1))
    for start in range(0, len(x), CELLS):
        some = slice(start, start + CELLS)
        moments += weight[:, some] @ np.stack(_derivatives(_expit(x[some]), _ORDER_OF_SHIFT), axis=1)
    moments /= weight.sum(axis=1, keepdims=True)
    scale = np.array([math.factorial(k) for k in range(_ORDER_OF_SHIFT + 1)], dtype=float)
    series, move = moments / scale, np.zeros(len(rate))
    bend = series[:, 1:] * np.arange(1, _ORDER_OF_SHIFT + 1)
    for _ in range(6):
        powers = _powers(move, _ORDER_OF_SHIFT)
        level, steep = np.einsum("rk,rk->r", series, powers), np.einsum("rk,rk->r", bend, powers[:, :-1])
        with np.errstate(all="ignore"):
            move = np.clip(move + (rate - level) / steep, -0.6, 0.6)
    return move


def _shift(x: Floats, rate: Floats, weight: Floats) -> Floats:
    """The same without bound: Newton's method on the logit of the mean probability, which is nearly linear in what is
    added, kept between bounds that enclose the root.
    """
    total, wanted = weight.sum(axis=1), logit(rate)
    low, high, odds = wanted - x.max(), wanted - x.min(), np.exp(-x)
    now = np.clip(wanted - logit(_expit(x).mean()), low, high)
    for _ in range(_ROUNDS):
        fitted = np.multiply.outer(np.exp(-now), odds)
        fitted += 1
        np.reciprocal(fitted, out=fitted)
        level = np.einsum("rn,rn->r", weight, fitted) / total
        bend = np.einsum("rn,rn->r", weight, fitted * (1 - fitted)) / total / np.maximum(level * (1 - level), 1e-300)
        gap = wanted - logit(level)
        low, high = np.where(gap > 0, now, low), np.where(gap < 0, now, high)
        tried = now + gap / np.maximum(bend, 1e-300)
        tried = np.where((tried >= low) & (tried <= high), tried, (low + high) / 2)
        moved, now = np.abs(tried - now).max(), tried
        if moved < 1e-9:
            break
    return now
