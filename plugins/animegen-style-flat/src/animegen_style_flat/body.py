"""The doll from the neck down, as pieces with a depth: the smaller, the nearer to the viewer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from animegen.types import Float64Array
from animegen_style_flat.canvas import Canvas, Ink, smooth, taper
from animegen_style_flat.figure import Figure, across, direction

TORSO_DEPTH, HEAD_DEPTH = 0.0, -0.2
_SHOULDER_REACH, _HIP_REACH = 0.22, 0.19
"""Half widths of shoulders and hips seen from the side, as shares of the torso's length."""
_ARM = (0.125, 0.1, 0.07)
_LEG = (0.18, 0.125, 0.09)
"""Radii at shoulder, elbow, wrist and at hip, knee, ankle, as shares of the torso's length."""


@dataclass(frozen=True)
class Outfit:
    """What the doll wears: inks by part, how far sleeves go (0..1), and whether it is a skirt."""

    inks: Mapping[str, Ink]
    sleeves: float
    skirt: bool


@dataclass(frozen=True)
class Piece:
    """Something to draw, and how far away it is in lengths of the torso."""

    depth: float
    draw: Callable[[Canvas], None]


def body_pieces(figure: Figure, outfit: Outfit) -> Iterator[Piece]:
    """Torso, arms and legs, as far as they are known; nothing where there are neither shoulders nor hips."""
    if figure.shoulders is None or figure.hips is None:
        return
    trunk = Trunk.of(figure)
    yield Piece(TORSO_DEPTH + 0.02, lambda canvas: _neck(canvas, figure, outfit))
    yield Piece(TORSO_DEPTH, lambda canvas: trunk.draw(canvas, figure, outfit))
    # The pelvis is outlined behind the legs and filled once more before them, so that no line parts it from them.
    pelvis = trunk.pelvis(figure.unit)
    yield Piece(0.35, lambda canvas: canvas.shape([pelvis], outfit.inks["lower"]))
    yield Piece(0.05, lambda canvas: canvas.shape([pelvis], outfit.inks["lower"], line=False))
    for side in ("left", "right"):
        yield from _arm(figure, outfit, side, trunk.joint(figure, f"{side}_shoulder"))
        yield from _leg(figure, outfit, side, trunk.joint(figure, f"{side}_hip"))


