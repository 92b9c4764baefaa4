"""What the first pass keeps of a segment, so that the second can build background plates without decoding again.

That is the camera's motion through the segment, and two frames a second (samples) with the people in them marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from animegen.composite.align import Aligner, View, small_grey, small_size
from animegen.composite.fill import as_mask
from animegen.composite.matte import frame_matte
from animegen.errors import InvalidValue
from animegen.jobs import load_arrays, reading, save_arrays
from animegen.types import Float32Array, Float64Array, Frame, Pose, Uint8Array

SAMPLE_SECONDS = 0.5
"""Seconds from one sample to the next."""

_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]

_ARRAYS = ("frames", "crowd", "sample", "to_sample", "shift", "link", "people", "tail")
_HINT = "remove it; the next run makes it anew"

CUT: Float64Array = np.full((3, 3), np.nan)
"""In place of a homography: the frame could not be aligned with the one before it."""


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """The camera's motion through one segment of N frames, and its S samples.

    For each frame: ``frames`` i64 [N] its index; ``crowd`` bool [N] whether people are in it; ``sample`` i64 [N] the
    sample that it is aligned to; ``to_sample`` f64 [N, 3, 3] the homography from its pixels to that sample's;
    ``shift`` f32 [N] how far, in pixels, the median feature moved between the two.

    For each sample: ``pictures`` the frame as JPEG; ``people`` uint8 [S, h, w] the matte of everyone in it, at the size
    of alignment; ``link`` f64 [S, 3, 3] the homography from the sample before it, NaN after a cut and for the first.

    ``tail`` is the small grey picture of the segment's last frame, to which the next segment is aligned.
    """

    size: tuple[int, int]
    frames: np.ndarray[tuple[int], np.dtype[np.int64]]
    crowd: np.ndarray[tuple[int], np.dtype[np.bool_]]
    sample: np.ndarray[tuple[int], np.dtype[np.int64]]
    to_sample: Float64Array
    shift: Float32Array
    link: Float64Array
    pictures: tuple[bytes, ...]
    people: Uint8Array
    tail: Uint8Array

    def save(self, path: Path) -> None:
        """Write everything as one npz, the same bytes for the same observation."""
        arrays: dict[str, NDArray[Any]] = {name: getattr(self, name) for name in _ARRAYS}
        arrays["size"] = np.array(self.size)
        # each an array of its own: a segment's pictures are many MB, and joining them would hold them twice
        arrays.update((_picture(i), np.frombuffer(p, np.uint8)) for i, p in enumerate(self.pictures))
        save_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path) -> Observation:
        """Read what :meth:`save` wrote; raises InputError naming the file where it is damaged or absent."""
        with reading(path, _HINT):
            data = load_arrays(path)
            return cls(
                size=(int(data["size"][0]), int(data["size"][1])),
                pictures=tuple(data.pop(_picture(i)).tobytes() for i in range(len(data["people"]))),
                **{name: data[name] for name in _ARRAYS},
            )


class PlateObserver:
    """Takes in the frames of one segment, one by one, and keeps what the background is made from.

    ``size`` is (width, height), ``rate`` frames per second. Memory grows with the segment's samples only, two
    compressed frames a second.
    """

    def __init__(self, size: tuple[int, int], rate: Fraction) -> None:
        self._size = size
        self._every = max(1, round(rate * Fraction(SAMPLE_SECONDS)))
        self._frames: list[int] = []
        self._crowd: list[bool] = []
        self._sample: list[int] = []
        self._to_sample: list[Float64Array] = []
        self._shift: list[float] = []
        self._link: list[Float64Array] = []
        self._pictures: list[bytes] = []
        self._people: list[Uint8Array] = []
        self._aligner: Aligner | None = None
        self._before: tuple[Uint8Array, Sequence[Pose]] | None = None
        self._taken_at = 0

    def observe(self, frame: Frame, poses: Sequence[Pose]) -> None:
        """Take in the next frame of the segment and the people in it."""
        if frame.size != self._size:
            raise InvalidValue(f"frame {frame.index} must be {self._size} pixels, got {frame.size}")
        grey = small_grey(frame.image)
        guess = self._to_sample[-1] if self._to_sample else None
        found = self._aligner.align(grey, guess) if self._aligner else None
        if found is None or len(self._frames) - self._taken_at >= self._every:
            link = CUT if found is None else np.asarray(np.linalg.inv(found.homography), np.float64)
            if found is None and self._before is not None:
                link = self._link_over_before(grey)
            self._take_sample(frame, poses, grey, link)
            homography, shift = np.eye(3), 0.0
        else:
            homography, shift = found.homography, found.shift
        self._frames.append(frame.index)
        self._crowd.append(bool(poses))
        self._sample.append(len(self._pictures) - 1)
        self._to_sample.append(homography)
        self._shift.append(shift)
        self._before = grey, poses

    def finish(self) -> Observation:
        """Everything observed. Raises InvalidValue when there was no frame."""
        if self._before is None:
            raise InvalidValue("a plate observer was finished before it saw a frame")
        return Observation(
            size=self._size,
            frames=np.array(self._frames, np.int64),
            crowd=np.array(self._crowd, np.bool_),
            sample=np.array(self._sample, np.int64),
            to_sample=np.array(self._to_sample, np.float64),
            shift=np.array(self._shift, np.float32),
            link=np.array(self._link, np.float64),
            pictures=tuple(self._pictures),
            people=np.array(self._people, np.uint8),
            tail=self._before[0],
        )

    def _take_sample(self, frame: Frame, poses: Sequence[Pose], grey: Uint8Array, link: Float64Array) -> None:
        people = small_matte(poses, self._size)
        _, encoded = cv2.imencode(".jpg", cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR), _JPEG)
        self._link.append(link)
        self._pictures.append(encoded.tobytes())
        self._people.append(people)
        self._aligner = Aligner(View(grey, people), self._size)
        self._taken_at = len(self._frames)

    def _link_over_before(self, grey: Uint8Array) -> Float64Array:
        """The homography from the current sample to this frame, composed over the frame before it.

        For frames that differ too much from the sample to be aligned to it.
        """
        before, poses = self._before if self._before is not None else (grey, ())
        step = Aligner(View(before, small_matte(poses, self._size)), self._size).align(grey)
        if step is None:
            return CUT
        return np.asarray(np.linalg.inv(self._to_sample[-1] @ step.homography))


def _picture(sample: int) -> str:
    """The name of a sample's picture in the file of an observation."""
    return f"picture-{sample:04d}"


def decode(picture: bytes) -> Uint8Array:
    """A sample's frame: uint8 [H, W, 3] RGB."""
    return np.asarray(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)


def has_people(path: Path) -> bool:
    """Whether anybody is in a saved observation."""
    with reading(path, _HINT), path.open("rb") as file, np.load(file, allow_pickle=False) as data:
        return bool(data["crowd"].any())


def small_matte(poses: Sequence[Pose], size: tuple[int, int]) -> Uint8Array:
    """The people of a frame at the size of alignment; not 0 wherever one of them may be."""
    if not poses:
        return np.zeros(small_size(size)[::-1], np.uint8)
    small = cv2.resize(frame_matte(poses, size), small_size(size), interpolation=cv2.INTER_AREA)
    return as_mask(np.asarray(cv2.dilate(small, np.ones((5, 5), np.uint8))) > 0)
