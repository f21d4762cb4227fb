"""What there is, what it says when something is wrong, and that nothing heavy is loaded to say it (law 9)."""

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import mmfuse
from mmfuse.cli import main
from mmfuse.commands.app import global_options
from mmfuse.commands.knobs import knobs
from tests.commands.conftest import write

DOCS = Path(__file__).parents[1] / "docs" / "command-line.md"


def run(*words, code=0):
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == code, f"{result.exit_code}\n{result.output}\n{result.exc_info}"
    return result


PLUGIN = """
import mmfuse
import click

class Tall(mmfuse.Step):
    '''Makes it tall.'''
    pixels: int
    '''How tall.'''
    def apply(self, image):
        return image

@mmfuse.hookimpl
def mmfuse_parts():
    return [Tall]

@mmfuse.hookimpl
def mmfuse_commands(cli):
    @cli.command()
    def greet():
        "Greets."
        click.echo("hello from a plugin")

    @cli.command()
    def parts():
        "Would take the place of another."
"""


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "tall.py"
    path.write_text(PLUGIN)
    return path


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("raise RuntimeError('no luck')")
    return path


# ── help and documentation ──────────────────────────────────────────────────────────────────────────────────


def test_help_names_every_command_and_cuts_no_sentence():
    told = run("--help").stdout
    for name in main.commands:
        assert re.search(rf"^  {name} ", told, re.M)
    assert "..." not in told.split("Commands:")[1]
    assert run("-h").stdout == told


def test_the_version():
    assert mmfuse.__version__ in run("--version").stdout
    by_module = subprocess.run(
        [sys.executable, "-m", "mmfuse", "--version"], capture_output=True, text=True, check=True
    )
    assert by_module.stdout == run("--version").stdout


def test_every_command_and_option_is_documented():
    text = DOCS.read_text()
    for name, command in main.commands.items():
        section = re.search(rf"^## `mmfuse {name}`.*?(?=^## |\Z)", text, re.M | re.S)
        assert section, f"{name} has no section in {DOCS.name}"
        for option in command.params:
            if isinstance(option, click.Option):
                assert max(option.opts, key=len) in section.group(), f"{name} {option.opts}"
    for option in global_options(hidden=False):
        assert f"`{option.opts[-1]}" in text


# ── listings ────────────────────────────────────────────────────────────────────────────────────────────────


def test_parts_are_listed_whole_with_who_brought_them():
    told = run("parts").stdout
    catalog = mmfuse.Catalog()
    assert len(told.splitlines()) == len(catalog.entries) + 2
    for entry in catalog.entries:
        assert entry.about in told
    listed = json.loads(run("parts", "--json").stdout)
    assert {(one["role"], one["name"]) for one in listed} == {(entry.role, entry.name) for entry in catalog.entries}


def test_a_name_in_two_roles_shows_both_and_a_role_chooses():
    both = run("parts", "linear").stdout
    assert "encoder linear" in both
    assert "head linear" in both
    assert "encoder linear" not in run("parts", "linear", "--role", "head").stdout
    run("parts", "--role", "heads", code=2)


def test_knobs_are_shown_with_type_default_range_and_words(plugin):
    told = run("--plugin", plugin, "parts", "tall").stdout
    assert re.search(r"pixels +int +must be given +How tall\.", told)
    assert str(plugin) in told
    knob = next(knob for knob in knobs(mmfuse.TrainingSection) if knob.name == "modality_dropout")
    assert (knob.type, knob.default, knob.range) == ("float", 0.0, "≥ 0 and < 1")
    assert knob.about.startswith("Chance, per case and present modality")
    kinds = {knob.name: knob.type for knob in knobs(mmfuse.TrainingSection)}
    assert kinds["optimiser"] == "adam | adamw | sgd"
    assert kinds["loss"] == "a loss or ''"
    described = json.loads(run("parts", "timm", "--json").stdout)[0]
    assert {knob["name"] for knob in described["knobs"]} >= {"model", "normalise"}


def test_an_unknown_part_suggests_the_nearest():
    told = run("parts", "concta", code=1).stderr
    assert "no part is called 'concta'" in told
    assert "did you mean 'concat'?" in told


def test_the_schema_speaks_of_every_section_and_part(plugin):
    schema = json.loads(run("parts", "--schema", "--plugin", plugin).stdout)
    assert set(schema["properties"]) == set(mmfuse.Spec.sections)
    assert "step.tall" in schema["$defs"]


def test_recipes_are_listed_and_printed():
    names = [one["name"] for one in json.loads(run("recipes", "--json").stdout)]
    assert "demo" in names
    assert "[network]" in run("recipes", "demo").stdout
    assert "did you mean 'demo'?" in run("recipes", "demos", code=1).stderr


def test_a_plugin_that_fails_is_shown_and_left_out(plugin, broken):
    words = ["--plugin", plugin, "--plugin", broken]
    listed = {one["name"]: one for one in json.loads(run(*words, "plugins", "--json").stdout)}
    assert "RuntimeError: no luck" in listed["broken"]["failure"]
    assert (listed["tall"]["parts"], listed["tall"]["failure"]) == (1, "")
    assert len(listed["tall"]["sha256"]) == 64
    assert "no luck" in run(*words, "plugins").stdout
    assert "left out because they failed: broken" in run(*words, "parts").stdout


def test_a_plugin_adds_commands_and_replaces_none(plugin):
    assert run("--plugin", plugin, "greet").stdout == "hello from a plugin\n"
    assert "Greets." in run("--plugin", plugin, "--help").stdout
    assert "role" in run("--plugin", plugin, "parts").stdout
    run("greet", code=2)


