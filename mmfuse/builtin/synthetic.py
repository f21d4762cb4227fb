"""The adapter of the embedded cohort: draws it into a folder and says what is in it. What is drawn and how well
anyone can do is in `cohort/`, which is imported when the cohort is drawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from mmfuse import Adapter, Tidy

Rate = Annotated[float, Field(ge=0, le=0.5)]


class Synthetic(Adapter):
    """A drawn cohort with a known answer: lesions from afar and close up, metadata, five labels, an ideal observer."""

    cases: Annotated[int, Field(ge=1, le=99_999)] = 600
    """Lesions; the first of a longer cohort are those of a shorter one."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Another seed is another cohort of the same nature, and another split."""
    size: Annotated[int, Field(ge=48, le=256)] = 96
    """Side of the pictures in pixels; the same lesions at every size."""
    noise: Annotated[float, Field(ge=0, le=1.6)] = 1.0
    """Multiplies each chance that a picture shows a factor wrongly; 0: every picture tells the truth."""
    absent: Rate = 0.08
    """Chance that the clinical image is absent, and as much that the dermoscopic one is; never both."""
    unknown: Rate = 0.05
    """Chance that a label's cell is empty."""

    def tidy(self, release: Path) -> Tidy:
        """Draws into `release`: `images/`, `truth.csv` (what is true and shown, and the ideal posteriors; never an
        input) and `release.json` (these knobs). The same knobs draw the same bytes again.

        Raises: TableError if the folder holds another release or files that are not of one; nothing is written then.
        """
        from mmfuse.builtin.cohort.model import Model
        from mmfuse.builtin.cohort.release import card, notes, tabulate, write
        from mmfuse.builtin.cohort.sampling import draw

        model = Model(self.noise, self.absent, self.unknown)
        cohort = draw(model, self.cases, self.seed)
        write(Path(release), model, cohort, self.size, self.model_dump())
        return Tidy(tabulate(cohort), card(Path(release), self.size, self.seed), notes(cohort))
