"""``animegen bench``: how fast, and how much memory, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from animegen.cli.options import SETTINGS_OPTION

if TYPE_CHECKING:
    from animegen.pipeline.bench import ConvertBench
    from animegen.pipeline.bench_avatar import AvatarBench
    from animegen.pipeline.bench_people import PeopleBench


@click.group(name="bench")
def command() -> None:
    """Measure the speed and memory of every stage."""


@command.command()
@click.argument("clip", type=click.Path(path_type=Path))
@click.option("--style", default="skeleton", show_default=True, help="How people are drawn; see `animegen styles`.")
@click.option("--pose", default="blazepose", show_default=True, help="Pose backend.")
@click.option("--background", default="clean", show_default=True, help="As in `animegen convert`.")
@SETTINGS_OPTION
@click.option("--frames", default="200,2000", show_default=True, help="Lengths of the whole runs, by commas.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def convert(clip: Path, *, frames: str, as_json: bool, **chosen: Any) -> None:
    """Every stage of a conversion alone, the whole, and its peak memory; CLIP is looped to the lengths asked for."""
    from animegen.cli import console
    from animegen.config import ConvertConfig
    from animegen.pipeline.bench import bench_convert

    counts = _numbers(frames, "--frames")
    config = ConvertConfig(**chosen)
    result = bench_convert(clip, config, counts, lambda text: click.echo(text, err=True))
    if as_json:
        from dataclasses import asdict

        console.print_json(asdict(result))
    else:
        _print(result)


@command.command()
@click.argument("clip", type=click.Path(path_type=Path))
@click.option("--copies", default="1,2,3", show_default=True, help="Numbers of copies side by side, by commas.")
@click.option("--frames", default=120, show_default=True, type=click.IntRange(min=1), help="Length of each film.")
@click.option("--style", default="skeleton", show_default=True, help="How people are drawn; see `animegen styles`.")
@click.option("--pose", default="blazepose", show_default=True, help="Pose backend.")
@click.option("--background", default="clean", show_default=True, help="As in `animegen convert`.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def people(clip: Path, *, copies: str, frames: int, style: str, pose: str, background: str, as_json: bool) -> None:
    """What n people in one clip cost against n clips of one: CLIP, of one person, n times side by side."""
    from animegen.cli import console
    from animegen.config import ConvertConfig
    from animegen.pipeline.bench_people import bench_people

    counts = _numbers(copies, "--copies")
    config = ConvertConfig(style=style, pose=pose, background=background)
    result = bench_people(clip, config, counts, frames, lambda text: click.echo(text, err=True))
    if as_json:
        from dataclasses import asdict

        console.print_json(asdict(result))
    else:
        _print_people(result)


@command.command()
@click.option("--weights", metavar="FILE", type=click.Path(path_type=Path), help="Default: the network untrained.")
@click.option("--sizes", default="64,128,256", show_default=True, help="Stages in pixels, by commas.")
@click.option("--batches", default="1,4,16", show_default=True, help="Sprites drawn at once, by commas.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--log", metavar="FILE", type=click.Path(path_type=Path), help="A training's log.jsonl, for its shares.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def avatar(
    *, weights: Path | None, sizes: str, batches: str, device: Literal["cpu", "cuda"], log: Path | None, as_json: bool
) -> None:
    """Sprites a second of an avatar generator by stage, batch and number format, beside the machine's own rate."""
    from animegen.cli import console
    from animegen.pipeline.bench_avatar import bench_avatar

    result = bench_avatar(
        weights,
        sizes=_numbers(sizes, "--sizes"),
        batches=_numbers(batches, "--batches"),
        device=device,
        log=log,
        tell=lambda text: click.echo(text, err=True),
    )
    if as_json:
        from dataclasses import asdict

        console.print_json(asdict(result))
    else:
        _print_avatar(result)


def _numbers(text: str, option: str) -> tuple[int, ...]:
    """Whole numbers from 1, by commas."""
    try:
        numbers = tuple(int(word) for word in text.split(","))
    except ValueError:
        raise click.BadParameter(f"'{text}' is no list of numbers", param_hint=option) from None
    if min(numbers) < 1:
        raise click.BadParameter(f"'{text}' has a number below 1", param_hint=option)
    return numbers


def _print_people(result: PeopleBench) -> None:
    names = [stage.name for stage in result.crowds[0].times.stages]
    click.echo(f"machine: {result.machine}")
    click.echo("core-ms a frame" + "".join(f"{name:>9}" for name in [*names, "sum"]) + "   people drawn")
    for crowd in result.crowds:
        taken = [stage.core_ms for stage in crowd.times.stages]
        figures = "".join(f"{figure:>9.2f}" for figure in [*taken, sum(taken)])
        click.echo(f"{crowd.copies:>15}{figures}{crowd.times.people:>15.2f}")
    for crowd in result.crowds[1:]:
        shares = "".join(f"{result.share(crowd, name):>9.2f}" for name in [*names, None])
        click.echo(f"{crowd.copies:>3} over singles{shares}")


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


def _print_avatar(result: AvatarBench) -> None:
    click.echo(f"{result.device}; weights: {result.weights}")
    for precision, (median, slowest, fastest) in result.gemm_gflops.items():
        click.echo(f"GEMM {precision}: {median:.0f} GFLOP/s ({slowest:.0f}..{fastest:.0f})")
    if "bf16" not in result.gemm_gflops:
        click.echo("bf16: not measured, this device has no instructions for it")
    click.echo(
        f"{'size':>5}{'batch':>7}{'dtype':>7}{'GFLOP':>8}{'sprites/s':>11}{'slowest..fastest':>20}{'of GEMM':>9}"
    )
    for draw in result.draws:
        rate, slowest, fastest = draw.sprites
        click.echo(
            f"{draw.size:>5}{draw.batch:>7}{draw.precision:>7}{draw.gflop:>8.2f}{rate:>11.1f}"
            f"{f'{slowest:.1f}..{fastest:.1f}':>20}{draw.share:>9.0%}"
        )
    for size, precision in sorted({(draw.size, draw.precision) for draw in result.draws}):
        gain = result.batch_gain(size, precision)
        if gain is not None:
            click.echo(
                f"{size} px {precision}: a sprite in a batch of {gain[0]} is {gain[2]:.2f} x as fast as of {gain[1]}"
            )
    for part in result.parts:
        median, fastest, slowest = part.milliseconds
        click.echo(
            f"{part.name}, {part.size} px, batch {part.batch}: {median:.2f} ms a sprite ({fastest:.2f}..{slowest:.2f})"
        )
    share = "not measured (--log)" if result.network_share is None else f"{result.network_share:.1%}"
    click.echo(f"training loop's time in the networks: {share}")
