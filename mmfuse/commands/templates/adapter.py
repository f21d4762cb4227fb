"""One dataset adapter for mmfuse: a released folder → a table of cases and its card."""

from __future__ import annotations

from pathlib import Path

import mmfuse


class NewPart(mmfuse.Adapter):
    """A folder with `labels.csv` (columns `id` and `diagnosis`) and one image a case, `images/ID.png`."""

    size: int = 224
    """Height and width at which the images are read."""

    def tidy(self, release: Path) -> mmfuse.Tidy:
        table = mmfuse.read_table(release / "labels.csv")
        files = [f"images/{case}.png" for case in table["id"]]
        absent = [file for file in files if not (release / file).is_file()]
        card = {
            "cases": {"id": "id", "root": "."},  # relative to the release
            "labels": {"diagnosis": sorted({word for word in table["diagnosis"] if word is not None})},
            "modalities": {"photo": {"use": "image", "column": "photo", "size": self.size}},
            "source": {"name": release.name, "licence": "say what its users may do"},
        }
        notes = (f"{len(absent)} of {len(files)} images are not there and count as absent",) if absent else ()
        photos = [None if file in absent else file for file in files]
        return mmfuse.Tidy(table.with_columns({"photo": photos}), card, notes)


@mmfuse.hookimpl
def mmfuse_parts() -> list[type[mmfuse.Part]]:
    return [NewPart]
