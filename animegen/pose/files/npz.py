"""Our own lossless format: a plain ``.npz`` of numeric arrays, the same bytes for the same clip.

People are listed frame after frame; ``people_per_frame`` says where a frame ends. Masks are deflated one by one
(256 x 256: 0.1 ms and 5 kB instead of 65 kB), so a minute of poses with masks is a few MB.
"""

from __future__ import annotations

import zlib
from dataclasses import astuple
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animegen.errors import InputError
from animegen.jobs import load_arrays, reading, save_arrays, skeleton_array, skeleton_of
from animegen.pose.clip import PoseClip
from animegen.types import Expression, Mask, Pose, Skeleton

VERSION = 1
_MASK_LEVEL = 3
_NO_TRACK = -1
_EXPRESSION_FIELDS = len(astuple(Expression()))


def save_npz(clip: PoseClip, path: Path) -> None:
    """Write a clip with everything its poses hold. Whoever calls this sees to it that the file is whole or absent."""
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
        **_mask_arrays([pose.mask for pose in people]),
    }
    save_arrays(path, arrays, deflated=arrays.keys() - {"mask_bytes"})


def load_npz(path: Path) -> PoseClip:
    """Read a clip back exactly; raises InputError naming the file and what is wrong with it."""
    with reading(path, "remove it and run again the command that wrote it, such as `animegen pose extract`"):
        arrays = load_arrays(path)
        version = int(arrays["version"])
        if version != VERSION:
            raise InputError(f"{path}: poses of version {version}, this animegen reads version {VERSION}")
        return _clip(arrays)


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


def _mask_arrays(masks: list[Mask | None]) -> dict[str, NDArray[Any]]:
    packed = [b"" if mask is None else zlib.compress(mask.alpha.tobytes(), _MASK_LEVEL) for mask in masks]
    none = np.zeros((2, 3))
    return {
        "mask_shape": np.array([(0, 0) if m is None else m.alpha.shape for m in masks], np.int32).reshape(-1, 2),
        "mask_affine": np.array([none if m is None else m.affine for m in masks], np.float64).reshape(-1, 2, 3),
        "mask_length": np.array([len(data) for data in packed], np.int64),
        "mask_bytes": np.frombuffer(b"".join(packed), np.uint8),
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
    ends = np.cumsum(arrays["mask_length"], dtype=np.int64).tolist()
    data = arrays["mask_bytes"].tobytes()
    if len(data) != (ends[-1] if ends else 0):
        raise ValueError(f"{len(data)} bytes of masks where {ends[-1] if ends else 0} are announced")
    people = []
    for i, end in enumerate(ends):
        packed = data[end - int(arrays["mask_length"][i]) : end]
        mask = None
        if packed:
            alpha = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(arrays["mask_shape"][i])
            mask = Mask(alpha, arrays["mask_affine"][i])
        people.append(
            Pose(
                skeleton,
                arrays["xy"][i],
                arrays["score"][i],
                arrays["bbox"][i],
                arrays["z"][i] if arrays["has_z"][i] else None,
                mask,
                Expression(*arrays["expression"][i].tolist()) if arrays["has_expression"][i] else None,
            )
        )
    return people
