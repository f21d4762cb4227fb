"""What code a result was made by: that of a part, of the modules beside it, and releases of libraries they import.

Versions alone do not tell: a plugin is changed in place while it is written, and a helper of it changes without it. So
the files of a part's package count by content, and so do local modules that it imports; of what is installed as a
distribution the version counts, and the list of digests that the installer left. A class that was typed at a prompt
counts by its compiled functions, and by those that they name.

A file that changed after mmfuse was imported may not be the code that runs: with it a digest is this process's own, so
that nothing is kept under it for others. Files are looked at again each time, and read again where one of them changed.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

from mmfuse import BEGAN

_CORE = "mmfuse"
_GUESTS = {"commands", "testing", "study", "advice", "explaining"}
"""Rooms of mmfuse that decide no number of a fit."""
_NAMES = {
    "PIL": ("pillow",),
    "cv2": ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "sklearn": ("scikit-learn",),
    "skimage": ("scikit-image",),
    "lightning_fabric": ("lightning-fabric",),
}
"""Distributions of modules that are called otherwise; asking all distributions takes a quarter of a second."""
_CODE = {".py", ".pyx", ".so", ".pyd", ".dll", ".dylib"}
_WHOLE = 2**16
"""Bytes up to which any file of a package counts by content; larger ones that are no code, by size and time."""


class _State(NamedTuple):
    """One state of a file."""

    inode: int
    size: int
    written: int
    changed: int


class _Known(NamedTuple):
    """A digest, and the states of the files that it was made of."""

    digest: str
    states: dict[Path, _State | None]


_KNOWN: dict[type, _Known] = {}


def code_digest(kind: type) -> str:
    """Return a digest of the code that decides what objects of a class do: 16 hexadecimal digits."""
    if _is_core(kind.__module__):
        return core_digest()
    known = _KNOWN.get(kind)
    if known is not None and all(_state(file) == state for file, state in known.states.items()):
        return known.digest
    found = _Found(_root(kind.__module__))
    for each in kind.__mro__:
        if not _is_core(each.__module__):
            found.add_class(each)
    known = _KNOWN[kind] = _Known(_digest(repr(sorted(found.parts.items()))), found.states)
    return known.digest


@functools.cache
def core_digest() -> str:
    """Return a digest of mmfuse as far as it decides the numbers of a fit: the release, and where it is worked on in
    place, the content of its files."""
    folder = Path(__file__).parent
    rooms = [
        place for place in sorted(folder.iterdir()) if place.name not in _GUESTS and not place.name.startswith("_")
    ]
    content = "" if _is_installed(folder) else "".join(_content(tuple(_states(room).items())) for room in rooms)
    return _digest(_release(_CORE) + content)


def library_versions(names: Iterable[str]) -> dict[str, str]:
    """Return {distribution: version} of those of `names` that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


class _Found:
    """What was found so far: {module or package: its digest or release}."""

    def __init__(self, plugin: str) -> None:
        """`plugin` is the package whose files count by content wherever they lie."""
        self.parts: dict[str, str] = {}
        self.states: dict[Path, _State | None] = {}
        self._plugin = plugin
        self._seen: set[str] = set()

    def add_class(self, kind: type) -> None:
        module = sys.modules.get(kind.__module__)
        if module is not None and _file_of(kind.__module__) is None and kind.__module__ not in sys.builtin_module_names:
            self.parts[f"{kind.__module__}:{kind.__qualname__}"] = _digest(
                "".join(_compiled(kind, vars(module), set()))
            )
        else:
            self.add(kind.__module__)

    def add(self, name: str) -> None:
        """A module by its full name, with all that it imports."""
        top = name.partition(".")[0]
        if name in self._seen or top in sys.stdlib_module_names or _is_core(name):
            return
        self._seen.add(name)
        file = _file_of(name)
        if file is None:
            return
        root = _root(name)
        if root != self._plugin and _is_installed(_place(root, file)):
            self.parts[top] = _release(top)
            return
        if root not in self.parts:
            states = _states(_place(root, file))
            self.states |= states
            self.parts[root] = _content(tuple(states.items()))
        self.states[file] = _state(file)
        for imported in _imports(file, name, self.states[file]):
            self.add(imported)


def _is_core(name: str) -> bool:
    """Of mmfuse, its builtin parts aside, which are a plugin like others."""
    return name == _CORE or (name.startswith(f"{_CORE}.") and not name.startswith(f"{_CORE}.builtin"))


def _root(name: str) -> str:
    """The package that counts as a whole."""
    return ".".join(name.split(".")[: 2 if name.startswith(f"{_CORE}.") else 1])


def _is_installed(place: Path) -> bool:
    """Whether a package or module lies among installed distributions, not where it is worked on."""
    return _holds_distributions(place.parent)


@functools.cache
def _holds_distributions(folder: Path) -> bool:
    return any(folder.glob("*.dist-info"))


