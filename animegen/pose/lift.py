"""Poses in three dimensions: how far each limb points into the picture, from how short it is seen.

A limb of length L that is seen with length l reaches ``sqrt(L^2 - l^2)`` nearer or farther (Taylor 2000, scaled
orthographic projection). Whether nearer or farther follows from the depth of the pose backend; without one from
anatomy: knees and elbows bend one way, toes point forward. That hint fades through zero where it changes, so nothing
flips. The neck alone, short and often shrugged, takes its depth from the trunk and the head that it stands between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from animegen.errors import InvalidValue
from animegen.pose.convert import to_avatar35
from animegen.pose.head import FACE, HUMAN_FACE, HeadMotion, fit_heads
from animegen.pose.lengths import SIZING, BodyLengths, measure_lengths, part_length
from animegen.pose.limbs import (
    CHILDREN,
    FINGERS,
    HEAD,
    JOINTS,
    LIMBS,
    MID_HIP,
    MID_SHOULDER,
    NECK,
    PARENTS,
    POINTS,
    TRUNK,
    least,
    middles,
)
from animegen.pose.regression import local_mean
from animegen.types import Float32Array, Float64Array, Track

_SURE, _DOUBTFUL = 0.25, 0.05
"""Score from which a point is taken as it is, and up to which it counts as unknown; between them the two mix."""
_DEPTH_FRAMES = 6.0
"""Half the window over which depth is steadied: a limb seen nearly at full length tells its depth badly."""
_FADE = 0.15
"""Depth that a hint gives, in lengths of its limb, at which it counts seven tenths."""
_BACKEND_SCALE = (0.1, 1.0)
"""Bounds of the factor that brings a backend's depth to the scale of the picture."""
_NODS = 1 / 3
"""How much of what a head is turned against the trunk the neck leans: its lower joints make two thirds of a nod (Bogduk
and Mercer 2000), and from end to end it leans half of what they bend together."""
_SHRUGS, _MISTAKEN = 0.5, (0.7, 1.5)
"""Of what a neck is seen too short or too long, the share that is believed; and a neck's length over what is seen of
it, beyond which all is."""
_LEAST = 1e-6

_REST = np.array([limb.rest for limb in LIMBS])
_FORWARD = np.array([limb.forward for limb in LIMBS])
_ACROSS = [i for i, limb in enumerate(LIMBS) if limb.part in ("shoulder", "hip")]


@dataclass(frozen=True, slots=True, eq=False)
class Lifted:
    """A person in three dimensions through a clip.

    ``joints`` f64 [T, 38, 3]: the points of AVATAR35, then the middles of hips and shoulders and the head's centre (at
    the end of a neck that may be a little longer or shorter than seen); x and y in frame pixels, z in pixels from the
    middle of the hips, smaller is nearer. ``known`` f64 [T, 38] 0..1: how much of a joint is measured rather than drawn
    from the frames around. ``score`` f64 [T, 35] as measured, ``trunk`` f64 [T, 3, 3] how the trunk is turned (as
    ``rotation`` of :class:`animegen.pose.head.HeadMotion`), ``time`` f64 [T] in frames.
    """

    joints: Float64Array
    known: Float64Array
    score: Float64Array
    lengths: BodyLengths
    head: HeadMotion
    trunk: Float64Array
    time: Float64Array

    @property
    def xyz(self) -> Float32Array:
        """f32 [T, 35, 3]: the points of AVATAR35."""
        return self.joints[:, :POINTS].astype(np.float32)


def lift_track(track: Track) -> Lifted:
    """A person's track in three dimensions; poses are converted to AVATAR35, and their depth is used where all have it.

    Raises InvalidValue for a track without poses, UsageError for a skeleton without shoulders and hips.
    """
    if not track.poses:
        raise InvalidValue(f"track {track.id} has no pose to lift")
    poses = [to_avatar35(pose) for pose in track.poses]
    depth = [pose.z for pose in poses if pose.z is not None]
    return lift_points(
        np.array([pose.xy for pose in poses], np.float64),
        np.array([pose.score for pose in poses], np.float64),
        np.array(depth, np.float64) if len(depth) == len(poses) else None,
        np.array(track.frame_indices, np.float64),
    )


