"""The skeletons that poses come in, as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from types import MappingProxyType

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


_HALPE_POINTS = (
    *_COCO_POINTS, "head", "neck", "mid_hip", "left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe",
    "left_heel", "right_heel",
)  # fmt: skip

_BODY25_POINTS = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye",
    "left_eye", "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe",
    "right_small_toe", "right_heel",
)  # fmt: skip

_FINGER_POINTS = tuple(f"{side}_hand_{i}" for side in ("left", "right") for i in range(21))

_WHOLEBODY_POINTS = (
    *_COCO_POINTS, "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
    *(f"face_{i}" for i in range(68)), *_FINGER_POINTS,
)  # fmt: skip

_KNUCKLES = tuple(f"{side}_{point}" for point in ("index", "pinky", "thumb") for side in ("left", "right"))

_AVATAR_POINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", *_KNUCKLES, "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel", "right_heel", "left_foot_index",
    "right_foot_index", "left_thumb_tip", "right_thumb_tip", "left_index_tip", "right_index_tip", "left_pinky_tip",
    "right_pinky_tip",
)  # fmt: skip


def _skeleton(name: str, points: tuple[str, ...], limbs: str, mirrors: Iterable[tuple[str, str]] = ()) -> Skeleton:
    """Build a skeleton from "a-b c-d" limb names.

    Mirror pairs follow from the words left and right; ``mirrors`` adds those whose names do not tell.
    """
    index = {point: i for i, point in enumerate(points)}

    def mirrored(point: str) -> str:
        return point.replace("left", "\0").replace("right", "left").replace("\0", "right")

    pairs = {tuple(sorted((index[p], index[mirrored(p)]))) for p in points if mirrored(p) != p}
    pairs |= {tuple(sorted((index[a], index[b]))) for a, b in mirrors}
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

_BLAZEPOSE_LIMBS = (
    _BODY_LIMBS
    + "nose-left_eye_inner left_eye_inner-left_eye left_eye-left_eye_outer left_eye_outer-left_ear "
    + "nose-right_eye_inner right_eye_inner-right_eye right_eye-right_eye_outer right_eye_outer-right_ear "
    + "mouth_left-mouth_right left_wrist-left_pinky left_wrist-left_index left_wrist-left_thumb "
    + "left_pinky-left_index right_wrist-right_pinky right_wrist-right_index right_wrist-right_thumb "
    + "right_pinky-right_index left_ankle-left_heel left_heel-left_foot_index left_ankle-left_foot_index "
    + "right_ankle-right_heel right_heel-right_foot_index right_ankle-right_foot_index "
)

BLAZEPOSE33 = _skeleton("blazepose33", _BLAZEPOSE_POINTS, _BLAZEPOSE_LIMBS)
"""The 33 points of BlazePose (Bazarevsky et al. 2020, arXiv 2006.10204), in its order."""

AVATAR35 = _skeleton(
    "avatar35",
    _AVATAR_POINTS,
    _BODY_LIMBS
    + "left_eye-right_eye nose-left_eye nose-right_eye left_eye-left_ear right_eye-right_ear mouth_left-mouth_right "
    + "nose-mouth_left nose-mouth_right left_shoulder-left_ear right_shoulder-right_ear "
    + " ".join(
        f"{side}_{limb}"
        for side in ("left", "right")
        for limb in (
            f"wrist-{side}_index", f"wrist-{side}_pinky", f"wrist-{side}_thumb", f"thumb-{side}_thumb_tip",
            f"index-{side}_index_tip", f"pinky-{side}_pinky_tip", f"ankle-{side}_heel", f"heel-{side}_foot_index",
        )
    ),
)  # fmt: skip
"""What drives an avatar: BlazePose's points without the corners of the eyes (the hand's are the knuckles), and the
tips of thumb, index and little finger."""


_FEET_LIMBS = "".join(
    f"{side}_ankle-{side}_heel {side}_ankle-{side}_big_toe {side}_big_toe-{side}_small_toe "
    for side in ("left", "right")
)
_COCO_HEAD_LIMBS = "nose-left_eye nose-right_eye left_eye-left_ear right_eye-right_ear "
_SPINE_LIMBS = (
    "neck-left_shoulder neck-right_shoulder neck-mid_hip mid_hip-left_hip mid_hip-right_hip "
    "left_shoulder-left_elbow left_elbow-left_wrist right_shoulder-right_elbow right_elbow-right_wrist "
    "left_hip-left_knee left_knee-left_ankle right_hip-right_knee right_knee-right_ankle "
)


def _chain(stem: str, numbers: Iterable[int]) -> str:
    """Limbs from each numbered point to the next."""
    names = [f"{stem}_{i}" for i in numbers]
    return "".join(f"{a}-{b} " for a, b in pairwise(names))


_FINGERS = tuple((0, *range(first, first + 4)) for first in range(1, 21, 4))
_FINGER_LIMBS = "".join(_chain(f"{side}_hand", finger) for side in ("left", "right") for finger in _FINGERS)
_HANDS_ON_WRISTS = "left_wrist-left_hand_0 right_wrist-right_hand_0 "

BLAZEPOSE75 = _skeleton(
    "blazepose75", (*_BLAZEPOSE_POINTS, *_FINGER_POINTS), _BLAZEPOSE_LIMBS + _HANDS_ON_WRISTS + _FINGER_LIMBS
)
"""BlazePose's 33 points, then 21 for each hand from the wrist on, in the order of COCO-WholeBody's."""

_FACE_CHAINS = (
    range(17), range(17, 22), range(22, 27), range(27, 31), range(31, 36), (*range(36, 42), 36), (*range(42, 48), 42),
    (*range(48, 60), 48), (*range(60, 68), 60),
)  # fmt: skip
"""Jaw, brows, bridge and base of the nose, eyes, outer and inner lips of the 68 face points."""
_FACE_MIRRORS = (
    *((i, 16 - i) for i in range(8)), *((17 + i, 26 - i) for i in range(5)), (31, 35), (32, 34),
    (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46),
    (48, 54), (49, 53), (50, 52), (59, 55), (58, 56), (60, 64), (61, 63), (67, 65),
)  # fmt: skip

HALPE26 = _skeleton("halpe26", _HALPE_POINTS, _SPINE_LIMBS + "head-neck " + _COCO_HEAD_LIMBS + _FEET_LIMBS)
"""The 26 body points of Halpe-FullBody (Fang et al. 2022, AlphaPose), in its order."""

_BODY25_LIMBS = _SPINE_LIMBS + "neck-nose " + _COCO_HEAD_LIMBS + _FEET_LIMBS

BODY25 = _skeleton("body25", _BODY25_POINTS, _BODY25_LIMBS)
"""OpenPose's BODY_25 (Cao et al. 2019), in its order."""

BODY67 = _skeleton("body67", (*_BODY25_POINTS, *_FINGER_POINTS), _BODY25_LIMBS + _HANDS_ON_WRISTS + _FINGER_LIMBS)
"""OpenPose's BODY_25 and its 21 points for each hand."""

COCO_WHOLEBODY133 = _skeleton(
    "coco_wholebody133",
    _WHOLEBODY_POINTS,
    _BODY_LIMBS
    + _COCO_HEAD_LIMBS
    + _FEET_LIMBS
    + "".join(_chain("face", numbers) for numbers in _FACE_CHAINS)
    + _FINGER_LIMBS,
    mirrors=((f"face_{a}", f"face_{b}") for a, b in _FACE_MIRRORS),
)
"""The 133 points of COCO-WholeBody (Jin et al. 2020): body, feet, 68 face points, 21 for each hand."""

SKELETONS: Mapping[str, Skeleton] = MappingProxyType(
    {s.name: s for s in (COCO17, BLAZEPOSE33, BLAZEPOSE75, HALPE26, BODY25, BODY67, COCO_WHOLEBODY133)}
)
"""The built-in skeletons by name."""
