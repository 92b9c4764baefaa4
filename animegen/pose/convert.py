"""Poses from one skeleton to another, point by point by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType

import numpy as np

from animegen.errors import UsageError
from animegen.pose.clip import PoseClip
from animegen.pose.skeletons import AVATAR35, BLAZEPOSE33, BODY25, COCO17, COCO_WHOLEBODY133, HALPE26
from animegen.types import Pose, Skeleton

_CORE = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
"""Without these on both sides there is no common body to convert."""


def _sided() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for side in ("left", "right"):
        # A hand's points count from the wrist: 2, 5 and 17 are the knuckles of thumb, index and little finger, 4, 8
        # and 20 their tips.
        for finger, number in (("thumb", 2), ("index", 5), ("pinky", 17)):
            found[f"{side}_{finger}"] = (f"{side}_hand_{number}",)
            found[f"{side}_hand_{number}"] = (f"{side}_{finger}",)
        for finger, number in (("thumb", 4), ("index", 8), ("pinky", 20)):
            found[f"{side}_{finger}_tip"] = (f"{side}_hand_{number}",)
            found[f"{side}_hand_{number}"] = (f"{side}_{finger}_tip",)
        found[f"{side}_hand_0"] = (f"{side}_wrist",)
        found[f"{side}_foot_index"] = (f"{side}_big_toe",)
        found[f"{side}_big_toe"] = (f"{side}_foot_index",)
    return found


_EYES_AND_MOUTH = {
    "right_eye_outer": "face_36",
    "right_eye_inner": "face_39",
    "left_eye_inner": "face_42",
    "left_eye_outer": "face_45",
    "mouth_right": "face_48",
    "mouth_left": "face_54",
}

_MADE_OF: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "neck": ("left_shoulder", "right_shoulder"),
        "mid_hip": ("left_hip", "right_hip"),
        **_sided(),
        **{ours: (face,) for ours, face in _EYES_AND_MOUTH.items()},
        **{face: (ours,) for ours, face in _EYES_AND_MOUTH.items()},
    }
)
"""Points that a skeleton without them has under another name, or as the middle of two."""


_OF_HANDS = tuple(
    (AVATAR35.index(f"{side}_{point}"), f"{side}_hand_{number}")
    for side in ("left", "right")
    for point, number in (("wrist", 0), ("thumb", 2), ("index", 5), ("pinky", 17))
)
_HAND_SURE = 0.5
"""Score of a hand's point from which it stands for the body's."""


def to_coco17(pose: Pose) -> Pose:
    """The pose as COCO's 17 points."""
    return convert_pose(pose, COCO17)


def to_blazepose33(pose: Pose) -> Pose:
    """The pose as BlazePose's 33 points; fingers and mouth only from skeletons with hands and a face."""
    return convert_pose(pose, BLAZEPOSE33)


def to_halpe26(pose: Pose) -> Pose:
    """The pose as Halpe's 26 points; neck and mid-hip are the middles of shoulders and hips."""
    return convert_pose(pose, HALPE26)


def to_body25(pose: Pose) -> Pose:
    """The pose as OpenPose's BODY_25; neck and mid-hip are the middles of shoulders and hips."""
    return convert_pose(pose, BODY25)


def to_coco_wholebody133(pose: Pose) -> Pose:
    """The pose as COCO-WholeBody's 133 points, of which a body skeleton knows the body and feet."""
    return convert_pose(pose, COCO_WHOLEBODY133)


def to_avatar35(pose: Pose) -> Pose:
    """The pose as the 35 points that drive an avatar; finger tips only from skeletons with hands.

    Where a skeleton has a wrist or a knuckle both among the body's points and among the hand's, the hand's are finer:
    the surer they are, the more they count.
    """
    converted = convert_pose(pose, AVATAR35)
    index = {name: i for i, name in enumerate(pose.skeleton.points)}
    pairs = [(i, index[hand]) for i, hand in _OF_HANDS if hand in index and AVATAR35.points[i] in index]
    if not pairs:
        return converted
    body, hand = np.array(pairs, np.intp).T
    share = np.clip(pose.score[hand] / _HAND_SURE, 0, 1)
    xy, score, z = converted.xy.copy(), converted.score.copy(), converted.z
    xy[body] += share[:, None] * (pose.xy[hand] - xy[body])
    score[body] += share * (np.maximum(pose.score[hand], score[body]) - score[body])
    if z is not None and pose.z is not None:
        z = z.copy()
        z[body] += share * (pose.z[hand] - z[body])
    return replace(converted, xy=xy, score=score, z=z)


def convert_pose(pose: Pose, skeleton: Skeleton) -> Pose:
    """The same person on another skeleton.

    Points of the same name keep position, score and depth; a point in the middle of two gets the smaller score; a
    point the source knows nothing of gets score 0. Box, mask and expression are kept. Raises UsageError for
    skeletons that do not both have shoulders and hips.
    """
    if pose.skeleton == skeleton:
        return pose
    sources = _sources(pose.skeleton, skeleton)
    xy = np.zeros((len(skeleton), 2), np.float32)
    score = np.zeros(len(skeleton), np.float32)
    z = None if pose.z is None else np.zeros(len(skeleton), np.float32)
    for target, source in enumerate(sources):
        if source:
            known = pose.score[list(source)].min()
            score[target] = known
            if known > 0:
                xy[target] = pose.xy[list(source)].mean(axis=0)
                if z is not None and pose.z is not None:
                    z[target] = pose.z[list(source)].mean()
    return replace(pose, skeleton=skeleton, xy=xy, score=score, z=z)


def convert_clip(clip: PoseClip, skeleton: Skeleton) -> PoseClip:
    """A whole clip on another skeleton, as :func:`convert_pose` does it."""
    poses = tuple(tuple(convert_pose(pose, skeleton) for pose in frame) for frame in clip.poses)
    return replace(clip, skeleton=skeleton, poses=poses)


@lru_cache(maxsize=32)
def _sources(source: Skeleton, target: Skeleton) -> tuple[tuple[int, ...], ...]:
    """For each target point the source points it is the mean of; empty where there are none."""
    for skeleton in (source, target):
        if not set(_CORE) <= set(skeleton.points):
            raise UsageError(
                f"poses cannot be converted from '{source.name}' to '{target.name}': "
                f"'{skeleton.name}' does not have {', '.join(_CORE)}",
                "skeletons with these points convert into each other",
            )
    index = {name: i for i, name in enumerate(source.points)}
    found = []
    for name in target.points:
        names = (name,) if name in index else _MADE_OF.get(name, ())
        found.append(tuple(index[n] for n in names) if all(n in index for n in names) else ())
    return tuple(found)
