"""``animegen train``: learn a generator from rendered data."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from types import FrameType

    from animegen.avatar.train import Progress

_PATH = click.Path(path_type=Path)
_AUGMENTATIONS = ("flip", "turn", "noise", "dropout")


@click.group(name="train")
def command() -> None:
    """Train a generator on rendered data."""


@command.command()
@click.argument("data", type=_PATH)
@click.option("-o", "--output", "run", metavar="RUN", required=True, type=_PATH, help="Folder of the training.")
@click.option("--config", type=click.Choice(["anime"]), default="anime", show_default=True, help="Recipe.")
@click.option("--resolution", metavar="N", type=click.IntRange(min=4), help="Largest stage; default: at most DATA's.")
@click.option("--images", metavar="N", type=click.IntRange(min=1), help="Length of the training; default: the recipe's.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--threads", metavar="N", type=click.IntRange(min=1), help="Default: all processors.")
@click.option("--seed", default=0, show_default=True, help="Draws the weights, batches and augmentations.")
@click.option("--batch", metavar="N", type=click.IntRange(min=1), help="Pictures a step; default: the recipe's.")
@click.option("--every", metavar="N", type=click.IntRange(min=1), default=4000, show_default=True, help="Images between checkpoints.")  # fmt: skip
@click.option("--init", metavar="FILE", help="Weights to begin with: a file, or a name such as avatar-anime.")
@click.option("--no-augment", multiple=True, type=click.Choice(_AUGMENTATIONS), help="Leave one out; several allowed.")
@click.option("--adversarial", metavar="W", type=click.FloatRange(min=0), help="Weight of the discriminator in the last phase.")  # fmt: skip
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

    options = _options(run, **values)

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


def _options(run: Path, **values: Any) -> Any:
    import os

    from animegen.avatar.data import Dataset
    from animegen.avatar.recipes import RECIPES
    from animegen.avatar.train import TrainOptions

    recipe = RECIPES[values["config"]]
    if values["resolution"] is None:
        size = Dataset(values["data"]).header.size
        values["resolution"] = max(phase.stage for phase in recipe.phases if phase.stage <= min(size, 256))
    recipe = recipe.limited_to(values["resolution"])
    if values["batch"] is not None:
        recipe = recipe.with_batch(values["batch"])
    if values["adversarial"] is not None:
        recipe = recipe.with_adversarial(values["adversarial"])
    device = values["device"]
    if device == "auto":
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    return TrainOptions(
        data=values["data"],
        run=run,
        recipe=recipe,
        images=values["images"] or recipe.images,
        seed=values["seed"],
        device=device,
        threads=values["threads"] or os.cpu_count() or 1,
        every=values["every"],
        augment=tuple(name for name in _AUGMENTATIONS if name not in values["no_augment"]),
        init=None if values["init"] is None else Path(values["init"]),
        restart=values["restart"],
    )


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
