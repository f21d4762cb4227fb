"""The docs cannot drift: made pages equal the code, and every command, hook and part stands in them."""

import importlib.util
import re
from pathlib import Path

import pytest

import mmfuse
import mmfuse.testing
from mmfuse import hooks

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.glob("*.md")), ROOT / "README.md", *sorted(ROOT.glob("plugins/*/README.md"))]
on_every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate_docs", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_parts_page_is_that_of_the_code(generate):
    assert (DOCS / "parts.md").read_text(encoding="utf-8") == generate.parts_page(), "run: python docs/generate.py"


def test_the_api_page_is_that_of_the_code(generate):
    assert (DOCS / "api.md").read_text(encoding="utf-8") == generate.api_page(), "run: python docs/generate.py"


def test_every_knob_says_what_it_does(generate):
    nodes = [getattr(mmfuse, name) for name in (*generate.CARD.values(), *generate.PLAN.values())]
    nodes += [entry.part for entry in mmfuse.Catalog().entries if entry.origin.startswith("mmfuse")]
    dumb = [(node.__name__, knob.name) for node in nodes for knob in generate.knobs(node) if not knob.about]
    assert {name for _, name in dumb} <= {"part"}, dumb


def test_every_public_name_says_what_it_is(generate):
    assert "|  |" not in generate.api_page()


def test_every_command_is_documented():
    from mmfuse.cli import main

    text = (DOCS / "command-line.md").read_text(encoding="utf-8")
    for name in main.commands:
        assert re.search(rf"^#+ .*`?mmfuse {name}\b|^#+ `{name}`", text, re.MULTILINE), name


def test_every_hook_is_documented():
    text = (DOCS / "write-a-plugin.md").read_text(encoding="utf-8")
    for name in dir(hooks):
        if name.startswith("mmfuse_"):
            assert name in text


def test_every_role_is_documented():
    text = (DOCS / "write-a-plugin.md").read_text(encoding="utf-8")
    for role in mmfuse.ROLES:
        assert f"`{role.__name__}`" in text, role


@on_every_page
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert "://" in link or (page.parent / link).exists(), link


@on_every_page
def test_plans_and_cards_in_the_docs_are_toml(page):
    import tomllib

    for block in re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        tomllib.loads(block)


@on_every_page
def test_python_in_the_docs_compiles_and_names_what_there_is(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        if page.name != "architecture.md":  # there signatures are sketched
            compile(block, page.name, "exec")
            for name in re.findall(r"\bmmfuse\.(\w+)", block):
                assert name in ("testing", "builtin", *mmfuse.__all__), name
