"""``animegen pose``: poses in and out of files, drawn, converted and animated."""

from __future__ import annotations

from pathlib import Path

import click

from animegen.cli import console
from animegen.cli.options import Source

_FORMAT = click.option(
    "--format", type=click.Choice(["npz", "coco", "openpose"]), help="Default: what the output's name says."
)
_OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace an output file that exists.")
_PATH = click.Path(path_type=Path)


@click.group(name="pose")
def command() -> None:
    """Extract, draw, convert and interpolate poses."""


@command.command()
@click.argument("source", metavar="IN", type=Source())
@click.option("-o", "--output", required=True, type=_PATH, help=".npz, .json (COCO), or a folder (OpenPose).")
@_FORMAT
@click.option("--pose", default="blazepose", show_default=True, help="Pose backend.")
@_OVERWRITE
def extract(source: str, output: Path, format: str | None, pose: str, *, overwrite: bool) -> None:
    """Find and track the people of a video or picture and write their poses."""
    from animegen.cli.progress import listener
    from animegen.pipeline.analyse import extract_poses
    from animegen.pose.files import check_target, save_poses

    check_target(output, format, overwrite=overwrite)
    with listener() as tell:
        clip = extract_poses(source, pose=pose, on_event=tell)
    save_poses(clip, output, format, overwrite=overwrite)
    people = len(clip.tracks())
    click.echo(f"{output}: {len(clip)} frames, {people} {'person' if people == 1 else 'people'}")


@command.command()
@click.argument("poses", type=_PATH)
@click.option("-o", "--output", type=_PATH, help="An mp4, or a folder of PNGs; default: POSES-skeleton.mp4.")
@click.option("--over", metavar="VIDEO", type=_PATH, help="Draw over the video that the poses were taken from.")
@_OVERWRITE
def draw(poses: Path, output: Path | None, over: Path | None, *, overwrite: bool) -> None:
    """Draw poses as skeletons."""
    from animegen.pipeline.animation import draw_clip
    from animegen.pose.files import load_poses

    output = output or poses.with_name(f"{poses.stem}-skeleton.mp4")
    draw_clip(load_poses(poses), output, over, overwrite=overwrite)
    click.echo(output)


@command.command()
@click.argument("source", metavar="IN", type=_PATH)
@click.argument("output", metavar="OUT", type=_PATH)
@_FORMAT
@click.option("--skeleton", help="For an npz: blazepose75, coco17 or another that `animegen plugins` lists.")
@_OVERWRITE
def convert(source: Path, output: Path, format: str | None, skeleton: str | None, *, overwrite: bool) -> None:
    """Convert a file of poses to another format or skeleton.

    COCO JSON holds coco17 and OpenPose JSON body25. Poses with hands keep them in either, which then are
    coco_wholebody133 and body67.
    """
    from animegen.errors import UsageError
    from animegen.pose.convert import convert_clip
    from animegen.pose.files import check_target, load_poses, save_poses

    chosen = check_target(output, format, overwrite=overwrite)
    wanted = None if skeleton is None else console.plugin_host().find("skeleton", skeleton)
    if wanted is not None and chosen != "npz":
        raise UsageError(f"--skeleton {skeleton} has no meaning for {chosen}, which has its own", "write an npz")
    clip = load_poses(source)
    save_poses(clip if wanted is None else convert_clip(clip, wanted), output, chosen, overwrite=overwrite)
    click.echo(output)


@command.command()
@click.argument("keyposes", type=_PATH)
@click.option("-o", "--output", required=True, type=_PATH, help=".npz, .json (COCO), or a folder (OpenPose).")
@click.option("--between", required=True, type=click.IntRange(min=0), help="Frames from each key to the next.")
@click.option("--rate", default=30, show_default=True, type=click.IntRange(1, 240), help="Frames a second.")
@click.option("--draw", "drawing", metavar="OUT.mp4", type=_PATH, help="Render the animation as well.")
@_OVERWRITE
def interpolate(
    keyposes: Path, output: Path, between: int, rate: int, drawing: Path | None, *, overwrite: bool
) -> None:
    """Animate from key pose to key pose."""
    from fractions import Fraction

    from animegen.pipeline.animation import check_drawing, draw_clip
    from animegen.pose.files import check_target, load_poses, save_poses
    from animegen.pose.interpolate import interpolate_clip

    check_target(output, overwrite=overwrite)
    if drawing is not None:
        check_drawing(drawing, overwrite=overwrite)
    clip = interpolate_clip(load_poses(keyposes), between, Fraction(rate))
    save_poses(clip, output, overwrite=overwrite)
    click.echo(f"{output}: {len(clip)} frames")
    if drawing is not None:
        draw_clip(clip, drawing, overwrite=overwrite)
        click.echo(drawing)
