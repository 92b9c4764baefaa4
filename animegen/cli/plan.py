"""``animegen plan``: what a conversion will take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from animegen.cli.options import Source, config_of, convert_options


@click.command()
@click.argument("source", metavar="VIDEO", type=Source())
@convert_options
@click.option(
    "--trial-frames", type=click.IntRange(min=3), default=120, show_default=True, help="How many frames are tried."
)
def command(source: str, output: Path | None, trial_frames: int, *, as_json: bool, quiet: bool, **options: Any) -> None:
    """What `animegen convert` with the same options will take, from a short trial: time, memory and disk."""
    from dataclasses import asdict
    from datetime import timedelta

    from animegen.cli import console
    from animegen.cli.stopping import stopping
    from animegen.jobs import in_words
    from animegen.pipeline.plan import plan

    config = config_of(options)
    if not (as_json or quiet):
        click.echo("converting a few short pieces of the video", err=True)
    with stopping() as cancel:
        found = plan(source, output, config, cancel=cancel, trial_frames=trial_frames)
    if as_json:
        console.print_json(asdict(found))
        return
    passes = ", ".join(f"{name} {timedelta(seconds=round(seconds))}" for name, seconds in found.passes.items())
    rows = [
        ("frames", f"{found.frames}; the trial converted {found.tried}"),
        ("time", f"{timedelta(seconds=round(found.seconds))} ({passes})"),
        ("memory", in_words(found.memory)),
        ("output", in_words(found.output)),
        ("disk at most", f"{in_words(found.disk)}, of {in_words(found.free)} free"),
        ("job folder, when finished", in_words(found.kept)),
    ]
    console.print_table(("", ""), rows)
    if found.disk > found.free:
        console.warn("the disk has no room for this")
