"""Our own lossless format: a plain ``.npz`` of numeric arrays, the same bytes for the same clip.

People are listed frame after frame; ``people_per_frame`` says where a frame ends. Masks are deflated one by one
(256 x 256: 0.1 ms and 5 kB instead of 65 kB), so a minute of poses with masks is a few MB, on disk as in memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animegen.errors import InputError
from animegen.jobs import load_arrays, reading, save_arrays, skeleton_array, skeleton_of
from animegen.pose.clip import PoseClip
from animegen.types import Expression, Float64Array, Mask, Pose, Skeleton

VERSION = 1
_MASK_LEVEL = 3
_NO_TRACK = -1
_EXPRESSION_FIELDS = len(astuple(Expression()))
_HINT = "remove it and run again the command that wrote it, such as `animegen pose extract`"


@dataclass(frozen=True, slots=True, eq=False)
class PackedMask:
    """A mask deflated: the ``shape`` (height, width) and the ``data`` of its alpha, and its ``affine`` f64 [2, 3]."""

    shape: tuple[int, int]
    affine: Float64Array
    data: bytes

    @classmethod
    def of(cls, mask: Mask) -> PackedMask:
        """The mask packed."""
        height, width = mask.alpha.shape
        return cls((height, width), mask.affine, zlib.compress(mask.alpha.tobytes(), _MASK_LEVEL))

    def unpacked(self) -> Mask:
        """The mask again; raises zlib.error or ValueError for damaged data."""
        return Mask(np.frombuffer(zlib.decompress(self.data), np.uint8).reshape(self.shape), self.affine)


@dataclass(frozen=True, slots=True, eq=False)
class PackedPoses(Mapping[int, tuple[Pose, ...]]):
    """The poses of a file by frame index. Masks are unpacked when a frame is asked for, and not kept.

    ``clip`` has the same poses without masks. Raises InputError naming the file when a mask proves damaged.
    """

    path: Path
    clip: PoseClip
    _people: Mapping[int, tuple[tuple[Pose, ...], tuple[PackedMask | None, ...]]]

    def __getitem__(self, index: int) -> tuple[Pose, ...]:
        poses, masks = self._people[index]
        with reading(self.path, _HINT):
            return tuple(
                pose if mask is None else replace(pose, mask=mask.unpacked())
                for pose, mask in zip(poses, masks, strict=True)
            )

    def __iter__(self) -> Iterator[int]:
        return iter(self._people)

    def __len__(self) -> int:
        return len(self._people)


def save_npz(clip: PoseClip, path: Path, masks: Sequence[PackedMask | None] | None = None) -> None:
    """Write a clip with everything its poses hold. Whoever calls this sees to it that the file is whole or absent.

    ``masks`` are those of all people in order, where they were packed already and the poses come without.
    """
    people = [pose for poses in clip.poses for pose in poses]
    ids = [track_id for frame_ids in clip.track_ids for track_id in frame_ids]
    arrays: dict[str, NDArray[Any]] = {
        "version": np.array(VERSION, np.int32),
        "skeleton": skeleton_array(clip.skeleton),
        "size": np.array(clip.size, np.int32),
        "frame_indices": np.array(clip.frame_indices, np.int64),
        "times": np.array([(t.numerator, t.denominator) for t in clip.times], np.int64).reshape(-1, 2),
        "people_per_frame": np.array([len(poses) for poses in clip.poses], np.int32),
        "track_ids": np.array([_NO_TRACK if i is None else i for i in ids], np.int64),
        **_people_arrays(people, len(clip.skeleton)),
        **_mask_arrays([PackedMask.of(p.mask) if p.mask else None for p in people] if masks is None else masks),
    }
    save_arrays(path, arrays, deflated=arrays.keys() - {"mask_bytes"})


def load_npz(path: Path) -> PoseClip:
    """Read a clip back exactly; raises InputError naming the file and what is wrong with it."""
    packed = open_npz(path)
    return replace(packed.clip, poses=tuple(packed[index] for index in packed))


def open_npz(path: Path) -> PackedPoses:
    """Read a clip and leave its masks packed; raises InputError naming the file and what is wrong with it."""
    with reading(path, _HINT):
        arrays = load_arrays(path)
        version = int(arrays["version"])
        if version != VERSION:
            raise InputError(f"{path}: poses of version {version}, this animegen reads version {VERSION}", _HINT)
        clip, masks = _clip(arrays), _masks(arrays)
        people = {
            index: (poses, tuple(islice(masks, len(poses))))
            for index, poses in zip(clip.frame_indices, clip.poses, strict=True)
        }
        return PackedPoses(path, clip, people)


def _people_arrays(people: list[Pose], count: int) -> dict[str, NDArray[Any]]:
    no_depth = np.zeros(count, np.float32)
    no_face = (0.0,) * _EXPRESSION_FIELDS
    return {
        "xy": np.array([pose.xy for pose in people], np.float32).reshape(-1, count, 2),
        "score": np.array([pose.score for pose in people], np.float32).reshape(-1, count),
        "bbox": np.array([pose.bbox for pose in people], np.float32).reshape(-1, 4),
        "has_z": np.array([pose.z is not None for pose in people], np.bool_),
        "z": np.array([no_depth if pose.z is None else pose.z for pose in people], np.float32).reshape(-1, count),
        "has_expression": np.array([pose.expression is not None for pose in people], np.bool_),
        "expression": np.array(
            [no_face if pose.expression is None else astuple(pose.expression) for pose in people], np.float64
        ).reshape(-1, _EXPRESSION_FIELDS),
    }


def _mask_arrays(masks: Sequence[PackedMask | None]) -> dict[str, NDArray[Any]]:
    none = np.zeros((2, 3))
    return {
        "mask_shape": np.array([(0, 0) if m is None else m.shape for m in masks], np.int32).reshape(-1, 2),
        "mask_affine": np.array([none if m is None else m.affine for m in masks], np.float64).reshape(-1, 2, 3),
        "mask_length": np.array([0 if m is None else len(m.data) for m in masks], np.int64),
        "mask_bytes": np.frombuffer(b"".join(b"" if m is None else m.data for m in masks), np.uint8),
    }


def _clip(arrays: dict[str, NDArray[Any]]) -> PoseClip:
    skeleton = skeleton_of(arrays["skeleton"])
    people = _people(arrays, skeleton)
    ids = [None if i == _NO_TRACK else int(i) for i in arrays["track_ids"]]
    ends = np.cumsum(arrays["people_per_frame"], dtype=np.int64).tolist()
    if (ends[-1] if ends else 0) != len(people):
        raise ValueError(f"{len(people)} people where the frames count {ends[-1] if ends else 0}")
    spans = list(zip([0, *ends[:-1]], ends, strict=True)) if ends else []
    width, height = arrays["size"].tolist()
    return PoseClip(
        (width, height),
        skeleton,
        tuple(arrays["frame_indices"].tolist()),
        tuple(Fraction(n, d) for n, d in arrays["times"].tolist()),
        tuple(tuple(people[a:b]) for a, b in spans),
        tuple(tuple(ids[a:b]) for a, b in spans),
    )


def _people(arrays: dict[str, NDArray[Any]], skeleton: Skeleton) -> list[Pose]:
    """All people of a file, without masks."""
    return [
        Pose(
            skeleton,
            arrays["xy"][i],
            arrays["score"][i],
            arrays["bbox"][i],
            arrays["z"][i] if arrays["has_z"][i] else None,
            None,
            Expression(*arrays["expression"][i].tolist()) if arrays["has_expression"][i] else None,
        )
        for i in range(len(arrays["mask_length"]))
    ]


def _masks(arrays: dict[str, NDArray[Any]]) -> Iterator[PackedMask | None]:
    ends = np.cumsum(arrays["mask_length"], dtype=np.int64).tolist()
    data = arrays["mask_bytes"].tobytes()
    if len(data) != (ends[-1] if ends else 0):
        raise ValueError(f"{len(data)} bytes of masks where {ends[-1] if ends else 0} are announced")
    for i, end in enumerate(ends):
        packed = data[end - int(arrays["mask_length"][i]) : end]
        height, width = arrays["mask_shape"][i].tolist()
        yield PackedMask((height, width), arrays["mask_affine"][i], packed) if packed else None