# ── check ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write(tmp_path)


def test_check_shows_spec_flow_networks_and_table(here):
    told = run("check", "plan.toml", "cases.csv").stdout
    assert "[network.encoders.table]" in told
    assert "├─ left: table(numeric=[a, b]) → mlp(widths=[8]), trained from new weights" in told
    assert "reads fused, left, right" in told
    assert "networks to be trained: 1 (network)" in told
    assert "answer: final" in told
    assert "left+right: 59 cases" in told
    found = json.loads(run("check", "plan.toml", "cases.csv", "--json").stdout)
    assert found["networks"] == ["network"]
    assert found["spec"]["training"]["epochs"] == 2


def test_check_without_a_table(here):
    assert "this plan stands" in run("check", "plan.toml").stdout
    told = run("check", "plan.toml", "--card", "cases.toml", "--set", "decisions.final.use=simplex").stdout
    assert "learns on valid" in told
    (here / "whole.toml").write_text((here / "plan.toml").read_text() + (here / "cases.toml").read_text())
    assert "networks to be trained: 1" in run("check", "whole.toml").stdout
    assert "networks to be trained: 1" in run("check", "whole.toml", "cases.csv").stdout


def test_five_faults_come_in_one_message(here):
    plan = (here / "plan.toml").read_text()
    plan = plan.replace('"mlp"', '"mpl"').replace("epochs", "epoch").replace('"concat"', '"conact"')
    plan = plan.replace('head = "linear"', 'head = "liner"').replace("[decisions.final]", "[descisions.final]")
    (here / "bad.toml").write_text(plan)
    told = run("check", "bad.toml", "cases.csv", code=1).stderr
    assert told.startswith("5 faults:")
    for mend in ("'mlp'", "'epochs'", "'concat'", "'linear'", "'decisions'"):
        assert f"did you mean {mend}?" in told
    assert "Traceback" not in told
    assert "Traceback" in run("check", "bad.toml", "cases.csv", "--traceback", code=1).stderr


def test_an_audit_error_is_exit_code_one(here):
    text = (here / "cases.csv").read_text().replace("e010,p010", "e010,p059")
    (here / "cases.csv").write_text(text)
    result = run("check", "plan.toml", "cases.csv", "--set", 'split.column=""', "--set", "seed=1")
    assert "mend these first" not in result.stdout
    (here / "cases.csv").write_text(re.sub(r",(no|yes),(low|mid|high),train", r",,\2,train", text))
    result = run(
        "check", "plan.toml", "cases.csv", "--set", 'split.column=""', "--set", "split.fractions={valid=1.0}", code=1
    )
    assert "mend these first" in result.stdout


# ── usage and refusals ──────────────────────────────────────────────────────────────────────────────────────


def test_wrong_usage_is_two_and_names_the_nearest_command():
    assert "train" in run("trian", code=2).stderr
    run("check", code=2)
    run("parts", "--progress", "loud", code=2)


def test_global_options_stand_before_or_after_the_command(plugin):
    assert run("--plugin", plugin, "parts", "tall").stdout == run("parts", "tall", "--plugin", plugin).stdout
    assert run("--quiet", "parts").stdout == run("parts", "-q").stdout


def test_the_cache_is_told_and_cleared(tmp_path, monkeypatch):
    monkeypatch.setenv("MMFUSE_CACHE", str(tmp_path))
    assert json.loads(run("cache", "--json").stdout)["bytes"] == 0
    assert str(tmp_path) in run("cache", "--clear").stdout


def test_adapt_writes_a_table_and_a_card_that_fit_and_overwrites_nothing(tmp_path):
    out = tmp_path / "cohort" / "cases.csv"
    sets = ["--set", "cases=3", "--set", "size=48"]
    run("adapt", "synthetic", out.parent, "--out", out, *sets)
    card = mmfuse.load_card(out.with_suffix(".toml"))
    assert card.cases.root == "."
    assert len(mmfuse.Cases.load(out, card)) == 3
    assert "exists already" in run("adapt", "synthetic", out.parent, "--out", out, *sets, code=1).stderr
    run("adapt", "synthetic", out.parent, "--out", out, *sets, "--force")
    told = run("adapt", "synthetic", tmp_path / "x", "--out", tmp_path / "x.csv", "--set", "case=3", code=1).stderr
    assert "did you mean 'cases'?" in told
    assert not (tmp_path / "x").exists()


def test_describe_drafts_a_card_that_can_be_read(here):
    text = run("describe", "cases.csv", "--label", "answer", "--group", "patient").stdout
    (here / "draft.toml").write_text(text)
    card = mmfuse.load_card(here / "draft.toml")
    assert (card.cases.id, card.cases.group) == ("case", "patient")
    assert set(card.labels) == {"answer"}
    run("describe", "cases.csv", "--out", "cases.toml", code=1)


# ── law 9 ───────────────────────────────────────────────────────────────────────────────────────────────────


HEAVY = ("torch", "pandas", "scipy", "sklearn")
LOOK = f"""
import sys
from mmfuse.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
print([name for name in {HEAVY} if name in sys.modules], "rich" in sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "words",
    [["--help"], ["parts"], ["parts", "timm"], ["recipes"], ["plugins"], ["check", "plan.toml", "cases.csv"]],
    ids=" ".join,
)
def test_nothing_heavy_is_loaded_to_tell(words, here):
    told = subprocess.run([sys.executable, "-c", LOOK, *words], cwd=here, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert told.stderr.splitlines()[-1] == "[] False"
