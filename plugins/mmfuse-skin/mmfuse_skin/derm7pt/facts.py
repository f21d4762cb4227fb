"""What the official release of derm7pt holds: groupings of its words, split sizes and every count, by name.

Kept apart from the adapter, which compares a folder with it. Source: the release's own tables (Kawahara et al.,
IEEE JBHI 23(2), 2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

SPLITS = ("train", "valid", "test")


class Criterion(NamedTuple):
    """One label: its classes, the raw words each is made of, and how often they occur."""

    column: str
    positive: str
    classes: Mapping[str, Mapping[str, int]]
    """class → {raw word: rows of the release}."""
    counts: Mapping[str, tuple[int, int, int]]
    """class → rows in train, valid, test."""
    points: Mapping[str, int]
    """class → its points in the seven-point score; classes without points are left out."""

    @property
    def regrouped(self) -> bool:
        """Whether any class has another name than its raw word."""
        return any(list(words) != [name] for name, words in self.classes.items())


CRITERIA = (
    Criterion(
        "diagnosis",
        "melanoma",
        {
            "bcc": {"basal cell carcinoma": 42},
            "nevus": {
                "blue nevus": 28, "clark nevus": 399, "combined nevus": 13, "congenital nevus": 17, "dermal nevus": 33,
                "recurrent nevus": 6, "reed or spitz nevus": 79,
            },
            "melanoma": {
                "melanoma": 1, "melanoma (in situ)": 64, "melanoma (less than 0.76 mm)": 102,
                "melanoma (0.76 to 1.5 mm)": 53, "melanoma (more than 1.5 mm)": 28, "melanoma metastasis": 4,
            },
            "misc": {"dermatofibroma": 20, "lentigo": 24, "melanosis": 16, "miscellaneous": 8, "vascular lesion": 29},
            "sk": {"seborrheic keratosis": 45},
        },
        {"bcc": (19, 7, 16), "nevus": (256, 100, 219), "melanoma": (90, 61, 101), "misc": (32, 25, 40),
         "sk": (16, 10, 19)},
        {},
    ),
    Criterion(
        "pigment_network",
        "atypical",
        {"absent": {"absent": 400}, "typical": {"typical": 381}, "atypical": {"atypical": 230}},
        {"absent": (160, 84, 156), "typical": (160, 75, 146), "atypical": (93, 44, 93)},
        {"atypical": 2},
    ),
    Criterion(
        "blue_whitish_veil",
        "present",
        {"absent": {"absent": 816}, "present": {"present": 195}},
        {"absent": (339, 157, 320), "present": (74, 46, 75)},
        {"present": 2},
    ),
    Criterion(
        "vascular_structures",
        "irregular",
        {
            "absent": {"absent": 823},
            "regular": {"arborizing": 31, "comma": 23, "hairpin": 15, "within regression": 46, "wreath": 2},
            "irregular": {"dotted": 53, "linear irregular": 18},
        },
        {"absent": (347, 163, 313), "regular": (43, 22, 52), "irregular": (23, 18, 30)},
        {"irregular": 2},
    ),
    Criterion(
        "pigmentation",
        "irregular",
        {
            "absent": {"absent": 588},
            "regular": {"diffuse regular": 115, "localized regular": 3},
            "irregular": {"diffuse irregular": 265, "localized irregular": 40},
        },
        {"absent": (253, 112, 223), "regular": (44, 26, 48), "irregular": (116, 65, 124)},
        {"irregular": 1},
    ),
    Criterion(
        "streaks",
        "irregular",
        {"absent": {"absent": 653}, "regular": {"regular": 107}, "irregular": {"irregular": 251}},
        {"absent": (273, 123, 257), "regular": (39, 24, 44), "irregular": (101, 56, 94)},
        {"irregular": 1},
    ),
    Criterion(
        "dots_and_globules",
        "irregular",
        {"absent": {"absent": 229}, "regular": {"regular": 334}, "irregular": {"irregular": 448}},
        {"absent": (84, 45, 100), "regular": (156, 60, 118), "irregular": (173, 98, 177)},
        {"irregular": 1},
    ),
    Criterion(
        "regression_structures",
        "present",
        {"absent": {"absent": 758}, "present": {"blue areas": 116, "white areas": 38, "combinations": 99}},
        {"absent": (317, 152, 289), "present": (96, 51, 106)},
        {"present": 1},
    ),
)  # fmt: skip
"""The eight labels, in the official order: diagnosis, then the seven-point checklist."""

METADATA: Mapping[str, Mapping[str, int]] = {
    "level_of_diagnostic_difficulty": {"low": 385, "medium": 372, "high": 254},
    "elevation": {"flat": 448, "palpable": 440, "nodular": 123},
    "location": {
        "back": 281, "lower limbs": 200, "abdomen": 125, "upper limbs": 122, "chest": 100, "head neck": 92, "acral": 62,
        "buttocks": 21, "genital areas": 8,
    },
    "sex": {"female": 522, "male": 489},
    "management": {"excision": 605, "clinical follow up": 296, "no further examination": 110},
}  # fmt: skip
"""Column → {word: rows of the release}. None is ever empty."""

COLUMNS = (
    "case_num", "diagnosis", "seven_point_score", "pigment_network", "streaks", "pigmentation", "regression_structures",
    "dots_and_globules", "blue_whitish_veil", "vascular_structures", "level_of_diagnostic_difficulty", "elevation",
    "location", "sex", "management", "clinic", "derm", "case_id", "notes",
)  # fmt: skip
"""The columns of meta.csv."""

RUNS: Mapping[str, tuple[int, ...]] = {"train": (96, 105, 106, 106), "valid": (100, 103), "test": (103, 102, 96, 94)}
"""Each index list is a chain of sorted runs: the ten folds of the authors. They sum to the split's size."""

ROWS = 1011
IMAGES = 2013
"""Different image files named by meta.csv."""
MISSING_CLINICAL: Mapping[str, int] = {"train": 2, "valid": 5, "test": 2}
"""Rows whose clinical image is the dermoscopic one put in its place."""
FIRST_HALF = 206
"""Half `a` is the first so many of the train list, in file order; `b` the rest (FusionM4Net, Tang et al. 2022)."""
BORDER = 25
"""Width in pixels of the black border that the release's own loader crops."""
