"""`new-plugin`: a working plugin with its test, to be grown into one's own.

The parts stand in `templates/`, one file a role, as real modules: they are linted and run through the conformance kit
like any other part.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

import mmfuse
from mmfuse.commands.app import App, Command

if TYPE_CHECKING:
    from mmfuse import Catalog

TEMPLATES = Path(__file__).with_name("templates")

USES = {
    "encoder": 'encoders.image = "{part}"          # in [network]',
    "fusion": 'fusion = "{part}"                  # in [network]',
    "head": 'head = "{part}"                    # in [network]',
    "loss": 'loss = "{part}"                    # in [training]',
    "pretext": '[pretexts.mine]\nuse = "{part}"',
    "augmentation": '[augment.mine]\nuse = "{part}"\non = ["image"]',
    "decision": '[decisions.final]\nuse = "{part}"\nreads = ["fused", "image"]',
    "stage": '[decisions.second]\nuse = "{part}"\nreads = ["fused"]\nfeatures = ["table"]',
    "modality": 'age = {{ use = "{part}", column = "age" }}   # in the card\'s [modalities]',
    "step": 'steps = [{{ use = "{part}" }}]     # of an image in the card\'s [modalities]',
    "metric": "",
    "adapter": "",
}
"""How a plan or card names a part of each role; the roles that a stranger may begin with."""

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{distribution}"
version = "0.1.0"
description = "{kind} for mmfuse"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["mmfuse>={version}"]

[project.entry-points.mmfuse]
{part} = "{module}"

[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]

[tool.pytest.ini_options]
pythonpath = ["."]
testpaths = ["tests"]
"""

README = """\
# {distribution}

{kind} for mmfuse, called `{part}`.

Try it as it stands, without installing anything:

    mmfuse --plugin {module}.py parts {part}

Install it, and every `mmfuse` command knows it:

    pip install -e .
    mmfuse parts {part}
    mmfuse plugins
{usage}
Its test runs mmfuse's conformance kit, which says what every {role} must keep to:

    pytest
"""

TEST = '''\
"""The part keeps its role's contract."""

from __future__ import annotations

import mmfuse.testing
from {module} import {cls}


def test_keeps_its_contract() -> None:
    mmfuse.testing.check({cls}())
'''


TEST_ADAPTER = '''\
"""The part keeps its role's contract, on a tiny release."""

from __future__ import annotations

from pathlib import Path

import mmfuse.testing
from PIL import Image
from {module} import {cls}


def test_keeps_its_contract(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels.csv").write_text("id,diagnosis\\nfirst,nevus\\nsecond,melanoma\\nthird,nevus\\n")
    for name in ("first", "second"):
        Image.new("RGB", (40, 30)).save(tmp_path / "images" / f"{{name}}.png")
    mmfuse.testing.check({cls}(), release=tmp_path)
    tidy = {cls}().tidy(tmp_path)
    assert tidy.table["photo"].tolist() == ["images/first.png", "images/second.png", None]
'''

TESTS = {"adapter": TEST_ADAPTER}
"""For the roles whose test must be given something."""


class Names(NamedTuple):
    """One name in the forms that Python, TOML and packaging want."""

    distribution: str
    module: str
    cls: str

    @property
    def part(self) -> str:
        """The part's name as mmfuse derives it from the class."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", self.cls).lower()


def names(word: str) -> Names:
    """`tiny-conv`, `mmfuse-tiny-conv`, `TinyConv` and `tiny_conv` all name the part `tiny-conv`.

    Raises: click.BadParameter if no class can have this name.
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_\s]+", "-", word).strip("-")
    stem = words.lower().removeprefix("mmfuse-")
    cls = "".join(piece[:1].upper() + piece[1:] for piece in stem.split("-"))
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", stem) or keyword.iskeyword(stem):
        raise click.BadParameter(
            f"'{word}' is no name; take letters, digits and '-', as in tiny-conv", param_hint="NAME"
        )
    return Names(words.lower(), words.lower().replace("-", "_"), cls)


