"""What a StyleGAN2 generator draws, as files: pictures by seed, walks as films, mixing sheets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from animegen.errors import OutputError, UsageError
from animegen.jobs import artefact
from animegen.stylegan2.model import StyleGan2, to_image
from animegen.stylegan2.synthesis import NoiseMode
from animegen.types import Float32Array, Frame, Uint8Array
from animegen.video.drawing import write_film

Format = Literal["png", "npy"]


def generate(
    model: StyleGan2,
    seeds: Sequence[int],
    folder: Path,
    *,
    psi: float = 1.0,
    noise: NoiseMode = "const",
    label: int | None = None,
    format: Format = "png",
) -> list[Path]:
    """Draw one picture a seed into a folder: ``seed0000.png``, or ``.npy`` with the raw f32 [C, H, W].

    With random noise, a picture's noise is drawn by its own seed. Raises OutputError where the folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file", "name a folder with -o")
    paths = []
    for seed in seeds:
        ws = model.ws([model.z(seed)], psi=psi, label=label)
        path = folder / f"seed{seed:04d}.{format}"
        save_picture(path, model.draw(ws, noise, seed)[0])
        paths.append(path)
    return paths


def interpolate(
    model: StyleGan2,
    seeds: Sequence[int],
    output: Path,
    *,
    frames: int,
    rate: Fraction,
    psi: float = 1.0,
    noise: NoiseMode = "const",
    label: int | None = None,
) -> None:
    """Write a film that walks through the latents of the seeds and back to the first, ``frames`` from one to the next.

    The walk is a periodic cubic spline in w, so that it has no corner. Raises UsageError for fewer than two seeds.
    """
    from scipy.interpolate import CubicSpline  # takes longer to import than other commands to draw a picture

    if len(seeds) < 2:
        raise UsageError(f"a walk needs two seeds or more, got {len(seeds)}", "give them with --seeds 0,1,2")
    keys = model.ws([model.z(seed) for seed in seeds], psi=psi, label=label)
    walk = CubicSpline(np.arange(len(keys) + 1), np.concatenate([keys, keys[:1]]), axis=0, bc_type="periodic")
    path = walk(np.arange(len(keys) * frames) / frames).astype(np.float32)
    write_film(output, film(model, path, rate, noise), rate)


def film(
    model: StyleGan2,
    path: Float32Array,
    rate: Fraction,
    noise: NoiseMode | Mapping[str, Float32Array] = "const",
) -> Iterator[Frame]:
    """The frames of latents f32 [T, num_ws, w_dim] over time."""
    for index, ws in enumerate(path):
        yield Frame(index, index / rate, opaque(to_image(model.draw(ws[None], noise)[0])))


def mix(
    model: StyleGan2,
    rows: Sequence[int],
    columns: Sequence[int],
    layers: Sequence[int],
    output: Path,
    *,
    psi: float = 1.0,
    label: int | None = None,
) -> None:
    """Write a sheet of style mixing: each row's picture with the columns' latents in some layers.

    The first column and the first row show the seeds themselves. Raises InvalidValue for a layer that does not exist.
    """
    across, down = (model.ws([model.z(seed) for seed in seeds], psi=psi, label=label) for seeds in (columns, rows))
    lines = [np.concatenate([_empty(model), *(to_image(picture) for picture in model.draw(across))], axis=1)]
    for base in down:
        mixtures = model.mixed(np.repeat(base[None], len(across), axis=0), across, layers)
        pictures = model.draw(np.concatenate([base[None], mixtures]))
        lines.append(np.concatenate([to_image(picture) for picture in pictures], axis=1))
    _save_image(output, np.concatenate(lines, axis=0))


def save_picture(path: Path, picture: Float32Array) -> None:
    """Write a picture f32 [C, H, W] of -1..1: as it is (``.npy``), or rounded to 8 bits (any picture's suffix)."""
    if path.suffix == ".npy":
        with artefact(path) as part, part.open("wb") as file:
            np.save(file, picture)
    else:
        _save_image(path, to_image(picture))


def _save_image(path: Path, image: Uint8Array) -> None:
    shown = image[..., 0] if image.shape[2] == 1 else image
    with artefact(path) as part:
        Image.fromarray(shown).save(part, format="PNG")


def opaque(image: Uint8Array) -> Uint8Array:
    """An image uint8 [H, W, C] as RGB; RGBA is laid over white, one channel is grey."""
    if image.shape[2] == 4:
        alpha = image[..., 3:].astype(np.uint16)
        return ((image[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def _empty(model: StyleGan2) -> Uint8Array:
    side = model.config.resolution
    return np.full((side, side, model.config.channels), 255, np.uint8)
