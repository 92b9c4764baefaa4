"""``animegen cast``: who is in a video, in a file that can be edited."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from animegen.cli.analyse import command as analyse
from animegen.cli.options import Source, config_of

_SHARED = (
    "style", "pose", "tracker", "identity", "start", "end", "max_people", "device", "seed", "settings", "salvage",
    "segment_frames", "threads", "restart", "as_json", "quiet",
)  # fmt: skip
"""Options of a conversion that shape its cast too."""


@click.command(params=[option for option in analyse.params if option.name in _SHARED])
@click.argument("source", metavar="VIDEO", type=Source())
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The cast file; default: VIDEO-cast.toml beside the input."
)
@click.option(
    "--for",
    "target",
    metavar="OUT",
    type=click.Path(path_type=Path),
    help="Output of the conversion that will go on from this analysis; default: VIDEO-anime beside the input.",
)
@click.option(
    "--cast", type=click.Path(path_type=Path), help="Cast file of other videos, whose people are recognised and kept."
)
@click.option("--overwrite", is_flag=True, help="Replace a cast, and what belongs to it, that stands there.")
def command(
    source: str, output: Path | None, target: Path | None, *, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Find the people of a video and write who they are: a cast file to edit, a contact sheet and an HTML page.

    In the file each person has a key, times, colours, style and seed. Edit it (name, style, avatar, seed, colours;
    [person.options] has options of the style; skip = true leaves a person in the picture as in the source; blur = true
    hides one under a coarse mosaic; same_as = KEY says that two are one person; split_at = [SECONDS] that one is two),
    then run `animegen convert VIDEO --cast FILE`. With --cast the people of another video's cast are recognised in this
    one and keep their keys and everything that was written of them.
    """
    import shlex

    from animegen.cli.progress import listener
    from animegen.cli.stopping import stopping
    from animegen.pipeline.casting import make_cast

    config = config_of(options)
    with listener(as_json=as_json, quiet=quiet) as tell, stopping() as cancel:
        files = make_cast(source, output, config, tell, cancel, target=target)
    if not as_json:
        for path in (files.cast, files.sheet, files.page):
            click.echo(path)
    if not (as_json or quiet):
        where = [] if target is None else ["-o", str(target)]
        command_line = shlex.join(["animegen", "convert", source, "--cast", str(files.cast), *where])
        click.echo(
            f"the analysis stays in {files.job}; this goes on from it, with the options that cast was given", err=True
        )
        click.echo(command_line, err=True)
