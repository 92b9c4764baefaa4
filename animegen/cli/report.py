"""``animegen report``: how good a conversion became."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("job", metavar="OUT.job", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", "folder", type=click.Path(path_type=Path), help="Folder of the report; default: OUT-report."
)
@click.option("--samples", type=click.IntRange(min=1), default=24, show_default=True, help="Frames of each person.")
@click.option(
    "--fail-under",
    "limits",
    multiple=True,
    metavar="[METRIC=]VALUE",
    help="Exit with 1 where somebody is worse: score (without a name), pose, colour, flicker, lost, switches.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--overwrite", is_flag=True, help="Replace a report that stands there.")
@click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors.")
def command(
    job: Path,
    folder: Path | None,
    samples: int,
    limits: tuple[str, ...],
    *,
    as_json: bool,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Measure the output of a job, person by person, and write a page with the worst frames.

    Beside each figure of the output stands what the source itself has by the same measure.
    """
    from animegen.cli import console
    from animegen.cli.progress import listener
    from animegen.pipeline.report import report_folder
    from animegen.pipeline.report_page import check_report_folder, write_job_report

    wanted = parsed_limits(limits)
    folder = folder or report_folder(job)
    check_report_folder(folder, overwrite=overwrite)
    with listener(quiet=quiet) as tell:
        report = write_job_report(job, folder, samples=samples, on_event=tell)
    if as_json:
        console.print_json(report.figures)
    else:
        print_figures(report.figures)
        click.echo(folder)
    failed = report.worse_than(wanted)
    for line in failed:
        console.fail(line)
    if failed:
        click.get_current_context().exit(1)


def parsed_limits(values: tuple[str, ...]) -> dict[str, float]:
    """Limits by metric; a number alone is one of the score."""
    from animegen.pipeline.report import LIMITS

    limits = {}
    for value in values:
        name, equals, text = value.rpartition("=")
        name = name if equals else "score"
        if name not in LIMITS:
            raise click.BadParameter(
                f"there is no metric '{name}'; there are {', '.join(LIMITS)}", param_hint="--fail-under"
            )
        try:
            limits[name] = float(text)
        except ValueError:
            raise click.BadParameter(f"'{value}' is not METRIC=NUMBER", param_hint="--fail-under") from None
    return limits


def print_figures(figures: Mapping[str, Any]) -> None:
    """One line a person."""
    from animegen.cli import console

    names = list(figures["people"][0]["limits"]) if figures["people"] else []
    rows = [
        (person["key"], *("-" if person["limits"][n] is None else f"{person['limits'][n]:.4g}" for n in names))
        for person in figures["people"]
    ]
    console.print_table(("person", *names), rows)
