"""A person's pose on a body of other proportions, limb by limb.

Every limb keeps the direction in which it points and takes the avatar's length. In the picture that is a plain scaling
of each limb, by what the avatar's is longer than the person's, so it is as steady as what was measured, and depth that
is guessed wrong bends nothing. The face follows the head's rotation with the avatar's own features. The avatar is as
tall as the person, stands on the same feet, and has its hands where the person's are (:mod:`animegen.pose.reach`). Who
stands upright holds trunk and neck as the avatar does at rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from animegen.errors import InvalidValue
from animegen.pose.convert import to_avatar35
from animegen.pose.head import FACE, FACE_POINTS, HUMAN_FACE
from animegen.pose.lengths import HUMAN_HEAD
from animegen.pose.lift import Lifted, lift_track
from animegen.pose.limbs import (
    HEAD,
    HUMAN_LEAN,
    JOINTS,
    LIMBS,
    MID_HIP,
    MID_SHOULDER,
    NECK,
    POINTS,
    TRUNK,
    USUAL_LENGTHS,
    beyond,
    middles,
)
from animegen.pose.reach import place_hands
from animegen.pose.regression import local_mean
from animegen.pose.skeletons import AVATAR35
from animegen.types import Float32Array, Float64Array, Pose, Track

_FEET = [AVATAR35.index(f"{side}_{name}") for side in ("left", "right") for name in ("ankle", "heel", "foot_index")]
_UPPER_BODY = beyond(MID_SHOULDER)
MOST_LEAN = 60.0
"""Degrees by which a trunk or a neck may lean at rest, either way."""
_LEGS_SHOWN = 0.3
"""Share of the frames that must show feet for a person to count as seen whole."""
_LIFTED_FOOT = 0.04
"""Height in standing heights by which a foot is above the other when it bears about a third of the other's weight."""
_STANCE_FRAMES = 8.0
"""Half the window in which the weight goes from one foot to the other."""
_OVERLONG = 1.15
"""How much longer than it is a limb may be seen: near the camera it is, beyond that a point is mistaken."""
_SEEN = 0.3
"""Score from which a foot or a nose tells where somebody stands."""
_DEEP = 0.1
"""Depth of a stage in heights of the person below which all of it counts as one place."""
_CHIN = 0.65
"""How far the chin lies below the mouth, in distances from eyes to mouth."""
_AXES = "xyz"


