"""Blocks: one modality of n cases, as rows that are fetched when they are asked for; and keys of their content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.aside import Index, positions, room
from mmfuse.data.cache import DamagedRowsError, Store
from mmfuse.data.contents import content_key
from mmfuse.labels import Ints

Array = NDArray[Any]
KEY = "S32"
"""How keys of content are held: 32 bytes a case."""


class Block:
    """One modality of n cases: rows that are fetched when they are asked for."""

    def __init__(
        self,
        shape: Sequence[int],
        dtype: Any,  # noqa: ANN401  # whatever NumPy takes as a dtype
        present: NDArray[np.bool_],
        gather: Callable[[NDArray[np.int64]], Array],
        keys: Callable[[], NDArray[np.bytes_]],
    ) -> None:
        self.shape = tuple(shape)
        """Of one case."""
        self.dtype = np.dtype(dtype)
        self.present = present
        """(n,) which rows are."""
        self.there = present
        """(cases,) whether a case has any row."""
        self._gather, self._keys = gather, keys

    @classmethod
    def memory(cls, array: Array, present: NDArray[np.bool_] | None = None) -> Block:
        """A block of an array (n, *shape) in memory; all are present unless `present` (n,) says otherwise."""
        there = np.ones(len(array), bool) if present is None else np.asarray(present, bool)
        held = room(array.shape, array.dtype)
        held[...] = array
        held[~there] = 0
        return cls(held.shape[1:], held.dtype, there, lambda index: held[index], cache(lambda: _row_keys(held, there)))

    @classmethod
    def stored(
        cls,
        store: Store,
        slots: NDArray[np.int64],
        keys: Callable[[], NDArray[np.bytes_]],
        again: Callable[[Ints], NDArray[np.int64]] | None = None,
    ) -> Block:
        """A block of rows in a store. A slot of -1 is an absent case, whatever its key. `again` makes the rows at these
        positions anew where the disk has changed them, and gives their slots."""
        there = slots >= 0

        def own_keys() -> NDArray[np.bytes_]:
            given = keys()
            own = room(len(given), given.dtype)
            np.copyto(own, given, where=there)
            return own

        def gather(index: NDArray[np.int64]) -> Array:
            try:
                return store.take(slots[index])
            except DamagedRowsError as error:
                if again is None:
                    raise
                bad = np.flatnonzero(np.isin(slots, error.slots))
                slots[bad] = again(bad)
                return store.take(slots[index])

        return cls(store.shape, store.dtype, there, gather, cache(own_keys))

    @property
    def keys(self) -> NDArray[np.bytes_]:
        """(n,) a key of each case's content; empty where it is absent."""
        return self._keys()

    @property
    def of(self) -> Ints:
        """(rows,) the case of each row: itself."""
        return np.arange(len(self))

    def places(self, index: Ints) -> tuple[Ints, Ints | None]:
        """The rows of the cases at `index`; and of each which of these cases it belongs to, ascending (None: one
        each)."""
        return index, None

    def __len__(self) -> int:
        return len(self.present)

    def __repr__(self) -> str:
        return f"Block({len(self)} × {self.shape} {self.dtype}, {int(self.present.sum())} present)"

    def take(self, index: Index) -> Array:
        """(len(index), *shape) of the cases at `index`, contiguous; zeros where absent."""
        return np.ascontiguousarray(self._gather(positions(index, len(self))))


class Sets(Block):
    """One modality of n cases that hold several rows, or none. Their order within a case is that of their content, so
    that it never matters how a table lists them."""

    def __init__(self, rows: Block, of: Ints, cases: int) -> None:
        """`of` (rows,) is the case of each row, ascending; absent rows belong to none."""
        super().__init__(rows.shape, rows.dtype, rows.present, rows._gather, rows._keys)
        here = np.flatnonzero(self.present)
        self._order = here[np.lexsort((self.keys[here], of[here]))]
        self._ends = np.searchsorted(of[self._order], np.arange(cases + 1))
        self._of, self.there = of, np.diff(self._ends) > 0

    @property
    def of(self) -> Ints:
        return self._of

    def places(self, index: Ints) -> tuple[Ints, Ints | None]:
        parts = [self._order[self._ends[case] : self._ends[case + 1]] for case in index.tolist()]
        return np.concatenate([self._order[:0], *parts]), np.repeat(np.arange(len(parts)), [*map(len, parts)])


def _row_keys(held: Array, there: NDArray[np.bool_]) -> NDArray[np.bytes_]:
    about = f"{held.dtype.str} {held.shape[1:]} ".encode()
    keys = np.zeros(len(held), KEY)
    keys[there] = np.fromiter((content_key(about + held[i].tobytes()) for i in np.flatnonzero(there)), KEY)
    return keys
