"""OpenPose JSON: a folder with one file per frame, ``NAME_000000000000_keypoints.json``, of BODY_25 points and hands.

Beyond OpenPose, each file carries ``canvas_width``, ``canvas_height`` and ``time`` (an exact fraction of seconds), and
people ``expression`` (VRM's names, see :class:`animegen.types.Expression`); files without them are read as well.
OpenPose's 70 points of the face are neither written nor read.
"""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from animegen.errors import InputError
from animegen.jobs import artefact_folder
from animegen.pose.clip import NOMINAL_RATE, PoseClip
from animegen.pose.convert import convert_clip
from animegen.pose.files.expressions import expression_entry, expression_of
from animegen.pose.files.reading import naming, read_json
from animegen.pose.skeletons import BODY25, BODY67
from animegen.types import Float32Array, Pose, Skeleton

_NAME = re.compile(r"(?:.*_)?(\d+)_keypoints\.json")
_BODY, _HANDS, _FACE = "pose_keypoints_2d", ("hand_left_keypoints_2d", "hand_right_keypoints_2d"), "face_keypoints_2d"
_HAND_POINTS = 21
_NO_PERSON = -1
_BOX_MARGIN = 0.1
"""OpenPose has no boxes: ours goes this share of the points' extent beyond them."""


def save_openpose(clip: PoseClip, folder: Path) -> None:
    """Write a clip as a new folder of files, all or none; raises OutputError where that cannot be done."""
    clip = convert_clip(clip, BODY67 if "left_hand_0" in clip.skeleton.points else BODY25)
    with artefact_folder(folder) as part:
        for frame, time, poses, ids in zip(clip.frame_indices, clip.times, clip.poses, clip.track_ids, strict=True):
            people = [_person(pose, track_id) for pose, track_id in zip(poses, ids, strict=True)]
            entry = {
                "version": 1.3,
                "canvas_width": clip.size[0],
                "canvas_height": clip.size[1],
                "time": str(time),
                "people": people,
            }
            name = f"{folder.name}_{frame:012d}_keypoints.json"
            (part / name).write_text(json.dumps(entry) + "\n", encoding="utf-8", newline="\n")


def load_openpose(path: Path) -> PoseClip:
    """Read a folder of frames, or one file; raises InputError naming the file and the person that is wrong.

    The poses are of BODY25, or all of BODY67 where anybody has hands. Frames without a time follow each other at
    :data:`NOMINAL_RATE`; without a canvas the size is what the points need.
    """
    files = _frame_files(path)
    frames = {index: read_json(file) for index, file in files.items()}
    times, people, poses, ids = [], {}, [], []
    for index, entry in frames.items():
        with naming(files[index]):
            times.append(Fraction(entry["time"]) if "time" in entry else index / NOMINAL_RATE)
            people[index] = [dict(person) for person in entry["people"]]
    handed = any(person.get(key) for found in people.values() for person in found for key in _HANDS)
    skeleton = BODY67 if handed else BODY25
    for index, own in people.items():
        found = []
        for i, person in enumerate(own):
            with naming(files[index], f"person {i}"):
                found.append((_pose(person, skeleton), _person_id(person)))
        poses.append(tuple(pose for pose, _ in found))
        ids.append(tuple(track_id for _, track_id in found))
    with naming(path):
        size = _size(list(frames.values()), [pose for frame_poses in poses for pose in frame_poses])
        return PoseClip(size, skeleton, tuple(files), tuple(times), tuple(poses), tuple(ids))


def _frame_files(path: Path) -> dict[int, Path]:
    """The files by rising frame index."""
    if path.is_file():
        return {0: path}
    found: dict[int, Path] = {}
    for file in sorted(path.glob("*_keypoints.json")):
        match = _NAME.fullmatch(file.name)
        if match:
            index = int(match[1])
            if index in found:
                raise InputError(f"{path}: {found[index].name} and {file.name} are both frame {index}", "keep one")
            found[index] = file
    if not found:
        raise InputError(
            f"{path}: no OpenPose frames in this folder", "they are named NAME_000000000000_keypoints.json"
        )
    return dict(sorted(found.items()))


def _person(pose: Pose, track_id: int | None) -> dict[str, Any]:
    triples = np.concatenate([pose.xy, pose.score[:, None]], axis=1).astype(np.float64)
    triples[pose.score == 0] = 0
    body, *hands = np.split(np.round(triples, 4), [len(BODY25), len(BODY25) + _HAND_POINTS])
    return {
        "person_id": [_NO_PERSON if track_id is None else track_id],
        _BODY: body.ravel().tolist(),
        _FACE: [],
        **{key: points.ravel().tolist() for key, points in zip(_HANDS, hands, strict=True)},
        **expression_entry(pose),
    }


def _pose(person: dict[str, Any], skeleton: Skeleton) -> Pose:
    triples = _triples(person[_BODY], _BODY, len(BODY25))
    box = _box(triples)
    if skeleton == BODY67:
        absent = [0.0] * (3 * _HAND_POINTS)
        triples = np.concatenate([triples, *(_triples(person.get(key) or absent, key, _HAND_POINTS) for key in _HANDS)])
    score = np.clip(triples[:, 2], 0, 1)
    return Pose(skeleton, np.ascontiguousarray(triples[:, :2]), score, box, expression=expression_of(person))


def _triples(numbers: Any, key: str, count: int) -> Float32Array:
    triples = np.array(numbers, np.float32)
    if triples.size != 3 * count:
        kind = " (BODY_25)" if key == _BODY else ""
        raise ValueError(f"{key} must be {3 * count} numbers{kind}, found {triples.size}")
    return triples.reshape(-1, 3)


def _box(triples: Float32Array) -> Float32Array:
    known = triples[triples[:, 2] > 0, :2]
    if not len(known):
        return np.zeros(4, np.float32)
    low, high = known.min(axis=0), known.max(axis=0)
    margin = _BOX_MARGIN * float((high - low).max())
    return np.concatenate([low - margin, high + margin]).astype(np.float32)


def _person_id(person: dict[str, Any]) -> int | None:
    ids = person.get("person_id", [_NO_PERSON])
    track_id = int(ids[0]) if ids else _NO_PERSON
    return None if track_id == _NO_PERSON else track_id


def _size(entries: list[dict[str, Any]], poses: list[Pose]) -> tuple[int, int]:
    need = np.max([pose.xy[pose.score > 0].max(axis=0, initial=0) for pose in poses], axis=0) if poses else np.zeros(2)
    sizes = [(int(e["canvas_width"]), int(e["canvas_height"])) for e in entries if "canvas_width" in e]
    width, height = max(sizes, default=(int(need[0]) + 1, int(need[1]) + 1))
    return width, height
