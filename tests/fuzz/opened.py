"""The sound files, what is made of them once, and the place where one of them is another."""

import shutil
from functools import cached_property
from pathlib import Path

import numpy as np

import mmfuse


class World:
    """The sound files, and what is made of them once."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.place = self.folder.with_name(self.folder.name + "-now")
        self.place.mkdir(exist_ok=True)

    def warm(self):
        """Loads whatever is loaded once, so that no input pays for it."""
        self.pipeline.predict_proba(self.cases.take(np.arange(2)))
        mmfuse.describe(self.cases.table)
        mmfuse.read_table(self.folder / "cases.xlsx")
        mmfuse.evaluate(self.scores, on="test")
        return self

    def read(self, name):
        return (self.folder / name).read_bytes()

    @cached_property
    def catalog(self):
        return mmfuse.Catalog()

    @cached_property
    def spec(self):
        return mmfuse.load(self.folder / "plan.toml", self.folder / "cases.toml", catalog=self.catalog)

    @cached_property
    def cases(self):
        return mmfuse.Cases.load(self.folder / "cases.csv", self.spec.card)

    @cached_property
    def pipeline(self):
        return mmfuse.Pipeline.load(self.folder / "run", catalog=self.catalog, device="cpu")

    @cached_property
    def scores(self):
        return mmfuse.ScoreTable.load(self.folder / "run" / "scores.npz")

    @cached_property
    def network(self):
        return next(iter(self.pipeline.network.members.values())).network

    @cached_property
    def run_files(self):
        """Of the run, by name."""
        files = sorted(path for path in (self.folder / "run").rglob("*") if path.is_file())
        return [str(path.relative_to(self.folder / "run")) for path in files]

    def linked(self, *names):
        """Sound files beside the spoilt one."""
        for name in names:
            target = self.place / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                target.symlink_to(self.folder / name)

    def put(self, name, content):
        """A spoilt file in the place of the sound one."""
        path = self.place / name
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def clear(self):
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
