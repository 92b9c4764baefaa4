"""Builds the plates of a clip in the second pass: background pictures without people, one for each window.

Each is first a mosaic of the window's own samples. What nobody ever saw there is filled from the plates of the windows
before and after, and what no window shows is invented.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from animegen.composite.fill import as_mask, match
from animegen.composite.inpaint import inpaint
from animegen.composite.mosaic import UNSEEN, Plate, is_identity, mosaic, warp
from animegen.composite.observe import has_people
from animegen.composite.windows import Layout, Window, chosen, frame_corners, lay, map_points, windows
from animegen.errors import InvalidValue
from animegen.jobs import artefact, load_arrays, reading, save_arrays
from animegen.memory import give_back_memory
from animegen.types import Float64Array, Pose, Uint8Array

_INVENTED = UNSEEN - 1
"""Age of a pixel that was invented (inpainted): older than any that was seen, so that those replace it."""

_ARRAYS = ("frames", "plate", "to_plate", "second")
"""The fields of :class:`PlateTable` in their order, as they are named in its file."""

_FADE_SAMPLES = 2
"""Samples at each end of a window in whose frames its plate is blended with the neighbouring window's."""

_STEADY = 1.5
"""Pixels of drift up to which two neighbouring windows, in both of which the camera stands still, show one view."""


@dataclass(frozen=True, slots=True, eq=False)
class PlateTable:
    """Which plates show the background of which frame, and where on them it is.

    ``frames`` i64 [N] are the rising indices of the frames. Each has one plate or two between which it blends:
    ``plate`` i64 [N, 2] are their numbers (-1: no second), ``to_plate`` f64 [N, 2, 3, 3] the homographies from the
    frame's pixels to theirs, and ``second`` f32 [N] is the weight of the second.
    """

    frames: NDArray[np.int64]
    plate: NDArray[np.int64]
    to_plate: Float64Array
    second: NDArray[np.float32]

    @classmethod
    def empty(cls) -> PlateTable:
        """The table of no frames."""
        return cls(np.zeros(0, np.int64), np.zeros((0, 2), np.int64), np.zeros((0, 2, 3, 3)), np.zeros(0, np.float32))

    def row(self, frame: int) -> int:
        """Position of a frame; raises InvalidValue for one that was not observed."""
        row = int(np.searchsorted(self.frames, frame))
        if row >= len(self.frames) or self.frames[row] != frame:
            raise InvalidValue(f"frame {frame} has no plate: it was not observed in the first pass")
        return row

    def save(self, path: Path) -> None:
        """Write the table as npz, whole or not at all."""
        with artefact(path) as part:
            save_arrays(part, {name: getattr(self, name) for name in _ARRAYS})

    @classmethod
    def load(cls, path: Path) -> PlateTable:
        """Read what :meth:`save` wrote; raises InputError naming the file where it is damaged or absent."""
        with reading(path, f"remove the folder {path.parent}; the next run makes it anew"):
            data = load_arrays(path)
            return cls(*(data[name] for name in _ARRAYS))


def build_table(
    observations: Iterable[Path], size: tuple[int, int], folder: Path, unseen: Mapping[int, Sequence[Pose]]
) -> PlateTable:
    """Write the plates of a clip as ``plate-NNNNN.png`` into ``folder`` and return how its frames lie on them.

    ``unseen`` is as :func:`animegen.composite.build_plates` has it. A clip in which nobody is seen has none. Forward,
    every window takes over what only the windows before it saw; backward, what only those after it saw. Each pass holds
    two plates at a time; freed memory is returned after each, as its gaps do not fit what the next one needs.
    """
    paths = list(observations)
    tables = [PlateTable.empty()]
    if not any(has_people(path) for path in paths):
        return tables[0]
    steps: list[Float64Array | None] = []
    previous: tuple[Window, Layout, Plate] | None = None
    for number, window in enumerate(windows(paths, size, unseen)):
        layout, plate = _window_plate(window, size)
        window.pictures.clear()  # megabytes, of which the next window needs nothing
        step = _step(previous[0], previous[1], window, layout, size) if previous else None
        if previous is not None and step is not None:
            plate = _carry(previous[2], plate, np.asarray(np.linalg.inv(step)))
            tables[-1], table = _faded(tables[-1], previous[0], _alone(window, layout, number), window, step)
        else:
            table = _alone(window, layout, number)
        tables.append(table)
        steps.append(step)
        _write(folder / f"plate-{number:05d}.png", cv2.cvtColor(plate.image, cv2.COLOR_RGB2BGR))
        _write(folder / f"age-{number:05d}.png", plate.age)
        previous = window, layout, plate
        give_back_memory()
    _complete(folder, steps)
    return PlateTable(*(np.concatenate([getattr(t, name) for t in tables]) for name in _ARRAYS))


def _complete(folder: Path, steps: list[Float64Array | None]) -> None:
    """The backward pass: fill each plate from the later ones, then invent what is left.

    What was invented is handed on to the earlier plates too, so that it is the same in all.

    What was not invented stands beside each plate as ``known-NNNNN.png``.
    """
    later: Plate | None = None
    for number in reversed(range(len(steps))):
        picture, ages = folder / f"plate-{number:05d}.png", folder / f"age-{number:05d}.png"
        plate = Plate(
            np.asarray(_read(picture, cv2.IMREAD_COLOR_RGB), np.uint8),
            np.asarray(_read(ages, cv2.IMREAD_UNCHANGED), np.uint16),
        )
        step = steps[number + 1] if number + 1 < len(steps) else None
        if later is not None and step is not None:
            plate = _carry(later, plate, step)
        unseen = plate.age == UNSEEN
        if unseen.any():
            invented = inpaint(plate.image, as_mask(unseen))
            plate = Plate(invented, np.where(unseen, _INVENTED, plate.age).astype(np.uint16))
        _write(picture, cv2.cvtColor(plate.image, cv2.COLOR_RGB2BGR))
        _write(folder / f"known-{number:05d}.png", as_mask(plate.age < _INVENTED))
        ages.unlink()
        later = plate
        give_back_memory()


