"""A short clip with two people, made from one public-domain photograph, to try everything on without footage.

The photograph is NASA's portrait of the astronaut Eileen Collins, as it comes with scikit-image. One person is cut
out of it twice; the second is mirrored, recoloured, and walks by in front of the first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import label

from animegen.config import ConvertConfig
from animegen.errors import InputError
from animegen.events import Listener
from animegen.jobs import artefact
from animegen.pipeline.convert import convert
from animegen.pipeline.preview import spread
from animegen.pipeline.progress import stage
from animegen.pipeline.stages import resolve
from animegen.protocols import PoseBackend
from animegen.types import Frame, Mask, Uint8Array
from animegen.video import open_video
from animegen.video.drawing import write_film

SIZE = (960, 540)
RATE = Fraction(24)
FRAMES = 96
COMPARISON_WIDTH = 1440

HUE_TURN = 0.58
"""By how much of the colour circle the second person's clothes are turned: orange becomes blue."""

COLLAR = 0.40
"""Height of the photograph at which the suit's collar begins: only what lies below is recoloured."""


def demo_frames(backend: PoseBackend) -> Iterator[Frame]:
    """The frames of the clip: 4 seconds of 960x540 at 24 fps."""
    person = _cut_out(backend)
    other = _recoloured(person.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    wall = backdrop()
    for index in range(FRAMES):
        time = index / float(RATE)
        picture = wall.copy()
        _lay(picture, person, x=330 + 40 * math.sin(1.3 * time), sway=3.0 * math.sin(2.6 * time), scale=0.92)
        _lay(picture, other, x=1010 - 245 * time, sway=4.0 * math.sin(4.4 * time + 1.0), scale=1.0)
        yield Frame(index, index / RATE, np.asarray(picture))


def _cut_out(backend: PoseBackend) -> Image.Image:
    """The astronaut as straight RGBA."""
    import skimage.data

    astronaut: Callable[[], Uint8Array] = skimage.data.astronaut
    photo = np.ascontiguousarray(astronaut())
    poses = next(iter(backend.estimate([Frame(0, Fraction(0), photo)])))
    masks = [pose.mask for pose in poses if pose.mask is not None]
    if not masks:
        raise InputError("the pose backend finds nobody with a mask in the photograph", "use --pose blazepose")
    matte = _warp_mask(masks[0], (photo.shape[1], photo.shape[0]))
    return Image.fromarray(np.dstack([photo, matte]))


def _warp_mask(mask: Mask, size: tuple[int, int]) -> Uint8Array:
    """A mask in the picture's pixels, its soft edge drawn in so that none of the old background shows."""
    inverse = np.linalg.inv(np.vstack([mask.affine, [0.0, 0.0, 1.0]]))[:2]
    # Pillow puts pixel centres at one half; a mask's affine puts them at whole numbers
    inverse[:, 2] += 0.5 - inverse[:, :2].sum(axis=1) * 0.5
    soft = Image.fromarray(mask.alpha).transform(
        size, Image.Transform.AFFINE, tuple(inverse.ravel()), Image.Resampling.BILINEAR
    )
    edge = np.clip((np.asarray(soft, np.float32) / 255 - 0.5) / 0.4, 0, 1)
    pieces, _ = label(edge > 0)
    person = pieces == np.bincount(pieces[edge > 0]).argmax()
    matte: Uint8Array = np.where(person, 255 * edge * edge * (3 - 2 * edge), 0).round().astype(np.uint8)
    return matte


def _recoloured(person: Image.Image) -> Image.Image:
    """The same person in other clothes: below the collar, colours turn round the circle."""
    from skimage.color import hsv2rgb, rgb2hsv

    rgba = np.asarray(person)
    hsv = rgb2hsv(rgba[..., :3])
    suit = slice(round(COLLAR * person.height), None)
    hsv[suit, :, 0] = (hsv[suit, :, 0] + HUE_TURN) % 1.0
    rgb = (255 * hsv2rgb(hsv)).round().astype(np.uint8)
    return Image.fromarray(np.dstack([rgb, rgba[..., 3]]))


def backdrop() -> Image.Image:
    """A wall in evening light with a lattice of tiles, so that a smeared background would be seen at once."""
    width, height = SIZE
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    light = 0.62 + 0.3 * np.exp(-(((x - 0.3 * width) / width) ** 2 + ((y - 0.25 * height) / height) ** 2) * 3)
    tiles = np.where((x % 96 < 2) | ((y + 24 * ((x // 96) % 2)) % 72 < 2), 0.86, 1.0)
    colour = np.array([214, 205, 226], np.float32)
    return Image.fromarray((colour * (light * tiles)[..., None]).clip(0, 255).astype(np.uint8))


def _lay(picture: Image.Image, person: Image.Image, *, x: float, sway: float, scale: float) -> None:
    """Lay a person on the picture, centred at ``x``, standing on the lower edge and leaning by ``sway`` degrees."""
    size = round(person.width * scale)
    sprite = person.resize((size, size), Image.Resampling.LANCZOS)
    sprite = sprite.rotate(sway, Image.Resampling.BICUBIC, center=(size / 2, size))
    picture.paste(sprite, (round(x - size / 2), picture.height - size + 12), sprite)


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo leaves: the source clip, the converted one, and a picture of both side by side."""

    source: Path
    result: Path
    picture: Path


def run_demo(folder: Path, video: Path | None, style: str, on_event: Listener) -> Demo:
    """Make the demo's clip in ``folder`` (or take ``video``), convert it, and lay both side by side in a picture."""
    config = ConvertConfig(style=style, overwrite=True, restart=True)
    source = video
    if source is None:
        source = folder / "demo.mp4"
        with stage("film", FRAMES, on_event) as advance:
            backend = resolve(config, on_event, kinds=("pose",)).pose_backend()
            write_film(source, _counted(demo_frames(backend), advance), RATE)
    result = convert(source, folder / f"{source.stem}-{config.style}.mp4", config, on_event).output
    picture = folder / f"{source.stem}-{config.style}.png"
    _save_comparison(source, result, picture)
    return Demo(source, result, picture)


def _counted(frames: Iterator[Frame], advance: Callable[[int], None]) -> Iterator[Frame]:
    for frame in frames:
        yield frame
        advance(1)


def _save_comparison(source: Path, result: Path, path: Path) -> None:
    """Three moments of the clip, source above result, as a PNG."""
    with open_video(source) as before, open_video(result) as after:
        moments = spread(0, min(len(before.timeline), len(after.timeline)), 3)
        rows = [np.hstack([next(iter(v.frames(i, i + 1))).image for i in moments]) for v in (before, after)]
    width = min(row.shape[1] for row in rows)
    picture = Image.fromarray(np.vstack([row[:, :width] for row in rows]))
    picture = picture.resize((COMPARISON_WIDTH, round(COMPARISON_WIDTH * picture.height / picture.width)))
    with artefact(path) as part:
        picture.save(part, format="PNG")
