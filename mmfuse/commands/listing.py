"""What there is and who brought it: `parts`, `recipes`, `plugins`. Nothing heavy is imported to tell (law 9)."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import click

import mmfuse
from mmfuse.commands.app import App, Command
from mmfuse.commands.knobs import knobs
from mmfuse.show import Screen, plain

if TYPE_CHECKING:
    from mmfuse import Entry, Recipe

json_option = click.option("--json", "wants_json", is_flag=True, help="As JSON.")


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option("--role", metavar="ROLE", help="Only parts of this role: encoder, fusion, head …")
@click.option("--schema", "wants_schema", is_flag=True, help="The JSON Schema of a whole spec, for editors.")
@json_option
@click.pass_obj
def parts(app: App, name: str | None, role: str | None, wants_schema: bool, wants_json: bool) -> None:
    """List the parts and who brought them.

    With NAME: its knobs with types, defaults, ranges and what they do.
    """
    screen = app.screen
    if wants_schema:
        screen.json(mmfuse.schema(app.catalog))
        return
    roles = [kind.role for kind in mmfuse.ROLES]
    if role is not None and role not in roles:
        raise click.BadParameter(f"no role is called '{role}'; {mmfuse.nearest(role, roles)}", param_hint="--role")
    entries = [entry for entry in app.catalog.entries if role in (None, entry.role)]
    if name is not None:
        entries = _named(entries, name, app)
    if wants_json:
        screen.json([_described(entry, with_knobs=name is not None) for entry in entries])
    elif name is not None:
        for entry in entries:
            _show_part(screen, entry)
    else:
        rows = [(entry.role, entry.name, entry.about, _origin(entry.origin, entry.version)) for entry in entries]
        screen.table(("role", "name", "what it is", "from"), rows)
        failed = [plugin.name for plugin in app.catalog.plugins if plugin.failure]
        if failed:
            screen.text(f"\nleft out because they failed: {', '.join(failed)}; see `mmfuse plugins`")


def _named(entries: list[Entry], name: str, app: App) -> list[Entry]:
    found = [entry for entry in entries if name in (entry.name, entry.qualified, entry.name.rpartition(":")[2])]
    if not found:
        known = {entry.name for entry in entries}
        failed = [plugin.name for plugin in app.catalog.plugins if plugin.failure]
        hint = f"; left out because they failed: {', '.join(failed)}, see `mmfuse plugins`" if failed else ""
        raise mmfuse.SpecError(f"no part is called '{name}'", mend=mmfuse.nearest(name, known) + hint)
    return found


def _origin(origin: str, version: str) -> str:
    return f"{origin} {version}".strip()


def _described(entry: Entry, with_knobs: bool) -> dict[str, Any]:
    told = {
        "role": entry.role,
        "name": entry.name,
        "about": entry.about,
        "origin": entry.origin,
        "version": entry.version,
        "contract": entry.part.contract,
    }
    if with_knobs:
        told["doc"] = inspect.cleandoc(entry.part.__doc__ or "")
        told["knobs"] = [knob._asdict() | {"default": _value(knob.default)} for knob in knobs(entry.part)]
    return told


def _value(default: Any) -> Any:  # noqa: ANN401  # a knob's default is of any type
    """A default as a plan would hold it; a part becomes its table."""
    if isinstance(default, mmfuse.Part):
        return {"use": default.name, **{name: _value(value) for name, value in default}}
    if isinstance(default, mmfuse.Node):
        return {name: _value(value) for name, value in default}
    if isinstance(default, list | tuple):
        return [_value(item) for item in default]
    return plain(default)


def _show_part(screen: Screen, entry: Entry) -> None:
    screen.heading(f"{entry.role} {entry.name}")
    screen.text(inspect.cleandoc(entry.part.__doc__ or ""))
    screen.text(f"\nfrom {_origin(entry.origin, entry.version)}, contract {entry.part.contract}")
    listed = knobs(entry.part)
    if not listed:
        screen.text("no knobs")
        return
    rows = [
        (
            knob.name,
            knob.type,
            "must be given" if knob.required else json.dumps(_value(knob.default), ensure_ascii=False),
            knob.range,
            knob.about,
        )
        for knob in listed
    ]
    screen.text()
    screen.table(("knob", "type", "default", "range", "what it does"), rows)


@click.command(cls=Command)
@click.argument("name", required=False)
@json_option
@click.pass_obj
def recipes(app: App, name: str | None, wants_json: bool) -> None:
    """List the recipes: plans that plugins ship.

    With NAME: the recipe's text.
    """
    screen, known = app.screen, app.catalog.recipes
    if name is not None:
        if name not in known:
            raise mmfuse.SpecError(f"no recipe is called '{name}'", mend=mmfuse.nearest(name, known))
        text = known[name].path.read_text(encoding="utf-8")
        screen.json(_recipe(known[name]) | {"text": text}) if wants_json else screen.text(text.rstrip("\n"))
        return
    if wants_json:
        screen.json([_recipe(recipe) for recipe in known.values()])
        return
    screen.table(("recipe", "what it is", "from"), [(each.name, each.about, each.origin) for each in known.values()])


def _recipe(recipe: Recipe) -> dict[str, Any]:
    return {"name": recipe.name, "about": recipe.about, "origin": recipe.origin, "path": str(recipe.path)}


def state(plugin: mmfuse.PluginInfo) -> str:
    """How a plugin is: why it is left out, that it is slow, what names it may not have alone; or fine."""
    failure = f"left out: {plugin.failure}" if plugin.failure and not plugin.parts else plugin.failure
    slow = (
        f"slow: its import takes {plugin.seconds:.1f} s; import what is heavy inside methods" if plugin.is_slow else ""
    )
    return "; ".join(filter(None, (failure, slow, plugin.remarks))) or "fine"


@click.command(cls=Command)
@json_option
@click.pass_obj
def plugins(app: App, wants_json: bool) -> None:
    """List the plugins, their cost and their failures.

    What each brings, what its import costs, and why one was left out.
    """
    _ = app.guests  # what fails in adding its commands is known then
    found = app.catalog.plugins
    if wants_json:
        app.screen.json(
            [
                {
                    "name": each.name,
                    "origin": each.origin,
                    "version": each.version,
                    "parts": each.parts,
                    "recipes": each.recipes,
                    "seconds": round(each.seconds, 4),
                    "sha256": each.sha256,
                    "slow": each.is_slow,
                    "failure": each.failure,
                    "remarks": each.remarks,
                }
                for each in found
            ]
        )
        return
    rows = [
        (
            each.name,
            _origin(each.origin, each.version),
            each.parts,
            each.recipes,
            f"{1000 * each.seconds:.0f} ms",
            state(each),
        )
        for each in found
    ]
    app.screen.table(("plugin", "from", "parts", "recipes", "import", "state"), rows)
