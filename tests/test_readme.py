"""The README's command list is what ``--help`` says. Run this file as a script to write it anew."""

from __future__ import annotations

import re
from pathlib import Path

import click
from click.testing import CliRunner

from animegen.cli import COMMANDS, cli

README = Path(__file__).resolve().parent.parent / "README.md"
BLOCK = re.compile(r"(?<=<!-- commands -->\n).*?(?=<!-- /commands -->)", re.DOTALL)


def command_table() -> str:
    """Every command and subcommand with its one-line help, as a Markdown table."""
    rows = ["| command | what it does |", "|---|---|"]
    for name, summary in COMMANDS.items():
        command = cli.get_command(click.Context(cli), name)
        rows.append(f"| `animegen {name}` | {summary} |")
        if isinstance(command, click.Group):
            rows += [f"| `animegen {name} {n}` | {c.get_short_help_str(120)} |" for n, c in command.commands.items()]
    convert = CliRunner().invoke(cli, ["convert", "--help"], prog_name="animegen", terminal_width=100)
    return "\n".join(rows) + f"\n\n```text\n$ animegen convert --help\n{convert.output.rstrip()}\n```\n"


def test_the_command_list_is_what_help_says() -> None:
    block = BLOCK.search(README.read_text(encoding="utf-8"))
    assert block is not None
    assert block.group() == command_table(), "run `python tests/test_readme.py` to write the list anew"


if __name__ == "__main__":
    README.write_text(BLOCK.sub(lambda _: command_table(), README.read_text(encoding="utf-8")), encoding="utf-8")
