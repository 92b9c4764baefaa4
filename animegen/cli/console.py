"""What every command prints with: warnings, tables, JSON; and the plugin host with its failures told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from animegen.plugins import PluginHost


def warn(text: str) -> None:
    """One warning line on stderr."""
    click.echo(f"warning: {text}", err=True)


def fail(text: str, hint: str = "") -> None:
    """One error line on stderr, and one with the way out where there is one."""
    click.echo(f"error: {text}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)


def plugin_host() -> PluginHost:
    """The plugins of this machine; each that failed costs one warning line."""
    from animegen.plugins import PluginHost

    host = PluginHost.load()
    for failure in host.failures:
        warn(f"{failure} (left out)")
    return host


def print_json(value: Any) -> None:
    """A value as one line of JSON on stdout."""
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on stdout: with rich at a terminal, tab-separated where another program reads."""
    import sys

    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(row))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
