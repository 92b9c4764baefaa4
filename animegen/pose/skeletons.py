"""The skeletons that poses come in, as data."""

from __future__ import annotations

from animegen.types import Skeleton

_COCO_POINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip

_BLAZEPOSE_POINTS = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index",
    "left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip


def _skeleton(name: str, points: tuple[str, ...], limbs: str) -> Skeleton:
    """Build a skeleton from "a-b c-d" limb names; mirror pairs follow from the words left and right."""
    index = {point: i for i, point in enumerate(points)}

    def mirrored(point: str) -> str:
        return point.replace("left", "\0").replace("right", "left").replace("\0", "right")

    pairs = {tuple(sorted((index[p], index[mirrored(p)]))) for p in points if mirrored(p) != p}
    edges = tuple((index[a], index[b]) for a, b in (limb.split("-") for limb in limbs.split()))
    return Skeleton(name, points, edges, tuple(sorted((a, b) for a, b in pairs)))


_BODY_LIMBS = (
    "left_shoulder-right_shoulder left_hip-right_hip left_shoulder-left_hip right_shoulder-right_hip "
    "left_shoulder-left_elbow left_elbow-left_wrist right_shoulder-right_elbow right_elbow-right_wrist "
    "left_hip-left_knee left_knee-left_ankle right_hip-right_knee right_knee-right_ankle "
)

COCO17 = _skeleton(
    "coco17",
    _COCO_POINTS,
    _BODY_LIMBS + "nose-left_eye nose-right_eye left_eye-left_ear right_eye-right_ear",
)
"""The 17 points of COCO (Lin et al. 2014), in COCO's order."""

BLAZEPOSE33 = _skeleton(
    "blazepose33",
    _BLAZEPOSE_POINTS,
    _BODY_LIMBS
    + "nose-left_eye_inner left_eye_inner-left_eye left_eye-left_eye_outer left_eye_outer-left_ear "
    + "nose-right_eye_inner right_eye_inner-right_eye right_eye-right_eye_outer right_eye_outer-right_ear "
    + "mouth_left-mouth_right left_wrist-left_pinky left_wrist-left_index left_wrist-left_thumb "
    + "left_pinky-left_index right_wrist-right_pinky right_wrist-right_index right_wrist-right_thumb "
    + "right_pinky-right_index left_ankle-left_heel left_heel-left_foot_index left_ankle-left_foot_index "
    + "right_ankle-right_heel right_heel-right_foot_index right_ankle-right_foot_index",
)
"""The 33 points of BlazePose (Bazarevsky et al. 2020, arXiv 2006.10204), in its order."""
