"""The house rules that a machine can check: sizes, the one door, nothing that prints, guesses or runs what it reads."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUESTS = ("builtin", "testing", "commands", "cli.py", "show.py", "__main__.py")
CORE = sorted((ROOT / "mmfuse").rglob("*.py"))
FORBIDDEN = {"hasattr", "eval", "exec", "pickle.load", "pickle.loads", "joblib.load", "torch.load"}
PLUGINS = sorted(path for path in (ROOT / "plugins").glob("*/mmfuse_*/**/*.py"))
TESTS = sorted([*(ROOT / "tests").rglob("*.py"), *(ROOT / "plugins").glob("*/tests/**/*.py")])


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", CORE + PLUGINS, ids=name_of)
def test_files_functions_and_classes_stay_small(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 350
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            limit = 150 if isinstance(node, ast.ClassDef) else 60
            assert node.end_lineno - node.lineno < limit, f"{node.name} has over {limit} lines"


def test_no_test_file_is_long():
    long = {name_of(path): len(path.read_text().splitlines()) for path in TESTS}
    assert not {name: lines for name, lines in long.items() if lines > 350}


def test_the_import_contracts_speak_of_every_room():
    """A file that no contract names could import what it likes."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers, _, torchless, door = contracts
    rooms = {
        path.stem for path in (ROOT / "mmfuse").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    rooms -= {"__init__"}
    guests = {name.removesuffix(".py") for name in GUESTS}
    core = {f"mmfuse.{room}" for room in rooms - guests}
    assert {name for layer in layers["layers"] for name in layer.split(" | ")} == core
    assert set(door["forbidden_modules"]) == core
    assert set(door["source_modules"]) == {f"mmfuse.{guest}" for guest in guests}
    torch_rooms = {"mmfuse.net", "mmfuse.explaining", "mmfuse.builtin", "mmfuse.testing"}
    assert set(torchless["source_modules"]) == {f"mmfuse.{room}" for room in rooms} - torch_rooms


@pytest.mark.parametrize("path", CORE + PLUGINS, ids=name_of)
def test_what_is_never_called(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in FORBIDDEN, called
        assert not isinstance(node, ast.Global)


@pytest.mark.parametrize("path", PLUGINS, ids=name_of)
def test_plugins_use_the_one_door(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        inner = [name for name in names if name.startswith("mmfuse.") and name != "mmfuse.testing"]
        assert not inner, f"{inner}: plugins use only `import mmfuse` and `mmfuse.testing`"


@pytest.mark.parametrize("path", CORE + PLUGINS, ids=name_of)
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_every_public_name_exists():
    import mmfuse

    for name in mmfuse.__all__:
        assert getattr(mmfuse, name) is not None


def test_no_public_name_is_a_room():
    """Importing the room `mmfuse.x` would put it in the place of the name `mmfuse.x`."""
    import mmfuse

    assert not {path.stem for path in (ROOT / "mmfuse").iterdir()} & {*mmfuse.__all__}


def test_no_registry_host_stands_in_the_project():
    hosts = re.compile(r"pypi\.org|python[h]osted|registry\.npmjs|huggingface\.co|download\.pytorch")
    folders = [ROOT / name for name in ("mmfuse", "plugins", "tests", "docs", "benchmarks", ".ci")]
    everywhere = [*ROOT.iterdir(), *(path for folder in folders for path in folder.rglob("*"))]
    for path in everywhere:
        if path.is_file() and b"\0" not in (content := path.read_bytes()):
            assert not hosts.search(content.decode("utf-8", "replace")), path
