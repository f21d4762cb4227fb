"""What a part has learnt: frozen records of numbers, text, lists and arrays.

They are stored as JSON + npz and never as pickle (law 10), and made again by their class.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np

from mmfuse.errors import RunError
from mmfuse.formats.annotated import annotations_of, fits
from mmfuse.formats.json_files import read_json
from mmfuse.formats.npz_files import Npz


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an npz, whatever the arrays are called: `numpy.savez` takes `file` and `allow_pickle` for its own.

    Raises: ValueError for arrays of objects; OSError.
    """
    with path.open("wb") as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


@dataclasses.dataclass(frozen=True, eq=False)
class Learnt:
    """Base of every record that a part's `fit` returns.

    A subclass is a frozen dataclass whose fields are numbers, text, booleans, (nested) tuples or dicts of those, or
    NumPy arrays (not of objects).
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401  # as Python hands it on
        super().__init_subclass__(**kwargs)
        for name in inspect.get_annotations(cls):
            base = next((vars(one)[name] for one in cls.__mro__[1:] if name in vars(one)), None)
            if isinstance(base, property):
                raise TypeError(
                    f"{cls.__name__} has a field '{name}', which is asked of it as a property: give the field another"
                    f" name, and return it by `@property def {name}(self)`"
                )

    def save(self, stem: str | Path) -> None:
        """Writes `stem.json` and, if there are arrays, `stem.npz`.

        Raises: TypeError naming the field that holds something else.
        """
        stem = Path(stem)
        arrays: dict[str, np.ndarray] = {}
        plain: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value, where = getattr(self, field.name), f"{type(self).__name__}.{field.name}"
            if isinstance(value, np.ndarray):
                if value.dtype.hasobject:
                    raise TypeError(f"{where} holds an array of objects, which is not stored; use tuples of text")
                arrays[field.name] = value
            else:
                plain[field.name] = _plain(value, where)
        stem.parent.mkdir(parents=True, exist_ok=True)
        stem.with_name(stem.name + ".json").write_text(
            json.dumps(plain, indent=1, ensure_ascii=False), encoding="utf-8"
        )
        npz = stem.with_name(stem.name + ".npz")
        npz.unlink(missing_ok=True)
        if arrays:
            save_arrays(npz, arrays)

    @classmethod
    def load(cls, stem: str | Path) -> Self:
        """Reads what `save` wrote.

        Raises: RunError if a file is missing, broken, or holds other fields than this class, or other kinds of values
        than their annotations say; or if the class itself refuses them in `__post_init__` (ValueError, TypeError).
        """
        stem = Path(stem)
        expected, again = "what mmfuse stored there", "copy the run again"
        record = stem.with_name(stem.name + ".json")
        state: dict[str, Any] = read_json(record, dict[str, Any], expected=expected, mend=again)
        npz = stem.with_name(stem.name + ".npz")
        if npz.exists():
            with Npz(npz, expected=expected, mend=again) as arrays:
                twice = [name for name in arrays if name in state]
                if twice:
                    raise arrays.fault(f"holds '{twice[0]}', as {record.name} does")
                state.update({name: arrays.read(name) for name in arrays})
        mend = "use the plugin version that made the run"
        names = {field.name for field in dataclasses.fields(cls)}
        if set(state) != names:
            raise RunError(f"holds {sorted(state)}", f"{sorted(names)}, the fields of {cls.__name__}", mend, str(stem))
        values = {name: _frozen(value) for name, value in state.items()}
        kinds = annotations_of(cls)
        other = [f"{name} {_short(value)}" for name, value in values.items() if not fits(value, kinds.get(name, Any))]
        if other:
            raise RunError(f"holds other kinds of values: {'; '.join(other)}", f"a {cls.__name__}", mend, str(stem))
        try:
            return cls(**values)
        except (ValueError, TypeError) as error:  # of a class that looks at its own fields
            raise RunError(f"holds what is no {cls.__name__}: {error}", expected, again, str(stem)) from error


def _plain(value: Any, where: str) -> Any:  # noqa: ANN401  # whatever a part has learnt
    """What JSON gives back as it was, but for tuples."""
    if isinstance(value, np.generic):
        return _plain(value.item(), where)
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item, where) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, where) for key, item in value.items()}
    kinds = "numbers, text, booleans, tuples or dicts (with text as keys) of those, or an array"
    raise TypeError(f"{where} holds {value!r}, which is not stored; it may hold {kinds}")


def _short(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _frozen(value: Any) -> Any:  # noqa: ANN401  # JSON values are of any type
    """JSON's lists back to tuples."""
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return value


class StoredAsFolder:
    """Refuse `pickle`, `copy` and whatever works by them (joblib, multiprocessing): what is fitted is stored as a
    folder by `save`, and read by `load`."""

    def __reduce__(self) -> NoReturn:
        """Raises: TypeError."""
        name = type(self).__name__
        raise TypeError(
            f"a {name} is not pickled or copied: `save(FOLDER)` stores it, `mmfuse.Pipeline.load(FOLDER)` reads a run"
        )
