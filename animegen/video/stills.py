"""Images as videos: a still is one frame, an animated GIF, WebP or PNG has its own delays."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from animegen.errors import InputError
from animegen.types import Colour, Uint8Array, VideoInfo
from animegen.video.colour import on_white
from animegen.video.decoding import damaged
from animegen.video.streams import Chapter, StreamInfo
from animegen.video.timeline import Timeline, make_timeline

STILL_RATE = 25
"""Frames a second of a still: it lasts one of them."""

MILLISECOND = Fraction(1, 1000)
SHORTEST_DELAY, USUAL_DELAY = 20, 100
"""Milliseconds: a shorter delay is none, and is shown as the usual one by every browser and by FFmpeg."""

_ANIMATED = {"GIF", "WEBP", "PNG"}
_BROKEN = (OSError, EOFError, SyntaxError, ValueError, IndexError, struct.error, Image.DecompressionBombError)
"""What Pillow's readers raise on files that are no images, or not whole ones (UnidentifiedImageError is an OSError)."""


def is_image(head: bytes) -> bool:
    """Whether a file that begins with these 16 bytes is an image that Pillow reads."""
    starts = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\0\0\x01\0")
    inside = (b"RIFF", b"WEBP"), (b"ftyp", b"avif")
    return head.startswith(starts) or (head[:4], head[8:12]) == inside[0] or (head[4:8], head[8:12]) == inside[1]


class Stills:
    """The pictures of one image file. EXIF orientation applied, alpha on white, colour profile taken to sRGB."""

    def __init__(self, path: Path, *, salvage: bool) -> None:
        self._path = path
        self.streams: tuple[StreamInfo, ...] = ()
        self.chapters: tuple[Chapter, ...] = ()
        delays, (width, height) = self._survey(salvage=salvage)
        starts = np.concatenate([[0], np.cumsum(delays)])
        base = MILLISECOND if len(delays) > 1 else Fraction(1, STILL_RATE)
        last = delays[-1] if len(delays) > 1 else 1
        self.timeline: Timeline = make_timeline(base, starts[:-1].tolist(), [0], last, 1)
        rate = (len(delays) / self.timeline.duration).limit_denominator(1001)
        self.info = VideoInfo(
            width=width,
            height=height,
            time_base=base,
            rate=rate,
            frame_count=len(delays),
            colour=Colour(primaries="bt709", transfer="iec61966-2-1", matrix="gbr", range="pc"),
        )

    def close(self) -> None:
        """Nothing stays open between readings."""

    def pictures(self, start: int, stop: int) -> Iterator[Uint8Array]:
        """uint8 [H, W, 3] RGB of frames ``start`` to ``stop - 1``."""
        with self._open() as image:
            for index in range(start, stop):
                yield self._picture(image, index)

    def _survey(self, *, salvage: bool) -> tuple[list[int], tuple[int, int]]:
        """The delay of every frame in milliseconds, and (width, height); every frame is read once."""
        delays: list[int] = []
        with self._open() as image:
            for index in range(self._count(image)):
                try:
                    picture = self._picture(image, index)
                except InputError:
                    if index == 0 or not salvage:
                        raise
                    break
                if index == 0:
                    height, width = picture.shape[:2]
                delay = round(image.info.get("duration", 0))
                delays.append(delay if delay >= SHORTEST_DELAY else USUAL_DELAY)
        return delays, (width, height)

    def _open(self) -> Image.Image:
        try:
            with _quiet():
                return Image.open(self._path)
        except _BROKEN as error:
            raise InputError(f"{self._path} cannot be read as an image: {error}", "is the file whole?") from None

    def _count(self, image: Image.Image) -> int:
        if image.format not in _ANIMATED:
            return 1  # The pages of a TIFF and the views of a JPEG are no animation.
        try:
            return int(getattr(image, "n_frames", 1))
        except _BROKEN as error:
            raise damaged(self._path, f"its frames cannot be counted ({error})") from None

    def _picture(self, image: Image.Image, index: int) -> Uint8Array:
        try:
            with _quiet():
                image.seek(index)
                return _to_rgb(ImageOps.exif_transpose(image))
        except _BROKEN as error:
            raise damaged(self._path, f"picture {index} cannot be decoded ({error})") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Pillow's warnings (a large picture, a strange tag) from the terminal: what matters is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _to_rgb(image: Image.Image) -> Uint8Array:
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        flat = Image.fromarray(on_white(np.array(image.convert("RGBA"))))
    elif image.mode == "CMYK" and profile:
        flat = image
    else:
        flat = image.convert("RGB")
    if profile:
        flat = _to_srgb(flat, profile)
    return np.array(flat.convert("RGB"))


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """The image in sRGB; as it is where its profile is broken or belongs to another kind of picture."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB") or image
    except (ImageCms.PyCMSError, OSError):
        return image