@dataclass(frozen=True, slots=True, eq=False)
class Proportions:
    """The build of an avatar, in its standing heights.

    ``parts``: the length of each part of :mod:`animegen.pose.limbs`, shoulders and hips from the middle;
    ``head_to_height``: the head from chin to crown; ``face`` f64 [7, 3]: FACE_POINTS from the middle between the ears,
    x to the avatar's left, y down, z to its back; ``lean``: how far trunk and neck lean forward at rest, in degrees.
    Raises InvalidValue for a part that is missing or not positive, and for a lean beyond 60 degrees.
    """

    parts: Mapping[str, float]
    head_to_height: float
    face: Float64Array
    lean: Mapping[str, float] = field(default_factory=lambda: HUMAN_LEAN)

    def __post_init__(self) -> None:
        for part in USUAL_LENGTHS:
            if not 0 < self.parts.get(part, 0.0) < 2:
                raise InvalidValue(f"proportions need a positive length of '{part}', got {self.parts.get(part)}")
        if self.face.shape != HUMAN_FACE.shape or not np.isfinite(self.face).all():
            raise InvalidValue(f"the face of proportions must be finite and {HUMAN_FACE.shape}, got {self.face.shape}")
        if not 0 < self.head_to_height < 1:
            raise InvalidValue(f"head_to_height must be 0..1, got {self.head_to_height}")
        for part in HUMAN_LEAN:
            if not abs(self.lean.get(part, np.nan)) <= MOST_LEAN:
                raise InvalidValue(
                    f"proportions need how '{part}' leans, within {MOST_LEAN:g} degrees, got {self.lean.get(part)}"
                )

    @property
    def crown(self) -> float:
        """How far the top of the head lies above the ears, in distances from the shoulders' middle to the ears'."""
        height = dict(zip(FACE_POINTS, self.face[:, 1].tolist(), strict=True))
        mouth = (height["mouth_left"] + height["mouth_right"]) / 2
        eyes = (height["left_eye"] + height["right_eye"]) / 2
        chin = mouth + _CHIN * (mouth - eyes)
        return float(max(self.head_to_height - chin, 0.0) / self.parts["neck"])

    def to_dict(self) -> dict[str, float]:
        """As plain numbers by name; the face as ``nose_x`` and so on."""
        face = {
            f"{point}_{axis}": float(value)
            for point, row in zip(FACE_POINTS, self.face, strict=True)
            for axis, value in zip(_AXES, row, strict=True)
        }
        return {
            **{part: float(self.parts[part]) for part in USUAL_LENGTHS},
            "head_to_height": self.head_to_height,
            **{f"{part}_lean": float(self.lean[part]) for part in HUMAN_LEAN},
            **face,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> Proportions:
        """Read what :meth:`to_dict` wrote; raises InvalidValue naming what is missing.

        A file that tells nothing of how its avatar leans has it lean as people do.
        """
        try:
            face = [[float(values[f"{point}_{axis}"]) for axis in _AXES] for point in FACE_POINTS]
            parts = {part: float(values[part]) for part in USUAL_LENGTHS}
            lean = {part: float(values.get(f"{part}_lean", human)) for part, human in HUMAN_LEAN.items()}
            return cls(MappingProxyType(parts), float(values["head_to_height"]), np.array(face), MappingProxyType(lean))
        except KeyError as error:
            raise InvalidValue(f"these proportions lack {error}; they have {', '.join(sorted(values))}") from None


@dataclass(frozen=True, slots=True, eq=False)
class Retargeted:
    """An avatar through a clip.

    ``xyz`` f32 [T, 35, 3]: AVATAR35's points, x and y in frame pixels, z in pixels from the middle of the hips, smaller
    is nearer; ``score`` f32 [T, 35] as measured; ``height`` f64 [T] the avatar's standing height in pixels; ``time``
    f64 [T] in frames; ``whole`` tells whether the clip shows the person's feet.
    """

    xyz: Float32Array
    score: Float32Array
    height: Float64Array
    time: Float64Array
    whole: bool

    @property
    def joints(self) -> Float64Array:
        """f64 [T, 38, 3] as :class:`animegen.pose.lift.Lifted` has a person's."""
        points = self.xyz.astype(np.float64)
        return np.concatenate([points, middles(points)], axis=1)


def retarget(person: Lifted, avatar: Proportions) -> Retargeted:
    """The pose of an avatar that does what the person does, in every frame."""
    own = person.lengths
    feet = person.known[:, _FEET]
    whole = bool((feet.max(axis=1) >= 0.5).mean() >= _LEGS_SHOWN)
    height = own.height * (1.0 if whole else _upper_body_ratio(person, avatar))
    joints = _carried(person, avatar, _with_lengths(person, avatar.parts, height), height)
    turned = np.einsum("tij,pj->tpi", person.head.rotation, avatar.face)
    joints[:, FACE] = joints[:, HEAD, None] + turned * height[:, None, None]
    joints[..., :2] += _shift(person, joints, whole=whole)[:, None]
    heads = np.stack([HUMAN_HEAD * own.face * own.height, avatar.head_to_height * height], axis=1)
    arms = avatar.parts["upper_arm"] * height, avatar.parts["forearm"] * height
    same = person.joints[:, [MID_HIP]] + _with_lengths(person, own.parts, own.height)
    joints = place_hands(joints, same, arms, heads)
    return Retargeted(
        joints[:, :POINTS].astype(np.float32), person.score.astype(np.float32), height, person.time, whole
    )


def _with_lengths(person: Lifted, parts: Mapping[str, float], height: Float64Array) -> Float64Array:
    """The joints from the middle of the hips on, f64 [T, 38, 3], of a body of other lengths, but for its face."""
    own = person.lengths
    joints = np.zeros((len(height), JOINTS, 3))
    for limb in LIMBS:
        way = person.joints[:, limb.child] - person.joints[:, limb.parent]
        reach = own.parts[limb.part] * own.height
        seen = np.linalg.norm(way[:, :2], axis=1)
        scale = parts[limb.part] * height / np.maximum(reach, seen / _OVERLONG)
        joints[:, limb.child] = joints[:, limb.parent] + scale[:, None] * way
    return joints


def _carried(person: Lifted, avatar: Proportions, joints: Float64Array, height: Float64Array) -> Float64Array:
    """The joints with what hangs on trunk and neck moved by how otherwise than a person's these lean at rest."""
    moved = joints.copy()
    for limb, turned, carried in ((TRUNK, person.trunk, _UPPER_BODY), (NECK, person.head.rotation, [HEAD])):
        part, upright = LIMBS[limb].part, np.array(LIMBS[limb].rest)
        shift = avatar.parts[part] * (_leaning(avatar.lean[part]) - upright)
        moved[:, carried] += ((turned @ shift) * height[:, None])[:, None]
    return moved


def _leaning(degrees: float) -> Float64Array:
    """f64 [3] the way up that leans forward: x to the body's left, y down, z to its back."""
    return -np.array([0.0, np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])


def retarget_track(track: Track, avatar: Proportions) -> Track:
    """A track of AVATAR35 poses of an avatar that does what the person does; masks are left out.

    Raises InvalidValue for a track without poses, UsageError for a skeleton without shoulders and hips.
    """
    moved = retarget(lift_track(track), avatar)
    poses = []
    for pose, xyz, score, height in zip(track.poses, moved.xyz, moved.score, moved.height, strict=True):
        box = _box(xyz[score > 0, :2], avatar.head_to_height * height) if (score > 0).any() else pose.bbox
        poses.append(Pose(AVATAR35, xyz[:, :2].copy(), score, box, xyz[:, 2].copy(), None, pose.expression))
    return Track(track.id, track.frame_indices, tuple(poses))


def _box(xy: Float32Array, head: float) -> Float32Array:
    """f32 [4] around points, with room for the crown above and for flesh around the bones."""
    room = np.array([-0.4, -0.8, 0.4, 0.3]) * head
    return (np.concatenate([xy.min(axis=0), xy.max(axis=0)]) + room).astype(np.float32)


def _upper_body_ratio(person: Lifted, avatar: Proportions) -> float:
    """How much larger an avatar's standing height must be for its upper body to be as tall as the person's."""
    own = person.lengths
    tall = own.parts["trunk"] + own.parts["neck"] + HUMAN_HEAD * own.face
    return tall / (avatar.parts["trunk"] + avatar.parts["neck"] + avatar.head_to_height)


def _shift(person: Lifted, joints: Float64Array, *, whole: bool) -> Float64Array:
    """f64 [T, 2] what puts the avatar where the person is: on the same feet, by their height above the ground.

    Of whom no feet are seen in a frame, hips and shoulders stay in place.
    """
    feet, trunk = _FEET, [MID_HIP, MID_SHOULDER]
    known = person.known[:, feet] * whole
    low = person.joints[:, feet, 1] / (_LIFTED_FOOT * person.lengths.height[:, None])
    bearing = np.exp(low - low.max(axis=1, keepdims=True)) * known
    bearing /= np.maximum(bearing.sum(axis=1, keepdims=True), 1e-9)
    seen = known.max(axis=1, keepdims=True)
    held = np.maximum(person.known[:, trunk], 1e-3)
    weight = np.concatenate([seen * bearing, (1 - seen) * held / held.sum(axis=1, keepdims=True)], axis=1)
    weight = local_mean(person.time, weight, np.ones_like(weight), _STANCE_FRAMES)
    weight /= weight.sum(axis=1, keepdims=True)
    miss = person.joints[:, feet + trunk, :2] - joints[:, feet + trunk, :2]
    return np.asarray(np.einsum("tn,tni->ti", weight, miss))


def normalise_motion(source: Track, target: Track) -> Track:
    """The source's poses, moved and scaled to where the target person stands, for motion transfer between two clips.

    Global pose normalisation of Chan et al. (2019, "Everybody Dance Now", section 3.4): a foot line between the
    farthest and the nearest of one clip goes to the same place between those of the other, and the person is scaled by
    the ratio of the heights there. The foot line of a frame is the lower of its left and right foot. Raises
    InvalidValue where a clip shows no feet.
    """
    here, there = _Stage.of(source), _Stage.of(target)
    poses = []
    for pose in source.poses:
        foot = _standing(pose)[0]
        place = here.place(foot) if np.isfinite(foot) else 0.5
        foot = foot if np.isfinite(foot) else here.line(place)
        scale = there.height(place) / here.height(place)
        line = there.line(place) + scale * (foot - here.line(place))
        middle = float(pose.bbox[0] + pose.bbox[2]) / 2
        origin, goal = np.array([middle, foot]), np.array([middle, line])
        xy = ((pose.xy - origin) * scale + goal).astype(np.float32)
        box = ((pose.bbox - np.tile(origin, 2)) * scale + np.tile(goal, 2)).astype(np.float32)
        z = None if pose.z is None else (pose.z * scale).astype(np.float32)
        poses.append(replace(pose, xy=xy, bbox=box, z=z, mask=None))
    return Track(source.id, source.frame_indices, tuple(poses))


@dataclass(frozen=True, slots=True)
class _Stage:
    """Where a person stands in a clip: the farthest and nearest foot line, and how tall the person is there."""

    far: float
    near: float
    far_height: float
    near_height: float

    @classmethod
    def of(cls, track: Track) -> _Stage:
        standing = np.array([_standing(pose) for pose in track.poses])
        standing = standing[np.isfinite(standing).all(axis=1)]
        if not len(standing):
            raise InvalidValue(f"track {track.id} shows no frame with both head and feet to stand on")
        foot, tall = standing.T
        far, near = np.percentile(foot, [5, 95])
        band = (near - far) / 4
        heights = []
        for line in (far, near):
            away = np.abs(foot - line)
            # Nobody is taller than standing upright: the tallest near a line tell the height there.
            heights.append(float(np.percentile(tall[away <= max(band, away.min())], 90)))
        return cls(float(far), float(near), *heights)

    def place(self, foot: float) -> float:
        """Where a foot line lies, from 0 (far) to 1 (near)."""
        deep = max(self.near - self.far, _DEEP * self.near_height)
        return float(np.clip((foot - self.far) / deep, 0, 1))

    def line(self, place: float) -> float:
        """The foot line at a place."""
        return self.far + place * (self.near - self.far)

    def height(self, place: float) -> float:
        """The height at a place."""
        return self.far_height + place * (self.near_height - self.far_height)


def _standing(pose: Pose) -> tuple[float, float]:
    """The foot line of a pose and its height from there to the nose, in pixels; NaN where they are not known."""
    same = to_avatar35(pose)
    feet = [i for i in _FEET if same.score[i] >= _SEEN]
    foot = float(same.xy[feet, 1].max()) if feet else np.nan
    nose = float(same.xy[FACE[0], 1]) if same.score[FACE[0]] >= _SEEN else np.nan
    return foot, foot - nose
