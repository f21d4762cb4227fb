"""How much each case counts in the network's loss: the card's column of case weights, read and refused by row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmfuse.data.cases import Cases
from mmfuse.data.words import named
from mmfuse.errors import Faults, TableError, nearest


def case_weights(cases: Cases) -> NDArray[np.float64]:
    """(n,) numbers ≥ 0, 1 where the cell is empty, the card names no column, or labels are not looked at.

    Raises: TableError if there is no such column, a modality reads it too, or cells hold no numbers ≥ 0, naming rows.
    """
    column, table = cases.card.cases.weight, cases.table
    if not column or not cases.labelled:
        return np.broadcast_to(np.ones(1), len(cases))
    if column not in table:
        found = f"no column '{column}', the case weights that the card names in [cases]"
        raise TableError(found, "a column of that name", nearest(column, table.names), table.source)
    faults, given = Faults(), table.numbers(column)
    for name, modality in cases.card.modalities.items():
        if column in modality.columns:
            found = f"modality '{name}' reads the case weights, in which labels may be hidden"
            faults.add(f"modalities.{name}", found, "an input of its own", f"leave '{column}' out of its columns")
    negative = np.flatnonzero(given < 0)
    if len(negative):
        found = f"negative weights in rows {named(table.rows[negative])}"
        faults.add(f"{table.source}, column {column}", found, "numbers ≥ 0", "0 leaves a case out of the loss")
    faults.raise_as(TableError)
    return np.where(np.isnan(given), 1.0, given)
