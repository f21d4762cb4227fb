"""k-means of unit vectors: k-means++ starts, repair of empty clusters, nearest or balanced assignment.

Plain functions of tensors. Only the starts are drawn, from a generator on the CPU; the rest is decided by the vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

STARTS = 8
"""Of which the best is kept, where nothing is known yet."""
ROUNDS = 100
"""Of Sinkhorn's iteration, at most."""
EVEN = 1e-3
"""How near to equal shares it goes."""


def clustered(
    vectors: Tensor, k: int, previous: Tensor | None, generator: torch.Generator, iterations: int, epsilon: float = 0.0
) -> Tensor:
    """(n,) cluster numbers in 0..k-1 of (n, width) unit vectors, none of them empty; n is k or more.

    Starts from the centres of `previous` (n,), so that numbers stay; None: the best of several k-means++ starts, by
    the mean cosine to the own centre. With `epsilon` above 0 all clusters take equally many.
    """
    if previous is not None:
        return settled(vectors, means(vectors, previous, k), iterations, epsilon)
    made = [settled(vectors, plus_plus(vectors, k, generator), iterations, epsilon) for _ in range(STARTS)]
    return max(made, key=lambda assigned: float((means(vectors, assigned, k)[assigned] * vectors).sum()))


def settled(vectors: Tensor, centres: Tensor, iterations: int, epsilon: float) -> Tensor:
    """(n,) cluster numbers after k-means from these centres (k, width)."""
    assigned = torch.full((len(vectors),), -1, device=vectors.device)
    for _ in range(iterations):
        alike = vectors @ centres.T
        new = repaired(vectors, alike, balanced(alike, epsilon) if epsilon else alike.argmax(dim=1))
        if torch.equal(new, assigned):
            break
        assigned, centres = new, means(vectors, new, len(centres))
    return assigned


def plus_plus(vectors: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """(k, width) starts: each a case drawn with a chance in proportion to its squared distance from those before.

    Arthur, Vassilvitskii, "k-means++", SODA 2007; of unit vectors that distance is 2 - 2 cos.
    """
    chances = torch.ones(len(vectors), dtype=torch.float64)
    chosen: list[int] = []
    for _ in range(k):
        chances = chances if float(chances.sum()) > 0 else torch.ones_like(chances)
        chosen.append(int(torch.multinomial(chances, 1, generator=generator)))
        near = (1 - vectors @ vectors[chosen].T).min(dim=1).values.double().cpu().clamp(min=0)
        chances = torch.where(near < 1e-6, 0.0, near)  # rounding must not draw a case twice
    return vectors[chosen]


def means(vectors: Tensor, assigned: Tensor, k: int) -> Tensor:
    """(k, width) centres: the mean of each cluster's vectors, on the unit sphere; zero where it has none."""
    # A product, not an index_add: it gives the same bits again on a GPU.
    member = functional.one_hot(assigned, k).to(vectors.dtype)
    return functional.normalize(member.T @ vectors, dim=1)


def repaired(vectors: Tensor, alike: Tensor, assigned: Tensor) -> Tensor:
    """`assigned` (n,) with every empty cluster given the case that is least like its own centre, of a cluster with
    cases to spare; and least like the cases that were moved before it, so that they do not move together.

    `alike` (n, k) are cosines of cases and centres.
    """
    k = alike.shape[1]
    sizes = torch.bincount(assigned, minlength=k)
    empty = (sizes == 0).nonzero()[:, 0].tolist()
    if not empty:
        return assigned
    assigned, own = assigned.clone(), alike.gather(1, assigned[:, None])[:, 0]
    for cluster in empty:
        case = own.masked_fill(sizes[assigned] < 2, torch.inf).argmin()
        sizes[assigned[case]] -= 1
        assigned[case], sizes[cluster] = cluster, 1
        own = torch.maximum(own, vectors @ vectors[case])
    return assigned


def balanced(alike: Tensor, epsilon: float) -> Tensor:
    """(n,) the assignment in which no cluster takes more than n / k cases, rounded up.

    Sinkhorn's iteration (Cuturi, NIPS 2013) makes exp(alike / epsilon) a matrix of equal shares for all clusters; then
    each case takes the best cluster that has room, the surest first.
    """
    n, k = alike.shape
    log_q = alike.double() / epsilon
    for _ in range(ROUNDS):
        log_q = log_q - log_q.logsumexp(dim=0)
        log_q = log_q - log_q.logsumexp(dim=1, keepdim=True)
        if (log_q.exp().mean(dim=0) * k - 1).abs().max() < EVEN:
            break
    room = torch.full((k,), -(-n // k)).tolist()
    assigned = torch.full((n,), -1, device=alike.device)
    open_to = log_q.clone()
    while (waiting := (assigned < 0).nonzero()[:, 0]).numel():
        value, wish = open_to[waiting].max(dim=1)
        for cluster in wish.unique().tolist():
            mine = waiting[wish == cluster]
            first = mine[value[wish == cluster].argsort(descending=True, stable=True)][: room[cluster]]
            assigned[first] = cluster
            room[cluster] -= len(first)
            if not room[cluster]:
                open_to[:, cluster] = -torch.inf
    return assigned
