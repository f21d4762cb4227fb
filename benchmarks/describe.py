"""How long `mmfuse.describe` takes: of 100,000 rows x 20 columns, and of 120 rows x 3,000 columns.

    python benchmarks/describe.py

Prints the CPU seconds of each, beside what is aimed at: 3 s and 5 s. Reading the file is not among them.
"""

from __future__ import annotations

import time

import numpy as np

import mmfuse

CASES = ((100_000, 20, 3.0), (120, 3_000, 5.0))
WORDS = ("trunk", "upper limb", "lower limb", "head", "not recorded")


def table(rows: int, columns: int) -> mmfuse.Table:
    """Numbers with values below detection and gaps, dates, categories in mixed case, free text, a label."""
    rng = np.random.default_rng(0)
    cells: dict[str, list[str]] = {"id": [f"case {i}" for i in range(rows)]}
    for k in range(columns - 2):
        values = rng.normal(5, 2, rows)
        cells[f"lab {k} {'abcdefghij'[k % 10]}"] = (
            [f"{value:.5f}" for value in values],
            ["NA" if i % 9 == 0 else f"{value:.5f}" for i, value in enumerate(values)],
            ["<0.1" if i % 9 == 0 else f"{value:.5f}" for i, value in enumerate(values)],
            [WORDS[int(abs(value)) % 5].title() if value > 7 else WORDS[int(abs(value)) % 5] for value in values],
            [f"free text {value:.5f} of a report" for value in values],
            [f"{1 + int(abs(value)) % 28:02}.03.{1990 + int(abs(9 * value)) % 30}" for value in values],
        )[k % 6]
    cells["diagnosis"] = rng.choice(["benign", "malignant"], rows).tolist()
    return mmfuse.Table.of(cells)


def main() -> None:
    for rows, columns, aim in CASES:
        given = table(rows, columns)
        began = time.process_time()
        mmfuse.describe(given)
        spent = time.process_time() - began
        print(f"{rows:,} rows x {columns:,} columns: {spent:.2f} s of CPU (aim: {aim:g} s)")


if __name__ == "__main__":
    main()
