"""Who is `train`, `valid` and `test`, and who is in which fold. Groups stay whole in both (law 2).

Drawn splits are stratified over all classes of all labels at once, by iterative stratification on groups; they depend
on the seed and on the groups, not on the order of rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.aside import aside, numbered, picked, room
from mmfuse.data.dates import days
from mmfuse.data.table import canonical
from mmfuse.data.words import listed, named
from mmfuse.data.workers import in_chunks
from mmfuse.errors import SpecError, TableError, nearest
from mmfuse.events import Notice, Watch, silent
from mmfuse.labels import Ints, Labels
from mmfuse.seeds import generator

if TYPE_CHECKING:
    from mmfuse.card import SplitSection
    from mmfuse.data.cases import Cases

SPLITS = ("train", "valid", "test")
WORDS = (*SPLITS, "")
"""What a case may be; empty: in no split."""
SYNONYMS = {
    "train": "train", "training": "train", "trn": "train",
    "valid": "valid", "val": "valid", "validation": "valid", "dev": "valid", "development": "valid", "tune": "valid",
    "test": "test", "testing": "test", "tst": "test",
}  # fmt: skip
"""What a split column may say, in any case of letters."""

Names = NDArray[np.str_]
_DTYPE = "<U5"


def assign(cases: Cases, split: SplitSection, watch: Watch = silent) -> Names:
    """(n,) of `train`, `valid`, `test`; "" = in none.

    A `column` decides alone. Else `leave_out` sets its `values` aside as `test`, and the rest is cut by date (`by`) or
    drawn. What was read into words, or left in no split, is told to `watch`.

    Raises: TableError for a missing column, unknown words, a group that straddles two splits, unreadable or missing
    dates; SpecError for fractions above one or `leave_out` without `values`.
    """
    if split.column:
        return _by_column(cases, split.column, watch)
    total = sum(split.fractions.values())
    if total > 1 + 1e-6:
        found = f"fractions sum to {total:g}"
        raise SpecError(
            found, "at most 1; what is left over is in no split", "make one smaller", "card, [split] fractions"
        )
    if split.leave_out:
        return _leaving_out(cases, split, watch)
    if total < 1 - 1e-6:
        watch(
            Notice(f"[split] fractions sum to {total:g}: about {round((1 - total) * len(cases))} cases are in no split")
        )
    return _cut(cases, split, split.fractions, np.arange(len(cases)), watch)


def given_split(split: Any, cases: Cases) -> NDArray[Any]:  # noqa: ANN401  # whatever a caller holds for words
    """Return the (n,) words of a split that a caller gives for `cases`.

    Raises: TableError if it is not one word a case, or names the groups that stand in two splits.
    """
    words = checked_split(split, len(cases))
    refuse_torn_groups(cases.groups, words, f"{cases.table.source}, the split that was given")
    return words


def checked_split(split: Any, n: int | None = None) -> NDArray[Any]:  # noqa: ANN401  # whatever a caller holds for words
    """(n,) words of a split, of any length where `n` is None. Raises: TableError if it is not one word a case."""
    split = split if isinstance(split, np.ndarray) else np.asarray(split, dtype=object)
    if split.ndim != 1 or n not in (None, len(split)):
        raise TableError(f"a split of shape {split.shape}", f"({'cases' if n is None else n},): one word a case")
    odd = sorted({repr(word) for part in in_chunks(len(split)) for word in split[part].tolist() if word not in WORDS})
    if odd:
        raise TableError(f"a split with the words {', '.join(odd)}", "train, valid, test, or '' for none")
    return aside(split.astype(np.str_, copy=False))


def labelled_only(cases: Cases, names: NDArray[Any], split: SplitSection, watch: Watch = silent) -> NDArray[Any]:
    """The split with only the share `split.labelled` of its `train` cases, groups whole, every class's share kept; the
    others are in none. `valid` and `test` stay, so that figures of several shares are of the same cases."""
    if split.labelled == 1:
        return names
    train = np.flatnonzero(names == "train")
    groups, member = numbered(picked(cases.groups, train))
    counts, sizes = _group_counts(member, len(groups), picked(cases.targets, train), cases.labels)
    desired = np.array([split.labelled, 1 - split.labelled])
    kept = _stratify(counts, sizes, desired, generator(split.seed, "labelled"))[member] == 0
    left = names.copy()
    left[train[~kept]] = ""
    watch(Notice(f"[split] labelled = {split.labelled:g}: {kept.sum()} of {len(train)} `train` cases are learnt from"))
    return left


def fold_numbers(groups: Names, targets: Ints, labels: Labels, k: int, seed: int) -> NDArray[np.int64]:
    """(n,) fold of each case, 0..k-1: groups whole, every class spread evenly, folds of even size.

    `targets` (n, labels), -1 unknown. Deterministic by seed. Iterative stratification (Sechidis, Tsoumakas, Vlahavas
    2011, algorithm 1) with groups in the place of examples, those with most cases of a class first.

    Raises: TableError where there are fewer groups than folds.
    """
    names, member = numbered(groups)
    if len(names) < k:
        mend = f"set `folds` to {max(len(names), 2)} or fewer, or train on more cases"
        raise TableError(f"{len(names)} groups for {k} folds", "a group or more a fold", mend, "[training] folds")
    counts, sizes = _group_counts(member, len(names), targets, labels)
    rng = generator(seed, "folds", k)
    return picked(_stratify(counts, sizes, np.full(k, 1 / k), rng, large_first=True), member)


# ── by what the table says ────────────────────────────────────────────────────────────────────────────────────────────


def _by_column(cases: Cases, column: str, watch: Watch) -> Names:
    words = cases.table[column]
    where = f"{cases.table.source}, column {column}"
    meaning = {word: SYNONYMS.get(word.lower(), "") for word in set(words) if word is not None}
    unknown = Counter(word for word in words if word is not None and not meaning[word])
    if unknown:
        mend = f"write one of {', '.join(SPLITS)}; an empty cell is in none"
        raise TableError(f"{unknown.total()} cells name no split: {listed(unknown)}", ", ".join(SPLITS), mend, where)
    for word, name in sorted(meaning.items()):
        if word.lower() != name:
            watch(Notice(f"{where}: '{word}' is read as '{name}'"))
    empty = sum(word is None for word in words)
    if empty:
        watch(Notice(f"{where}: {empty} cases are in no split"))
    split = np.array(["" if word is None else meaning[word] for word in words], dtype=_DTYPE)
    refuse_torn_groups(cases.groups, split, where)
    return split


def refuse_torn_groups(groups: Names, split: Names, where: str) -> None:
    """Raises: TableError naming groups that stand in more than one split; `where` is what the split comes from."""
    torn = straddling(groups, split)
    if torn:
        shown = "; ".join(f"'{group}' in {' and '.join(names)}" for group, names in list(torn.items())[:5])
        mend = "move each group into one split, or name another `group`"
        found = f"{len(torn)} groups straddle two splits: {shown}{'; …' if len(torn) > 5 else ''}"
        raise TableError(found, "every group whole in one split", mend, where)


def straddling(groups: Names, split: Names) -> dict[str, tuple[str, ...]]:
    """{group: its splits} of the groups that stand in more than one."""
    words, which = numbered(groups)
    stands = np.stack([np.bincount(which[split == name], minlength=len(words)) > 0 for name in SPLITS])
    first = np.zeros(len(words), dtype=np.int64)
    first[which[::-1]] = np.arange(len(which))[::-1]  # of several places the last that is written stays
    torn = sorted(np.flatnonzero(stands.sum(axis=0) > 1).tolist(), key=first.__getitem__)
    return {
        str(words[group]): tuple(name for name, here in zip(SPLITS, stands[:, group], strict=True) if here)
        for group in torn
    }


def _leaving_out(cases: Cases, split: SplitSection, watch: Watch) -> Names:
    column = split.leave_out
    where = f"{cases.table.source}, column {column}"
    if not split.values:
        raise SpecError(
            "`leave_out` without `values`",
            "the values that become `test`",
            f"values = [a value of {column}]",
            "card, [split]",
        )
    decimal = cases.table.decimal
    words = [None if word is None else canonical(word, decimal) for word in cases.table[column]]
    known = {word for word in words if word is not None}
    wanted = {canonical(value): value for value in split.values}
    strange = [value for form, value in wanted.items() if form not in known]
    if strange:
        raise TableError(f"no case has {named(strange)}", "values that occur", nearest(strange[0], known), where)
    out = np.array([word in wanted for word in words])
    if any(word is None for word in words):
        watch(Notice(f"{where}: {sum(word is None for word in words)} empty cells count as not left out"))
    touched = np.isin(cases.groups, np.unique(cases.groups[out])) & ~out
    if touched.any():
        text = f"{where}: {touched.sum()} cases share a group with a left-out case; they are in no split"
        watch(Notice(text, "warning"))
    fractions: dict[str, float] = {name: share for name, share in split.fractions.items() if name != "test"}
    fractions = fractions or {"train": 1.0}
    total = sum(fractions.values())
    rest = np.flatnonzero(~out & ~touched)
    names = np.full(len(cases), "", dtype=_DTYPE)
    names[out] = "test"
    if len(rest):
        shares = {name: share / total for name, share in fractions.items()}
        names[rest] = _cut(cases, split, shares, rest, watch)
    return names


# ── drawn ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _cut(cases: Cases, split: SplitSection, fractions: Mapping[Any, float], index: Ints, watch: Watch) -> Names:
    """(len(index),) splits of the cases at `index`, by date or drawn."""
    shares = [(name, fractions[name]) for name in SPLITS if name in fractions]
    names = np.array([name for name, _ in shares] + [""], dtype=_DTYPE)
    desired = np.array([share for _, share in shares])
    desired = np.append(desired, max(0.0, 1 - desired.sum()))
    if desired[-1] < 1e-6:
        names, desired = names[:-1], desired[:-1]
    groups, member = numbered(picked(cases.groups, index))
    rng = generator(split.seed, "split")
    if split.by:
        return picked(names[_by_date(cases, split.by, index, member, len(groups), desired, rng, watch)], member)
    counts, sizes = _group_counts(
        member, len(groups), picked(cases.targets, index), cases.labels if split.stratify else Labels(())
    )
    return picked(names[_stratify(counts, sizes, desired, rng)], member)


def _by_date(
    cases: Cases,
    column: str,
    index: Ints,
    member: Ints,
    groups: int,
    desired: NDArray,
    rng: np.random.Generator,
    watch: Watch,
) -> Ints:
    """(groups,) subset of each, by its latest date; those of one date in random order."""
    where = f"{cases.table.source}, column {column}"
    dates, form = days(cases.table[column][index], where)
    watch(Notice(f"{where}: dates are read as {form}"))
    latest = np.full(groups, -np.inf)
    dated = ~np.isnan(dates)
    np.maximum.at(latest, member[dated], dates[dated])
    undated = np.flatnonzero(np.isinf(latest)[member])
    if len(undated):
        rows = named(cases.table.rows[index[undated]])
        mend = "date them, or drop these rows"
        raise TableError(f"no date for any case of the group in rows {rows}", "a date in every group", mend, where)
    sizes = np.bincount(member, minlength=groups)
    order = np.lexsort((rng.permutation(groups), latest))
    middle = np.cumsum(sizes[order]) - sizes[order] / 2
    out = np.empty(groups, dtype=np.int64)
    out[order] = np.searchsorted(np.cumsum(desired)[:-1] * sizes.sum(), middle)
    return out


def _group_counts(member: Ints, groups: int, targets: Ints, labels: Labels) -> tuple[NDArray[np.int32], Ints]:
    """(groups, columns) cases of each class and (groups,) cases."""
    counts = room((groups, labels.columns), np.int32)
    for some in in_chunks(len(member)):
        for i, part in enumerate(labels.slices.values()):
            known = targets[some, i] >= 0
            np.add.at(counts, (member[some][known], part.start + targets[some, i][known]), 1)
    return counts, np.bincount(member, minlength=groups)


def _stratify(
    counts: NDArray[np.int32], sizes: Ints, desired: NDArray, rng: np.random.Generator, large_first: bool = False
) -> NDArray[np.int64]:
    """(groups,) subset of each: the rarest class first, each group to the subset that still wants most cases of it.

    `desired` (subsets,) shares. `large_first` packs evenly, but gives large groups to large subsets: for equal shares.
    """
    groups = len(sizes)
    want = (desired[:, None] * counts.sum(axis=0)).tolist()
    room = (desired * sizes.sum()).tolist()
    rank = rng.permutation(groups)
    luck = rng.permutation(len(desired)).tolist()
    out = np.full(groups, -1, dtype=np.int64)
    left = counts.sum(axis=0).astype(np.int64)
    subsets = range(len(desired))
    while True:
        open_columns = np.flatnonzero(left > 0)
        column = int(open_columns[np.argmin(left[open_columns])]) if len(open_columns) else -1
        weight = counts[:, column] if column >= 0 else sizes
        mine = np.flatnonzero((out < 0) & ((weight > 0) if column >= 0 else True))
        mine = mine[np.lexsort((rank[mine], -weight[mine]) if large_first else (rank[mine],))]
        for group, cells in _with_cells(counts, mine):
            if column >= 0:
                best = max(subsets, key=lambda s: (round(want[s][column], 9), round(room[s], 9), luck[s]))
            else:
                best = max(subsets, key=lambda s: (round(room[s], 9), luck[s]))
            out[group] = best
            room[best] -= sizes[group]
            for cell, count in cells:
                want[best][cell] -= count
        if column < 0:
            return out
        left -= counts[mine].sum(axis=0)


def _with_cells(counts: NDArray[np.int32], index: Ints) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Each group at `index` with the columns that it has cases of, and how many."""
    for part in in_chunks(len(index)):
        some = counts[index[part]]
        rows, columns = np.nonzero(some)
        ends = np.searchsorted(rows, np.arange(len(some) + 1)).tolist()
        cells = list(zip(columns.tolist(), some[rows, columns].tolist(), strict=True))
        for i, group in enumerate(index[part].tolist()):
            yield group, cells[ends[i] : ends[i + 1]]