def _window_plate(window: Window, size: tuple[int, int]) -> tuple[Layout, Plate]:
    layout = lay(window, size)
    keep = chosen(window, layout.size)
    plate = mosaic(
        [window.pictures[i] for i in keep],
        [window.people[i] for i in keep],
        [layout.samples[i] for i in keep],
        size,
        layout.size,
    )
    return layout, plate


def _step(
    before: Window, before_layout: Layout, window: Window, layout: Layout, size: tuple[int, int]
) -> Float64Array | None:
    """Homography from a window's plate to that of the window before, or None after a cut."""
    if window.before is None:
        return None
    corners = frame_corners(size)
    drift = np.abs(map_points(before.samples[-1] @ window.before, corners) - corners).max()
    if before_layout.still and layout.still and drift <= _STEADY:
        return np.eye(3)
    return np.asarray(before_layout.samples[-1] @ window.before @ np.linalg.inv(layout.samples[0]))


def _carry(source: Plate, target: Plate, homography: Float64Array) -> Plate:
    """``target`` with pixels of a neighbouring plate wherever these are younger, adapted to the target's light."""
    size = (target.age.shape[1], target.age.shape[0])
    image = warp(source.image, homography, size)
    age = _older(source.age, homography, size)
    gain = age < target.age
    if not gain.any():
        return target
    both = as_mask((age < _INVENTED) & (target.age < _INVENTED))
    taken = match(image, target.image, both)
    taken = np.where(gain[..., None], taken, target.image)
    return Plate(taken, np.where(gain, age, target.age).astype(np.uint16))


def _older(age: NDArray[np.uint16], homography: Float64Array, size: tuple[int, int]) -> NDArray[np.uint16]:
    """Ages as seen through a homography, one window older; invented and unseen pixels stay what they are."""
    if not (is_identity(homography) and age.shape[::-1] == size):
        flags = cv2.INTER_NEAREST
        age = np.asarray(cv2.warpPerspective(age, homography, size, flags=flags, borderValue=[UNSEEN] * 4), np.uint16)
    return np.where(age >= _INVENTED, age, np.minimum(age, _INVENTED - 2) + 1).astype(np.uint16)


def _alone(window: Window, layout: Layout, number: int) -> PlateTable:
    """The table of one window's frames, all filled from its own plate."""
    count = len(window.frames)
    return PlateTable(
        frames=np.array(window.frames, np.int64),
        plate=np.tile(np.array([number, -1], np.int64), (count, 1)),
        to_plate=np.repeat(layout.frames[:, None], 2, axis=1),
        second=np.zeros(count, np.float32),
    )


def _faded(
    early: PlateTable, early_window: Window, late: PlateTable, late_window: Window, step: Float64Array
) -> tuple[PlateTable, PlateTable]:
    """The tables of two neighbouring windows, in which frames near their border blend both plates.

    The weight of the other plate rises to one half at the border, so that the change of plates is not seen.
    """
    tail = np.flatnonzero(np.array(early_window.frame_sample) >= len(early_window.samples) - _FADE_SAMPLES)
    head = np.flatnonzero(np.array(late_window.frame_sample) < _FADE_SAMPLES)
    early.plate[tail, 1] = late.plate[0, 0]
    early.to_plate[tail, 1] = _lead(np.asarray(np.linalg.inv(step)), early.to_plate[tail, 0])
    early.second[tail] = np.linspace(0.0, 0.5, len(tail) + 1)[1:]
    late.plate[head, 1] = early.plate[0, 0]
    late.to_plate[head, 1] = _lead(step, late.to_plate[head, 0])
    late.second[head] = np.linspace(0.5, 0.0, len(head) + 1)[:-1]
    return early, late


def _lead(step: Float64Array, homographies: Float64Array) -> Float64Array:
    led = step @ homographies
    return np.asarray(led / led[:, 2:, 2:])


def read_plate(folder: Path, number: int) -> tuple[Uint8Array, Uint8Array]:
    """A plate uint8 [h, w, 3] RGB, and a mask uint8 [h, w]: 255 where it was seen, 0 where it was invented.

    Raises InputError naming the file that is damaged or absent.
    """
    picture = _read(folder / f"plate-{number:05d}.png", cv2.IMREAD_COLOR_RGB)
    known = _read(folder / f"known-{number:05d}.png", cv2.IMREAD_GRAYSCALE)
    return np.asarray(picture, np.uint8), np.asarray(known, np.uint8)


def _read(path: Path, flags: int) -> cv2.typing.MatLike:
    """What :func:`_write` wrote. Python opens the file, because OpenCV finds no names beyond ASCII on Windows."""
    with reading(path, f"remove the folder {path.parent}; the next run makes it anew"):
        data = path.read_bytes()
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
        if picture is None:
            raise ValueError("it is no picture")
        return picture


def _write(path: Path, image: NDArray[np.uint8] | NDArray[np.uint16] | cv2.typing.MatLike) -> None:
    _, encoded = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    with artefact(path) as part:
        part.write_bytes(encoded.tobytes())
