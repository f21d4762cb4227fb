"""What is known of the official release of ODIR-5K: its columns, its labels, and the eyes that are not like others.

Counts of labels are not among it: two releases differ, so the adapter counts what it reads.
"""

from __future__ import annotations

from collections.abc import Mapping

LABELS: Mapping[str, str] = {
    "N": "normal fundus",
    "D": "diabetic retinopathy",
    "G": "glaucoma",
    "C": "cataract",
    "A": "age-related macular degeneration",
    "H": "hypertensive retinopathy",
    "M": "pathological myopia",
    "O": "other disease or abnormality",
}
"""Label → what it asks; the order of the official files and scores."""
CLASSES = ("no", "yes")
SIDES = ("left", "right")
SEXES = ("female", "male")
COLUMNS = (
    "ID", "Patient Age", "Patient Sex", "Left-Fundus", "Right-Fundus",
    "Left-Diagnostic Keywords", "Right-Diagnostic Keywords", *LABELS,
)  # fmt: skip
"""Of the official training annotations."""
PER_EYE = ("filename", "target")
"""Columns that only the derived per-eye table (`full_df.csv`) has."""
FULL = 3500
"""Patients of the full training release."""
OLDEST = 120
"""Years; an age above it is no age."""

ANTERIOR = "shows the front of the eye, not the fundus"
COPY = "is a turned copy of the other eye's image"
PROCESSED = "was pre-processed otherwise than the rest"
ISSUES: Mapping[str, str] = {
    "1706_left": ANTERIOR,
    "1710_right": ANTERIOR,
    "4580_left": COPY,
    **dict.fromkeys(
        ("2174_right", "2175_left", "2176_left", "2177_left", "2177_right", "2178_right", "2179_left", "2179_right",
         "2180_left", "2180_right", "2181_left", "2181_right", "2182_left", "2182_right", "2957_left", "2957_right"),
        PROCESSED,
    ),
}  # fmt: skip
"""Eye → what is wrong with its image, as the organisers' explanation of the annotations lists them."""
ANTERIOR_KEYWORD = "anterior segment image"
"""The doctors' word for an image of the front of the eye, wherever it stands."""
