"""Faces and hands of the people of a frame, where they are large enough: expression and finger points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from animegen.pose.blazepose import face, hand
from animegen.pose.blazepose.face import FaceModel
from animegen.pose.blazepose.following import PRESENT, Follower
from animegen.pose.blazepose.hand import HandLook, HandModel
from animegen.pose.expression import LEAST_SIDE, measure_expression
from animegen.pose.skeletons import BLAZEPOSE33, BLAZEPOSE75
from animegen.types import Expression, Float32Array, Pose, Uint8Array

MIN_HAND = 40.0
"""Side in pixels of the region of a hand, twice a palm's length, below which it is not looked at: at 40 a palm is 20
pixels long and a finger 3 wide, and the model no longer says so when it guesses."""

_SEEN = 0.3
"""Score of the body's points from which there is a face or a hand to look at."""
_DOUBT = (0.3, 0.6)
"""Evidence for a hand up to which its points count nothing, and from which they count in full."""
_OTHER_SIDE = 0.5
"""A hand that is as likely a left one as a right one may be either; below, it counts less the less likely it is."""
_ONE_HAND = 0.25
"""Two looks at one person whose points are this close, in lengths of the hand, show the same hand."""
_SIDES = ("left", "right")


@dataclass(frozen=True, slots=True, eq=False)
class _Hand:
    """What is seen where a hand should be: ``evidence`` 0..1 that it is there and of this side; ``away`` pixels of its
    wrist from the body's."""

    look: HandLook
    evidence: float
    away: float

    @property
    def length(self) -> float:
        """From one end of the points to the other, in pixels."""
        return float(np.linalg.norm(np.ptp(self.look.xy, axis=0)))


class Details:
    """Looks at faces and hands through one segment; either is left out where its model is None."""

    def __init__(self, faces: FaceModel | None, hands: HandModel | None) -> None:
        self._model = faces
        self._faces = None if faces is None else Follower(faces.look)
        self._hands = None if hands is None else Follower(hands.look)

    def add(self, image: Uint8Array, poses: Sequence[Pose]) -> list[Pose]:
        """The poses of the next frame, of BLAZEPOSE33, with expressions, and as BLAZEPOSE75 where hands are wanted."""
        if self._faces is not None:
            self._faces.next_frame()
            poses = [replace(pose, expression=self._expression(image, pose, self._faces)) for pose in poses]
        if self._hands is not None:
            self._hands.next_frame()
            poses = [_with_hands(pose, self._seen_hands(image, pose, self._hands)) for pose in poses]
        return list(poses)

    def _expression(self, image: Uint8Array, pose: Pose, faces: Follower[face.FaceLook]) -> Expression | None:
        """The expression of a face that is turned to the camera."""
        region = face.told_by_body(pose)
        if self._model is None or region.side < LEAST_SIDE or not _faces_camera(pose):
            return None
        look = faces.look(image, region)
        if look.presence < PRESENT:
            return None
        eyes = self._model.eyes(image, look.mesh)
        return measure_expression(look.mesh, eyes, presence=look.presence, side=look.next.side)

    def _seen_hands(self, image: Uint8Array, pose: Pose, hands: Follower[HandLook]) -> dict[str, _Hand]:
        """The hands by side, those that the body's points show; none stands for both sides."""
        seen: dict[str, _Hand] = {}
        for side in _SIDES:
            points = [BLAZEPOSE33.index(f"{side}_{name}") for name in ("wrist", "index", "pinky")]
            region = hand.told_by_body(pose, side)
            if pose.score[points].min() >= _SEEN and region.side >= MIN_HAND:
                look = hands.look(image, region)
                likely = look.right if side == "right" else 1 - look.right
                away = float(np.linalg.norm(look.xy[0] - pose.xy[points[0]]))
                seen[side] = _Hand(look, look.presence * min(likely / _OTHER_SIDE, 1.0), away)
        if len(seen) == len(_SIDES) and _same(*seen.values()):
            del seen[max(_SIDES, key=lambda side: (-round(seen[side].evidence, 1), seen[side].away))]
        return seen


def _faces_camera(pose: Pose) -> bool:
    """Whether a face is in the picture and not turned away: of someone seen from behind the ears are nearer."""
    nose, ears = BLAZEPOSE33.index("nose"), [BLAZEPOSE33.index(f"{side}_ear") for side in _SIDES]
    behind = pose.z is not None and pose.z[nose] > pose.z[ears].mean()
    return bool(pose.score[nose] >= _SEEN) and not behind


def _same(one: _Hand, other: _Hand) -> bool:
    apart = float(np.linalg.norm(one.look.xy - other.look.xy, axis=1).mean())
    return apart < _ONE_HAND * max(one.length, other.length)


def _with_hands(pose: Pose, hands: dict[str, _Hand]) -> Pose:
    """The pose as BLAZEPOSE75. Points of a hand that is not seen lie at its wrist with score 0."""
    xy, score, depth = [pose.xy], [pose.score], [_depth(pose)]
    for side in _SIDES:
        wrist = BLAZEPOSE33.index(f"{side}_wrist")
        seen = hands.get(side)
        if seen is None:
            xy.append(np.repeat(pose.xy[None, wrist], hand.POINTS, axis=0))
            score.append(np.zeros(hand.POINTS, np.float32))
            depth.append(np.repeat(depth[0][None, wrist], hand.POINTS))
        else:
            low, high = _DOUBT
            sure = seen.evidence * float(np.clip((seen.evidence - low) / (high - low), 0, 1))
            xy.append(seen.look.xy)
            score.append(np.full(hand.POINTS, sure, np.float32))
            depth.append(depth[0][wrist] + seen.look.z)
    z = None if pose.z is None else np.concatenate(depth)
    return replace(pose, skeleton=BLAZEPOSE75, xy=np.concatenate(xy), score=np.concatenate(score), z=z)


def _depth(pose: Pose) -> Float32Array:
    return np.zeros(len(pose.score), np.float32) if pose.z is None else pose.z