def _neck(canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
    assert figure.shoulders is not None
    radius = 0.085 * figure.unit
    top = figure.shoulders + 0.3 * figure.unit * figure.neck
    skin = outfit.inks["skin"]
    canvas.shape([taper(figure.shoulders - radius * figure.spine, top, radius, radius)], skin, colour=skin.shade)


@dataclass(frozen=True)
class Trunk:
    """The torso's four corners, never thinner than a body seen from the side. ``out`` points to the left corners."""

    shoulders: Float64Array
    hips: Float64Array
    shoulder: Float64Array
    hip: Float64Array

    @classmethod
    def of(cls, figure: Figure) -> Trunk:
        """``shoulder`` and ``hip`` lead from the middle to the left corner, by the pose or by a side view's depth."""
        assert figure.shoulders is not None
        assert figure.hips is not None
        right, sign = across(figure.spine), -1.0 if figure.faces_away else 1.0

        def half(name: str, reach: float) -> Float64Array:
            left, other = figure.points.get(f"left_{name}"), figure.points.get(f"right_{name}")
            if left is None or other is None:
                return right * sign * reach * 1.5 * figure.unit
            offset = (left - other) / 2
            wide = max(float(offset @ right) * sign, reach * figure.unit)
            tilt = float(offset @ figure.spine)
            tilt = max(-0.5 * wide, min(0.5 * wide, tilt))
            return right * sign * wide + figure.spine * tilt

        return cls(figure.shoulders, figure.hips, half("shoulder", _SHOULDER_REACH), half("hip", _HIP_REACH))

    def joint(self, figure: Figure, name: str) -> Float64Array:
        """Where a limb hangs: at the pose's own point, or at the corner where that is unknown."""
        known = figure.points.get(name)
        if known is not None:
            return known
        side = 1.0 if name.startswith("left") else -1.0
        middle, offset = (self.shoulders, self.shoulder) if "shoulder" in name else (self.hips, self.hip)
        return middle + side * offset

    def draw(self, canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
        """Shirt, with a collar where the chest is seen, over a skirt where one is worn."""
        unit, up = figure.unit, figure.spine
        if outfit.skirt:
            self._skirt(canvas, figure, outfit)
        ink = outfit.inks["upper"]
        canvas.shape([smooth(self._shirt(unit, up))], ink)
        canvas.stroke(np.array([self._at(-1, 0.94), self._at(1, 0.94)]), ink.shade, 0.04 * unit)
        if not figure.faces_away:
            self._collar(canvas, figure, outfit)

    def pelvis(self, unit: float) -> Float64Array:
        """The outline of the hips between the legs' joints."""
        reach = 0.75 * self.hip
        return taper(self.hips - reach, self.hips + reach, 0.17 * unit, 0.17 * unit)

    def _at(self, side: float, share: float, wide: float = 1.0) -> Float64Array:
        """A point on the left (1) or right (-1) edge, ``share`` of the way from shoulders to hips."""
        middle = self.shoulders + share * (self.hips - self.shoulders)
        return middle + side * wide * (self.shoulder + share * (self.hip * 1.25 - self.shoulder))

    def _shirt(self, unit: float, up: Float64Array) -> Float64Array:
        """The outline around the neck and down both sides to the hem."""
        base, out = self.shoulders + 0.1 * unit * up, direction(self.shoulder)
        sides = []
        for side in (1, -1):
            top = self._at(side, 0.02) + side * 0.07 * unit * out + 0.03 * unit * up
            edge = [self._at(side, 0.3), self._at(side, 0.62, 0.88), self._at(side, 1.02)]
            sides.append([base + side * 0.13 * unit * out, top, *edge])
        return np.array([*sides[0], *reversed(sides[1])])

    def _collar(self, canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
        unit, up = figure.unit, figure.spine
        side = 0.1 * unit * direction(self.shoulder)
        base = self.shoulders + 0.12 * unit * up
        shift = 0.08 * unit * math.sin(figure.yaw) * across(up)
        opening = np.array([base + side, base - side, self.shoulders - 0.12 * unit * up + shift])
        canvas.shape([opening], outfit.inks["upper"], colour=outfit.inks["skin"].shade)

    def _skirt(self, canvas: Canvas, figure: Figure, outfit: Outfit) -> None:
        down = -figure.spine * 0.5 * figure.unit
        waist, hem = 0.75, 1.0
        outline = np.array(
            [
                self._at(1, waist),
                self._at(1, hem, 1.9) + down,
                self._at(0, hem) + 1.1 * down,
                self._at(-1, hem, 1.9) + down,
                self._at(-1, waist),
            ]
        )
        canvas.shape([outline], outfit.inks["lower"])


def _depth(figure: Figure, names: tuple[str, ...], base: str, default: float) -> float:
    """How far behind the ``base`` points the named ones are, in lengths of the torso."""
    known = [figure.depth[name] for name in names if name in figure.depth]
    bases = [figure.depth[f"{side}_{base}"] for side in ("left", "right") if f"{side}_{base}" in figure.depth]
    if not known or not bases:
        return default
    return (sum(known) / len(known) - sum(bases) / len(bases)) / figure.unit


def _arm(figure: Figure, outfit: Outfit, side: str, shoulder: Float64Array) -> Iterator[Piece]:
    elbow, wrist = figure.points.get(f"{side}_elbow"), figure.points.get(f"{side}_wrist")
    if elbow is None and wrist is None:
        return
    if elbow is None:
        assert wrist is not None
        elbow = (shoulder + wrist) / 2
    joints = [shoulder, elbow] if wrist is None else [shoulder, elbow, wrist]
    behind = 0.3 if figure.faces_away else -0.1
    depth = _depth(figure, (f"{side}_elbow", f"{side}_wrist"), "shoulder", behind)
    front = _depth(figure, (f"{side}_wrist",), "shoulder", behind) < _depth(figure, ("nose",), "shoulder", -0.3)
    hidden = depth > 0.05
    order = 0.4 if hidden else (HEAD_DEPTH - 0.1 if front else (TORSO_DEPTH + HEAD_DEPTH) / 2)
    yield Piece(order, lambda canvas: _draw_arm(canvas, figure, outfit, joints, side))


def _draw_arm(canvas: Canvas, figure: Figure, outfit: Outfit, joints: list[Float64Array], side: str) -> None:
    unit, skin, upper = figure.unit, outfit.inks["skin"], outfit.inks["upper"]
    radii = [share * unit for share in _ARM]
    bare = _chain(joints, radii)
    if len(joints) == 3:
        bare += [_hand(figure, side, joints[2], joints[1])]
    canvas.shape(bare, skin)
    sleeve = _until(joints, outfit.sleeves)
    wide = [1.12 * radius for radius in radii[: len(sleeve) - 1]]
    last = 1.25 * float(np.interp(outfit.sleeves * 2, [0, 1, 2], radii))
    canvas.shape(_chain(sleeve, [*wide, last]), upper)


def _hand(figure: Figure, side: str, wrist: Float64Array, elbow: Float64Array) -> Float64Array:
    """A mitten from the wrist towards the knuckles, or on along the forearm where they are unknown."""
    knuckles = figure.middle(f"{side}_index", f"{side}_pinky")
    reach = 0.13 * figure.unit
    ahead = direction((knuckles if knuckles is not None else wrist + (wrist - elbow)) - wrist)
    return taper(wrist, wrist + reach * ahead, _ARM[2] * figure.unit, 0.085 * figure.unit)


def _leg(figure: Figure, outfit: Outfit, side: str, hip: Float64Array) -> Iterator[Piece]:
    knee, ankle = figure.points.get(f"{side}_knee"), figure.points.get(f"{side}_ankle")
    if knee is None and ankle is None:
        return
    if knee is None:
        assert ankle is not None
        knee = (hip + ankle) / 2
    joints = [hip, knee] if ankle is None else [hip, knee, ankle]
    depth = _depth(figure, (f"{side}_knee", f"{side}_ankle"), "hip", 0.0)
    order = 0.2 + 0.1 * math.tanh(depth)
    yield Piece(order, lambda canvas: _draw_leg(canvas, figure, outfit, joints, side))


def _draw_leg(canvas: Canvas, figure: Figure, outfit: Outfit, joints: list[Float64Array], side: str) -> None:
    unit = figure.unit
    radii = [share * unit for share in _LEG]
    if len(joints) == 3:
        canvas.shape(_shoe(figure, side, joints[2]), outfit.inks["shoes"])
    cloth = outfit.inks["skin" if outfit.skirt else "lower"]
    hip = joints[0] + 0.25 * radii[0] * direction((figure.hips if figure.hips is not None else joints[0]) - joints[0])
    canvas.shape(_chain([hip, *joints[1:]], radii), cloth)


def _shoe(figure: Figure, side: str, ankle: Float64Array) -> list[Float64Array]:
    unit = figure.unit
    heel, toe = figure.points.get(f"{side}_heel"), figure.points.get(f"{side}_foot_index")
    down = -figure.spine
    if heel is None:
        heel = ankle + 0.08 * unit * down
    if toe is None:
        out = (0.35 if side == "left" else -0.35) * (-1.0 if figure.faces_away else 1.0)
        toe = ankle + unit * (0.14 * down + (0.25 * math.sin(figure.yaw) + 0.15 * out) * across(figure.spine))
    return [taper(heel, toe, 0.085 * unit, 0.075 * unit), taper(ankle, heel, 0.1 * unit, 0.085 * unit)]


def _chain(joints: list[Float64Array], radii: list[float]) -> list[Float64Array]:
    return [taper(a, b, first, last) for a, b, first, last in zip(joints, joints[1:], radii, radii[1:], strict=False)]


def _until(joints: list[Float64Array], share: float) -> list[Float64Array]:
    """The first ``share`` of a limb of two bones of equal worth; the whole of a limb of one bone."""
    if len(joints) == 2 or share >= 1:
        return joints
    bone, rest = divmod(2 * max(share, 0.25), 1)
    start = int(bone)
    return [*joints[: start + 1], joints[start] + rest * (joints[start + 1] - joints[start])]
