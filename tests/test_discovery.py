"""Installed plugins: which of them `MMFUSE_PLUGINS` lets in, and who is named where they fail."""

import importlib.metadata
import sys

import pytest

from mmfuse.catalog import Catalog
from mmfuse.discovery import PluginInfo, blaming

PLUGIN = """
import mmfuse
class {part}(mmfuse.Encoder):
    "Of {name}."
@mmfuse.hookimpl
def mmfuse_parts():
    return [{part}]
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Three distributions, `skin`, `fundus` and one that fails, as an installer leaves them."""
    for name, part in {"skin": "Skin", "fundus": "Fundus", "broken": "Broken"}.items():
        (tmp_path / f"brought_by_{name}.py").write_text(PLUGIN.format(name=name, part=part))
        folder = tmp_path / f"dist_{name}-1.2.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dist-{name}\nVersion: 1.2\n")
        (folder / "entry_points.txt").write_text(f"[mmfuse]\n{name} = brought_by_{name}\n")
    (tmp_path / "brought_by_broken.py").write_text("import no_such_module")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("skin", "fundus", "broken"):
        monkeypatch.delitem(sys.modules, f"brought_by_{name}", raising=False)
    own = importlib.metadata.entry_points

    def points(**wanted):
        return [point for point in own(**wanted) if point.dist.name.startswith("dist-")]

    monkeypatch.setattr(importlib.metadata, "entry_points", points)
    monkeypatch.delenv("MMFUSE_PLUGINS", raising=False)
    return monkeypatch


def names(catalog):
    return [plugin.name for plugin in catalog.plugins]


def test_every_installed_plugin_is_found_and_a_failing_one_left_out(installed):
    catalog = Catalog(builtin=False)
    assert names(catalog) == ["broken", "fundus", "skin"]
    assert catalog.names("encoder") == ("fundus", "skin")
    broken, _, skin = catalog.plugins
    assert "ModuleNotFoundError: No module named 'no_such_module'" in broken.failure
    assert (skin.origin, skin.version, skin.parts, skin.failure) == ("dist-skin", "1.2", 1, "")
    assert skin.seconds > 0
    assert [(entry.origin, entry.version) for entry in catalog.entries] == [
        ("dist-fundus", "1.2"),
        ("dist-skin", "1.2"),
    ]


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("skin", ["skin"]),
        ("skin, fundus", ["fundus", "skin"]),
        ("-broken", ["fundus", "skin"]),
        ("skin,fundus,-skin", ["fundus"]),
        ("-skin,-fundus,-broken", []),
        ("-not-there", ["broken", "fundus", "skin"]),
        (" , ", ["broken", "fundus", "skin"]),
    ],
)
def test_plugins_are_allowed_and_denied_by_name(installed, words, left):
    installed.setenv("MMFUSE_PLUGINS", words)
    assert names(Catalog(builtin=False)) == left


def test_a_plugin_that_is_allowed_and_not_there_is_told(installed):
    installed.setenv("MMFUSE_PLUGINS", "skim")
    (plugin,) = Catalog(builtin=False).plugins
    assert "names 'skim', which is not installed" in plugin.failure
    assert "did you mean 'skin'?" in plugin.failure


def test_a_clash_names_both_distributions(installed, tmp_path):
    (tmp_path / "brought_by_fundus.py").write_text(PLUGIN.format(name="fundus", part="Skin"))
    installed.setenv("MMFUSE_PLUGINS", "-broken")
    catalog = Catalog(builtin=False)
    assert "encoder 'skin' is brought by dist-fundus and by dist-skin" in catalog.plugins[1].remarks
    assert not catalog.plugins[1].failure
    assert catalog.find("encoder", "dist-fundus:skin").__module__ == "brought_by_fundus"
    with pytest.raises(Exception, match="deny one by MMFUSE_PLUGINS=-NAME"):
        catalog.find("encoder", "skin")


def test_an_import_that_takes_long_is_called_slow():
    assert PluginInfo("x", "y", seconds=7.6).is_slow
    assert not PluginInfo("x", "y", seconds=0.3).is_slow


def test_blame_is_gathered_and_an_interruption_goes_through():
    info = PluginInfo("x", "y")
    for reason in ("one", "two"):
        with blaming(info, "import"):
            raise SystemExit(reason)
    assert info.failure == "import: SystemExit: one; import: SystemExit: two"
    with pytest.raises(KeyboardInterrupt), blaming(info, "import"):
        raise KeyboardInterrupt
