"""Pictures and clips as latents of a StyleGAN2 generator, and latents moved along directions, as files."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from animegen.errors import OutputError, UsageError
from animegen.events import Listener, ignore
from animegen.jobs import artefact, load_arrays, reading, save_arrays
from animegen.pipeline.progress import stage
from animegen.pipeline.stylegan2 import film, save_picture
from animegen.stylegan2.directions import Directions, load_directions
from animegen.stylegan2.distance import Perceptual
from animegen.stylegan2.inversion import Inversion, InversionOptions, invert
from animegen.stylegan2.model import Inverted, StyleGan2, load_latent, save_latent
from animegen.stylegan2.pictures import fitted, read_picture
from animegen.stylegan2.video_inversion import VideoInversion, VideoOptions, invert_video
from animegen.types import Float32Array, Latent
from animegen.video import open_video
from animegen.video.drawing import write_film


def project(
    model: StyleGan2,
    pictures: Sequence[Path],
    folder: Path,
    options: InversionOptions,
    *,
    features: Path | None = None,
    label: int | None = None,
    on_event: Listener = ignore,
) -> list[Inversion]:
    """Find the latents of aligned pictures, all at once; write ``NAME.npz``, and what is drawn from it as ``NAME.png``.

    Pictures are cut to their middle square and resized to the generator's size. ``features`` is a file of VGG16's
    weights for the perceptual distance; without it, the multi-scale one is used. Raises InputError for a picture that
    cannot be read, and UsageError for two of one name.
    """
    side, channels = model.config.resolution, model.config.channels
    names = [path.stem for path in pictures]
    if len(set(names)) < len(names):
        raise UsageError("two of the pictures have one name", "rename one, since the results are named after them")
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file", "name a folder with -o")
    targets = np.stack([read_picture(path, side, channels) for path in pictures])
    distance = _distance(model, features, options)
    with stage("latents", options.steps, on_event) as advance:
        found = invert(model, targets, options, distance=distance, label=label, on_step=lambda *_: advance(1))
    for name, one in zip(names, found, strict=True):
        save_latent(folder / f"{name}.npz", Inverted(one.latent, one.noise))
        save_picture(folder / f"{name}.png", one.picture)
    return found


def project_video(
    model: StyleGan2,
    clip: Path,
    output: Path,
    options: VideoOptions,
    *,
    features: Path | None = None,
    label: int | None = None,
    on_event: Listener = ignore,
) -> VideoInversion:
    """Find the latents of a clip of one aligned face; write them as ``OUTPUT`` (``.npz``) and the drawn clip beside it.

    Raises InputError for a clip that cannot be read, and UsageError for an output of another suffix.
    """
    if output.suffix != ".npz":
        raise UsageError(f"{output.name} is no .npz", "use -o NAME.npz; the drawn clip is NAME.mp4")
    side, channels = model.config.resolution, model.config.channels
    with open_video(clip) as video:
        frames = np.stack([fitted(Image.fromarray(frame.image), side, channels) for frame in video.frames()])
        rate = video.info.rate
    distance = _distance(model, features, options.search)
    with stage("latents", options.search.steps, on_event) as advance:
        found = invert_video(model, frames, options, distance=distance, label=label, on_step=lambda *_: advance(1))
    with artefact(output) as part:
        save_arrays(
            part,
            {
                "base": found.base.values,
                "offsets": found.offsets,
                "rate": np.array([rate.numerator, rate.denominator], np.int64),
                "generator_sha256": np.array(model.sha256),
            },
        )
    write_film(output.with_suffix(".mp4"), film(model, found.ws, rate), rate)
    return found


def _distance(model: StyleGan2, features: Path | None, options: InversionOptions) -> Perceptual | None:
    """The perceptual distance of a file, in the precision of the search."""
    return Perceptual.load(features, model.device, options.half) if features else None


def edit(
    model: StyleGan2,
    latents: Path,
    directions: Path,
    output: Path,
    *,
    number: int,
    strengths: tuple[float, float],
    frames: int,
    rate: Fraction,
) -> None:
    """Film what changes when a latent is moved along a direction, from one strength to the other.

    ``latents`` is a file of one picture, or of a clip, whose frames then set the number of frames and the rate.
    Raises InputError for a file that is neither, and InvalidValue for a direction that does not exist or files of
    another generator.
    """
    ways = load_directions(directions, model)
    ws, own_rate = _latents_over_time(model, latents, frames)
    film_rate = own_rate or rate
    write_film(output, film(model, _moved(ways, ws, number, strengths), film_rate), film_rate)


def _moved(ways: Directions, ws: Float32Array, number: int, strengths: tuple[float, float]) -> Float32Array:
    return ways.moved(ws, number, np.linspace(*strengths, len(ws), dtype=np.float32))


def _latents_over_time(model: StyleGan2, path: Path, frames: int) -> tuple[Float32Array, Fraction | None]:
    with reading(path, "`animegen stylegan2 project` and `project-video` write latents"):
        arrays = load_arrays(path)
    if "offsets" not in arrays:
        return np.repeat(model.ws([load_latent(path).latent]), frames, axis=0), None
    with reading(path, "make it again with `animegen stylegan2 project-video`"):
        base = Latent("w+", arrays["base"], str(arrays["generator_sha256"]))
        rate = Fraction(*(int(n) for n in arrays["rate"]))
        return model.ws([base]) + arrays["offsets"], rate
