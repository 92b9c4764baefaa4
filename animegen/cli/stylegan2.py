"""``animegen stylegan2``: read, sample, invert, edit, blend and train StyleGAN2 generators."""

from __future__ import annotations

from collections.abc import Callable
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


_Device = Literal["auto", "cpu", "cuda"]

_TELL_EVERY = 50
"""Steps between two lines of a training's progress."""

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
    """Read, sample, invert, edit, blend and train StyleGAN2 generators."""


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


_SEARCH = (
    click.option("--steps", type=click.IntRange(min=1), default=500, show_default=True, help="Steps of the optimiser."),
    click.option("--features", type=_PATH, help="VGG16 weights (.pth, .safetensors) for the perceptual distance."),
    click.option(
        "--precision",
        "half",
        type=click.Choice(["auto", "float32", "bfloat16"]),
        default="auto",
        show_default=True,
        help="In which the search draws the largest blocks and compares; auto: bfloat16 where the device has it.",
    ),
    click.option("--seed", default=0, show_default=True, help="Draws the noise of the search."),
)


def _search(rate: float) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options of a search whose usual learning rate is ``rate``."""
    peak = click.FloatRange(min=0, min_open=True)
    own = click.option("--learning-rate", type=peak, default=rate, show_default=True, help="Its peak.")

    def with_options(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed((_SEARCH[0], own, *_SEARCH[1:])):
            function = option(function)
        return function

    return with_options


@command.command()
@click.argument("checkpoint", type=_PATH)
@click.argument("pictures", type=_PATH, nargs=-1, required=True)
@click.option("-o", "--output", "folder", required=True, type=_PATH, help="Folder to write into.")
@click.option("--space", type=click.Choice(["w", "w+"]), default="w+", show_default=True, help="One w, or one a layer.")
@click.option("--noise", "optimise_noise", is_flag=True, help="Seek noise pictures too, kept white.")
@_search(0.1)
@_CLASS
@_DEVICE
def project(
    checkpoint: Path,
    *,
    pictures: tuple[Path, ...],
    folder: Path,
    features: Path | None,
    half: str,
    label: int | None,
    device: _Device,
    **values: Any,
) -> None:
    """Find the latents of aligned PICTURES, all at once.

    Each is cut to its middle square and resized to the generator's size. Writes NAME.npz, the latent, and NAME.png,
    what the generator draws from it.
    """
    from animegen.cli.progress import listener
    from animegen.pipeline.stylegan2_inversion import project as run
    from animegen.stylegan2.inversion import InversionOptions
    from animegen.stylegan2.training import precision

    model = _model(checkpoint, device)
    options = InversionOptions(half=precision(half, model.device), **values)
    with listener() as tell:
        found = run(model, pictures, folder, options, features=features, label=label, on_event=tell)
    for path, one in zip(pictures, found, strict=True):
        click.echo(f"{folder / path.stem}.npz: {one.psnr:.2f} dB after {one.steps} steps")


@command.command(name="project-video")
@click.argument("checkpoint", type=_PATH)
@click.argument("clip", type=_PATH)
@click.option("-o", "--output", required=True, type=_PATH, help="The .npz to write; the drawn clip is the .mp4 beside.")
@_search(0.01)
@_CLASS
@_DEVICE
def project_video(
    checkpoint: Path,
    *,
    clip: Path,
    output: Path,
    features: Path | None,
    half: str,
    label: int | None,
    device: _Device,
    **values: Any,
) -> None:
    """Find one latent for CLIP, of one aligned face, and small offsets that change smoothly with time."""
    from animegen.cli.progress import listener
    from animegen.pipeline.stylegan2_inversion import project_video as run
    from animegen.stylegan2.inversion import InversionOptions
    from animegen.stylegan2.training import precision
    from animegen.stylegan2.video_inversion import VideoOptions

    model = _model(checkpoint, device)
    options = VideoOptions(InversionOptions(half=precision(half, model.device), **values))
    with listener() as tell:
        found = run(model, clip, output, options, features=features, label=label, on_event=tell)
    click.echo(f"{output}: {found.psnr:.2f} dB over {len(found.offsets)} frames")


@command.command()
@click.argument("checkpoint", type=_PATH)
@click.option("-o", "--output", required=True, type=_PATH, help="The .npz to write.")
@click.option(
    "--method", type=click.Choice(["sefa", "ganspace"]), default="sefa", show_default=True, help="Weights or samples."
)
@click.option("--count", type=click.IntRange(min=1), default=10, show_default=True, help="How many, strongest first.")
@click.option("--layers", type=Numbers(), help="Which layers they act on, such as 0-6; default: all.")
@_CLASS
@_DEVICE
def directions(checkpoint: Path, output: Path, method: str, device: _Device, **values: Any) -> None:
    """Find directions along which latents change the picture."""
    from animegen.stylegan2.directions import ganspace, save_directions, sefa

    found = (sefa if method == "sefa" else ganspace)(_model(checkpoint, device), **values)
    save_directions(output, found)
    click.echo(output)


@command.command()
@click.argument("checkpoint", type=_PATH)
@click.argument("latents", type=_PATH)
@click.option("--directions", required=True, type=_PATH, help="What `directions` wrote.")
@click.option("--number", type=click.IntRange(min=0), default=0, show_default=True, help="Which direction.")
@click.option("--from", "first", default=-3.0, show_default=True, help="First strength, in standard deviations.")
@click.option("--to", "last", default=3.0, show_default=True, help="Last strength.")
@click.option("--frames", type=click.IntRange(min=1), default=60, show_default=True, help="Of a picture's latent.")
@click.option("--rate", type=click.IntRange(min=1), default=30, show_default=True, help="Frames a second.")
@click.option("-o", "--output", required=True, type=_PATH, help="The .mp4 to write.")
@_DEVICE
def edit(checkpoint: Path, *, device: _Device, first: float, last: float, rate: int, **values: Any) -> None:
    """Film what changes when LATENTS, of a picture or a clip, move along a direction."""
    from animegen.pipeline.stylegan2_inversion import edit as run

    run(_model(checkpoint, device), strengths=(first, last), rate=Fraction(rate), **values)
    click.echo(values["output"])


@command.command()
@click.argument("coarse", type=_PATH)
@click.argument("fine", type=_PATH)
@click.option("--at", "side", required=True, type=int, help="Side in pixels of the first block that is FINE's.")
@click.option("--base", type=_PATH, help="The checkpoint whose latents are understood; default: COARSE.")
@click.option("-o", "--output", required=True, type=_PATH, help="The .safetensors file to write.")
def blend(coarse: Path, fine: Path, side: int, base: Path | None, output: Path) -> None:
    """Join the coarse layers of one generator and the fine ones of another that shares its base."""
    from animegen.stylegan2.blend import blend_files
    from animegen.stylegan2.checkpoint import save_checkpoint

    save_checkpoint(output, blend_files(coarse, fine, side, base=base))
    click.echo(output)


@command.command()
@click.argument("checkpoint", type=_PATH)
@click.option("--base", type=_PATH, help="The shrunk checkpoint whose latents are understood; default: its own only.")
@click.option("-o", "--output", required=True, type=_PATH, help="The .safetensors file to write.")
def shrink(checkpoint: Path, output: Path, base: Path | None) -> None:
    """Keep of a checkpoint what draws: the running mean of the generator, in 16 bits."""
    from animegen.stylegan2.shrink import shrink as run

    run(checkpoint, output, base=base)
    click.echo(output)


_TRAIN = (
    click.option("-o", "--output", "run", required=True, type=_PATH, help="Folder of the training."),
    click.option("--images", type=click.IntRange(min=1), required=True, help="Length: real pictures shown."),
    click.option("--every", type=click.IntRange(min=1), default=10_000, show_default=True, help="Images a checkpoint."),
    click.option("--batch", type=click.IntRange(min=1), help="Pictures a step; default: the configuration's."),
    click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), help="Default: the configuration's."),
    click.option("--gamma", type=click.FloatRange(min=0), help="Weight of R1; default: the configuration's."),
    click.option("--augment/--no-augment", default=True, show_default=True, help="Adaptive augmentation."),
    click.option("--mirror/--no-mirror", default=True, show_default=True, help="Mirror half of the pictures."),
    click.option(
        "--precision",
        type=click.Choice(["float32", "bfloat16", "float16"]),
        default="float32",
        show_default=True,
        help="Of the largest blocks; the others compute in float32.",
    ),
    click.option("--seed", default=0, show_default=True, help="Draws weights, batches and augmentations."),
)


def _train(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_TRAIN):
        function = option(function)
    return function


@command.command()
@click.argument("data", type=_PATH)
@click.option("--config", default="auto", show_default=True, help="auto, stylegan2, paper256/512/1024 or cifar.")
@click.option("--resolution", type=int, required=True, help="Side in pixels: a power of two.")
@click.option("--channels", type=click.Choice(["1", "3", "4"]), default="3", show_default=True, help="4: RGBA.")
@click.option("--classes", type=click.IntRange(min=0), default=0, help="Number of DATA's subfolders that are classes.")
@click.option("--width", type=click.FloatRange(min=0, min_open=True), default=1.0, help="Share of the channels; 1.")
@click.option("--most", type=click.IntRange(min=1), help="Channels of the small blocks; default: their share, too.")
@_train
@_DEVICE
def train(
    data: Path,
    *,
    config: str,
    resolution: int,
    channels: str,
    classes: int,
    width: float,
    most: int | None,
    **values: Any,
) -> None:
    """Train a generator on the pictures below DATA; the same command goes on with one that was stopped.

    Under `torchrun`, it trains on several devices.
    """
    from animegen.stylegan2.recipes import recipe
    from animegen.stylegan2.training import fresh

    shape: dict[str, Any] = {"channels": int(channels), "c_dim": classes, "width": width, "most": most}
    networks = fresh(config, resolution, **shape, seed=values["seed"])
    _run_training(networks, data, recipe(config, resolution), **values)


@command.command()
@click.argument("checkpoint", type=_PATH)
@click.argument("data", type=_PATH)
@click.option("--freeze-mapping", is_flag=True, help="FreezeFC: the mapping network stays.")
@click.option("--freeze-blocks", metavar="PX", default=0, help="FreezeSG: the generator's blocks up to PX stay.")
@click.option("--freeze-discriminator", metavar="N", default=0, help="FreezeD: its N largest blocks stay.")
@click.option("--structure-weight", type=click.FloatRange(min=0), default=0.0, help="Weight of the structure loss.")
@click.option("--structure-side", metavar="PX", default=16, show_default=True, help="Largest picture it compares.")
@click.option("--singular-values", is_flag=True, help="Only these change of the generator's convolutions.")
@_train
@_DEVICE
def finetune(checkpoint: Path, data: Path, **values: Any) -> None:
    """Train a generator on, on other pictures, with parts of it frozen.

    Under `torchrun`, it trains on several devices.
    """
    from dataclasses import replace

    from animegen.stylegan2.checkpoint import load_checkpoint
    from animegen.stylegan2.recipes import recipe
    from animegen.stylegan2.training import Transfer

    frozen = ("freeze_mapping", "freeze_blocks", "freeze_discriminator")
    names = (*frozen, "structure_weight", "structure_side", "singular_values")
    transfer = Transfer(**{name: values.pop(name) for name in names})
    start = replace(load_checkpoint(checkpoint), trained=None)  # the running mean is what latents belong to
    resolution = start.generator.config.resolution
    _run_training(start, data, recipe("auto", resolution), transfer=transfer, base=checkpoint, **values)


@command.command()
@click.argument("data", type=_PATH)
@click.option("-o", "--output", required=True, type=_PATH, help="The .safetensors file to write.")
@click.option("--start", type=_PATH, help="The checkpoint to go on from; default: a new generator.")
@click.option("--freeze-mapping", is_flag=True, help="FreezeFC: the mapping network stays.")
@click.option("--resolution", type=int, default=64, show_default=True, help="Side in pixels of a new generator.")
@click.option("--width", type=click.FloatRange(min=0, min_open=True), default=1.0, help="Its share of the channels; 1.")
@click.option("--most", type=click.IntRange(min=1), help="Channels of its small blocks; default: their share, too.")
@click.option(
    "--latent", type=click.IntRange(min=1), default=512, show_default=True, help="How many numbers its z has."
)
@click.option("--images", type=click.IntRange(min=1), required=True, help="Length: pictures shown.")
@click.option("--every", type=click.IntRange(min=1), default=10_000, show_default=True, help="Images a checkpoint.")
@click.option("--batch", type=click.IntRange(min=1), default=16, show_default=True, help="Pictures a step.")
@click.option(
    "--learning-rate", type=click.FloatRange(min=0, min_open=True), default=0.004, show_default=True, help="Its peak."
)
@click.option("--seed", default=0, show_default=True, help="Draws weights and batches.")
@_DEVICE
def fit(
    data: Path,
    *,
    output: Path,
    start: Path | None,
    resolution: int,
    width: float,
    most: int | None,
    latent: int,
    every: int,
    device: _Device,
    **values: Any,
) -> None:
    """Fit a generator to pictures named by seeds, as `animegen vrm heads` makes them."""
    from animegen.pipeline.stages import chosen_device
    from animegen.stylegan2.checkpoint import load_checkpoint
    from animegen.stylegan2.fitting import FitOptions, SeededPictures
    from animegen.stylegan2.fitting import fit as run
    from animegen.stylegan2.training import fresh

    options = FitOptions(**values, grow=start is None)
    shape: dict[str, Any] = {"width": width, "most": most, "z_dim": latent, "seed": options.seed}
    begun = load_checkpoint(start) if start else fresh("auto", resolution, **shape)
    config = begun.generator.config
    pictures = SeededPictures(data, config.resolution, config.channels)

    def tell(seen: int, distance: float) -> None:
        if seen // options.batch % _TELL_EVERY == 0:
            click.echo(f"{seen} of {options.images} images, distance {distance:.5f}", err=True)

    run(begun, pictures, output, options, every=every, device=chosen_device(device), on_step=tell)
    click.echo(output)


def _run_training(
    start: Any, data: Path, recipe: Any, *, transfer: Any = None, base: Path | None = None, **values: Any
) -> None:
    from dataclasses import replace

    from animegen.parallel import Workers
    from animegen.pipeline.stages import chosen_device
    from animegen.stylegan2.pictures import PictureFolder
    from animegen.stylegan2.training import Trainer, precision, train

    given = {name: values[name] for name in ("batch", "learning_rate", "gamma") if values[name] is not None}
    recipe = replace(recipe, mirror=values["mirror"], **given)
    if not values["augment"]:
        recipe = replace(recipe, ada_target=None)
    config = start.generator.config
    folder = PictureFolder(data, config.resolution, config.channels, config.c_dim)
    half, seed = precision(values["precision"]), values["seed"]

    def tell(trainer: Any, losses: dict[str, float]) -> None:
        if trainer.steps % _TELL_EVERY == 0 and trainer.workers.rank == 0:
            shown = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
            click.echo(f"{trainer.images} of {values['images']} images, {shown}, p {trainer.p:.3f}", err=True)

    with Workers.from_environment(chosen_device(values["device"])) as workers:
        trainer = Trainer(start, folder, recipe, transfer=transfer, base=base, half=half, seed=seed, workers=workers)
        path = train(trainer, values["run"], images=values["images"], every=values["every"], on_step=tell)
        if workers.rank == 0:
            click.echo(path)


def _model(checkpoint: Path, device: _Device) -> Any:
    from animegen.pipeline.stages import chosen_device
    from animegen.stylegan2.model import StyleGan2

    return StyleGan2.load(checkpoint, chosen_device(device))
