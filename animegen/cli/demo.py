"""``animegen demo``: the main job on a clip that needs no footage."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("--video", type=click.Path(path_type=Path), help="Convert this video instead of the demo's own clip.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("animegen-demo"),
    show_default=True,
    help="Folder for the clip and the result.",
)
@click.option("--style", default="anime", show_default=True, help="How people are drawn.")
@click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors.")
def command(video: Path | None, output: Path, style: str, *, quiet: bool) -> None:
    """Make a short video with two people, convert it, and say where the result is."""
    from animegen.cli.progress import listener
    from animegen.pipeline.demo import run_demo

    with listener(quiet=quiet) as tell:
        shown = run_demo(output, video, style, tell)
    click.echo(f"source:  {shown.source}\nresult:  {shown.result}\npicture: {shown.picture}")
