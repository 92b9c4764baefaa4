"""The clean background of a clip: in the second pass plates are built, in the third people are removed by them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np

from animegen.composite.build import PlateTable, build_table, read_plate
from animegen.composite.fill import as_mask, match
from animegen.composite.hair import with_hair
from animegen.composite.matte import Matte, head_of, person_matte
from animegen.composite.mosaic import is_identity
from animegen.types import Float64Array, Frame, Pose, Uint8Array

_CACHED_PLATES = 2
"""Plates held decoded: that of the window being drawn, and the one that it gives way to."""

_NOBODY: Mapping[int, Sequence[Pose]] = MappingProxyType({})

_RING = 0.12
"""Width of the ring around a matte in which the plate's light is compared with the frame's, in sides of the matte."""


def build_plates(
    observations: Iterable[Path], size: tuple[int, int], out_dir: Path, unseen: Mapping[int, Sequence[Pose]] = _NOBODY
) -> PlateSet:
    """Build the plates of a clip from its saved observations, in order, and write them into ``out_dir``.

    ``size`` is the frames' (width, height), ``unseen`` has by frame index the poses of people who were there and were
    not found: they are no background either. Memory does not grow with the clip. Raises OutputError where the disk
    refuses.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    build_table(observations, size, out_dir, unseen).save(out_dir / "frames.npz")
    return PlateSet.load(out_dir)


class PlateSet:
    """The plates of a clip. Safe to use from several threads."""

    def __init__(self, table: PlateTable, folder: Path) -> None:
        self._table = table
        self._folder = folder
        self._lock = threading.Lock()
        self._read = lru_cache(maxsize=_CACHED_PLATES)(self._decode)

    @classmethod
    def load(cls, folder: Path) -> PlateSet:
        """The plates that :func:`build_plates` wrote."""
        return cls(PlateTable.load(folder / "frames.npz"), folder)

    def clean(self, frame: Frame, poses: Sequence[Pose]) -> Uint8Array:
        """The frame without the people of ``poses``, uint8 [H, W, 3].

        Outside of their mattes and hair it is exactly the source; without people, it is ``frame.image`` itself. Raises
        InvalidValue for a frame that was never observed.
        """
        mattes = [m for m in (person_matte(pose, frame.size) for pose in poses) if m.alpha.size]
        if not mattes:
            return frame.image
        row = self._table.row(frame.index)
        heads = [head for head in map(head_of, poses) if head is not None]
        cleaned = frame.image.copy()
        for matte in united(mattes, frame.size):
            rows, columns = matte.window
            here = frame.image[rows, columns]
            behind, known = self._behind(row, matte)
            plate = match(behind, here, as_mask(matte.alpha == 0))
            alpha = cv2.merge([with_hair(matte, heads, here, plate, known).alpha] * 3)
            cleaned[rows, columns] = cv2.add(
                cv2.multiply(plate, alpha, scale=1 / 255), cv2.multiply(here, cv2.bitwise_not(alpha), scale=1 / 255)
            )
        return cleaned

    def pictures(self) -> Iterator[tuple[Uint8Array, Uint8Array]]:
        """Every plate, uint8 [h, w, 3] RGB, and 255 in uint8 [h, w] where it was seen and not invented."""
        for number in range(int(self._table.plate.max(initial=-1)) + 1):
            yield self._decode(number)

    def _behind(self, row: int, matte: Matte) -> tuple[Uint8Array, Uint8Array]:
        """The background in a matte's window, blended of two plates near the border of their windows.

        With it a mask: 255 where it was seen, 0 where it was invented.
        """
        first, second = (int(p) for p in self._table.plate[row])
        picture, known = self._window(first, self._table.to_plate[row, 0], matte)
        weight = float(self._table.second[row])
        if second < 0 or weight == 0.0:
            return picture, known
        other, also = self._window(second, self._table.to_plate[row, 1], matte)
        mixed = cv2.addWeighted(picture, 1.0 - weight, other, weight, 0.0)
        return np.asarray(mixed, np.uint8), np.asarray(cv2.bitwise_and(known, also), np.uint8)

    def _window(self, plate: int, to_plate: Float64Array, matte: Matte) -> tuple[Uint8Array, Uint8Array]:
        image, known = self._plate(plate)
        if is_identity(to_plate):
            return image[matte.window], known[matte.window]
        shift = np.array([(1.0, 0.0, matte.x), (0.0, 1.0, matte.y), (0.0, 0.0, 1.0)])
        way, size, mode = to_plate @ shift, matte.alpha.shape[::-1], cv2.BORDER_REPLICATE
        seen = cv2.warpPerspective(image, way, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=mode)
        sure = cv2.warpPerspective(known, way, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
        return np.asarray(seen, np.uint8), np.asarray(sure, np.uint8)

    def _plate(self, number: int) -> tuple[Uint8Array, Uint8Array]:
        with self._lock:
            return self._read(number)

    def _decode(self, number: int) -> tuple[Uint8Array, Uint8Array]:
        return read_plate(self._folder, number)


def united(mattes: Sequence[Matte], size: tuple[int, int]) -> list[Matte]:
    """The mattes, each with a ring of the frame around it, and merged into one where these overlap."""
    boxes = [_widened(matte, size) for matte in mattes]
    groups: list[tuple[list[int], list[Matte]]] = []
    for own, matte in zip(boxes, mattes, strict=True):
        box, members = own, [matte]
        apart = []
        for other, others in groups:
            if box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]:
                box = [*map(min, box[:2], other[:2]), *map(max, box[2:], other[2:])]
                members = others + members
            else:
                apart.append((other, others))
        groups = [*apart, (box, members)]
    return [_union(box, members) for box, members in groups]


def _widened(matte: Matte, size: tuple[int, int]) -> list[int]:
    height, width = matte.alpha.shape
    ring = max(8, round(_RING * max(width, height)))
    return [
        max(0, matte.x - ring),
        max(0, matte.y - ring),
        min(size[0], matte.x + width + ring),
        min(size[1], matte.y + height + ring),
    ]


def _union(box: Sequence[int], mattes: Sequence[Matte]) -> Matte:
    left, top, right, bottom = box
    alpha = np.zeros((bottom - top, right - left), np.uint8)
    for matte in mattes:
        rows, columns = Matte(matte.alpha, matte.x - left, matte.y - top).window
        np.maximum(alpha[rows, columns], matte.alpha, out=alpha[rows, columns])
    return Matte(alpha, left, top)
