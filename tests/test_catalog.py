"""The catalog: lazy, each plugin apart from the others, everything with its origin, clashes by both names."""

import hashlib
import json
import subprocess
import sys
import textwrap
import tomllib

import click
import pytest

import mmfuse
from mmfuse.catalog import Catalog
from mmfuse.errors import PluginError, SpecError
from mmfuse.events import Notice
from mmfuse.hooks import hookimpl
from mmfuse.parts import DecisionFusion, Encoder, SecondStage


class Plain(Encoder):
    """A plain encoder.

    With more to say.
    """


class Bringing:
    def __init__(self, *parts, recipes=()):
        self.parts, self.recipes = parts, recipes

    @hookimpl
    def mmfuse_parts(self):
        return list(self.parts)

    @hookimpl
    def mmfuse_recipes(self):
        return list(self.recipes)


class Other(Bringing):
    pass


def alone(*plugins, **options):
    return Catalog(*plugins, installed=False, builtin=False, **options)


def write(folder, name, text):
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


def failure(catalog, name):
    return next(plugin.failure for plugin in catalog.plugins if plugin.name == name)


def test_parts_are_found_with_who_brought_them():
    (entry,) = alone(Bringing(Plain)).entries
    assert (entry.role, entry.name, entry.part, entry.origin) == ("encoder", "plain", Plain, "given")
    assert entry.about == "A plain encoder."
    assert alone(Bringing(Plain)).find("encoder", "plain") is Plain
    assert alone().entries == ()


def test_builtin_parts_arrive_by_the_same_hooks():
    catalog = Catalog(installed=False)
    assert [plugin.name for plugin in catalog.plugins] == ["builtin"]
    assert {"timm", "mlp", "linear"} <= set(catalog.names("encoder"))
    assert all(entry.origin == "mmfuse" and entry.version == mmfuse.__version__ for entry in catalog.entries)
    assert not catalog.failures


def test_nothing_is_found_before_it_is_asked_for(tmp_path):
    file = write(tmp_path, "loud.py", "raise SystemExit('imported')")
    catalog = alone(files=[file])
    assert "_loaded" not in vars(catalog)
    assert "SystemExit: imported" in failure(catalog, "loud")


def test_a_broken_plugin_is_named_with_its_reason_and_left_out(tmp_path):
    for name, text in {
        "raises": "1 / 0",
        "syntax": "def (",
        "misspelt": "import mmfuse\n@mmfuse.hookimpl\ndef mmfuse_part(): return []",
        "unmarked": "def mmfuse_parts(): return []",
        "empty": "x = 1",
        "wrong_arguments": "import mmfuse\n@mmfuse.hookimpl\ndef mmfuse_parts(cli): return []",
        "hook_raises": "import mmfuse\n@mmfuse.hookimpl\ndef mmfuse_parts(): raise KeyError('boo')",
        "no_list": "import mmfuse\n@mmfuse.hookimpl\ndef mmfuse_parts(): return 3",
        "no_part": "import mmfuse\n@mmfuse.hookimpl\ndef mmfuse_parts(): return [int]",
    }.items():
        write(tmp_path, f"{name}.py", text)
    catalog = alone(Bringing(Plain), files=sorted(tmp_path.glob("*.py")))
    assert catalog.names("encoder") == ("plain",)
    expected = {
        "raises": "import: ZeroDivisionError: division by zero",
        "syntax": "SyntaxError",
        "misspelt": "did you mean 'mmfuse_parts'?",
        "unmarked": "@mmfuse.hookimpl",
        "empty": "no hook is in it",
        "wrong_arguments": "PluginValidationError",
        "hook_raises": "mmfuse_parts: KeyError: 'boo'",
        "no_list": "not iterable",
        "no_part": "fills no role",
    }
    for name, words in expected.items():
        assert words in failure(catalog, name)
        assert name in catalog.failures
    assert failure(catalog, "Bringing") == ""
    with pytest.raises(SpecError, match="left out because they failed: empty, hook_raises"):
        catalog.find("encoder", "missing")


