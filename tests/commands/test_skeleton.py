"""What `new-plugin` writes works as it stands: found, in the light form, and through its own test."""

import ast
import os
import subprocess
import sys
import tomllib

import click
import pytest
from click.testing import CliRunner

import mmfuse
import mmfuse.testing
from mmfuse.cli import main
from mmfuse.commands.skeleton import USES, names, skeleton


@pytest.mark.parametrize(
    ("word", "distribution", "module", "cls", "part"),
    [
        ("tiny-conv", "tiny-conv", "tiny_conv", "TinyConv", "tiny-conv"),
        ("TinyConv", "tiny-conv", "tiny_conv", "TinyConv", "tiny-conv"),
        ("tiny_conv", "tiny-conv", "tiny_conv", "TinyConv", "tiny-conv"),
        ("mmfuse-tiny", "mmfuse-tiny", "mmfuse_tiny", "Tiny", "tiny"),
        ("net-2d", "net-2d", "net_2d", "Net2d", "net2d"),
    ],
)
def test_one_name_in_all_its_forms(word, distribution, module, cls, part):
    found = names(word)
    assert (found.distribution, found.module, found.cls, found.part) == (distribution, module, cls, part)


@pytest.mark.parametrize("word", ["", "2d", "a/b", "é", "class", "a b!"])
def test_what_is_no_name_is_refused(word):
    with pytest.raises(click.BadParameter, match="is no name"):
        names(word)


@pytest.mark.parametrize("role", USES)
def test_the_part_is_found_kept_to_its_contract_and_small(role, tmp_path):
    files = skeleton("my-own", role)
    path = tmp_path / "my_own.py"
    path.write_text(files["my_own.py"])
    catalog = mmfuse.Catalog(files=[path], installed=False)
    assert [plugin.failure for plugin in catalog.plugins] == ["", ""]
    part = catalog.find(role, "my-own")
    assert part.__name__ == "MyOwn"
    mmfuse.testing.check(part())
    lines = ast.get_source_segment(
        path.read_text(), next(n for n in ast.parse(path.read_text()).body if isinstance(n, ast.ClassDef))
    )
    assert len(lines.splitlines()) < 30
    assert "New" not in files["my_own.py"]


@pytest.mark.parametrize("role", USES)
def test_the_files_say_the_same_names(role):
    files = skeleton("my-own", role)
    project = tomllib.loads(files["pyproject.toml"])
    assert project["project"]["entry-points"]["mmfuse"] == {"my-own": "my_own"}
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"] == ["my_own.py"]
    assert "{" not in files["README.md"].replace("{ use", "").replace("[{ use", "")
    ast.parse(files["tests/test_plugin.py"])


def test_the_modules_are_light(tmp_path):
    for role in USES:
        (tmp_path / f"of_{role}.py").write_text(skeleton(f"of-{role}", role)[f"of_{role}.py"])
    heavy = "{'torch', 'sklearn', 'scipy', 'pandas'}"
    code = f"import sys, {', '.join(f'of_{role}' for role in USES)}; print({heavy} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"


@pytest.mark.parametrize("role", ["metric", "adapter"])
def test_the_test_that_it_writes_passes(role, tmp_path):
    out = tmp_path / "plugin"
    result = CliRunner().invoke(main, ["new-plugin", "my-own", "--role", role, "--out", str(out)])
    assert result.exit_code == 0, result.output
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(out)]
    ran = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "MMFUSE_PLUGINS": "none"}, cwd=out)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    result = CliRunner().invoke(main, ["new-plugin", "my-own", "--out", str(tmp_path / "mine")])
    assert result.exit_code == 1
    assert "is already there" in result.stderr
    assert not list((tmp_path / "mine").iterdir())
