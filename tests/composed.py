"""Clips with a known truth: people cut out of real footage, who cross, leave, come back and are cut away from.

Every person is a loop of cut-outs along a path of their own over a painted scene, so that the box of everybody in every
frame is known to the pixel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import label

from animegen.protocols import PoseBackend
from animegen.types import Frame, Mask
from animegen.video import open_video
from animegen.video.drawing import write_film

SIZE = (640, 360)
RATE = Fraction(12)
_LOOP = 8
"""Cut-outs of one person: played to and fro they are a body that moves."""
_EDGE = 0.4
"""Width of a cut-out's soft edge in alpha: drawn in so that none of the old scene shows."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Where a person is cut out: a film in the folder of footage, its first frame, and every how many are taken."""

    film: str
    first: int
    step: int = 2


ACTORS: Mapping[str, Actor] = {
    "orange": Actor("intel_asl_walk.mkv", 20),
    "orange again": Actor("intel_asl_book.mkv", 20),
    "skull": Actor("intel_asl_help.mkv", 20),
    "player": Actor("sam2_juggle_man.mp4", 2),
}
"""The first two are one woman, filmed twice."""


@dataclass(frozen=True, slots=True)
class Way:
    """A person's way through a shot: (frame, centre x in shares of the width) in order, straight between them.

    Before the first and after the last frame the person is not in the picture. ``height`` is that of the cut-out in
    shares of the frame's; ``front`` is larger for who is nearer.
    """

    who: str
    places: tuple[tuple[int, float], ...]
    height: float
    front: int = 0
    mirrored: bool = False


@dataclass(frozen=True, slots=True)
class Shot:
    """So many frames before one painted scene, ``light`` the brightness of everything in it."""

    frames: int
    scene: int
    people: tuple[Way, ...]
    light: float = 1.0


Box = tuple[float, float, float, float]
Truth = list[dict[str, Box]]
"""By frame the boxes xyxy, in pixels, of those of whom enough shows."""

LEAST_SHOWN = 0.25
"""Share of a body that must show for the person to be there: nobody can find who is hidden behind another."""


@dataclass(frozen=True, slots=True, eq=False)
class _Cover:
    """The pixels of the frame that a person covers, and how many a whole body has."""

    inside: NDArray[np.bool_]
    pixels: int


def cut_outs(folder: Path, backend: PoseBackend) -> dict[str, list[Image.Image]]:
    """The cut-outs of everybody by name, as straight RGBA cropped to what shows; ``folder`` holds the footage."""
    return {name: list(_cut_outs(folder / actor.film, backend, actor)) for name, actor in ACTORS.items()}


