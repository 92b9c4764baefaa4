"""``animegen plugins``: what is installed, and ``plugins new``: a package to start one's own from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from animegen.cli import console


@click.group(name="plugins", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a plugin.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List the plugins, or write a new one."""
    if context.invoked_subcommand is None:
        _list(as_json)


def _list(as_json: bool) -> None:
    from animegen.plugins import KINDS, PluginHost

    host = PluginHost.load()
    rows = []
    for kind in KINDS:
        taken = host.conflicts(kind)
        for entry in (entry for entry in host.entries if entry.kind == kind):
            state = "ok" if entry.spec.name not in taken else "name announced twice"
            rows.append((kind, entry.spec.name, entry.package.name, entry.package.version, state))
    for failure in host.failures:
        name, _, version = failure.package.partition(" ")
        rows.append(("plugin", failure.plugin, name, version, f"failed: {failure.text}"))
    columns = ("kind", "name", "package", "version", "state")
    if as_json:
        for row in rows:
            console.print_json(dict(zip(columns, row, strict=True)))
    else:
        console.print_table(columns, rows)
    if host.failures:
        way_out = "what failed is left out; `python -c 'import MODULE'` shows where, `pip uninstall PACKAGE` removes it"
        click.echo(f"hint: {way_out}", err=True)


@command.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(["style", "background"]), default="style", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write; default: the package's name.")
def new(name: str, kind: Literal["style", "background"], output: Path | None) -> None:
    """Write a pip package with a plugin that works: options, README and a contract test.

    NAME is how the plugin is chosen later, such as --style NAME: lower-case letters, digits and hyphens.
    """
    from animegen.scaffold import write_package

    folder = write_package(name, kind, output)
    click.echo(folder)
    click.echo(f"next: pip install -e {folder} && animegen convert CLIP --{kind} {name}", err=True)
