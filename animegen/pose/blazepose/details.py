"""Faces and hands of the people of a frame, where they are large enough: expression and finger points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from animegen.pose.blazepose import face, hand
from animegen.pose.blazepose.face import FaceModel
from animegen.pose.blazepose.following import PRESENT, Follower
from animegen.pose.blazepose.hand import HandLook, HandModel
from animegen.pose.expression import LEAST_SIDE, measure_expression
from animegen.pose.skeletons import BLAZEPOSE33, BLAZEPOSE75
from animegen.types import Float32Array, Pose, Uint8Array

MIN_HAND = 40.0
"""Side in pixels of the region of a hand, twice a palm's length, below which it is not looked at: at 40 a palm is 20
pixels long and a finger 3 wide, and the model no longer says so when it guesses."""

_SEEN = 0.3
"""Score of the body's points from which there is a face or a hand to look at."""
_DOUBT = (0.3, 0.6)
"""Presence of a hand up to which its points count nothing, and from which they count in full."""
_CUT = (0.6, 0.95)
"""Share of a hand's points within the picture up to which it is not believed, and from which it is: what is cut off is
guessed, and so are the turns of what is left."""
_BESIDE = (0.5, 1.0)
"""Distance of the mesh's points from the body's, in lengths of the face, up to which both show one face, and from which
they do not."""
_ONE_HAND = 0.25
"""Two looks at one person whose points are this close, in lengths of the hand, show the same hand."""
_SIDES = ("left", "right")


class Details:
    """Looks at faces and hands through one segment; either is left out where its model is None."""

    def __init__(self, faces: FaceModel | None, hands: HandModel | None) -> None:
        self._model = faces
        self._faces = None if faces is None else Follower(faces.look)
        self._hands = {} if hands is None else {side: Follower(partial(hands.look, side)) for side in _SIDES}

    def add(self, image: Uint8Array, poses: Sequence[Pose]) -> list[Pose]:
        """The poses of the next frame, of BLAZEPOSE33, with expressions, and as BLAZEPOSE75 where hands are wanted."""
        if self._faces is not None:
            self._faces.next_frame()
            poses = [self._with_face(image, pose, self._faces) for pose in poses]
        if self._hands:
            for hands in self._hands.values():
                hands.next_frame()
            height, width = image.shape[:2]
            poses = [_with_hands(pose, self._seen_hands(image, pose), (width, height)) for pose in poses]
        return list(poses)

    def _with_face(self, image: Uint8Array, pose: Pose, faces: Follower[face.FaceLook]) -> Pose:
        """The pose with the expression of a face that is turned to the camera, and with its points where that is."""
        region = face.told_by_body(pose)
        if self._model is None or region.side < LEAST_SIDE or not _faces_camera(pose):
            return pose
        look = faces.look(image, region)
        if look.presence < PRESENT:
            return pose
        eyes = self._model.eyes(image, look.mesh)
        seen = measure_expression(look.mesh, eyes, presence=look.presence, side=look.next.side)
        return replace(_with_points(pose, face.points_of(look.mesh), seen.confidence), expression=seen)

    def _seen_hands(self, image: Uint8Array, pose: Pose) -> dict[str, HandLook]:
        """The hands by side, those that the body's points show; none stands for both sides.

        One that might as well be the other, as of folded hands, is of neither.
        """
        seen: dict[str, HandLook] = {}
        for side, hands in self._hands.items():
            points = [BLAZEPOSE33.index(f"{side}_{name}") for name in ("wrist", "index", "pinky")]
            region = hand.told_by_body(pose, side)
            if pose.score[points].min() >= _SEEN and region.side >= MIN_HAND:
                seen[side] = hands.look(image, region)
        if len(seen) == len(_SIDES) and _same(*seen.values()):
            other, own = sorted(_SIDES, key=lambda side: seen[side].presence)
            doubt = seen.pop(other).presence
            seen[own] = replace(seen[own], presence=seen[own].presence * (1 - doubt))
        return seen


def _with_points(pose: Pose, seen: Float32Array, sure: float) -> Pose:
    """The pose with the points of its face where a mesh has them, f32 [11, 3], the more the surer that is (0..1).

    A mesh that lies beside the face is another person's.
    """
    own = slice(len(face.MESH_POINTS))
    away = float(np.linalg.norm(seen[:, :2] - pose.xy[own], axis=1).mean())
    share = np.float32(sure * (1 - _rise(away / max(float(np.ptp(seen[:, :2], axis=0).max()), 1.0), _BESIDE)))
    xy, z = pose.xy.copy(), pose.z
    xy[own] += share * (seen[:, :2] - xy[own])
    if z is not None:
        z = z.copy()
        z[own] += share * (seen[:, 2] - seen[:, 2].mean() - (z[own] - z[own].mean()))
    return replace(pose, xy=xy, z=z)


def _faces_camera(pose: Pose) -> bool:
    """Whether a face is in the picture and not turned away: of someone seen from behind the ears are nearer."""
    nose, ears = BLAZEPOSE33.index("nose"), [BLAZEPOSE33.index(f"{side}_ear") for side in _SIDES]
    behind = pose.z is not None and pose.z[nose] > pose.z[ears].mean()
    return bool(pose.score[nose] >= _SEEN) and not behind


def _same(one: HandLook, other: HandLook) -> bool:
    length = max(float(np.linalg.norm(np.ptp(look.xy, axis=0))) for look in (one, other))
    return float(np.linalg.norm(one.xy - other.xy, axis=1).mean()) < _ONE_HAND * length


def _with_hands(pose: Pose, hands: Mapping[str, HandLook], size: tuple[int, int]) -> Pose:
    """The pose as BLAZEPOSE75, in a picture of a size.

    Points of a hand that is not seen lie at its wrist with score 0; one that is cut by the picture's edge counts less.
    """
    xy, score, depth = [pose.xy], [pose.score], [_depth(pose)]
    for side in _SIDES:
        wrist = BLAZEPOSE33.index(f"{side}_wrist")
        seen = hands.get(side)
        if seen is None:
            xy.append(np.repeat(pose.xy[None, wrist], hand.POINTS, axis=0))
            score.append(np.zeros(hand.POINTS, np.float32))
            depth.append(np.repeat(depth[0][None, wrist], hand.POINTS))
        else:
            inside = np.all((seen.xy >= -0.5) & (seen.xy <= np.array(size) - 0.5), axis=1)
            sure = seen.presence * _rise(seen.presence, _DOUBT) * _rise(float(inside.mean()), _CUT)
            xy.append(seen.xy)
            score.append(np.where(inside, np.float32(sure), np.float32(0)))
            depth.append(depth[0][wrist] + seen.z)
    z = None if pose.z is None else np.concatenate(depth)
    return replace(pose, skeleton=BLAZEPOSE75, xy=np.concatenate(xy), score=np.concatenate(score), z=z)


def _rise(value: float, band: tuple[float, float]) -> float:
    """0 up to the band, 1 from its end on."""
    return float(np.clip((value - band[0]) / (band[1] - band[0]), 0, 1))


def _depth(pose: Pose) -> Float32Array:
    return np.zeros(len(pose.score), np.float32) if pose.z is None else pose.z
