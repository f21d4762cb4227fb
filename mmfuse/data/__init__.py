"""From a table on disk to cases: reading, splits, audit, and the cache that decodes each image once.

To be read in the order data flows:

* the table: `reading` (CSV, Parquet, xlsx → text) with `words` and `dates`; `table` (the door);
* the cases: `cases` (a table through its card, and the rows a modality may see), `splits`, `folds`;
* their inputs: `contents` (files by content) → `cache` on `disk` → `inputs` (blocks), by `workers`;
* what a user should know: `describe` (drafts a card: `profile`, `drafting`), `audit` (`findings`, `leaks`, `pictures`).
"""
