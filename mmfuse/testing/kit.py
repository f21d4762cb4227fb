"""What a check is, and which checks each role has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from mmfuse import FlowShape, Labels, Part, Rows


class Refusal(AssertionError):  # noqa: N818  # it is what a check says, not what went wrong in it
    """A part does not keep its contract: what was found, what was expected, and the mend."""

    def __init__(self, found: str, expected: str = "", mend: str = "") -> None:
        self.found, self.expected, self.mend = found, expected, mend
        super().__init__(
            "\n".join(line for line in (found, f"expected: {expected}", f"mend: {mend}") if line[-2:] != ": ")
        )


@dataclass(frozen=True)
class Given:
    """What the caller of the kit said about a part."""

    shape: tuple[int, ...] = ()
    """Of one case, for an encoder; empty: images of 64 px, then a table of 7 columns are tried."""
    rows: Rows | None = None
    """That a modality can read."""
    release: Path | None = None
    """A folder that an adapter can read."""
    labels: Labels | None = None
    """That a metric has a meaning for, or that a head, loss or pretext takes."""
    flows: Mapping[str, FlowShape] = field(default_factory=dict)
    """{modality: what its encoder gives}, for a fusion that takes some alone; empty: the kit's."""


Run = Callable[[Part, Given], None]


@dataclass(frozen=True)
class Check:
    """One check of one part; its name continues the sentence "the part …"."""

    name: str
    part: Part
    given: Given
    run: Run

    def __call__(self) -> None:
        """Raises: Refusal. Whatever else the part raises is turned into one."""
        try:
            self.run(self.part, self.given)
        except Refusal:
            raise
        except Exception as error:
            found = f"raises {type(error).__name__}: {error}"
            raise Refusal(found, "no error on a valid input", self._keyword()) from error

    def _keyword(self) -> str:
        """The mend where the kit's own input may be none that the part takes; empty where the caller gave one."""
        word = _KEYWORDS.get(self.part.role, "")
        return (
            "" if not word or getattr(self.given, word) else f"say `{word}=` if it takes another input than the kit's"
        )

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


_MODULES = {
    "encoder": "encoders",
    "fusion": "fusions",
    "head": "heads",
    "loss": "losses",
    "pretext": "pretexts",
    "augmentation": "augmentations",
    "step": "inputs",
    "modality": "inputs",
    "adapter": "inputs",
    "decision": "decisions",
    "stage": "decisions",
    "metric": "metrics",
}


_KEYWORDS = {
    "encoder": "shape",
    "fusion": "flows",
    "modality": "rows",
    "adapter": "release",
    "head": "labels",
    "loss": "labels",
    "pretext": "labels",
    "metric": "labels",
}
"""{role: the keyword of `check` that says what a part of it takes}."""


def checks_of(part: Part, given: Given) -> tuple[Check, ...]:
    """Those of every part, then those of its role."""
    runs = list(import_module("mmfuse.testing.anything").CHECKS)
    if part.role in _MODULES:
        runs += import_module(f"mmfuse.testing.{_MODULES[part.role]}").CHECKS[part.role]
    return tuple(Check(run.__name__.replace("_", " "), part, given, run) for run in runs)


def used(part: Part, given: Given) -> None:
    """Lets a part do what it does once: build, fit or estimate. Nothing for roles that need a file to do so."""
    if part.role in _MODULES:
        work = vars(import_module(f"mmfuse.testing.{_MODULES[part.role]}")).get("USED", {}).get(part.role)
        if work is not None:
            work(part, given)


def need(true: bool, found: str, expected: str = "", mend: str = "") -> None:
    """Refuses unless `true`."""
    if not true:
        raise Refusal(found, expected, mend)
