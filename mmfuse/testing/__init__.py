"""The conformance kit: what every part of a role must keep, checked by one call. A guest: it uses only the door.

`check(MyPart())` runs every check of the part's role and refuses with all that was found, each with its smallest
failing example and the mend. For one pytest case a check: `@pytest.mark.parametrize("one", checks(MyPart()), ids=str)`
and `one()`.
"""

from __future__ import annotations

from mmfuse import Fault, Part, PartError
from mmfuse.testing.kit import Check, Given, Refusal, checks_of

__all__ = ["Check", "Refusal", "check", "checks"]


def checks(part: Part, **given: object) -> tuple[Check, ...]:
    """The checks of a part's role, each a call without arguments that raises `Refusal`.

    Keywords say what the kit cannot know: `shape` (an encoder's input; else images of 64 px, then tables are tried),
    `rows` (`Rows` that a modality can read), `release` (a folder that an adapter can read), `labels` (`Labels` that a
    metric has a meaning for, or that a head, loss or pretext takes), `flows` ({modality: `FlowShape`}, for a fusion
    that takes some alone; else three rich ones, an image beside a table, and one modality without maps).
    """
    return checks_of(part, Given(**given))  # type: ignore[arg-type]  # Given refuses unknown keywords


def check(part: Part, **given: object) -> None:
    """Runs all checks of a part's role. Raises: PartError with every refusal; what several checks found alike stands
    once, with the first of them."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for one in checks(part, **given):
        try:
            one()
        except Refusal as refusal:
            found.setdefault((refusal.found, refusal.expected, refusal.mend), []).append(one.name)
    faults = []
    for said, (first, *others) in found.items():
        more = f" (and {len(others)} more checks)" if others else ""
        faults.append(Fault(f"{part.role} '{part.name}' {first}{more}", *said))
    if faults:
        raise PartError(faults)
