"""The command line: parse, call one function, print. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import click

from animegen import __version__
from animegen.cli import console
from animegen.errors import AnimegenError

TRACEBACK_VARIABLE = "ANIMEGEN_TRACEBACK"
INTERRUPTED = 130

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "convert": "Turn every person of a video into an avatar.",
        "cast": "Find the people of a video and write who they are, to edit and to follow.",
        "analyse": "Find and track the people of a video; the first half of convert.",
        "render": "Draw and composite what analyse found; the second half of convert.",
        "jobs": "See, resume and remove what conversions left to go on from.",
        "plan": "What a conversion will take: time, memory and disk, from a short trial.",
        "report": "Measure how good a conversion became, person by person.",
        "demo": "Make a short video with two people and convert it.",
        "pose": "Extract, draw, convert and interpolate poses.",
        "styles": "List the styles and their options.",
        "plugins": "List the plugins, or write a new one.",
        "weights": "List, fetch and check the weight files.",
        "ops": "Build the native ops, or see what computes.",
        "doctor": "Check this machine for everything animegen needs.",
        "verify": "Prove that an output has its source's frames, times and sound.",
        "train": "Train a generator on rendered data.",
        "stylegan2": "Read, sample, invert, edit, blend and train StyleGAN2 generators.",
        "evaluate": "Measure how good a generator is on what it was not trained on.",
        "bench": "Measure the speed and memory of every stage.",
    }
)
"""The commands in the order of ``--help``; each is ``animegen.cli.NAME:command``."""


class LazyGroup(click.Group):
    """A group that knows its commands' names and one-line helps, and imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The built-in commands, then those of plugins."""
        self._add_plugin_commands()
        return [*COMMANDS, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command, or None where there is none of that name."""
        if cmd_name in COMMANDS:
            command: click.Command = importlib.import_module(f"animegen.cli.{cmd_name}").command
            return command
        self._add_plugin_commands()
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table above, so that none is imported for ``--help``."""
        names = self.list_commands(ctx)
        rows = [(name, COMMANDS.get(name) or self.commands[name].get_short_help_str(90)) for name in names]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _add_plugin_commands(self) -> None:
        from importlib import metadata

        if self.commands or not metadata.entry_points(group="animegen"):
            return
        from animegen.plugins import plugin_commands

        commands, failures = plugin_commands(reserved=COMMANDS)
        self.commands.update(commands)
        for failure in failures:
            console.warn(f"{failure} (left out)")


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="animegen", message="%(prog)s %(version)s")
def cli() -> None:
    """Every person of a real video becomes an anime avatar of their own."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 failed, 2 usage, 130 interrupted."""
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader went away; Python would complain once more when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = cli.main(args=arguments, prog_name="animegen", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.Abort:
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "animegen"
        console.fail(error.format_message(), f"see `{command} --help`")
        return error.exit_code
    except AnimegenError as error:
        _trace()
        console.fail(str(error), error.hint)
        return error.exit_code
    except BrokenPipeError:
        raise
    except Exception as error:  # the last line of defence: a user gets one line, not a stack
        _trace()
        hint = "" if os.environ.get(TRACEBACK_VARIABLE) else f"set {TRACEBACK_VARIABLE}=1 to see where it happened"
        console.fail(f"{type(error).__name__}: {error}", hint)
        return 1


def _trace() -> None:
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exc()
