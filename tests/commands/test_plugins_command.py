"""Names that plugins share with mmfuse or with one another, commands that fail or are left out, imports that take long:
all are told where they matter."""

import json

import pytest

from mmfuse.discovery import PluginInfo

MLP = """
import time
import mmfuse
from torch import nn

class Mlp(mmfuse.Encoder):
    "Another one."
    width: int = 4
    def build(self, shape):
        return nn.Linear(shape[0], self.width)

@mmfuse.hookimpl
def mmfuse_parts():
    return [Mlp]
"""

COMMANDS = """
import click
import mmfuse

@mmfuse.hookimpl
def mmfuse_commands(cli):
    cli.add_command(click.Command("train", help="Another one."))
    cli.add_command(click.Command("greet", callback=lambda: click.echo("hello")))

@mmfuse.hookimpl
def mmfuse_recipes():
    return []
"""


@pytest.fixture
def mine(here):
    (here / "mine.py").write_text(MLP)
    return here


def test_a_part_called_as_one_of_mmfuse_breaks_no_plan_and_is_told(mine, mmfuse):
    done = mmfuse("train", "plan.toml", "cases.csv", "--out", "run", "--plugin", "mine.py")
    assert "'mlp' is mmfuse's own encoder; the one of mine.py is 'mine:mlp'" in done.stderr
    assert "is left out" not in done.stderr
    assert "mlp(widths=[8])" in done.stdout


def test_whose_part_is_meant_is_said_and_the_run_knows_it(mine, mmfuse):
    (mine / "plan.toml").write_text((mine / "plan.toml").read_text().replace('"mlp", widths = [8]', '"mine:mlp"'))
    done = mmfuse("train", "plan.toml", "cases.csv", "--out", "run", "--plugin", "mine.py")
    assert "mmfuse's own" not in done.stderr
    assert 'use = "mine:mlp"' in (mine / "run" / "spec.toml").read_text()
    mmfuse("predict", "run", "cases.csv", "--out", "p.csv", "--plugin", "mine.py")
    assert "plugins that are not here" in mmfuse("predict", "run", "cases.csv", "--out", "q.csv", code=1).stderr


def test_the_list_of_parts_shows_both(mine, mmfuse):
    told = json.loads(mmfuse("parts", "mlp", "--role", "encoder", "--json", "--plugin", "mine.py").stdout)
    assert [(one["role"], one["name"]) for one in told] == [("encoder", "mine:mlp"), ("encoder", "mlp")]


def test_commands_that_fail_or_are_left_out_are_told(here, mmfuse):
    (here / "adds.py").write_text(COMMANDS)
    (here / "bad.py").write_text(
        COMMANDS.replace('cli.add_command(click.Command("train", help="Another one."))', "1 / 0")
    )
    assert mmfuse("--plugin", "adds.py", "greet").stdout == "hello\n"
    told = mmfuse("--plugin", "adds.py", "--plugin", "bad.py", "--help").stderr
    assert "plugin 'adds' (adds.py): its command 'train' is left out, mmfuse has one of this name" in told
    assert "plugin 'bad' (bad.py): mmfuse_commands: ZeroDivisionError" in told
    listed = json.loads(mmfuse("--plugin", "adds.py", "--plugin", "bad.py", "plugins", "--json").stdout)
    by_name = {one["name"]: one for one in listed}
    assert "'train' is left out" in by_name["adds"]["remarks"]
    assert "mmfuse_commands: ZeroDivisionError" in by_name["bad"]["failure"]


def test_a_slow_import_is_called_slow(mine, mmfuse, monkeypatch):
    assert "slow" not in mmfuse("--plugin", "mine.py", "plugins").stdout
    monkeypatch.setattr("mmfuse.discovery.SLOW", 0.0)
    told = mmfuse("--plugin", "mine.py", "plugins").stdout
    assert "slow: its import takes" in told
    assert PluginInfo("x", "y", seconds=7.6).is_slow


@pytest.mark.parametrize(
    ("name", "role", "words"),
    [
        ("json", "encoder", "'json' is a module of Python"),
        ("torch", "encoder", "a module 'torch' is installed"),
        ("mmfuse-skin", "encoder", "a module 'mmfuse_skin' is installed"),
        ("mlp", "encoder", "a encoder is called 'mlp' already, by mmfuse"),
        ("mmfuse-mlp", "encoder", "is called 'mlp' already"),
        ("svm", "stage", "is called 'svm' already, by mmfuse-metadata"),
    ],
)
def test_a_new_plugin_takes_no_name_that_is_in_use(here, mmfuse, name, role, words):
    told = mmfuse("new-plugin", name, "--role", role, code=1).stderr
    assert words.replace("a encoder", "encoder") in told.replace("a encoder", "encoder").replace(
        "an encoder", "encoder"
    )
    assert not (here / name).exists()


def test_a_name_of_another_role_or_of_the_working_folder_is_free(here, mmfuse):
    (here / "tiny_conv.py").write_text("")
    mmfuse("new-plugin", "tiny-conv")
    mmfuse("new-plugin", "mlp", "--role", "metric")
