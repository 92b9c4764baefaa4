"""``animegen train``: learn a generator from rendered data."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from animegen.avatar.recipes import AUGMENTATIONS, RECIPES

if TYPE_CHECKING:
    from types import FrameType

    from animegen.avatar.recipes import Recipe
    from animegen.avatar.train import Progress, TrainOptions

_PATH = click.Path(path_type=Path)
_DEFAULT_RESOLUTION = 256


@click.group(name="train")
def command() -> None:
    """Train a generator on rendered data."""


@command.command()
@click.argument("data", type=_PATH)
@click.option("-o", "--output", "run", metavar="RUN", required=True, type=_PATH, help="Folder of the training.")
@click.option("--config", type=click.Choice(list(RECIPES)), default="anime", show_default=True, help="Recipe.")
@click.option("--resolution", metavar="N", type=click.IntRange(min=4), help="Largest stage; default: DATA's, to 256.")
@click.option("--begin-at", metavar="N", type=click.IntRange(min=4), help="Smallest stage, to train on from --init.")
@click.option(
    "--images", metavar="N", type=click.IntRange(min=1), help="Length of the training; default: the recipe's."
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--threads", metavar="N", type=click.IntRange(min=1), help="Default: all processors.")
@click.option("--seed", default=0, show_default=True, help="Draws the weights, batches and augmentations.")
@click.option("--batch", metavar="N", type=click.IntRange(min=1), help="Pictures a step; default: the recipe's.")
@click.option(
    "--rate", metavar="R", type=click.FloatRange(min=0, min_open=True), help="Largest step; default: the recipe's."
)
@click.option("--every", metavar="N", type=click.IntRange(min=1), default=4000, help="Images a checkpoint; 4000.")
@click.option("--init", metavar="FILE", help="Weights to begin with: a file, or a name such as avatar-anime-network.")
@click.option(
    "--augment", multiple=True, type=click.Choice(AUGMENTATIONS), help="One beside the recipe's; several allowed."
)
@click.option("--no-augment", multiple=True, type=click.Choice(AUGMENTATIONS), help="Leave one out; several allowed.")
@click.option(
    "--adversarial", metavar="W", type=click.FloatRange(min=0), help="Weight of the discriminator, last phase."
)
@click.option(
    "--judge-first",
    metavar="N",
    type=click.IntRange(min=0),
    help="Images on which the discriminator learns alone before the generator follows it; with --adversarial.",
)
@click.option("--only-faces", is_flag=True, help="Learn the texture of faces; everything else stays as it is.")
@click.option("--restart", is_flag=True, help="Throw the training in RUN away and begin anew.")
@click.option("--json", "as_json", is_flag=True, help="One line of figures a checkpoint, as JSON.")
@click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors.")
def avatar(run: Path, *, as_json: bool, quiet: bool, **values: Any) -> None:
    """Train an avatar generator on DATA, a dataset as `animegen vrm dataset` makes it.

    The same command goes on with a training that was stopped. Under `torchrun`, it trains on several devices.
    """
    from animegen.avatar.train import train_avatar
    from animegen.cli import console
    from animegen.errors import Cancelled

    options = _options(run, values)

    def tell(progress: Progress) -> None:
        if as_json:
            from dataclasses import asdict

            console.print_json(asdict(progress))
        elif not quiet:
            click.echo(_line(progress), err=True)

    with _asked_to_stop() as stopped:
        trainer = train_avatar(options, tell, stopped)
    if trainer.images < options.images:
        raise Cancelled(
            f"stopped after {trainer.images:,} of {options.images:,} images; {run} holds a checkpoint",
            "the same command goes on from there",
        )
    if trainer.workers.rank == 0 and not as_json:
        click.echo(run / "avatar.safetensors")


def _options(run: Path, values: dict[str, Any]) -> TrainOptions:
    from animegen.avatar.train import TrainOptions
    from animegen.pipeline.stages import chosen_device

    recipe = _recipe(values)
    left_out, added = values["no_augment"], values["augment"]
    return TrainOptions(
        data=values["data"],
        run=run,
        recipe=recipe,
        images=values["images"] or recipe.images,
        seed=values["seed"],
        device=chosen_device(values["device"]),
        threads=values["threads"] or _processors(),
        every=values["every"],
        augment=tuple(n for n in AUGMENTATIONS if n not in left_out and n in (*recipe.augment, *added)),
        init=None if values["init"] is None else _weights(values["init"]),
        restart=values["restart"],
    )


def _recipe(values: dict[str, Any]) -> Recipe:
    """The recipe with what was asked for; up to the data's size, and to 256 px, where no resolution was."""
    from animegen.avatar.data import Dataset

    recipe = RECIPES[values["config"]]
    resolution = values["resolution"]
    if resolution is None:
        most = min(Dataset(values["data"]).header.size, _DEFAULT_RESOLUTION)
        resolution = max((phase.stage for phase in recipe.phases if phase.stage <= most), default=most)
    recipe = recipe.limited_to(resolution)
    if values["begin_at"] is not None:
        recipe = recipe.beginning_at(values["begin_at"])
    if values["batch"] is not None:
        recipe = recipe.with_batch(values["batch"])
    if values["rate"] is not None:
        recipe = recipe.with_rate(values["rate"])
    if values["adversarial"] is not None:
        recipe = recipe.with_adversarial(values["adversarial"])
    if values["judge_first"] is not None:
        recipe = recipe.with_judge_first(values["judge_first"])
    return recipe.with_only_faces() if values["only_faces"] else recipe


def _weights(name: str) -> Path:
    """A file, or the file of a weight by name."""
    from animegen.weights import fetch

    return Path(name) if Path(name).exists() or name.endswith(".safetensors") else fetch(name)


def _processors() -> int:
    """This process's share of the processors."""
    return max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


@contextmanager
def _asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed, or the process asked to end; a second time ends it at once."""
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        asked.append(number)
        signal.signal(number, signal.default_int_handler)
        click.echo("stopping after this step and writing a checkpoint; once more ends at once", err=True)

    kept = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _line(progress: Progress) -> str:
    """One line of progress for people."""
    terms = progress.terms
    quality = "".join(
        f", {title} {terms[name]:{form}}{unit}"
        for name, title, form, unit in (("iou", "IoU", ".3f", ""), ("psnr", "PSNR", ".2f", " dB"))
        if name in terms
    )
    minutes = progress.seconds_left / 60
    left = f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
    return (
        f"{progress.images:,} of {progress.of:,} images, {progress.stage} px{quality}, "
        f"{progress.images_per_second:.1f} images/s, {progress.network_share:.0%} in the network, {left} left"
    )
