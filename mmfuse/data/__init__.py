"""From a table on disk to cases: reading, splits, audit, and the cache that decodes each image once."""
