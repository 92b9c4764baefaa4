"""Windows: consecutive samples of a clip that show about the same view, so that one plate can be made of them.

The first step of building plates in the second pass, from what :mod:`animegen.composite.observe` kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from animegen.composite.align import Aligner, View, small_grey
from animegen.composite.mosaic import sample_limit
from animegen.composite.observe import CUT, SAMPLE_SECONDS, Observation, decode, small_matte
from animegen.types import Float64Array, Pose, Uint8Array

WINDOW_SAMPLES = 24
"""Samples of a window at most: few enough that a plate follows changes of the light."""

PLATE_SECONDS = WINDOW_SAMPLES * SAMPLE_SECONDS
"""Time that one plate covers."""

_STILL = 0.6
_STILL_SHARE = 0.98
"""The camera stands still where the median feature moves by fewer pixels in this share of the frames."""

_REACH = 0.6
"""How far, in frame sizes, the camera may move away from a window's first sample before a new window starts."""


@dataclass(slots=True, eq=False)
class Window:
    """The samples of one plate, and the frames whose background it shows.

    For each sample: ``pictures`` its JPEG, ``people`` its matte, ``samples`` the homography f64 [3, 3] from it to the
    window's first sample. For each frame: ``frames`` its index, ``frame_sample`` the sample that it is aligned to,
    ``to_sample`` the homography to that sample, ``shifts`` how far the median feature moved between the two. ``before``
    is the homography from the first sample to the last one of the window before, None after a cut.
    """

    before: Float64Array | None
    pictures: list[bytes] = field(default_factory=list)
    people: list[Uint8Array] = field(default_factory=list)
    samples: list[Float64Array] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    frame_sample: list[int] = field(default_factory=list)
    to_sample: list[Float64Array] = field(default_factory=list)
    shifts: list[float] = field(default_factory=list)

    def add(
        self, observation: Observation, sample: int, to_first: Float64Array, unseen: Mapping[int, Sequence[Pose]]
    ) -> None:
        """Add a sample of an observation, and the frames that are aligned to it; the first of these is the sample."""
        rows = np.flatnonzero(observation.sample == sample)
        self.frame_sample += [len(self.samples)] * len(rows)
        self.frames += observation.frames[rows].tolist()
        self.to_sample += list(observation.to_sample[rows])
        self.shifts += observation.shift[rows].tolist()
        self.samples.append(to_first)
        self.pictures.append(observation.pictures[sample])
        people = observation.people[sample]
        if missed := unseen.get(int(observation.frames[rows[0]])):
            people = np.maximum(people, small_matte(missed, observation.size))
        self.people.append(people)


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where the samples and frames of a window lie on its plate of ``size`` (width, height).

    ``samples`` and ``frames`` are homographies f64 [n, 3, 3] from their pixels to the plate's; all are exactly the
    identity where the camera stands ``still``.
    """

    size: tuple[int, int]
    still: bool
    samples: Float64Array
    frames: Float64Array


def windows(paths: Iterable[Path], size: tuple[int, int], unseen: Mapping[int, Sequence[Pose]]) -> Iterator[Window]:
    """The windows of a clip, in order, from the saved observations of its segments; one is held at a time.

    ``unseen`` has by frame index the poses of people who were not found.
    """
    window: Window | None = None
    end: tuple[Uint8Array, Float64Array] | None = None
    for path in paths:
        observation = Observation.load(path)
        for sample in range(len(observation.pictures)):
            link = observation.link[sample] if sample else _link_segments(end, observation)
            linked = window is not None and bool(np.isfinite(link).all())
            back = np.linalg.inv(link) if linked else np.eye(3)
            to_first = window.samples[-1] @ back if window is not None and linked else np.eye(3)
            full = window is not None and len(window.samples) >= WINDOW_SAMPLES
            if window is None or not linked or full or _leaves(to_first, size):
                if window is not None:
                    yield window
                window, to_first = Window(back if linked else None), np.eye(3)
            window.add(observation, sample, to_first, unseen)
        end = observation.tail, observation.to_sample[-1]
    if window is not None:
        yield window


def lay(window: Window, size: tuple[int, int]) -> Layout:
    """Find where the samples and frames of a window lie on a plate that has the pixels of its middle sample."""
    samples, shifts = _align_to_middle(window, size)
    moved = np.array(shifts + window.shifts)
    if np.quantile(moved, _STILL_SHARE) <= _STILL:
        one = np.eye(3)
        return Layout(size, True, np.repeat(one[None], len(samples), 0), np.repeat(one[None], len(window.frames), 0))
    frames = samples[window.frame_sample] @ np.array(window.to_sample)
    corners = np.concatenate([map_points(h, frame_corners(size)) for h in frames])
    extent = np.array(size, np.float64)
    low = np.maximum(np.floor(corners.min(axis=0)), -extent)
    high = np.minimum(np.ceil(corners.max(axis=0)) + 1, 2 * extent)
    shift = np.array([(1.0, 0.0, -low[0]), (0.0, 1.0, -low[1]), (0.0, 0.0, 1.0)])
    plate = (int(high[0] - low[0]), int(high[1] - low[1]))
    return Layout(plate, False, shift @ samples, shift @ frames)


def chosen(window: Window, plate: tuple[int, int]) -> list[int]:
    """The positions of the samples that make the plate: all, or as many as memory allows, evenly spread."""
    count = min(len(window.samples), sample_limit(plate))
    return sorted({round(i) for i in np.linspace(0, len(window.samples) - 1, count)})


def frame_corners(size: tuple[int, int]) -> NDArray[np.float64]:
    """Centres of the four corner pixels, f64 [4, 2]."""
    right, bottom = size[0] - 1.0, size[1] - 1.0
    return np.array([(0.0, 0.0), (right, 0.0), (right, bottom), (0.0, bottom)])


def map_points(homography: Float64Array, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points f64 [n, 2] seen through a homography."""
    return np.asarray(cv2.perspectiveTransform(points.reshape(-1, 1, 2), homography), np.float64).reshape(-1, 2)


def _link_segments(end: tuple[Uint8Array, Float64Array] | None, following: Observation) -> Float64Array:
    """Homography from a segment's last sample to the next segment's first, by way of the frame between them.

    ``end`` is the small picture of the last frame and the homography from it to that sample.
    """
    if end is None:
        return CUT
    first = View(small_grey(decode(following.pictures[0])), following.people[0])
    step = Aligner(first, following.size).align(end[0])
    return CUT if step is None else np.asarray(step.homography @ np.linalg.inv(end[1]))


def _align_to_middle(window: Window, size: tuple[int, int]) -> tuple[Float64Array, list[float]]:
    """Every sample aligned directly to the middle one, so that errors do not add up along the window."""
    greys = [small_grey(decode(picture)) for picture in window.pictures]
    middle = len(greys) // 2
    from_first = np.linalg.inv(window.samples[middle])
    aligner = Aligner(View(greys[middle], window.people[middle]), size)
    homographies, shifts = [], []
    for i, grey in enumerate(greys):
        guess = from_first @ window.samples[i]
        found = aligner.align(grey, guess) if i != middle else None
        homographies.append(guess if found is None else found.homography)
        shifts.append(0.0 if found is None else found.shift)
    return np.array(homographies), shifts


def _leaves(to_first: Float64Array, size: tuple[int, int]) -> bool:
    moved = np.abs(map_points(to_first, frame_corners(size)) - frame_corners(size)).max(axis=0)
    return bool((moved > _REACH * np.array(size)).any())
