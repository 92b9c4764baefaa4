"""``animegen weights``: which weight files there are, where they lie, and bringing them here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from animegen.protocols import WeightSpec


@click.group(name="weights")
def command() -> None:
    """List, fetch and check the weight files."""


@command.command(name="list")
def list_() -> None:
    """Every weight file: size, licence, credit, and whether it is here and intact."""
    from animegen.cli.console import print_table
    from animegen.weights import find

    def row(spec: WeightSpec) -> tuple[str, ...]:
        found = find(spec)
        state = "not here" if found is None else (found.place if found.intact else f"corrupt: {found.path}")
        return (spec.name, f"{spec.bytes:,}", spec.source, spec.licence, spec.credit, state)

    print_table(("name", "bytes", "source", "licence", "credit", "state"), map(row, _known().values()))


@command.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--from",
    "file",
    type=click.Path(path_type=Path),
    help="A wheel or a weight file at hand, taken in place of a download.",
)
def pull(names: tuple[str, ...], file: Path | None) -> None:
    """Fetch weight files ahead of time: those named, or all."""
    from animegen.cli.progress import listener
    from animegen.weights import fetch, pull_from

    specs = _known()
    chosen = _chosen(names, specs)
    if file is not None:
        for path in pull_from(file, chosen):
            click.echo(path)
        return
    with listener() as tell:
        paths = [fetch(spec.name, on_event=tell, specs=specs.values()) for spec in chosen]
    click.echo("\n".join(map(str, paths)))


@command.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
def verify(names: tuple[str, ...]) -> None:
    """Compare the SHA-256 of the weight files that are here: those named, or all."""
    from animegen.errors import WeightsError
    from animegen.weights import find

    corrupt = []
    for spec in _chosen(names, _known()):
        found = find(spec)
        if found is None:
            click.echo(f"{spec.name}: not here")
        elif found.intact:
            click.echo(f"{spec.name}: ok, {found.path}")
        else:
            click.echo(f"{spec.name}: corrupt, {found.path}: expected {spec.sha256}, found {found.sha256}")
            corrupt.append(spec.name)
    if corrupt:
        raise WeightsError(
            f"corrupt weight files: {', '.join(corrupt)}", "`animegen weights pull` fetches those of the cache anew"
        )


@command.command()
@click.argument("name")
def path(name: str) -> None:
    """Where the file of weights NAME lies, fetched first where it is not here."""
    from animegen.cli.progress import listener
    from animegen.weights import fetch

    specs = _known().values()
    with listener() as tell:
        found = fetch(name, on_event=tell, specs=specs)
    click.echo(found)


def _known() -> dict[str, WeightSpec]:
    from animegen.cli.console import plugin_host
    from animegen.weights import known

    return known(plugin_host().specs("weights").values())


def _chosen(names: tuple[str, ...], specs: dict[str, WeightSpec]) -> list[WeightSpec]:
    from animegen.weights import lookup

    return [lookup(name, specs) for name in names] or list(specs.values())