def lift_points(xy: Float64Array, score: Float64Array, z: Float64Array | None, time: Float64Array) -> Lifted:
    """Points of AVATAR35 in three dimensions.

    ``xy`` f64 [T, 35, 2] pixels, ``score`` f64 [T, 35] 0..1 (0: unknown), ``z`` f64 [T, 35] depth of any scale,
    smaller is nearer, or None; ``time`` f64 [T] rising, in frames. Points that are not known in a frame are drawn from
    those around, and hang as at rest where they never are.
    """
    body = _Body.seen(xy, score, z, time)
    trunk = body.trunk()
    head = fit_heads(
        xy[:, FACE],
        body.known[:, FACE],
        None if body.depth is None else body.depth[:, FACE],
        trunk=trunk,
        size=body.lengths.height * body.lengths.face,
        time=time,
    )
    body = body.with_head(head)
    ways = body.ways(_upright(trunk))
    ways[:, NECK] = body.neck(trunk, head.rotation)
    joints = np.zeros((len(time), JOINTS, 3))
    joints[:, MID_HIP, :2] = body.root(ways)
    for i, limb in enumerate(LIMBS):
        joints[:, limb.child] = joints[:, limb.parent] + ways[:, i]
    turned = np.einsum("tij,pj->tpi", head.rotation, HUMAN_FACE * body.lengths.face)
    placed = joints[:, HEAD, None] + turned * body.lengths.height[:, None, None]
    known = body.known[:, FACE, None]
    joints[:, FACE, :2] = known * xy[:, FACE] + (1 - known) * placed[..., :2]
    joints[:, FACE, 2] = placed[..., 2]
    return Lifted(joints, body.known, score, body.lengths, head, trunk, time)


