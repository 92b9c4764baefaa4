"""COCO keypoint JSON: ``{images, annotations, categories}``, always the 17 COCO points in COCO's order.

Beyond COCO, images carry ``frame_index`` and ``time`` (an exact fraction of seconds), and annotations ``track_id`` and
``keypoint_scores``; files without them are read as well.
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
from animegen.pose.files.openpose import load_openpose
from animegen.pose.files.reading import naming, read_json
from animegen.pose.skeletons import COCO17
from animegen.types import Float32Array, Pose

_VISIBLE = 0.5
"""Score from which a point is written as seen (2) rather than guessed (1)."""
_SCORE_OF_FLAG = np.array([0.0, 0.5, 1.0], np.float32)


def save_coco(clip: PoseClip, path: Path) -> None:
    """Write a clip as one JSON file. Whoever calls this sees to it that the file is whole or absent."""
    clip = convert_clip(clip, COCO17)
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

    People without keypoints and crowds are left out. The size is that of the largest image. Without times, frames
    follow each other at :data:`NOMINAL_RATE`. A single frame of OpenPose JSON is read too.
    """
    data = read_json(path)
    if "people" in data:
        return load_openpose(path)
    if "images" not in data or "annotations" not in data:
        raise InputError(f"{path}: neither COCO JSON (images, annotations) nor OpenPose JSON (people)")
    people: dict[Any, list[tuple[Pose, int | None]]] = {}
    with naming(path):
        images = [(image["id"], *_image(image, i)) for i, image in enumerate(data["images"])]
        people = {image_id: [] for image_id, *_ in images}
    for i, annotation in enumerate(data["annotations"]):
        with naming(path, f"annotation {i}"):
            if annotation.get("keypoints") is None or annotation.get("iscrowd"):
                continue
            track_id = annotation.get("track_id")
            person = (_pose(annotation), None if track_id is None else int(track_id))
            people[annotation["image_id"]].append(person)
    with naming(path):
        images.sort(key=lambda image: image[1])
        return PoseClip(
            (max((i[3] for i in images), default=0), max((i[4] for i in images), default=0)),
            COCO17,
            tuple(image[1] for image in images),
            tuple(image[2] for image in images),
            tuple(tuple(pose for pose, _ in people[image[0]]) for image in images),
            tuple(tuple(track_id for _, track_id in people[image[0]]) for image in images),
        )


def _annotation(pose: Pose, number: int, frame: int, track_id: int | None) -> dict[str, Any]:
    flags = np.where(pose.score == 0, 0, np.where(pose.score < _VISIBLE, 1, 2))
    x0, y0, x1, y1 = pose.bbox.tolist()
    triples = [value for (x, y), flag in zip(_rounded(pose.xy), flags.tolist(), strict=True) for value in (x, y, flag)]
    entry = {
        "id": number,
        "image_id": frame,
        "category_id": 1,
        "bbox": _rounded(np.array([x0, y0, x1 - x0, y1 - y0])),
        "area": round((x1 - x0) * (y1 - y0), 2),
        "iscrowd": 0,
        "keypoints": triples,
        "num_keypoints": int((flags > 0).sum()),
        "score": round(pose.confidence, 4),
        "keypoint_scores": np.round(pose.score.astype(np.float64), 4).tolist(),
    }
    return entry if track_id is None else {**entry, "track_id": track_id}


def _rounded(values: Any) -> Any:
    return np.round(np.asarray(values, np.float64), 2).tolist()


def _image(image: dict[str, Any], position: int) -> tuple[int, Fraction, int, int]:
    """Frame index, time, width and height of an image entry."""
    index = int(image.get("frame_index", position))
    time = Fraction(image["time"]) if "time" in image else index / NOMINAL_RATE
    return index, time, int(image["width"]), int(image["height"])


def _pose(annotation: dict[str, Any]) -> Pose:
    points = np.array(annotation["keypoints"], np.float32)
    if points.size != 3 * len(COCO17):
        raise ValueError(f"keypoints must be {3 * len(COCO17)} numbers, found {points.size}")
    points = points.reshape(-1, 3)
    flags = points[:, 2]
    if not np.isin(flags, (0, 1, 2)).all():
        raise ValueError(f"visibility flags must be 0, 1 or 2, found {flags[~np.isin(flags, (0, 1, 2))][0]}")
    score = _SCORE_OF_FLAG[flags.astype(int)]
    if "keypoint_scores" in annotation:
        score = np.where(flags > 0, np.array(annotation["keypoint_scores"], np.float32), np.float32(0))
    return Pose(COCO17, np.ascontiguousarray(points[:, :2]), score.astype(np.float32), _box(annotation, points))


def _box(annotation: dict[str, Any], points: Float32Array) -> Float32Array:
    if "bbox" in annotation:
        x, y, width, height = annotation["bbox"]
        return np.array([x, y, x + width, y + height], np.float32)
    known = points[points[:, 2] > 0, :2]
    if not len(known):
        return np.zeros(4, np.float32)
    return np.concatenate([known.min(axis=0), known.max(axis=0)]).astype(np.float32)