def skeleton(word: str, role: str) -> dict[str, str]:
    """{path inside the new folder: text}."""
    name = names(word)
    code = (TEMPLATES / f"{role}.py").read_text(encoding="utf-8")
    for stand_in, real in (("NewPart", name.cls), ("NewReader", f"{name.cls}Reader"), ("NewRule", f"{name.cls}Rule")):
        code = re.sub(rf"\b{stand_in}\b", real, code)
    usage = USES[role].format(part=name.part)
    lines = "".join(f"    {line}\n" for line in usage.splitlines())
    about = {
        **name._asdict(),
        "part": name.part,
        "role": role,
        "kind": f"{'An' if role[0] in 'aeiou' else 'A'} {role}",
        "version": mmfuse.__version__,
        "usage": f"\nThen a plan or card may say\n\n{lines}\n" if usage else "\n",
    }
    return {
        "pyproject.toml": PYPROJECT.format_map(about),
        "README.md": README.format_map(about),
        f"{name.module}.py": code,
        "tests/test_plugin.py": TESTS.get(role, TEST).format_map(about),
    }


@click.command("new-plugin", cls=Command)
@click.argument("name")
@click.option("--role", type=click.Choice(list(USES)), default="encoder", show_default=True, help="What the part is.")
@click.option("--out", type=click.Path(path_type=Path), help="The new folder.  [default: NAME]")
@click.pass_obj
def new_plugin(app: App, name: str, role: str, out: Path | None) -> None:
    """Write a working plugin skeleton with its test."""
    files = skeleton(name, role)
    found = names(name)
    refuse_taken(found, role, app.catalog)
    folder = out or Path(found.distribution)
    if folder.exists():
        raise mmfuse.PluginError("is already there", "a new folder", "another NAME, or --out FOLDER", str(folder))
    try:
        write_skeleton(folder, files)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error
    app.screen.text(f"{folder}: {role} '{found.part}'")
    for path in files:
        app.screen.text(f"  {path}")
    app.screen.text(f"\ntry it:    mmfuse --plugin {folder / found.module}.py parts {found.part}")
    app.screen.text(f"install:   pip install -e {folder}")
    app.screen.text(f"test:      pytest {folder}")


def refuse_taken(name: Names, role: str, catalog: Catalog) -> None:
    """Raises: PluginError where the part, the module or the distribution would take a name that is in use."""
    faults, mend = mmfuse.Faults(), "another NAME, as in my-" + name.part
    entry = next((one for one in catalog.entries if (one.role, one.name) == (role, name.part)), None)
    if entry is not None:
        faults.add(
            "",
            f"{'an' if role[0] in 'aeiou' else 'a'} {role} is called '{name.part}' already, by {entry.origin}",
            "a name of its own",
            mend,
        )
    if name.module in sys.stdlib_module_names:
        faults.add("", f"'{name.module}' is a module of Python", "a module of its own", mend)
    elif place := module_place(name.module):
        faults.add("", f"a module '{name.module}' is installed: {place}", "a module of its own", mend)
    if name.part in {plugin.name for plugin in catalog.plugins} and entry is None:
        faults.add("", f"a plugin is called '{name.part}' already", "a name of its own", mend)
    faults.raise_as(mmfuse.PluginError)


def module_place(name: str) -> str:
    """Where a module of this name is installed; empty: nowhere. What lies in the working folder does not count."""
    found = importlib.util.find_spec(name)
    places = [] if found is None else [*(found.submodule_search_locations or ()), found.origin or ""]
    return next((place for place in places if place and not Path(place).is_relative_to(Path.cwd())), "")


def write_skeleton(folder: Path, files: Mapping[str, str]) -> None:
    """Makes the new folder, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        new = Path(scratch) / "new"
        for path, text in files.items():
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            (new / path).write_text(text, encoding="utf-8")
        new.rename(folder)
