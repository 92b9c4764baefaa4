"""``animegen bench``: how fast, and how much memory, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from animegen.pipeline.bench import ConvertBench


@click.group(name="bench")
def command() -> None:
    """Measure the speed and memory of every stage."""


@command.command()
@click.argument("clip", type=click.Path(path_type=Path))
@click.option("--style", default="skeleton", show_default=True, help="How people are drawn; see `animegen styles`.")
@click.option("--pose", default="blazepose", show_default=True, help="Pose backend.")
@click.option("--background", default="clean", show_default=True, help="As in `animegen convert`.")
@click.option("--frames", default="200,2000", show_default=True, help="Lengths of the whole runs, by commas.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def convert(clip: Path, style: str, pose: str, background: str, frames: str, *, as_json: bool) -> None:
    """Every stage of a conversion alone, the whole, and its peak memory; CLIP is looped to the lengths asked for."""
    from animegen.cli import console
    from animegen.config import ConvertConfig
    from animegen.pipeline.bench import bench_convert

    try:
        counts = tuple(int(count) for count in frames.split(","))
    except ValueError:
        raise click.BadParameter(f"'{frames}' is no list of numbers", param_hint="--frames") from None
    config = ConvertConfig(style=style, pose=pose, background=background)
    result = bench_convert(clip, config, counts, lambda text: click.echo(text, err=True))
    if as_json:
        from dataclasses import asdict

        console.print_json(asdict(result))
    else:
        _print(result)


def _print(result: ConvertBench) -> None:
    total = sum(stage.core_ms for stage in result.stages)
    click.echo(f"machine: {result.machine}")
    click.echo(f"{'stage':<10}{'fps alone':>12}{'core-ms/frame':>16}")
    for stage in result.stages:
        click.echo(f"{stage.name:<10}{stage.fps:>12.1f}{stage.core_ms:>16.2f}")
    click.echo(f"{'sum':<10}{'':>12}{total:>16.2f}")
    for whole in result.wholes:
        click.echo(
            f"whole, {whole.frames} frames: {whole.fps:.1f} fps, {whole.core_ms:.2f} core-ms/frame "
            f"({whole.core_ms / total:.2f} of the stages' sum), cores {whole.busy:.0%} busy, "
            f"peak {whole.peak_mb:.0f} MB"
        )
        rates = (f"{name} {whole.frames / whole.passes[name]:.1f} fps" for name in ("analyse", "cast", "render"))
        click.echo(f"  its passes: {', '.join(rates)}")
    first, last = result.wholes[0], result.wholes[-1]
    if first is not last:
        click.echo(f"peak memory, {last.frames} over {first.frames} frames: {last.peak_mb / first.peak_mb:.3f}")
