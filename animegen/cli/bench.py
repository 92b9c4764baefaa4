"""``animegen bench``: how fast, and how much memory, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from animegen.cli.options import SETTINGS_OPTION

if TYPE_CHECKING:
    from animegen.measure.ops_report import OpsBench
    from animegen.measure.ops_start import BuildBench
    from animegen.pipeline.bench import ConvertBench
    from animegen.pipeline.bench_avatar import AvatarBench
    from animegen.pipeline.bench_generator import GeneratorBench
    from animegen.pipeline.bench_jobs import LongBench
    from animegen.pipeline.bench_people import PeopleBench

PEERS_OPTION = click.option(
    "--peer", "peers", metavar="NAME=PATH", multiple=True,
    help="Compare with a checkout of stylegan2-ada-pytorch, stylegan3 or rosinality; its code is run. May be repeated.",
)  # fmt: skip


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
@click.option(
    "--weights", metavar="FILE", type=click.Path(path_type=Path), help="Default: those that come with animegen."
)
@click.option("--sizes", default="64,128,256", show_default=True, help="Stages in pixels, by commas.")
@click.option("--batches", default="1,4,16", show_default=True, help="Pictures asked for at once, by commas.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--log", metavar="FILE", type=click.Path(path_type=Path), help="A training's log.jsonl, for its shares.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def avatar(
    *, weights: Path | None, sizes: str, batches: str, device: Literal["cpu", "cuda"], log: Path | None, as_json: bool
) -> None:
    """Sprites a second of avatars, what each part of drawing takes, and the machine's own rate beside them."""
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


@command.command()
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="Of the CPU, for tensors.")
@click.option("--rounds", default=15, show_default=True, type=click.IntRange(min=1), help="Times each is measured.")
@click.option(
    "--compile/--no-compile", "compiled", default=True, help="Compare with torch.compile, which takes a while."
)
@click.option("--only", default="", metavar="TEXT", help="Ops whose names hold this, such as down or upsampling.")
@PEERS_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def ops(
    *, device: str, threads: int, rounds: int, compiled: bool, only: str, peers: tuple[str, ...], as_json: bool
) -> None:
    """The native ops beside their references, torch.compile, Triton, swscale, OpenCV: time, bandwidth, error."""
    from animegen.cli import console
    from animegen.measure.ops_report import bench_ops
    from animegen.stylegan2.peer_ops import peer_ops

    result = bench_ops(
        device,
        threads=threads,
        rounds=rounds,
        compiled=compiled,
        only=only,
        peers={name: peer_ops(name, path) for name, path in _places(peers).items()},
        tell=lambda text: click.echo(text, err=True),
    )
    if as_json:
        from dataclasses import asdict

        console.print_json(asdict(result))
    else:
        _print_ops(result)


