"""``animegen render``: the second half of convert."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("job", metavar="OUT.job", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace a finished file under the output's name.")
@click.option("--keep", is_flag=True, help="Keep everything in the job folder.")
@click.option("--json", "as_json", is_flag=True, help="One event a line, as JSON.")
@click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors.")
def command(job: Path, *, overwrite: bool, keep: bool, as_json: bool, quiet: bool) -> None:
    """Draw and composite what `animegen analyse` found, following the job's cast.toml."""
    from animegen.cli.progress import listener
    from animegen.cli.stopping import stopping
    from animegen.pipeline.convert import render_job

    with listener(as_json=as_json, quiet=quiet) as tell, stopping() as cancel:
        result = render_job(job, tell, cancel, overwrite=overwrite, keep=keep)
    if not as_json:
        click.echo(result.output)