def _cut_outs(film: Path, backend: PoseBackend, actor: Actor) -> Iterator[Image.Image]:
    with open_video(film) as video:
        frames = list(video.frames(actor.first, actor.first + _LOOP * actor.step))[:: actor.step]
    for frame, poses in zip(frames, backend.estimate(iter(frames)), strict=True):
        mask = max((p for p in poses if p.mask is not None), key=lambda p: float(p.bbox[3] - p.bbox[1])).mask
        assert mask is not None
        matte = _matte(mask, frame.size)
        rows, columns = np.flatnonzero(matte.any(axis=1)), np.flatnonzero(matte.any(axis=0))
        rgba = np.dstack([frame.image, matte])[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        yield Image.fromarray(rgba)


def _matte(mask: Mask, size: tuple[int, int]) -> np.ndarray:
    inverse = np.linalg.inv(np.vstack([mask.affine, [0.0, 0.0, 1.0]]))[:2]
    inverse[:, 2] += 0.5 - inverse[:, :2].sum(axis=1) * 0.5
    soft = Image.fromarray(mask.alpha).transform(
        size, Image.Transform.AFFINE, tuple(inverse.ravel()), Image.Resampling.BILINEAR
    )
    edge = np.clip((np.asarray(soft, np.float32) / 255 - 0.5) / _EDGE, 0, 1)
    pieces, _ = label(edge > 0)
    person = pieces == np.bincount(pieces[edge > 0]).argmax()
    return np.where(person, 255 * edge, 0).round().astype(np.uint8)


def compose(people: Mapping[str, Sequence[Image.Image]], shots: Sequence[Shot]) -> tuple[list[Frame], Truth]:
    """The frames of the shots in order, and where everybody is in each of whom enough shows."""
    frames: list[Frame] = []
    truth: Truth = []
    for shot in shots:
        ground = scene(shot.scene)
        for number in range(shot.frames):
            picture, covers = ground.copy(), {}
            for path in sorted(shot.people, key=lambda path: path.front):
                cover = _lay(picture, people[path.who], path, number)
                if cover is not None:
                    covers[path.who.split()[0]] = cover
            image = (np.asarray(picture, np.float32) * shot.light).clip(0, 255).astype(np.uint8)
            frames.append(Frame(len(frames), len(frames) / RATE, image))
            truth.append(_shown(covers))
    return frames, truth


def _shown(covers: Mapping[str, _Cover]) -> dict[str, Box]:
    """The boxes of those of whom, in front of them and beyond the edge, less than most is lost; rearmost first."""
    shown, names = {}, list(covers)
    for i, (who, cover) in enumerate(covers.items()):
        seen = cover.inside
        for other in names[i + 1 :]:
            seen = seen & ~covers[other].inside
        if seen.sum() >= LEAST_SHOWN * cover.pixels:
            rows, columns = np.flatnonzero(cover.inside.any(axis=1)), np.flatnonzero(cover.inside.any(axis=0))
            shown[who] = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
    return shown


def _lay(picture: Image.Image, loop: Sequence[Image.Image], path: Way, number: int) -> _Cover | None:
    """Lay a person on the picture where the path has them; what they cover, or None where they are not."""
    times, centres = zip(*path.places, strict=True)
    if not times[0] <= number <= times[-1]:
        return None
    turn = number % (2 * len(loop) - 2)
    sprite = loop[min(turn, 2 * len(loop) - 2 - turn)]
    height = round(path.height * picture.height)
    sprite = sprite.resize((max(1, round(sprite.width * height / sprite.height)), height), Image.Resampling.LANCZOS)
    if path.mirrored:
        sprite = sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    left = round(np.interp(number, times, centres) * picture.width - sprite.width / 2)
    top = picture.height - height if path.height > 0.75 else picture.height - height - 12
    picture.paste(sprite, (left, top), sprite)
    cover = Image.new("L", picture.size)
    cover.paste(sprite.getchannel("A"), (left, top))
    return _Cover(np.asarray(cover) > 127, int((np.asarray(sprite.getchannel("A")) > 127).sum()))


def scene(number: int) -> Image.Image:
    """A wall with pictures over a floor, in light and colours of its own by number."""
    random = np.random.default_rng(number)
    width, height = SIZE
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    wall, floor = random.uniform(120, 225, 3), random.uniform(60, 130, 3)
    image = np.where((y < 0.7 * height)[..., None], wall, floor)
    image = image * (0.75 + 0.25 * np.cos((x - random.uniform(0, width)) / width * 2))[..., None]
    for _ in range(7):
        left, top = random.uniform(0, 0.9 * width), random.uniform(0, 0.5 * height)
        wide, high = random.uniform(20, 90), random.uniform(20, 70)
        inside = (x > left) & (x < left + wide) & (y > top) & (y < top + high)
        image[inside] = random.uniform(60, 220, 3)
    return Image.fromarray(image.clip(0, 255).astype(np.uint8))


def film(path: Path, frames: Sequence[Frame]) -> Path:
    """Write frames as a clip and return its path."""
    write_film(path, frames, RATE)
    return path


CROSSING = (
    Shot(
        60,
        1,
        (
            Way("orange", ((0, 0.2), (12, 0.3), (40, 0.75), (59, 0.7)), 0.85),
            Way("skull", ((4, 1.15), (12, 0.8), (34, 0.25), (42, -0.2), (46, -0.2), (54, 0.25), (59, 0.28)), 0.9, 1),
        ),
    ),
    Shot(
        28,
        2,
        (
            Way("orange", ((0, 0.25), (27, 0.3)), 0.8),
            Way("skull", ((0, 0.72), (27, 0.7)), 0.82, 1),
        ),
    ),
)
"""Two people cross, one leaves the picture and comes back; a hard cut, and they stand the other way round."""

ANOTHER_DAY = (
    Shot(
        30,
        3,
        (
            Way("skull", ((0, 0.2), (29, 0.25)), 0.85),
            Way("player", ((0, 0.5), (29, 0.52)), 0.7, -1),
            Way("orange again", ((6, 1.2), (14, 0.8), (29, 0.78)), 0.85, 1, mirrored=True),
        ),
        light=0.85,
    ),
)
"""The same two in another place and light, in other order, and a third person with them."""
