"""The NumPy side: scores of sources → decisions and second stages, honestly fitted. Never meets `net`.

`scores` (the table that crosses) → `stages` (all decisions in order) → `folding` (who speaks about whom) → `rules` (a
decision) or `second` (a second stage: `inputs`, `calibration`).
"""