@command.command()
@click.option("--cuda-arch", default="90", show_default=True, metavar="TARGETS", help="GPUs to compile for, or none.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def build(*, cuda_arch: str, as_json: bool) -> None:
    """Cold builds of the native ops in a folder of their own, and what they add to a start after that."""
    from animegen.cli import console
    from animegen.measure.ops_start import bench_build

    result = bench_build(cuda_arch, lambda text: click.echo(text, err=True))
    if as_json:
        from dataclasses import asdict

        console.print_json(asdict(result))
    else:
        _print_build(result)


@command.command()
@click.option("--resolution", default=256, show_default=True, help="Side of the pictures.")
@click.option("--channel-base", default=16384, show_default=True, help="Width of the network; 32768 is the paper's.")
@click.option("--batch", default=1, show_default=True, type=click.IntRange(min=1), help="Pictures drawn at once.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--threads", default=2, show_default=True, type=click.IntRange(min=1), help="Of the CPU.")
@click.option("--compile/--no-compile", "compiled", default=False, help="Compare with torch.compile, which takes long.")
@PEERS_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def generator(
    *,
    resolution: int,
    channel_base: int,
    batch: int,
    device: str,
    threads: int,
    compiled: bool,
    peers: tuple[str, ...],
    as_json: bool,
) -> None:
    """A StyleGAN2 generator of random weights, ours and others', with the same pictures: time and difference."""
    from animegen.cli import console
    from animegen.pipeline.bench_generator import bench_generator

    result = bench_generator(
        resolution,
        channel_base=channel_base,
        batch=batch,
        device=device,
        threads=threads,
        compiled=compiled,
        peers=_places(peers),
        tell=lambda text: click.echo(text, err=True),
    )
    if as_json:
        from dataclasses import asdict

        console.print_json(asdict(result))
    else:
        _print_generator(result)


@command.command(name="long")
@click.argument("clip", type=click.Path(path_type=Path))
@click.option("--frames", default=18000, show_default=True, type=click.IntRange(min=2), help="Length of the run.")
@click.option("--style", default="skeleton", show_default=True, help="How people are drawn; see `animegen styles`.")
@click.option("--pose", default="blazepose", show_default=True, help="Pose backend.")
@click.option("--background", default="clean", show_default=True, help="As in `animegen convert`.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def long_command(clip: Path, *, frames: int, style: str, pose: str, background: str, as_json: bool) -> None:
    """A long run beside what `animegen plan` says of it, its memory beside a tenth of it, and its job folder's cost."""
    from animegen.cli import console
    from animegen.config import ConvertConfig
    from animegen.pipeline.bench_jobs import bench_long

    config = ConvertConfig(style=style, pose=pose, background=background)
    result = bench_long(clip, config, frames, lambda text: click.echo(text, err=True))
    if as_json:
        from dataclasses import asdict

        console.print_json({**asdict(result), "folder_share": result.folder_share})
    else:
        _print_long(result)


@command.command()
@click.argument("clip", type=click.Path(path_type=Path))
@click.option("--frames", default=960, show_default=True, type=click.IntRange(min=2), help="Length of each run.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(min=2), help="Workers of the second run.")
@click.option("--style", default="skeleton", show_default=True, help="How people are drawn; see `animegen styles`.")
def engine(clip: Path, *, frames: int, workers: int, style: str) -> None:
    """How much faster several Ray workers of one thread each are than one; CLIP is looped."""
    from animegen.config import ConvertConfig
    from animegen.pipeline.bench_jobs import bench_engine

    config = ConvertConfig(style=style)
    result = bench_engine(clip, config, frames, workers, lambda text: click.echo(text, err=True))
    click.echo(f"{result.frames} frames, one worker: {result.one:.1f} s")
    click.echo(f"{result.workers} workers: {result.several:.1f} s, {result.gain:.2f} times as fast")


def _numbers(text: str, option: str) -> tuple[int, ...]:
    """Whole numbers from 1, by commas."""
    try:
        numbers = tuple(int(word) for word in text.split(","))
    except ValueError:
        raise click.BadParameter(f"'{text}' is no list of numbers", param_hint=option) from None
    if min(numbers) < 1:
        raise click.BadParameter(f"'{text}' has a number below 1", param_hint=option)
    return numbers


def _places(peers: tuple[str, ...]) -> dict[str, Path]:
    """Where the checkouts of peers lie, by name."""
    pairs = [peer.partition("=") for peer in peers]
    for name, equals, _ in pairs:
        if not equals:
            raise click.BadParameter(f"'{name}' is not NAME=PATH", param_hint="--peer")
    return {name: Path(path) for name, _, path in pairs}


def _print_long(result: LongBench) -> None:
    told = result.forecast
    rows = {
        "seconds": (told.seconds, result.seconds),
        **{f"  {name}": (seconds, result.passes[name]) for name, seconds in told.passes.items()},
        "disk at most, MB": (told.disk / 1e6, result.disk / 1e6),
        "output, MB": (told.output / 1e6, result.output / 1e6),
        "peak memory, MB": (told.memory / 1e6, result.peak / 1e6),
    }
    click.echo(f"{f'{told.frames} frames':<20}{'plan':>12}{'truth':>12}{'plan/truth':>12}")
    for name, (planned, true) in rows.items():
        click.echo(f"{name:<20}{planned:>12.1f}{true:>12.1f}{planned / true:>12.3f}")
    ratio = result.peak / result.short_peak
    click.echo(f"peak memory, {told.frames} over {result.short_frames} frames: {ratio:.3f}")
    click.echo(f"job folder: {result.folder_seconds:.1f} s, {result.folder_share:.2%} of the run")
    click.echo(f"the same command once more: {result.resume_seconds:.2f} s")


def _print_generator(result: GeneratorBench) -> None:
    gemm = ", ".join(f"GEMM {name} {rate:.0f} GFLOP/s" for name, rate in result.gemm_gflops.items())
    click.echo(f"{result.device}; ops: {result.library}")
    click.echo(f"copy {result.copy_gbytes:.1f} GB/s, {gemm}")
    click.echo(f"{result.resolution} px, batch {result.batch}: {result.gflop:.1f} GFLOP")
    for time in result.times:
        median, fastest, slowest = time.milliseconds
        click.echo(
            f"{time.name:<36}{median:>9.2f} ms ({fastest:.2f}..{slowest:.2f}), "
            f"{result.gflop / median * 1e3:.0f} GFLOP/s, off by {time.error:.1e}"
        )
    for name, reason in result.not_measured.items():
        click.echo(f"{name:<36} not measured: {reason}")
    click.echo(f"{'times as fast as':<36}" + "".join(f"{name:>28}" for name in result.ours))
    for rival in result.rivals:
        click.echo(f"{rival:<36}" + "".join(f"{result.speedup(name, rival):>28.2f}" for name in result.ours))


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
        click.echo("bf16: not measured, these are no network, or this device has no instructions for it")
    click.echo(
        f"{'size':>5}{'batch':>7}{'dtype':>7}{'GFLOP':>8}{'pictures/s':>11}{'slowest..fastest':>20}{'of GEMM':>9}"
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
                f"{size} px {precision}: a picture in a batch of {gain[0]} is {gain[2]:.2f} x as fast as of {gain[1]}"
            )
    _print_sprites(result)
    for part in result.parts:
        median, fastest, slowest = part.milliseconds
        click.echo(
            f"{part.name}, {part.size} px, batch {part.batch}: {median:.2f} ms a sprite ({fastest:.2f}..{slowest:.2f})"
        )
    share = "not measured (--log)" if result.network_share is None else f"{result.network_share:.1%}"
    click.echo(f"training loop's time in the networks: {share}")


def _print_sprites(result: AvatarBench) -> None:
    """Whole sprites, as conversions ask for them: coloured, with firm edges."""
    click.echo(f"{'size':>5}{'batch':>7}{'GFLOP':>15}{'sprites/s':>11}{'slowest..fastest':>20}")
    for sprite in result.sprites:
        rate, slowest, fastest = sprite.sprites
        click.echo(
            f"{sprite.size:>5}{sprite.batch:>7}{sprite.gflop:>15.2f}{rate:>11.1f}{f'{slowest:.1f}..{fastest:.1f}':>20}"
        )
    for size in dict.fromkeys(sprite.size for sprite in result.sprites):
        gain = result.sprite_gain(size)
        if gain is not None:
            click.echo(f"{size} px: a sprite in a batch of {gain[0]} is {gain[2]:.2f} x as fast as of {gain[1]}")


def _print_build(result: BuildBench) -> None:
    for built in result.builds:
        spills = f", {built.spills or 'no'} kernels spill" if built.kind == "cuda" else ""
        name = " ".join((built.kind, *built.targets))
        click.echo(f"cold build, {name}: {built.seconds:.1f} s, {built.core_seconds:.1f} core-s{spills}")
    if len(result.builds) == 1:
        click.echo("cold build, cuda: not measured")
    click.echo(f"a build with nothing to do: {1e3 * result.again_seconds:.0f} ms")
    click.echo(
        f"a start: {result.import_ms + result.open_ms:.1f} core-ms beyond PyTorch's, "
        f"of which {result.open_ms:.1f} for the library"
    )


def _print_ops(result: OpsBench) -> None:
    gemm = ", ".join(f"{name} {rate:.0f} GFLOP/s" for name, rate in result.gemm_gflops.items())
    click.echo(f"{result.device}; ops: {result.library}")
    click.echo(f"copy {result.copy_gbytes:.1f} GB/s; GEMM {gemm}")
    click.echo(f"{'':<55}{'ms':>9}{'least..most':>18}{'GB/s':>8}{'of copy':>9}{'error':>10}{'times':>7}")
    native: dict[str, float] = {}
    for line in result.lines:
        if line.median is None or line.gbytes is None:
            click.echo(f"{line.op:<34}{line.variant:<21}  not measured: {line.reason}")
            continue
        if line.variant == "native":
            native[line.op] = line.median
        ratio = f"{line.median / native[line.op]:.2f}" if line.op in native else "-"
        spread = f"{line.least:.3f}..{line.most:.3f}"
        click.echo(
            f"{line.op:<34}{line.variant:<21}{line.median:>9.3f}{spread:>18}{line.gbytes:>8.2f}"
            f"{line.gbytes / result.copy_gbytes:>9.0%}{line.error:>10.2g}{ratio:>7}"
        )
