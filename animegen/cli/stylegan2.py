"""``animegen stylegan2``: read, sample, invert, edit and blend StyleGAN2 generators."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import click

_PATH = click.Path(path_type=Path)


class Numbers(click.ParamType[tuple[int, ...]]):
    """Whole numbers and ranges: ``0-7``, ``3,5,9``, ``0-3,8``."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Parse into a tuple of numbers in the order they are written."""
        if isinstance(value, tuple):
            return value
        numbers: list[int] = []
        for part in str(value).split(","):
            first, dash, last = part.partition("-")
            if not (first.isdigit() and (last.isdigit() if dash else not last)) or int(last or first) < int(first):
                self.fail(f"'{part}' is no number or range such as 0-7", param, ctx)
            numbers += range(int(first), int(last or first) + 1)
        return tuple(numbers)


_TRUNCATION = click.option(
    "--trunc", "psi", default=1.0, show_default=True, help="Truncation: 1 for variety, less for typical pictures."
)
_CLASS = click.option("--class", "label", metavar="N", type=int, help="Class of a conditional generator.")
_NOISE = click.option(
    "--noise-mode",
    "noise",
    type=click.Choice(["const", "random", "none"]),
    default="const",
    show_default=True,
    help="The stored noise, new noise, or none.",
)
_DEVICE = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where it runs."
)


@click.group(name="stylegan2")
def command() -> None:
    """Read, sample, invert, edit and blend StyleGAN2 generators."""


@command.command(name="import")
@click.argument("checkpoint", type=_PATH)
@click.option("-o", "--output", required=True, type=_PATH, help="The .safetensors file to write.")
def import_(checkpoint: Path, output: Path) -> None:
    """Read NVIDIA's .pkl or rosinality's .pt and write .safetensors.

    Nothing in CHECKPOINT is executed; a file that asks for anything but tensors and plain containers is refused.
    """
    from animegen.stylegan2.checkpoint import import_checkpoint, save_checkpoint

    found = import_checkpoint(checkpoint)
    save_checkpoint(output, found)
    config = found.generator.config
    click.echo(
        f"{found.notes['origin']}: {', '.join(found.networks)}; {config.resolution} px, {config.channels} channels"
    )
    click.echo(output)


@command.command()
@click.argument("checkpoint", type=_PATH)
@click.option("-o", "--output", required=True, type=_PATH, help="The .pt file to write.")
def export(checkpoint: Path, output: Path) -> None:
    """Write a .safetensors checkpoint in rosinality's layout."""
    from animegen.stylegan2.checkpoint import export_checkpoint, load_checkpoint

    export_checkpoint(output, load_checkpoint(checkpoint))
    click.echo(output)


@command.command()
@click.argument("checkpoint", type=_PATH)
@click.option("--seeds", type=Numbers(), required=True, help="Such as 0-7 or 3,5,9.")
@click.option("-o", "--output", "folder", required=True, type=_PATH, help="Folder to write into.")
@click.option("--format", type=click.Choice(["png", "npy"]), default="png", show_default=True, help="npy: raw floats.")
@_TRUNCATION
@_NOISE
@_CLASS
@_DEVICE
def generate(checkpoint: Path, seeds: tuple[int, ...], folder: Path, device: _Device, **values: Any) -> None:
    """Draw one picture a seed; latents are drawn as the official tool draws them."""
    from animegen.pipeline import stylegan2

    for path in stylegan2.generate(_model(checkpoint, device), seeds, folder, **values):
        click.echo(path)


@command.command()
@click.argument("checkpoint", type=_PATH)
@click.option("--seeds", type=Numbers(), required=True, help="The stations of the walk, such as 0-7 or 3,5,9.")
@click.option("-o", "--output", required=True, type=_PATH, help="The .mp4 to write.")
@click.option("--frames", type=click.IntRange(min=1), default=60, show_default=True, help="From one to the next.")
@click.option("--rate", type=click.IntRange(min=1), default=30, show_default=True, help="Frames a second.")
@_TRUNCATION
@_NOISE
@_CLASS
@_DEVICE
def interpolate(
    checkpoint: Path, seeds: tuple[int, ...], output: Path, rate: int, device: _Device, **values: Any
) -> None:
    """Film a smooth walk through the latents of the seeds, and back to the first."""
    from animegen.pipeline import stylegan2

    stylegan2.interpolate(_model(checkpoint, device), seeds, output, rate=Fraction(rate), **values)
    click.echo(output)


@command.command()
@click.argument("checkpoint", type=_PATH)
@click.option("--rows", type=Numbers(), required=True, help="Seeds of the pictures.")
@click.option("--columns", type=Numbers(), required=True, help="Seeds of the styles that are mixed in.")
@click.option("--layers", type=Numbers(), default="0-6", show_default=True, help="Which layers take the style.")
@click.option("-o", "--output", required=True, type=_PATH, help="The .png to write.")
@_TRUNCATION
@_CLASS
@_DEVICE
def mix(checkpoint: Path, device: _Device, **values: Any) -> None:
    """Draw a sheet of style mixing: each row's picture with each column's style in some layers."""
    from animegen.pipeline import stylegan2

    stylegan2.mix(_model(checkpoint, device), **values)
    click.echo(values["output"])


_Device = Literal["auto", "cpu", "cuda"]


def _model(checkpoint: Path, device: _Device) -> Any:
    from animegen.pipeline.stages import chosen_device
    from animegen.stylegan2.model import StyleGan2

    return StyleGan2.load(checkpoint, chosen_device(device))
