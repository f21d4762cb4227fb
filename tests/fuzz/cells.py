"""Tables whose cells, columns and types are others, written soundly: CSV, Parquet, xlsx."""

import csv
import datetime
import decimal
import io
import math

from mutators import WORDS, spoilt_bytes, spoilt_member, spoilt_text, spoilt_zip

CELLS = [*WORDS, "1e308", "-1e400", "1,5", "1.234,5", "<0.1", "inf", "1_000", "0x10", "NA", "#N/A", "test", "train",
         "a;b;;c", "images/00.png", "../cases.csv", "images", "2020-02-30", "9" * 400, "1\n2", '"', "Yes", "YES ",
         "c00", "\t", "\uff11\uff12", "-"]  # fmt: skip
VALUES = [None, True, 0, -1, 2.5, math.nan, math.inf, 10**15, datetime.datetime(2020, 1, 2), datetime.time(3),
          datetime.date(1, 1, 1), "=1+1", "text", "", "#N/A"]  # fmt: skip


def _changed(rng, rows, values):
    """One to four cells, columns or lines of a table are others."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        line, place, how = rng.randrange(len(rows)), rng.randrange(len(rows[0])), rng.randrange(9)
        if how < 5:
            rows[line][place] = rng.choice(values)
        elif how == 5:
            for row in rows[1:]:
                row[place] = rng.choice(values[:3])
        elif how == 6:
            rows[0][place] = rng.choice(rows[0])
        elif how == 7:
            rows.insert(line, list(rows[line]))
        else:
            for row in rows:
                row.insert(place, row[rng.randrange(len(row))])
    return rows


def csv_of(rng, content):
    if rng.random() < 0.35:
        return spoilt_text(rng, content)
    rows = _changed(rng, list(csv.reader(io.StringIO(content.decode()))), CELLS)
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=rng.choice((",", ",", ";", "\t"))).writerows(rows)
    return buffer.getvalue().encode(rng.choice(("utf-8", "utf-8", "utf-16", "cp1252")), "replace")


def xlsx_of(rng, content):
    from openpyxl import Workbook, load_workbook
    from openpyxl.utils.exceptions import IllegalCharacterError

    if rng.random() < 0.5:
        return spoilt_zip(rng, content, spoilt_member)
    read = load_workbook(io.BytesIO(content)).active
    rows = _changed(rng, [list(row) for row in read.iter_rows(values_only=True)], VALUES)
    book = Workbook()
    for row in rows:
        try:
            book.active.append(row)
        except (IllegalCharacterError, ValueError):
            book.active.append([])
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def parquet_of(rng, content):
    import pyarrow
    from pyarrow import parquet

    if rng.random() < 0.5:
        return spoilt_bytes(rng, content)
    table = parquet.read_table(io.BytesIO(content))
    place = rng.randrange(table.num_columns)
    n = table.num_rows
    many = [
        pyarrow.array([rng.choice((None, 1, 2**40)) for _ in range(n)], pyarrow.int64()),
        pyarrow.array([rng.choice((None, 0.5, math.nan, math.inf)) for _ in range(n)], pyarrow.float32()),
        pyarrow.array([rng.choice((b"m", b"\xff", None)) for _ in range(n)], pyarrow.binary()),
        pyarrow.array([[1, 2]] * n), pyarrow.array([{"a": 1}] * n), pyarrow.nulls(n),
        pyarrow.array([datetime.datetime(2020, 1, 2)] * n), pyarrow.array([datetime.timedelta(3)] * n),
        pyarrow.array([decimal.Decimal("1.50")] * n), pyarrow.array([True, None] * (n // 2) + [False] * (n % 2)),
        pyarrow.array([rng.choice(CELLS) for _ in range(n)]).dictionary_encode(),
        pyarrow.array([rng.choice(CELLS) for _ in range(n)], pyarrow.large_string()),
    ]  # fmt: skip
    changed = table.set_column(place, rng.choice((table.column_names[place], rng.choice(WORDS))), rng.choice(many))
    buffer = io.BytesIO()
    parquet.write_table(changed, buffer)
    return buffer.getvalue()
