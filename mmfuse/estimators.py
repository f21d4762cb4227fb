"""Fitted scikit-learn estimators on disk, without pickle (law 10): skops, whose every type is checked before anything
is made.

Types of scikit-learn, NumPy and SciPy are trusted by module; any other only if the part that made the estimator names
it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmfuse.errors import PartError, RunError

TRUSTED = ("sklearn", "numpy", "scipy")
"""Modules whose types are trusted."""


def untrusted(types: Iterable[str], trusts: Iterable[str] = ()) -> list[str]:
    """Those of `types` (`module.Class`) that are neither of a trusted module nor named in `trusts`."""
    return sorted({*types} - {*trusts} - {name for name in types if name.split(".", 1)[0] in TRUSTED})


def save(estimator: Any, path: Path, trusts: tuple[str, ...] = ()) -> None:  # noqa: ANN401  # scikit-learn has no common type
    """Writes a fitted estimator.

    Raises: PartError naming the types that could not be loaded again.
    """
    import skops.io

    content = skops.io.dumps(estimator)
    _refuse(untrusted(skops.io.get_untrusted_types(data=content), trusts), PartError, path)
    Path(path).write_bytes(content)


def load(path: Path, trusts: tuple[str, ...] = ()) -> Any:  # noqa: ANN401
    """Reads what `save` wrote.

    Raises: RunError if the file is missing, broken, or holds types that are not trusted (named).
    """
    import skops.io

    try:
        content = Path(path).read_bytes()
        types = skops.io.get_untrusted_types(data=content)
    except Exception as error:  # a broken archive shows itself in many ways
        raise _broken(error, path) from error
    _refuse(untrusted(types, trusts), RunError, path)
    try:
        return skops.io.loads(content, trusted=types)
    except Exception as error:
        raise _broken(error, path) from error


def _broken(error: Exception, path: Path) -> RunError:
    return RunError(f"cannot be read: {error}", "an estimator that mmfuse stored", "copy the run again", str(path))


def _refuse(types: list[str], error: type[PartError] | type[RunError], path: Path) -> None:
    if types:
        raise error(
            f"holds the types {', '.join(types)}, which are not trusted",
            f"types of {', '.join(TRUSTED)}, or named in `trusts` of the stage's part",
            "name them there if you trust their module, else do not use this file",
            str(path),
        )
