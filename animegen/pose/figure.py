"""A pose as a jointed figure: a torso, tapered limbs and a head with a face, far parts behind near ones.

Sizes are in units of the torso's length (shoulder line to hip line), about 0.29 of a person's height. They are a
mannequin's, the same for everyone, so that only the pose speaks. Every shape is the convex hull of a few discs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from animegen.pose.shapes import fill_hull
from animegen.types import Expression, Float64Array, Pose, Uint8Array

Rgb: TypeAlias = tuple[int, int, int]

_OUTLINE, _THIN = 0.03, 0.015
"""Width of the outline, and the radius below which it is thinner, so that shapes appear from nothing."""
_SHADE = 0.22
_LIMBS = (
    ("hip", "knee", 0.13, 0.095, "lower"),
    ("knee", "ankle", 0.09, 0.055, "lower"),
    ("shoulder", "elbow", 0.09, 0.07, "upper"),
    ("elbow", "wrist", 0.066, 0.046, "upper"),
)
"""Of either side: from, to, radius here and there, colour."""
_SIDED = (("shoulder", "hip", 1.0), ("hip", "knee", 1.05), ("knee", "ankle", 1.1), ("shoulder", "elbow", 1.4))
_UNIT_LENGTHS = (
    *((f"{side}_{a}", f"{side}_{b}", share) for side in ("left", "right") for a, b, share in _SIDED),
    ("left_shoulder", "right_shoulder", 1.2),
)
"""Lengths by which a foreshortened torso, or one beyond the picture's edge, can still be told, each times its share of
the unit.
"""


@dataclass(frozen=True, slots=True)
class FigureColours:
    """RGB 0..255 of the parts; ``line`` outlines them and draws the face."""

    hair: Rgb
    head: Rgb
    upper: Rgb
    lower: Rgb
    shoes: Rgb
    line: Rgb


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """The hull of discs in frame pixels, with its RGB."""

    centres: Float64Array
    radii: Float64Array
    colour: Rgb


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Shapes drawn under one outline, then ``details`` without; the part of greater ``depth`` is drawn first."""

    depth: float
    shapes: tuple[Shape, ...]
    details: tuple[Shape, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Joint:
    at: Float64Array
    presence: float
    z: float


def figure_unit(pose: Pose, min_score: float) -> float | None:
    """The torso's length in pixels, also where it is seen from above or bent; None where no limb tells it."""
    joints = _joints(pose, min_score)
    lengths = []
    for a, b, share in _UNIT_LENGTHS:
        start, end = joints.get(a), joints.get(b)
        if start and end and min(start.presence, end.presence) > 0.5:
            lengths.append(share * float(np.hypot(*(start.at - end.at))))
    return max(*lengths, least_unit(pose)) if lengths else None


def least_unit(pose: Pose) -> float:
    """What a torso measures at least in a pose's box, in pixels."""
    return 0.1 * float(np.hypot(*(pose.bbox[2:] - pose.bbox[:2])))


def build_figure(
    pose: Pose,
    unit: float,
    colours: FigureColours,
    *,
    thickness: float = 1.0,
    face: bool = True,
    min_score: float = 0.3,
) -> list[Part]:
    """The parts of the figure from the farthest to the nearest, in frame pixels; none where too little is known."""
    joints = _joints(pose, min_score)
    expression = (pose.expression or Expression()).calmed()
    builder = _Builder(joints, unit, unit * thickness, colours, expression)
    parts = [part for side in ("left", "right") for part in builder.limbs(side)]
    parts.extend(builder.torso())
    parts.extend(_head_parts(builder, face, flat=pose.z is None))
    return sorted(parts, key=lambda part: -part.depth)


def draw_figure(canvas: Uint8Array, parts: Iterable[Part], unit: float, line: Rgb, origin: tuple[int, int]) -> None:
    """Draw parts on uint8 [h, w, 4] RGBA whose top-left pixel lies at ``origin`` (xy) of the frame."""
    outline = max(_OUTLINE * unit, 1.0)
    for part in parts:
        for shape in part.shapes:
            around = outline * np.clip(shape.radii / (_THIN * unit), 0, 1)
            fill_hull(canvas, shape.centres - origin, shape.radii + around, (*line, 255))
        for shape in (*part.shapes, *part.details):
            fill_hull(canvas, shape.centres - origin, shape.radii, (*shape.colour, 255))


def figure_bounds(parts: Iterable[Part], unit: float) -> Float64Array | None:
    """xyxy of everything :func:`draw_figure` colours, or None for no parts."""
    shapes = [shape for part in parts for shape in (*part.shapes, *part.details)]
    if not shapes:
        return None
    margin = max(_OUTLINE * unit, 1.0) + 2
    low = np.min([(shape.centres - shape.radii[:, None]).min(axis=0) for shape in shapes], axis=0)
    high = np.max([(shape.centres + shape.radii[:, None]).max(axis=0) for shape in shapes], axis=0)
    return np.concatenate([low - margin, high + margin])


def _joints(pose: Pose, min_score: float) -> Mapping[str, _Joint]:
    """Points by name; ``presence`` rises from 0 to 1 over a band of scores, so that nothing pops in or out."""
    band = max(0.15, min_score / 2)
    presence = np.clip((pose.score - min_score + band / 2) / band, 0, 1) * (pose.score > 0)
    z = np.zeros(len(pose.skeleton)) if pose.z is None else pose.z
    return MappingProxyType(
        {
            name: _Joint(pose.xy[i].astype(np.float64), float(presence[i]), float(z[i]))
            for i, name in enumerate(pose.skeleton.points)
            if pose.score[i] > 0
        }
    )


@dataclass(frozen=True, slots=True)
class _End:
    """A hand or foot: from a joint to the middle of those tips that the skeleton has."""

    start: str
    tips: tuple[str, ...]
    radii: tuple[float, float]
    colour: str


_HAND = _End("wrist", ("index", "pinky"), (0.05, 0.05), "head")
_ROUNDED, _JAW = 0.5, 0.05
"""Share of its width by which a round mouth is narrower, and how far an open one goes down, in units."""
_PALM = (0, 1, 5, 9, 13, 17)
_FINGERS = tuple((first + i, first + i + 1) for first in range(1, 21, 4) for i in range(3))
_PALM_RADIUS, _FINGER_RADIUS = 0.028, 0.024
"""Of a hand of 21 points: those of its palm, the bones of its fingers, and radii."""
_FOOT = _End("ankle", ("foot_index", "big_toe"), (0.06, 0.05), "shoes")


def _mean_joint(joints: Mapping[str, _Joint], names: Iterable[str]) -> _Joint | None:
    """The middle of those named joints that are known, as sure as the least sure of them."""
    known = [joints[name] for name in names if name in joints and joints[name].presence > 0]
    if not known:
        return None
    at = np.mean([joint.at for joint in known], axis=0)
    return _Joint(at, min(joint.presence for joint in known), float(np.mean([joint.z for joint in known])))


@dataclass(frozen=True, slots=True, eq=False)
class _Builder:
    """Makes the parts of one figure; ``unit`` measures positions, ``thick`` radii."""

    joints: Mapping[str, _Joint]
    unit: float
    thick: float
    colours: FigureColours
    expression: Expression

    def limbs(self, side: str) -> Iterable[Part]:
        """Arm and leg of one side, each one part with its hand or foot."""
        for names, end in ((_LIMBS[:2], _FOOT), (_LIMBS[2:], _HAND)):
            shapes = [self._limb(f"{side}_{a}", f"{side}_{b}", ra, rb, colour) for a, b, ra, rb, colour in names]
            shapes.append(self._end(side, end))
            if end is _HAND:
                shapes.extend(self._fingers(side))
            known = tuple(shape for shape in shapes if shape is not None)
            if known:
                # Feet first, so that the trouser falls over the shoe; legs behind arms where no depth is known.
                is_leg = names[0][0] == "hip"
                outer = [f"{side}_{name}" for name in (["knee"] if is_leg else ["elbow", "wrist"])]
                middle = _mean_joint(self.joints, outer)
                depth = (middle.z if middle else 0.0) + (0.5 if is_leg else -0.2) * self.unit
                yield Part(depth, known[::-1] if is_leg else known)

    def torso(self) -> Iterable[Part]:
        """The trunk; hips that are not known are taken to hang below the shoulders."""
        shoulders = [self.joints.get(f"{side}_shoulder") for side in ("left", "right")]
        left, right = shoulders
        if left is None or right is None or min(left.presence, right.presence) == 0:
            return
        down = np.array([0.0, self.unit])
        hips = [self.joints.get(f"{side}_hip") for side in ("left", "right")]
        tops = [left.at, right.at]
        bottoms = [top + down if hip is None else hip.at for top, hip in zip(tops, hips, strict=True)]
        presence = min(left.presence, right.presence)
        radii = np.array([0.085, 0.085, 0.12, 0.12]) * self.thick * presence
        trunk = Shape(np.array(tops + bottoms), radii, self.colours.upper)
        depth = (left.z + right.z) / 2
        pelvis = Shape(np.array(bottoms), radii[2:], self.colours.lower)
        yield Part(depth, (trunk,), (pelvis,) if None not in hips else ())

    def _limb(self, start: str, end: str, near: float, far: float, colour: str) -> Shape | None:
        a, b = self.joints.get(start), self.joints.get(end)
        if a is None or b is None:
            return None
        return self._hull([a, b], (near, far), colour)

    def _end(self, side: str, end: _End) -> Shape | None:
        """A foot or a hand without fingers, which gives way to one with fingers as that is known."""
        root = self.joints.get(f"{side}_{end.start}")
        tip = _mean_joint(self.joints, [f"{side}_{name}" for name in end.tips])
        if root is None or tip is None:
            return None
        hidden = self._palm_presence(side) if end is _HAND else 0.0
        return self._hull([root, tip], tuple(radius * (1 - hidden) for radius in end.radii), end.colour)

    def _fingers(self, side: str) -> Iterable[Shape | None]:
        """Palm and fingers, where the skeleton has them."""
        if self._palm_presence(side) == 0:
            return
        yield self._hull([self.joints[f"{side}_hand_{i}"] for i in _PALM], (_PALM_RADIUS,) * len(_PALM), "head")
        for bone in _FINGERS:
            ends = [self.joints[f"{side}_hand_{i}"] for i in bone if f"{side}_hand_{i}" in self.joints]
            if len(ends) == len(bone):
                yield self._hull(ends, (_FINGER_RADIUS, _FINGER_RADIUS), "head")

    def _palm_presence(self, side: str) -> float:
        """0..1 how surely all points of a palm are known."""
        palm = [self.joints.get(f"{side}_hand_{i}") for i in _PALM]
        return min((0.0 if joint is None else joint.presence) for joint in palm)

    def _hull(self, joints: list[_Joint], radii: tuple[float, ...], colour: str) -> Shape | None:
        presence = min(joint.presence for joint in joints)
        if presence == 0:
            return None
        rgb = self._shade(getattr(self.colours, colour), float(np.mean([joint.z for joint in joints])))
        return Shape(np.array([joint.at for joint in joints]), np.array(radii) * self.thick * presence, rgb)

    def _shade(self, colour: Rgb, z: float) -> Rgb:
        """Farther parts a little darker: depth that the eye reads at once."""
        light = 1 - _SHADE * float(np.clip(z / self.unit, -0.3, 1))
        red, green, blue = (round(min(255.0, c * light)) for c in colour)
        return red, green, blue


@dataclass(frozen=True, slots=True, eq=False)
class _Head:
    """Where the head is and how it is turned: ``middle`` between the ears, ``up`` a unit vector."""

    middle: _Joint
    nose: _Joint | None
    up: Float64Array
    flat: bool

    @property
    def sideways(self) -> Float64Array:
        """How far the nose lies beside the middle: the turn of the head, in pixels."""
        front = np.zeros(2) if self.nose is None else self.nose.at - self.middle.at
        return front - self.up * float(front @ self.up)

    @property
    def across(self) -> Float64Array:
        """A unit vector along the line of the eyes."""
        return np.array([-self.up[1], self.up[0]])

    def seen(self, point: _Joint) -> float:
        """0..1: whether a point of the face is on the side of the head that faces the camera."""
        if self.flat:
            return 1.0
        towards = self.middle.z - point.z
        reach = float(np.hypot(np.hypot(*(point.at - self.middle.at)), towards))
        return float(np.clip(towards / max(reach, 1e-6) / 0.4 + 1, 0, 1))


def _find_head(joints: Mapping[str, _Joint], *, flat: bool) -> _Head | None:
    ears, eyes = (_mean_joint(joints, (f"left_{name}", f"right_{name}")) for name in ("ear", "eye"))
    mouth, nose = _mean_joint(joints, ("mouth_left", "mouth_right")), _mean_joint(joints, ("nose",))
    shoulders = _mean_joint(joints, ("left_shoulder", "right_shoulder"))
    middle = ears or eyes or nose
    if middle is None:
        return None
    up = np.array([0.0, -1.0])
    if mouth is not None and eyes is not None:
        up = eyes.at - mouth.at
    elif shoulders is not None:
        up = middle.at - shoulders.at
    return _Head(middle, nose, up / max(float(np.hypot(*up)), 1e-6), flat)


def _head_parts(builder: _Builder, face: bool, flat: bool) -> Iterable[Part]:
    """Neck, skull with chin, hair, and the face where it is turned to the camera."""
    head = _find_head(builder.joints, flat=flat)
    if head is None:
        return
    unit, colours, presence = builder.unit * head.middle.presence, builder.colours, head.middle.presence
    skull = head.middle.at + head.up * 0.05 * unit - 0.1 * head.sideways
    chin = head.middle.at - head.up * 0.11 * unit + 0.35 * head.sideways
    shapes = [Shape(np.array([skull, chin]), np.array([0.19, 0.15]) * unit, colours.head)]
    crown = head.middle.at + head.up * 0.1 * unit - 0.3 * head.sideways
    nape = head.middle.at - head.up * 0.02 * unit - 0.4 * head.sideways
    hair = Shape(np.array([crown, nape]), np.array([0.215, 0.17]) * unit, colours.hair)
    from_behind = head.nose is not None and head.seen(head.nose) < 0.5
    shapes.insert(1 if from_behind else 0, hair)
    shoulders = _mean_joint(builder.joints, ("left_shoulder", "right_shoulder"))
    if shoulders is not None:
        base = shoulders.at + (head.middle.at - shoulders.at) * 0.2
        radii = np.array([0.08, 0.07]) * builder.thick * min(presence, shoulders.presence)
        shapes.insert(0, Shape(np.array([base, chin]), radii, colours.head))
    details = tuple(_face(builder, head)) if face and not from_behind else ()
    yield Part(head.middle.z - 0.6 * builder.unit, tuple(shapes), details)


def _face(builder: _Builder, head: _Head) -> Iterable[Shape]:
    """Two eyes and a mouth, each as large as it is turned to the camera."""
    joints, unit, line, face = builder.joints, builder.unit, builder.colours.line, builder.expression
    for name, closed in (("left_eye", face.blink_l), ("right_eye", face.blink_r)):
        if name in joints:
            eye = joints[name]
            size = unit * eye.presence * head.seen(eye)
            lift = head.up * 0.024 * size * (1 - closed)
            aside = head.across * 0.026 * size * closed
            if size > 0:
                ends = np.array([eye.at - lift, eye.at + lift, eye.at - aside, eye.at + aside])
                yield Shape(ends, np.full(4, (0.022 - 0.012 * closed) * size), line)
    corners = [joints[name] for name in ("mouth_left", "mouth_right") if name in joints]
    if len(corners) == 2:
        size = unit * min(corner.presence * head.seen(corner) for corner in corners)
        if size > 0:
            ends = np.array([corner.at for corner in corners])
            ends += (ends.mean(axis=0) - ends) * _ROUNDED * min(face.oh + face.ou, 1.0)
            apart = min(face.aa + face.oh + 0.5 * (face.ee + face.ih), 1.0)
            jaw = ends.mean(axis=0) - head.up * _JAW * size * apart
            yield Shape(np.array([*ends, jaw]), np.array([0.011, 0.011, 0.011 + 0.02 * apart]) * size, line)
