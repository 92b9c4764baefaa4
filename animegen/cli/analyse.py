"""``animegen analyse``: the first half of convert."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from animegen.cli.options import Source, config_of, convert_options


@click.command()
@click.argument("source", metavar="IN", type=Source())
@convert_options
def command(source: str, output: Path | None, *, as_json: bool, quiet: bool, **options: Any) -> None:
    """Find and track the people of a video and write the job folder; `animegen render` goes on from there."""
    from animegen.cli.progress import listener
    from animegen.cli.stopping import stopping
    from animegen.pipeline.convert import analyse_only

    config = config_of(options)
    with listener(as_json=as_json, quiet=quiet) as tell, stopping() as cancel:
        job = analyse_only(source, output, config, tell, cancel)
    if not as_json:
        click.echo(job.root)
