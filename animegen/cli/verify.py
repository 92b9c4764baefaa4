"""``animegen verify``: does an output have the source's frames, times, sound and subtitles?"""

from __future__ import annotations

from pathlib import Path

import click

from animegen.cli import console


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def command(source: Path, output: Path, as_json: bool) -> None:
    """Prove that OUT has every frame of IN at its time, and its sound, subtitles and chapters."""
    from animegen.video import verify

    report = verify(source, output)
    if as_json:
        checks = [{"name": check.name, "ok": check.ok, "text": check.text} for check in report.checks]
        console.print_json({"ok": report.ok, "checks": checks})
    else:
        for check in report.checks:
            click.echo(f"{'✓' if check.ok else '✗'} {check.name}: {check.text}")
    if not report.ok:
        click.get_current_context().exit(1)
