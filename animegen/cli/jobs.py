"""``animegen jobs``: what lies in job folders, and going on with it or removing it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from animegen.pipeline.jobs import JobReport

_PLACES = click.argument("places", metavar="[FOLDER]...", nargs=-1, type=click.Path(path_type=Path))


@click.group(name="jobs")
def command() -> None:
    """See, resume and remove what conversions left to go on from."""


@command.command(name="list")
@_PLACES
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def list_command(places: tuple[Path, ...], *, as_json: bool) -> None:
    """The jobs in a folder and the folders in it (default: here): how far each came, and what it takes on disk."""
    from animegen.cli import console
    from animegen.jobs import in_words
    from animegen.pipeline.jobs import find_jobs, report

    reports = [report(folder) for folder in find_jobs(places or (Path(),))]
    if as_json:
        console.print_json([_plain(job) for job in reports])
        return
    rows = []
    for job in reports:
        shares = (_share(done, job.frames) for done in (job.analysed, job.rendered))
        rows.append((str(job.output), _state(job), *shares, in_words(job.size)))
    console.print_table(("output", "state", "analysed", "rendered", "size"), rows)


@command.command()
@click.argument("folder", metavar="OUT.job", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def show(folder: Path, *, as_json: bool) -> None:
    """Everything a job was made for, how far it came, and what it warned of."""
    from animegen.cli import console
    from animegen.jobs import in_words
    from animegen.pipeline.jobs import report

    job = report(_one(folder))
    if as_json:
        console.print_json(_plain(job))
        return
    told = {
        "output": str(job.output),
        "source": job.source or "unknown",
        "state": _state(job),
        "analysed": f"{job.analysed} of {job.frames} frames",
        "rendered": f"{job.rendered} of {job.frames} frames",
        "size": in_words(job.size),
        **{name: str(value) for name, value in sorted(job.fingerprint.items())},
    }
    console.print_table(("", ""), told.items())
    for text in job.warnings:
        console.warn(text)


@command.command()
@click.argument("places", metavar="FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace a finished file under an output's name.")
@click.option("--keep", is_flag=True, help="Keep everything in the job folders.")
@click.option("--json", "as_json", is_flag=True, help="One event a line, as JSON.")
@click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors.")
def resume(places: tuple[Path, ...], *, overwrite: bool, keep: bool, as_json: bool, quiet: bool) -> int:
    """Go on with jobs where they stopped, as they were asked for; one that fails does not stop the others.

    Of those in a folder, finished ones are left alone without --overwrite.
    """
    from animegen.cli import console
    from animegen.cli.progress import listener
    from animegen.cli.stopping import stopping
    from animegen.errors import AnimegenError, Cancelled
    from animegen.pipeline.convert import render_job
    from animegen.pipeline.jobs import find_jobs, report

    failed = 0
    with listener(as_json=as_json, quiet=quiet) as tell, stopping() as cancel:
        for folder in find_jobs(places):
            if folder not in places and not overwrite and report(folder).state == "finished":
                continue
            try:
                result = render_job(folder, tell, cancel, overwrite=overwrite, keep=keep)
            except Cancelled:
                raise
            except AnimegenError as error:
                console.fail(f"{folder}: {error}", error.hint)
                failed += 1
            else:
                if not as_json:
                    click.echo(result.output)
    return 1 if failed else 0


@command.command()
@click.argument("places", metavar="FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--all", "everything", is_flag=True, help="Also jobs that are not finished.")
def clean(places: tuple[Path, ...], *, everything: bool) -> int:
    """Remove job folders that are named, and of those in a folder the finished ones.

    Outputs stay, and so does what is yours: a cast that was edited moves beside its output.
    """
    from animegen.cli import console
    from animegen.errors import JobError
    from animegen.jobs import in_words
    from animegen.pipeline.jobs import clean, find_jobs, report

    freed, code = 0, 0
    for folder in find_jobs(places):
        if report(folder).state != "finished" and not everything and folder not in places:
            continue
        try:
            size, kept = clean(folder)
        except JobError as error:
            console.fail(f"{folder}: {error}", error.hint)
            code = error.exit_code
            continue
        freed += size
        click.echo(folder)
        for path in kept:
            console.warn(f"{path} is yours and is kept")
    click.echo(f"{in_words(freed)} freed", err=True)
    return code


def _one(folder: Path) -> Path:
    from animegen.errors import JobError
    from animegen.pipeline.jobs import find_jobs

    if folder.suffix != ".job" or not find_jobs([folder]):
        raise JobError(f"{folder} is not a job folder", "`animegen jobs list FOLDER` finds them")
    return folder


def _state(job: JobReport) -> str:
    return f"running: {job.holder}" if job.holder is not None else job.state


def _share(done: int, frames: int) -> str:
    return f"{done / frames:.0%}" if frames else "-"


def _plain(job: JobReport) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(job)
