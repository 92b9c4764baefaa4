"""``animegen convert``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from animegen.cli.options import config_of, convert_options


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@convert_options
@click.option("--preview", type=click.IntRange(min=1), metavar="N", help="Only N frames, as PNGs and a contact sheet.")
def command(
    source: Path, output: Path | None, preview: int | None, *, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Turn every person of a video into an avatar."""
    from animegen.cli.progress import listener

    config = config_of(options)
    with listener(as_json=as_json, quiet=quiet) as tell:
        if preview is not None:
            from animegen.pipeline.preview import preview as run_preview

            result = run_preview(source, output, config, preview, tell)
        else:
            from animegen.pipeline.convert import convert

            result = convert(source, output, config, tell).output
    if not as_json:
        click.echo(result)
