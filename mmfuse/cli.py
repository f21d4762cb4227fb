"""The command line: which commands there are and how they end. Thin: a command parses, calls the Python API, shows.

A guest: like every plugin it knows mmfuse by the door alone. Nothing heavy is imported before a command needs it
(law 9).
"""

from __future__ import annotations

import io
import sys
import traceback
from contextlib import suppress

import click

import mmfuse
from mmfuse.commands import (
    checking,
    comparing,
    demo,
    embedding,
    explaining,
    learning,
    linting,
    listing,
    preparing,
    pretraining,
    skeleton,
    stressing,
    upkeep,
    using,
)
from mmfuse.commands.app import App, global_options, refusal
from mmfuse.commands.signals import EndedError, heeded


class Program(click.Group):
    """The commands, in the order of work, with those of plugins at the end."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *global_options(hidden=False)]

    def list_commands(self, ctx: click.Context) -> list[str]:
        guests = ctx.ensure_object(App).guests
        return [*self.commands, *(name for name in guests if name not in self.commands)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        # the builtin commands first: a plugin may not take the place of one, nor be imported only to find it
        return self.commands.get(cmd_name) or ctx.ensure_object(App).guests.get(cmd_name)

    def invoke(self, ctx: click.Context) -> object:
        app = ctx.ensure_object(App)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # an old terminal gets `?` for a sign it lacks, not a crash
        try:
            with heeded():
                return super().invoke(ctx)
        except EndedError as error:
            with suppress(OSError):  # nobody may be listening any more
                click.echo(app.interrupted.replace("interrupted", f"interrupted by {error.name}", 1), err=True)
            ctx.exit(error.code)
        except KeyboardInterrupt:
            click.echo(app.interrupted, err=True)
            ctx.exit(130)
        except click.ClickException as error:
            error.message = mmfuse.visible(error.message, lines=True)  # type: ignore[misc]  # which click then shows
            raise
        except click.exceptions.Exit:
            raise
        except Exception as error:
            message = refusal(error)
            if not message:
                raise
            if app.traceback:
                click.echo(traceback.format_exc(), err=True)
            click.echo(mmfuse.visible(message, lines=True), err=True)
            ctx.exit(1)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(mmfuse.__version__, prog_name="mmfuse")
def main() -> None:
    """Compose multimodal fusion for medical AI from parts, and know whether it helps.

    A table of cases and its card say what there is, a recipe or plan says what is done with it. The options below stand
    before or after the command.
    """


for command in (
    demo.demo,
    listing.parts,
    listing.recipes,
    listing.plugins,
    upkeep.doctor,
    skeleton.new_plugin,
    preparing.adapt,
    preparing.describe,
    checking.check,
    learning.train,
    pretraining.pretrain,
    using.predict,
    using.evaluate,
    comparing.compare,
    linting.lint,
    stressing.stress,
    embedding.embed,
    explaining.explain,
    upkeep.cache,
):
    main.add_command(command)