def _file_of(name: str) -> Path | None:
    """The file of a module, which is not imported for it; None where there is none."""
    module = sys.modules.get(name)
    origin = getattr(module, "__file__", None)
    if module is None:
        top, *rest = name.split(".")
        parent = _file_of(top) if rest else None
        if parent is not None and parent.name == "__init__.py":
            inner = parent.parent.joinpath(*rest)
            near = (inner.with_name(f"{inner.name}.py"), inner / "__init__.py")
            return next((place for place in near if place.is_file()), None)
        if not rest:
            try:
                spec = importlib.util.find_spec(top)
            except (ImportError, ValueError, AttributeError):
                spec = None
            origin = spec.origin if spec is not None else None
    return Path(origin) if origin and Path(origin).is_file() else None


def _place(root: str, file: Path) -> Path:
    """The folder of a package, or the file of a module that is none."""
    home = _file_of(root)
    if home is None:
        return file
    return home.parent if home.name == "__init__.py" else home


def _state(file: Path) -> _State | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return _State(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _states(place: Path) -> dict[Path, _State | None]:
    """The states of a file, or of all files of a folder."""
    files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
    inner = {file: file.relative_to(place.parent).parts for file in files}
    hidden = {file for file, words in inner.items() if any(w == "__pycache__" or w.startswith(".") for w in words)}
    return {file: _state(file) for file in files if file not in hidden}


@functools.lru_cache(256)
def _content(states: tuple[tuple[Path, _State | None], ...]) -> str:
    """A digest of files in these states, all of one package."""
    digest = hashlib.blake2b(digest_size=16)
    depth = min((len(file.parts) for file, _ in states), default=1) - 1
    for file, state in states:
        if state is not None:
            words = file.parts[depth:]
            whole = file.suffix in _CODE or state.size <= _WHOLE
            digest.update(f"{'/'.join(words)}\0{state.size}\0{0 if whole else state.written}\0".encode())
            digest.update(file.read_bytes() if whole else b"")
            if max(state.written, state.changed) > BEGAN:
                digest.update(f"\0{os.getpid()} {BEGAN} {state}".encode())
    return digest.hexdigest()


@functools.lru_cache(4096)
def _imports(file: Path, name: str, state: _State | None) -> tuple[str, ...]:
    """Full names of what a module imports anywhere in it; some may be names in a module, not modules."""
    try:
        return tuple(dict.fromkeys(_imported(ast.parse(file.read_bytes()), file, name)))
    except (SyntaxError, ValueError):  # compiled, or of another Python
        return ()


def _imported(tree: ast.Module, file: Path, name: str) -> Iterator[str]:
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            whole = ".".join([*base, *([node.module] if node.module else [])])
            yield whole
            yield from (f"{whole}.{alias.name}" for alias in node.names)


@functools.cache
def _release(top: str) -> str:
    """Version, and digest of the installer's list of digests, of whatever brings a module."""
    names = _NAMES.get(top, (top,))
    found = [one for one in map(_distribution, names) if one is not None]
    if not found:
        found = [
            one
            for one in map(_distribution, importlib.metadata.packages_distributions().get(top, ()))
            if one is not None
        ]
    return " ".join(f"{one.name} {one.version} {_digest(one.read_text('RECORD') or '')}" for one in found)


def _distribution(name: str) -> importlib.metadata.Distribution | None:
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _compiled(value: Any, names: Mapping[str, Any], seen: set[int]) -> Iterator[str]:  # noqa: ANN401  # what a name means
    """Text of all that decides what a class or function without a file does, itself and what it names."""
    if isinstance(value, bool | int | float | str | bytes | None):
        yield repr(value)
        return
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, CodeType):
        plain = [constant for constant in value.co_consts if not isinstance(constant, CodeType)]
        words = [sorted(map(repr, one)) if isinstance(one, frozenset) else one for one in plain]
        yield f"{value.co_code.hex()} {value.co_names} {value.co_varnames} {words}"
        for inner in [*value.co_consts, *map(names.get, value.co_names)]:
            yield from _compiled(inner, names, seen)
    else:
        for inner in _members(value):
            yield from _compiled(inner, names, seen)


def _members(value: Any) -> list[Any]:  # noqa: ANN401  # what a name means
    """What decides what a class, method or function does; nothing for one that has a file, which counts elsewhere."""
    if isinstance(value, staticmethod | classmethod):
        return [value.__func__]
    if isinstance(value, property):
        return [value.fget, value.fset]
    if _file_of(getattr(value, "__module__", None) or "") is not None:
        return []
    if isinstance(value, type) and value.__module__ not in sys.builtin_module_names:
        return [item for pair in sorted(vars(value).items(), key=lambda pair: pair[0]) for item in pair]
    code = getattr(value, "__code__", None)
    return [] if code is None else [code, *(value.__defaults__ or ())]


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
