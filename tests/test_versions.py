"""A digest of code follows every change that could change what a part does, and nothing else."""

import os
import subprocess
import sys
import textwrap
import types

import pytest

from mmfuse import versions
from mmfuse.versions import code_digest, core_digest, library_versions

STEP = """
import mmfuse
from .disc import found

class Disc(mmfuse.Step):
    def apply(self, image):
        return found(image)
"""
ASK = "import sys; from mmfuse.versions import code_digest; import eyes.steps; print(code_digest(eyes.steps.Disc))"


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder


def asked(folder, more=""):
    """The digest that a process of its own finds."""
    env = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{more}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", ASK], env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def plugin(tmp_path):
    """A package with a helper, an asset, and a module of its own beside it."""
    files = {
        "eyes/__init__.py": "",
        "eyes/steps.py": STEP,
        "eyes/disc.py": "def found(image):\n    import retina\n    return image\n",
        "eyes/assets/template.txt": "round",
        "retina.py": "from vessels import tree\n",
        "vessels/__init__.py": "from .tree import tree\n",
        "vessels/tree.py": "tree = 1\n",
        "unrelated.py": "x = 1\n",
    }
    return write(tmp_path / "src", files)


@pytest.mark.parametrize(
    ("name", "is_seen"),
    [("eyes/disc.py", True), ("eyes/steps.py", True), ("eyes/assets/template.txt", True), ("retina.py", True),
     ("vessels/tree.py", True), ("unrelated.py", False)],
)  # fmt: skip
def test_a_change_of_what_a_step_is_made_of_is_seen(plugin, name, is_seen):
    before = asked(plugin)
    assert before == asked(plugin)
    (plugin / name).write_text((plugin / name).read_text() + "\n# changed\n")
    assert (asked(plugin) != before) == is_seen


def test_another_release_of_a_library_that_a_helper_imports_is_seen(plugin, tmp_path):
    site = tmp_path / "site"
    meta = "Metadata-Version: 2.1\nName: lens\nVersion: {}\n"
    write(site, {"lens/__init__.py": "", "lens-1.0.dist-info/METADATA": meta.format("1.0"),
                 "lens-1.0.dist-info/RECORD": "lens/__init__.py,sha256=x,0\n"})  # fmt: skip
    (plugin / "eyes" / "disc.py").write_text("def found(image):\n    import lens\n    return image\n")
    before = asked(plugin, site)
    (site / "lens" / "__init__.py").write_text("# in place, by hand: the release says nothing of it")
    assert asked(plugin, site) == before
    (site / "lens-1.0.dist-info" / "RECORD").write_text("lens/__init__.py,sha256=y,0\n")  # built again
    again = asked(plugin, site)
    (site / "lens-1.0.dist-info").rename(site / "lens-1.1.dist-info")
    (site / "lens-1.1.dist-info" / "METADATA").write_text(meta.format("1.1"))
    assert len({before, again, asked(plugin, site)}) == 3


def test_an_installed_plugin_counts_by_its_files(plugin, tmp_path):
    write(plugin, {"eyes-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: eyes\nVersion: 1.0\n"})
    before = asked(plugin)
    (plugin / "eyes" / "disc.py").write_text("def found(image):\n    return 255 - image\n")
    assert asked(plugin) != before


def typed(text):
    """A class as it is typed at a prompt: of a module without a file."""
    module = types.ModuleType("prompt")
    sys.modules["prompt"] = module
    exec_in(module, text)
    return module.Kind


def exec_in(module, text):
    import code

    code.InteractiveInterpreter(vars(module)).runsource(text, symbol="exec")


PROMPT = """
SIZE = 3
def helper(x):
    return [x + SIZE for _ in {"a", "b"}]
class Kind:
    def apply(self, x):
        return helper(x)
"""


@pytest.mark.parametrize(
    "change", [("SIZE = 3", "SIZE = 4"), ("x + SIZE", "x - SIZE"), ("return helper(x)", "return helper(x + 1)")]
)
def test_a_class_that_was_typed_counts_by_what_it_does(change):
    assert code_digest(typed(PROMPT)) == code_digest(typed(PROMPT))
    assert code_digest(typed(PROMPT)) != code_digest(typed(PROMPT.replace(*change)))


def test_builtin_parts_count_with_the_libraries_that_they_import():
    from mmfuse.builtin.readers.image import ImageReader

    found = versions._Found("mmfuse.builtin")
    found.add_class(ImageReader)
    assert found.parts["PIL"].startswith("pillow ")
    assert found.parts["numpy"].startswith("numpy ")
    assert "mmfuse.builtin" in found.parts
    assert not {"torch", "timm", "mmfuse"} & set(found.parts)


def test_the_core_counts_as_a_whole(monkeypatch):
    assert code_digest(versions._Found) == core_digest()
    assert library_versions(["numpy", "no-such-library"]).keys() == {"numpy"}


OWN = """
import sys
from pathlib import Path
import mmfuse
from mmfuse.versions import code_digest

place = Path(sys.argv[1])
(place / "late.py").write_text("class Kind:\\n    pass\\n")
sys.path.insert(0, str(place))
import late

first = code_digest(late.Kind)
assert first == code_digest(late.Kind)
(place / "late.py").write_text("class Kind:\\n    more = 1\\n")
second = code_digest(late.Kind)
assert second != first
print(second)
"""


def test_code_that_changed_since_the_start_is_this_process_s_own(tmp_path):
    """The module may have been imported before: nobody else may find what it made under what the file says now."""
    command = [sys.executable, "-c", OWN, str(tmp_path)]
    found = {subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)}
    assert len(found) == 2
