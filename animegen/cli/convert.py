"""``animegen convert``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from animegen.cli.options import Source, config_of, convert_options


@click.command()
@click.argument("sources", metavar="IN...", nargs=-1, required=True, type=Source())
@convert_options
@click.option("--preview", type=click.IntRange(min=1), metavar="N", help="Only N frames, as PNGs and a contact sheet.")
@click.option("--report", is_flag=True, help="Measure the result as well; see `animegen report`.")
def command(
    sources: tuple[str, ...],
    output: Path | None,
    preview: int | None,
    *,
    report: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Turn every person of a video into an avatar; of several videos, or of all in a folder, one after the other.

    The outputs of several stand beside their sources, or in the folder named with -o.
    """
    from animegen.cli.progress import listener
    from animegen.cli.stopping import stopping

    config = config_of(options)
    several = len(sources) > 1 or Path(sources[0]).is_dir()
    if several and preview is not None:
        raise click.UsageError("--preview is made of one video")
    if report and (preview is not None or config.discard_job):
        raise click.UsageError("--report measures a whole conversion by its job folder")
    failed = 0
    with listener(as_json=as_json, quiet=quiet) as tell, stopping() as cancel:
        if several:
            from animegen.pipeline.batch import convert_all

            outcomes = convert_all(sources, output, config, tell, cancel)
            results = [outcome.result for outcome in outcomes if outcome.result is not None]
            done = [result.output for result in results]
            failed = len(outcomes) - len(done)
        elif preview is not None:
            from animegen.pipeline.preview import preview as run_preview

            done = [run_preview(sources[0], output, config, preview, tell, cancel=cancel)]
        else:
            from animegen.pipeline.convert import convert

            results = [convert(sources[0], output, config, tell, cancel)]
            done = [result.output for result in results]
        if report:
            from animegen.pipeline.report_page import report_results

            done += report_results([result.job for result in results], tell)
    if not as_json:
        for path in done:
            click.echo(path)
    if several and not quiet:
        click.echo(f"{len(done)} converted, {failed} failed", err=True)
    return 1 if failed else 0