def test_a_file_is_known_by_its_content(tmp_path):
    text = """
    import mmfuse
    class FromFile(mmfuse.Encoder):
        "Of a file."
    @mmfuse.hookimpl
    def mmfuse_parts():
        return [FromFile]
    """
    one = write(tmp_path, "mine.py", text)
    (tmp_path / "b").mkdir()
    other = write(tmp_path / "b", "mine.py", text.replace("FromFile", "Second"))
    catalog = alone(files=[one, other, tmp_path / "missing.py"])
    assert catalog.names("encoder") == ("from-file", "second")
    first, second, missing = catalog.plugins
    assert first.sha256 == hashlib.sha256(one.read_bytes()).hexdigest()
    assert (first.origin, first.parts, second.parts, first.name) == (str(one), 1, 1, "mine")
    assert first.name != second.name
    assert "check the path after --plugin" in missing.failure
    assert [entry.origin for entry in catalog.entries] == [str(one), str(other)]


class Twin(Encoder):
    """Of the same name."""

    name = "plain"


def test_a_clash_names_both_who_bring_it_and_each_has_a_name_of_its_own():
    catalog = alone(Bringing(Plain), Other(Twin))
    with pytest.raises(PluginError, match="encoder 'plain' is brought by given and by given") as raised:
        catalog.find("encoder", "plain")
    assert "use = 'Bringing:plain' or 'Other:plain'" in str(raised.value)
    assert [plugin.failure for plugin in catalog.plugins] == ["", ""]
    assert all("'plain' is brought by" in plugin.remarks for plugin in catalog.plugins)
    assert issubclass(catalog.find("encoder", "Other:plain"), Twin)
    assert issubclass(catalog.find("encoder", "Bringing:plain"), Plain)
    assert catalog.names("encoder") == ("Bringing:plain", "Other:plain")
    assert alone(Bringing(Plain), Other(Plain)).find("encoder", "plain") is Plain
    assert alone(Bringing(Plain)).find("encoder", "Bringing:plain") is Plain
    with pytest.raises(SpecError, match="did you mean 'Other:plain'"):
        catalog.find("encoder", "Other:plane")


def test_a_name_of_mmfuse_stays_its_own():
    class Mlp(Encoder):
        """Another one."""

        width: int = 3

        def build(self, shape):
            raise NotImplementedError

    catalog = Catalog(Bringing(Mlp), installed=False)
    own = catalog.find("encoder", "mlp")
    assert own.__module__ == "mmfuse.builtin.encoders"
    assert catalog.find("encoder", "mmfuse:mlp") is own
    other = catalog.find("encoder", "Bringing:mlp")
    assert issubclass(other, Mlp)
    assert (other.name, other.__module__, other.__qualname__) == ("Bringing:mlp", Mlp.__module__, Mlp.__qualname__)
    assert "encoder 'mlp' is mmfuse's own: here it is called 'Bringing:mlp'" in catalog.plugins[1].remarks
    assert not any(plugin.failure for plugin in catalog.plugins)
    told = catalog.shadowed([own(), other()])
    assert told == ("'mlp' is mmfuse's own encoder; the one of given is 'Bringing:mlp'",)
    assert Catalog(Bringing(Mlp), installed=False).find("encoder", "Bringing:mlp") is other


def test_a_plan_says_whose_and_so_does_what_it_is_written_to():
    class Mlp(Encoder):
        """Another one."""

        width: int = 3

    catalog = Catalog(Bringing(Mlp, Plain), Other(Twin), installed=False)
    card = {
        "cases": {"id": "id"},
        "labels": {"y": ["a", "b"]},
        "modalities": {"m": {"use": "table", "numeric": ["x"]}},
    }

    def plan(use):
        return {"network": {"encoders": {"table": use}, "head": "linear"}}

    spec = mmfuse.load(plan({"use": "Bringing:mlp", "width": 5}), card, catalog=catalog)
    assert mmfuse.load(tomllib.loads(mmfuse.dump(spec)), catalog=catalog) == spec
    assert 'use = "Bringing:mlp"' in mmfuse.dump(spec)
    assert mmfuse.load(plan("mlp"), card, catalog=catalog).plan.network.encoders["table"].part.widths == (256, 128)
    with pytest.raises(SpecError, match="'plain' is brought by given and by given"):
        mmfuse.load(plan("plain"), card, catalog=catalog)
    assert "Bringing:mlp" in json.dumps(mmfuse.schema(catalog))


