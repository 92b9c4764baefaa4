"""COCO keypoint JSON: ``{images, annotations, categories}``, the 17 COCO points in COCO's order; poses with hands get
the feet, face and hands of COCO-WholeBody (Jin et al. 2020) beside them, where a point's third number is its score.

Beyond COCO, images carry ``frame_index`` and ``time`` (an exact fraction of seconds), and annotations ``track_id``,
``keypoint_scores`` and ``expression`` (VRM's names, see :class:`animegen.types.Expression`); files without them are
read as well.
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from animegen.errors import InputError
from animegen.pose.clip import NOMINAL_RATE, PoseClip
from animegen.pose.convert import convert_clip
from animegen.pose.files.expressions import expression_entry, expression_of
from animegen.pose.files.openpose import load_openpose
from animegen.pose.files.reading import FORMATS_HINT, naming, read_json
from animegen.pose.skeletons import COCO17, COCO_WHOLEBODY133
from animegen.types import Float32Array, Pose, Skeleton

_VISIBLE = 0.5
"""Score from which a point is written as seen (2) rather than guessed (1)."""
_SCORE_OF_FLAG = np.array([0.0, 0.5, 1.0], np.float32)
_PARTS = {"foot": 6, "face": 68, "lefthand": 21, "righthand": 21}
"""The parts of COCO-WholeBody after the body's 17 points, in the skeleton's order, with how many points they have."""


def save_coco(clip: PoseClip, path: Path) -> None:
    """Write a clip as one JSON file. Whoever calls this sees to it that the file is whole or absent."""
    clip = convert_clip(clip, COCO_WHOLEBODY133 if "left_hand_0" in clip.skeleton.points else COCO17)
    width, height = clip.size
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for frame, time, poses, ids in zip(clip.frame_indices, clip.times, clip.poses, clip.track_ids, strict=True):
        images.append(
            {
                "id": frame,
                "file_name": f"{frame:012d}.png",
                "width": width,
                "height": height,
                "frame_index": frame,
                "time": str(time),
            }
        )
        annotations += [
            _annotation(pose, len(annotations) + i, frame, track_id)
            for i, (pose, track_id) in enumerate(zip(poses, ids, strict=True), start=1)
        ]
    category = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": COCO17.points,
        "skeleton": [(a + 1, b + 1) for a, b in COCO17.edges],
    }
    text = json.dumps({"images": images, "annotations": annotations, "categories": [category]})
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def load_coco(path: Path) -> PoseClip:
    """Read a clip; raises InputError naming the file and the entry that is wrong.

    The poses are of COCO17, or all of COCO_WHOLEBODY133 where anybody has hands or a face. People without keypoints and
    crowds are left out. The size is that of the largest image. Without times, frames follow each other at
    :data:`NOMINAL_RATE`. A single frame of OpenPose JSON is read too.
    """
    data = read_json(path)
    if "people" in data:
        return load_openpose(path)
    if "images" not in data or "annotations" not in data:
        raise InputError(f"{path}: neither COCO JSON (images, annotations) nor OpenPose JSON (people)", FORMATS_HINT)
    people: dict[Any, list[tuple[Pose, int | None]]] = {}
    with naming(path):
        images = [(image["id"], *_image(image, i)) for i, image in enumerate(data["images"])]
        people = {image_id: [] for image_id, *_ in images}
    whole = any(f"{part}_kpts" in annotation for annotation in data["annotations"] for part in _PARTS)
    skeleton = COCO_WHOLEBODY133 if whole else COCO17
    for i, annotation in enumerate(data["annotations"]):
        with naming(path, f"annotation {i}"):
            if annotation.get("keypoints") is None or annotation.get("iscrowd"):
                continue
            track_id = annotation.get("track_id")
            person = (_pose(annotation, skeleton), None if track_id is None else int(track_id))
            people[annotation["image_id"]].append(person)
    with naming(path):
        images.sort(key=lambda image: image[1])
        return PoseClip(
            (max((i[3] for i in images), default=0), max((i[4] for i in images), default=0)),
            skeleton,
            tuple(image[1] for image in images),
            tuple(image[2] for image in images),
            tuple(tuple(pose for pose, _ in people[image[0]]) for image in images),
            tuple(tuple(track_id for _, track_id in people[image[0]]) for image in images),
        )


def _annotation(pose: Pose, number: int, frame: int, track_id: int | None) -> dict[str, Any]:
    body = len(COCO17)
    score = pose.score[:body]
    flags = np.where(score == 0, 0, np.where(score < _VISIBLE, 1, 2))
    x0, y0, x1, y1 = pose.bbox.tolist()
    places = _rounded(pose.xy[:body])
    triples = [value for (x, y), flag in zip(places, flags.tolist(), strict=True) for value in (x, y, flag)]
    entry = {
        "id": number,
        "image_id": frame,
        "category_id": 1,
        "bbox": _rounded(np.array([x0, y0, x1 - x0, y1 - y0])),
        "area": round((x1 - x0) * (y1 - y0), 2),
        "iscrowd": 0,
        "keypoints": triples,
        "num_keypoints": int((flags > 0).sum()),
        "score": round(float(score.mean()), 4),
        "keypoint_scores": np.round(score.astype(np.float64), 4).tolist(),
        **_parts(pose),
        **expression_entry(pose),
    }
    return entry if track_id is None else {**entry, "track_id": track_id}


def _parts(pose: Pose) -> dict[str, Any]:
    """Feet, face and hands of a pose of COCO_WHOLEBODY133; nothing of others."""
    entry: dict[str, Any] = {}
    start = len(COCO17)
    if pose.skeleton == COCO_WHOLEBODY133:
        for part, count in _PARTS.items():
            own = slice(start, start := start + count)
            score = np.round(pose.score[own].astype(np.float64), 4)
            places = np.round(pose.xy[own].astype(np.float64), 2)
            entry[f"{part}_valid"] = bool(score.any())
            entry[f"{part}_kpts"] = np.column_stack([places, score]).ravel().tolist()
    return entry


def _rounded(values: Any) -> Any:
    return np.round(np.asarray(values, np.float64), 2).tolist()


def _image(image: dict[str, Any], position: int) -> tuple[int, Fraction, int, int]:
    """Frame index, time, width and height of an image entry."""
    index = int(image.get("frame_index", position))
    time = Fraction(image["time"]) if "time" in image else index / NOMINAL_RATE
    return index, time, int(image["width"]), int(image["height"])


def _pose(annotation: dict[str, Any], skeleton: Skeleton) -> Pose:
    points = _triples(annotation, "keypoints", len(COCO17))
    flags = points[:, 2]
    if not np.isin(flags, (0, 1, 2)).all():
        raise ValueError(f"visibility flags must be 0, 1 or 2, found {flags[~np.isin(flags, (0, 1, 2))][0]}")
    score = _SCORE_OF_FLAG[flags.astype(int)]
    if "keypoint_scores" in annotation:
        score = np.where(flags > 0, np.array(annotation["keypoint_scores"], np.float32), np.float32(0))
    body = np.column_stack([points[:, :2], score])
    if skeleton == COCO_WHOLEBODY133:
        body = np.concatenate([body, *(_part(annotation, part, count) for part, count in _PARTS.items())])
    xy, scores = np.ascontiguousarray(body[:, :2], np.float32), body[:, 2].astype(np.float32)
    return Pose(skeleton, xy, scores, _box(annotation, points), expression=expression_of(annotation))


def _part(annotation: dict[str, Any], part: str, count: int) -> Float32Array:
    """f32 [count, 3] points of a part and their scores; all 0 where it is not annotated."""
    key = f"{part}_kpts"
    if key not in annotation or not annotation.get(f"{part}_valid", True):
        return np.zeros((count, 3), np.float32)
    points = _triples(annotation, key, count)
    points[:, 2] = np.clip(points[:, 2], 0, 1)
    return points


def _triples(annotation: dict[str, Any], key: str, count: int) -> Float32Array:
    points = np.array(annotation[key], np.float32)
    if points.size != 3 * count:
        raise ValueError(f"{key} must be {3 * count} numbers, found {points.size}")
    return points.reshape(-1, 3)


def _box(annotation: dict[str, Any], points: Float32Array) -> Float32Array:
    if "bbox" in annotation:
        x, y, width, height = annotation["bbox"]
        return np.array([x, y, x + width, y + height], np.float32)
    known = points[points[:, 2] > 0, :2]
    if not len(known):
        return np.zeros(4, np.float32)
    return np.concatenate([known.min(axis=0), known.max(axis=0)]).astype(np.float32)