@dataclass(frozen=True, slots=True, eq=False)
class _Body:
    """What is seen of a person: ``xy`` f64 [T, 38, 2], ``known`` f64 [T, 38] 0..1, ``depth`` f64 [T, 38] in pixels.

    What it tells of limbs is in the order of LIMBS: [T, L].
    """

    xy: Float64Array
    known: Float64Array
    depth: Float64Array | None
    lengths: BodyLengths
    time: Float64Array

    @classmethod
    def seen(cls, xy: Float64Array, score: Float64Array, z: Float64Array | None, time: Float64Array) -> _Body:
        known = np.clip((score - _DOUBTFUL) / (_SURE - _DOUBTFUL), 0, 1)
        known = np.concatenate([known, least(known)], axis=1)
        xy = np.concatenate([xy, middles(xy)], axis=1)
        body = cls(xy, known, None, measure_lengths(xy, known, time), time)
        if z is None:
            return body
        depth = np.concatenate([z, middles(z[..., None])[..., 0]], axis=1)
        return replace(body, depth=depth * body.depth_scale(depth))

    def depth_scale(self, depth: Float64Array) -> float:
        """What brings a backend's depth to pixels: least squares against the depths that the lengths ask for."""
        given = np.abs(depth[:, CHILDREN] - depth[:, PARENTS])[:, SIZING]
        weight, wanted = self.sure[:, SIZING], self.extent(self.flat())[:, SIZING]
        scale = (weight * wanted * given).sum() / max(float((weight * given**2).sum()), _LEAST)
        return float(np.clip(scale, *_BACKEND_SCALE))

    def with_head(self, head: HeadMotion) -> _Body:
        """The same with the head's centre where the fitted face has it, and the neck's length measured to there."""
        xy, known = self.xy.copy(), self.known.copy()
        xy[:, HEAD], known[:, HEAD] = head.centre, head.presence
        body = replace(self, xy=xy, known=known)
        seen = np.linalg.norm(xy[:, CHILDREN] - xy[:, PARENTS], axis=2)
        neck = part_length("neck", seen, body.sure, self.lengths.height)
        return replace(
            body, lengths=replace(self.lengths, parts=MappingProxyType({**self.lengths.parts, "neck": neck}))
        )

    @property
    def sure(self) -> Float64Array:
        """f64 [T, L] how well a limb is known: as its less certain end."""
        return np.minimum(self.known[:, PARENTS], self.known[:, CHILDREN])

    def flat(self) -> Float64Array:
        """f64 [T, L, 2] the limbs as they are seen; where one is not known, as in the frames around, else at rest.

        A finger whose tip is not known is straight.
        """
        height, sure = self.lengths.height[:, None, None], self.sure
        ways = (self.xy[:, CHILDREN] - self.xy[:, PARENTS]) / height
        for i, limb in enumerate(LIMBS):
            shown = sure[:, i] >= 0.5
            if shown.all():
                continue
            drawn = np.tile(np.multiply(limb.rest[:2], self.lengths.parts[limb.part]), (len(ways), 1))
            if i in FINGERS:
                whole = self.lengths.parts[LIMBS[FINGERS[i]].part]
                drawn = ways[:, FINGERS[i]] * (self.lengths.parts[limb.part] / whole)
            elif shown.any():
                drawn = np.stack([np.interp(self.time, self.time[shown], axis[shown]) for axis in ways[:, i].T], axis=1)
            ways[:, i] = sure[:, i, None] * ways[:, i] + (1 - sure[:, i, None]) * drawn
        return np.asarray(ways * height)

    def extent(self, flat: Float64Array) -> Float64Array:
        """f64 [T, L] how far the limbs reach in depth, either way."""
        return np.asarray(np.sqrt(np.maximum(self.lengths.reach**2 - np.square(flat).sum(axis=2), 0.0)))

    def ways(self, upright: Float64Array | None = None) -> Float64Array:
        """f64 [T, L, 3] the limbs in three dimensions.

        One that the clip never shows hangs at rest in a body that stands ``upright`` f64 [T, 3, 3].
        """
        flat = self.flat()
        hints = self._steady(self.hints(flat))
        toward = self._steady(self.extent(flat) * hints / np.hypot(hints, _FADE))
        ways = np.concatenate([flat, toward[..., None]], axis=2)
        if upright is None:
            return ways
        resting = self.lengths.reach[..., None] * np.einsum("tij,lj->tli", upright, _REST)
        return np.where((self.sure.max(axis=0) >= 0.5)[:, None], ways, resting)

    def _steady(self, values: Float64Array) -> Float64Array:
        return local_mean(self.time, values, np.ones_like(values), _DEPTH_FRAMES)

    def hints(self, flat: Float64Array) -> Float64Array:
        """f64 [T, L] about how far the limbs reach in depth, in lengths of each; the sign is what counts."""
        if self.depth is not None:
            given = self.depth[:, CHILDREN] - self.depth[:, PARENTS]
            return np.asarray(self.sure * given / self.lengths.reach)
        aside, away = self.front(flat)
        return np.asarray(np.where(_FORWARD == 0, _REST[:, 0] * aside[:, None], _FORWARD * away[:, None]))

    def front(self, flat: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Where the body faces in the picture without depth, f64 [T] twice: aside by the nose, away by its sides."""
        across = (_REST[_ACROSS, 0] * flat[:, _ACROSS, 0]).sum(axis=1)
        away = -np.clip(across / self.lengths.reach[:, _ACROSS].sum(axis=1), -1, 1)
        nose, known = self.xy[:, FACE[0]] - self.xy[:, HEAD], np.minimum(self.known[:, FACE[0]], self.known[:, HEAD])
        far = -HUMAN_FACE[0, 2] * self.lengths.face * self.lengths.height
        return known * np.clip(nose[:, 0] / far, -1, 1), away

    def neck(self, trunk: Float64Array, head: Float64Array) -> Float64Array:
        """f64 [T, 3] the neck of a trunk and a head that are turned f64 [T, 3, 3]: it stands between them.

        How long it is seen tells of its depth too little: shoulders that are shrugged shorten it as a lean of 30
        degrees does, and ears are guessed too near. Half of what it seems too short or too long is taken for a shrug.
        """
        leaning = _unit(np.einsum("tij,j->ti", (1 - _NODS) * trunk + _NODS * head, _REST[NECK]), _REST[NECK])
        reach = self.lengths.reach[:, NECK, None]
        way = np.concatenate([self.flat()[:, NECK], self._steady(reach * leaning[:, 2:])], axis=1)
        length = np.linalg.norm(way, axis=1, keepdims=True)
        unlike = np.clip(reach / np.maximum(length, _LEAST), *_MISTAKEN)
        return np.asarray(way * (_SHRUGS + (1 - _SHRUGS) * unlike))

    def trunk(self) -> Float64Array:
        """f64 [T, 3, 3] how the trunk is turned, as :class:`HeadMotion` has it of the head."""
        ways = self.ways()
        left = _unit((_REST[_ACROSS, :1] * ways[:, _ACROSS]).sum(axis=1), (1.0, 0.0, 0.0))
        down = -ways[:, TRUNK]
        down = _unit(down - np.einsum("ti,ti->t", down, left)[:, None] * left, (0.0, 1.0, 0.0))
        return np.stack([left, down, np.cross(left, down)], axis=2)

    def root(self, ways: Float64Array) -> Float64Array:
        """f64 [T, 2] the middle of the hips; where it is not known, below shoulders or head."""
        neck, trunk = ways[:, NECK, :2], ways[:, TRUNK, :2]
        root = self.xy[:, HEAD] - neck - trunk
        for joint, place in ((MID_SHOULDER, self.xy[:, MID_SHOULDER] - trunk), (MID_HIP, self.xy[:, MID_HIP])):
            root = root + self.known[:, joint, None] * (place - root)
        return np.asarray(root)


def _upright(trunk: Float64Array) -> Float64Array:
    """f64 [T, 3, 3] how the body stands: turned about the vertical as the trunk is."""
    back = _unit(trunk[:, :, 2] * (1.0, 0.0, 1.0), (0.0, 0.0, 1.0))
    down = np.broadcast_to([0.0, 1.0, 0.0], back.shape)
    return np.stack([np.cross(down, back), down, back], axis=2)


def _unit(vectors: Float64Array, otherwise: ArrayLike) -> Float64Array:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(length > _LEAST, vectors / np.maximum(length, _LEAST), otherwise)