def test_decisions_and_second_stages_share_one_name_space():
    class Rule(DecisionFusion):
        name = "one"

    class Stage(SecondStage):
        name = "one"

    catalog = alone(Bringing(Rule), Other(Stage))
    with pytest.raises(PluginError, match="'one' is brought by"):
        catalog.find("decision", "one")
    assert catalog.knows("Other:one", ["decision", "stage"]) == "stage"
    with pytest.raises(SpecError, match="no stage is called 'one'"):
        alone(Bringing(Rule)).find("stage", "one")


def test_a_newer_contract_is_refused_by_name_and_the_others_stay():
    class FromTheFuture(Encoder):
        contract = Encoder.contract + 1

    catalog = alone(Bringing(FromTheFuture, Plain))
    assert catalog.names("encoder") == ("plain",)
    text = failure(catalog, "Bringing")
    assert "'from-the-future' is written for contract 2 of role 'encoder'" in text
    assert "update mmfuse" in text


def test_unknown_names_get_the_nearest_one():
    with pytest.raises(SpecError, match="no encoder is called 'plane'\n  mend: did you mean 'plain'"):
        alone(Bringing(Plain)).find("encoder", "plane")


def test_recipes_are_named_by_their_file_and_told_by_their_first_line(tmp_path):
    path = write(tmp_path, "quick.toml", "# A quick one.\nseed = 1\n")
    catalog = alone(Bringing(recipes=[path]))
    assert catalog.recipes["quick"].about == "A quick one."
    assert catalog.recipes["quick"].path == path
    again = alone(Bringing(recipes=[path]), Other(recipes=[path, tmp_path / "missing.toml"]))
    assert "recipe 'quick' is brought by given and by given" in failure(again, "Other")
    assert "missing.toml" in failure(again, "Other")


def test_a_watcher_that_raises_is_told_once_and_no_longer_asked():
    seen, asked = [], []

    class Good:
        @hookimpl
        def mmfuse_watch(self, event):
            seen.append(event)

    class Bad:
        @hookimpl
        def mmfuse_watch(self, event):
            asked.append(event)
            raise ValueError("no ink")

    catalog = alone(Good(), Bad())
    told = [catalog.watch(Notice(text)) for text in ("one", "two")]
    assert told == [("plugin 'Bad' no longer watches: mmfuse_watch: ValueError: no ink",), ()]
    assert [event.text for event in seen] == ["one", "two"]
    assert len(asked) == 1
    assert "no ink" in failure(catalog, "Bad")


def test_commands_of_a_broken_plugin_do_not_hinder_others_and_none_takes_anothers_place():
    class Bad:
        @hookimpl
        def mmfuse_commands(self, cli):
            raise RuntimeError("no")

    class Good:
        @hookimpl
        def mmfuse_commands(self, cli):
            cli.add_command(click.Command("extra", help="good"))

    class Late:
        @hookimpl
        def mmfuse_commands(self, cli):
            for name in ("extra", "train", "own"):
                cli.add_command(click.Command(name, help="late"))

    catalog, cli = alone(Bad(), Good(), Late()), click.Group()
    told = catalog.commands(cli, ["train"])
    assert sorted(cli.commands) == ["extra", "own"]
    assert "mmfuse_commands: RuntimeError: no" in failure(catalog, "Bad")
    good, late = (next(one.remarks for one in catalog.plugins if one.name == name) for name in ("Good", "Late"))
    assert "its command 'train' is left out, mmfuse has one of this name" in late
    first = {"late": "Late", "good": "Good"}[cli.commands["extra"].help]
    assert f"its command 'extra' is left out, {first} has one of this name" in (late if first == "Good" else good)
    assert any("plugin 'Bad' (given): mmfuse_commands: RuntimeError: no" in text for text in told)
    assert any("'train' is left out" in text for text in told)


def test_the_catalog_loads_nothing_heavy():
    heavy = ("torch", "pandas", "scipy", "sklearn", "pyarrow", "timm", "kornia", "xgboost", "skops")
    code = f"""
    import sys, mmfuse
    catalog = mmfuse.Catalog()
    assert catalog.entries and catalog.recipes
    print([name for name in {heavy} if name in sys.modules])
    """
    out = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
