"""Poses in three dimensions: how far each limb points into the picture, from how short it is seen.

A limb of length L that is seen with length l reaches ``sqrt(L^2 - l^2)`` nearer or farther (Taylor 2000, scaled
orthographic projection). The lengths are measured over the whole clip, relative to the size of the person in each
frame. Whether a limb points nearer or farther follows from the depth of the pose backend; without one from anatomy:
knees and elbows bend one way, toes point forward. That hint fades through zero where it changes, so nothing flips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from animegen.errors import InvalidValue
from animegen.pose.convert import to_avatar35
from animegen.pose.head import FACE, HUMAN_FACE, HeadMotion, fit_heads
from animegen.pose.limbs import (
    HEAD,
    JOINTS,
    LIMBS,
    MID_HIP,
    MID_SHOULDER,
    NECK,
    POINTS,
    TRUNK,
    USUAL_LENGTHS,
    Limb,
    least,
    middles,
)
from animegen.pose.smooth import local_mean, local_quadratic
from animegen.types import Float32Array, Float64Array, Track

_SURE, _DOUBTFUL = 0.25, 0.05
"""Score from which a point is taken as it is, and up to which it counts as unknown; between them the two mix."""
_HEIGHT_FRAMES = 24.0
"""Half the window over which the size of a person is steadied."""
_DEPTH_FRAMES = 6.0
"""Half the window over which depth is steadied: a limb seen nearly at full length tells its depth badly."""
_PLAUSIBLE = (0.75, 1.35)
"""A limb's measured length against its usual one: what lies beyond was not seen unforeshortened, or is mistaken."""
_FULL_LENGTH = 95
"""Percentile of a limb's seen lengths over a clip that is taken for its true length."""
_SHOWN = 0.1
"""Share of the frames that must show a limb for its length to be measured."""
_LONGEST_LIMBS = 0.75
"""Quantile of the limbs of a frame by which the person's size is told: the others are foreshortened."""
_ABOVE = 0.85
"""Weight of what lies above the steadied size: limbs look shorter than they are, hardly ever longer."""
_FADE = 0.15
"""Depth that a hint gives, in lengths of its limb, at which it counts seven tenths."""
_BACKEND_SCALE = (0.1, 1.0)
"""Bounds of the factor that brings a backend's depth to the scale of the picture."""
_ROUNDS = 4
_LEAST = 1e-6


_SIZING = frozenset({"trunk", "shoulder", "upper_arm", "forearm", "thigh", "shin"})
"""Parts by which a person's size is told, with the face."""
_ACROSS = tuple(limb for limb in LIMBS if limb.part in ("shoulder", "hip"))
_FACE_EXTENT = float(np.linalg.norm(HUMAN_FACE[:, None] - HUMAN_FACE, axis=2).max())


@dataclass(frozen=True, slots=True, eq=False)
class BodyLengths:
    """How long a person's limbs are, and how large the person is seen.

    ``parts``: the lengths of the limbs in standing heights, where the clip does not show them the usual ones;
    ``face``: the size of the face against the mean one; ``height`` f64 [T]: the standing height in pixels.
    """

    parts: Mapping[str, float]
    face: float
    height: Float64Array


@dataclass(frozen=True, slots=True, eq=False)
class Lifted:
    """A person in three dimensions through a clip.

    ``joints`` f64 [T, 38, 3]: the points of AVATAR35, then the middles of hips and shoulders and the head's centre; x
    and y in frame pixels, z in pixels from the middle of the hips, smaller is nearer. ``known`` f64 [T, 38] 0..1: how
    much of a joint is measured rather than drawn from the frames around. ``score`` f64 [T, 35] as measured, ``time``
    f64 [T] in frames.
    """

    joints: Float64Array
    known: Float64Array
    score: Float64Array
    lengths: BodyLengths
    head: HeadMotion
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
    face = list(FACE)
    head = fit_heads(
        xy[:, face],
        body.known[:, face],
        None if body.depth is None else body.depth[:, face],
        trunk=trunk,
        size=body.lengths.height * body.lengths.face,
        time=time,
    )
    body = body.with_head(head)
    upright = _upright(trunk)
    ways = {limb: body.way(limb, upright) for limb in LIMBS}
    joints = np.zeros((len(time), JOINTS, 3))
    joints[:, MID_HIP, :2] = body.root(ways)
    for limb, way in ways.items():
        joints[:, limb.child] = joints[:, limb.parent] + way
    turned = np.einsum("tij,pj->tpi", head.rotation, HUMAN_FACE * body.lengths.face)
    placed = joints[:, HEAD, None] + turned * body.lengths.height[:, None, None]
    known = body.known[:, face, None]
    joints[:, face, :2] = known * xy[:, face] + (1 - known) * placed[..., :2]
    joints[:, face, 2] = placed[..., 2]
    return Lifted(joints, body.known, score, body.lengths, head, time)


@dataclass(frozen=True, slots=True, eq=False)
class _Body:
    """What is seen of a person: ``xy`` f64 [T, 38, 2], ``known`` f64 [T, 38] 0..1, ``depth`` f64 [T, 38] in pixels."""

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
        lengths = _measure(xy, known, time)
        body = cls(xy, known, None, lengths, time)
        if z is None:
            return body
        depth = np.concatenate([z, middles(z[..., None])[..., 0]], axis=1)
        return replace(body, depth=depth * body.depth_scale(depth))

    def depth_scale(self, depth: Float64Array) -> float:
        """What brings a backend's depth to pixels: least squares against the depths that the lengths ask for."""
        product = square = 0.0
        for limb in LIMBS:
            if limb.part in _SIZING:
                given = depth[:, limb.child] - depth[:, limb.parent]
                weight = np.minimum(self.known[:, limb.parent], self.known[:, limb.child])
                product += float((weight * self.depth_of(limb) * np.abs(given)).sum())
                square += float((weight * given**2).sum())
        return float(np.clip(product / max(square, _LEAST), *_BACKEND_SCALE))

    def with_head(self, head: HeadMotion) -> _Body:
        """The same with the head's centre where the fitted face has it, and the neck's length measured to there."""
        xy, known = self.xy.copy(), self.known.copy()
        xy[:, HEAD], known[:, HEAD] = head.centre, head.presence
        lengths = self.lengths
        neck = _full_length([NECK], xy, known, lengths.height)
        return replace(self, xy=xy, known=known, lengths=replace(lengths, parts={**lengths.parts, "neck": neck}))

    def reach(self, limb: Limb) -> Float64Array:
        """f64 [T] the limb's true length in pixels."""
        return self.lengths.parts[limb.part] * self.lengths.height

    def flat(self, limb: Limb) -> Float64Array:
        """f64 [T, 2] the limb as it is seen; where an end is not known, as in the frames around, else at rest."""
        known = np.minimum(self.known[:, limb.parent], self.known[:, limb.child])
        way = (self.xy[:, limb.child] - self.xy[:, limb.parent]) / self.lengths.height[:, None]
        sure = known >= 0.5
        if not sure.all():
            drawn = np.tile(np.multiply(limb.rest[:2], self.lengths.parts[limb.part]), (len(way), 1))
            if sure.any():
                drawn = np.stack([np.interp(self.time, self.time[sure], axis[sure]) for axis in way.T], axis=1)
            way = known[:, None] * way + (1 - known[:, None]) * drawn
        return np.asarray(way * self.lengths.height[:, None])

    def depth_of(self, limb: Limb) -> Float64Array:
        """f64 [T] how far the limb reaches in depth, either way."""
        flat = self.flat(limb)
        return np.asarray(np.sqrt(np.maximum(self.reach(limb) ** 2 - np.square(flat).sum(axis=1), 0.0)))

    def way(self, limb: Limb, upright: Float64Array | None = None) -> Float64Array:
        """f64 [T, 3] the limb in three dimensions; at rest in a body that stands ``upright`` where never seen."""
        seen = np.minimum(self.known[:, limb.parent], self.known[:, limb.child]).max() >= 0.5
        if upright is not None and not seen:
            return np.asarray(self.reach(limb)[:, None] * (upright @ np.array(limb.rest)))
        hint = self._steady(self.hint(limb))
        toward = self._steady(self.depth_of(limb) * hint / np.hypot(hint, _FADE))
        return np.concatenate([self.flat(limb), toward[:, None]], axis=1)

    def _steady(self, values: Float64Array) -> Float64Array:
        return local_mean(self.time, values[:, None], np.ones((len(values), 1)), _DEPTH_FRAMES)[:, 0]

    def hint(self, limb: Limb) -> Float64Array:
        """f64 [T] about how far the limb reaches in depth, in lengths of it; the sign is what counts."""
        if self.depth is not None:
            known = np.minimum(self.known[:, limb.parent], self.known[:, limb.child])
            return np.asarray(known * (self.depth[:, limb.child] - self.depth[:, limb.parent]) / self.reach(limb))
        aside, away = self.front()
        return np.asarray(limb.rest[0] * aside if limb.forward == 0 else limb.forward * away)

    def front(self) -> tuple[Float64Array, Float64Array]:
        """Where the body faces in the picture without depth, f64 [T] twice: aside by the nose, away by its sides."""
        across = np.sum([limb.rest[0] * self.flat(limb)[:, 0] for limb in _ACROSS], axis=0)
        away = -np.clip(across / np.sum([self.reach(limb) for limb in _ACROSS], axis=0), -1, 1)
        nose, known = self.xy[:, FACE[0]] - self.xy[:, HEAD], np.minimum(self.known[:, FACE[0]], self.known[:, HEAD])
        far = -HUMAN_FACE[0, 2] * self.lengths.face * self.lengths.height
        return known * np.clip(nose[:, 0] / far, -1, 1), away

    def trunk(self) -> Float64Array:
        """f64 [T, 3, 3] how the trunk is turned, as :class:`HeadMotion` has it of the head."""
        left = _unit(sum((limb.rest[0] * self.way(limb) for limb in _ACROSS), np.zeros(3)), (1.0, 0.0, 0.0))
        down = -self.way(TRUNK)
        down = _unit(down - np.einsum("ti,ti->t", down, left)[:, None] * left, (0.0, 1.0, 0.0))
        return np.stack([left, down, np.cross(left, down)], axis=2)

    def root(self, ways: Mapping[Limb, Float64Array]) -> Float64Array:
        """f64 [T, 2] the middle of the hips; where it is not known, below shoulders or head."""
        neck, trunk = ways[NECK][:, :2], ways[TRUNK][:, :2]
        root = self.xy[:, HEAD] - neck - trunk
        for joint, place in ((MID_SHOULDER, self.xy[:, MID_SHOULDER] - trunk), (MID_HIP, self.xy[:, MID_HIP])):
            root = root + self.known[:, joint, None] * (place - root)
        return root


def _upright(trunk: Float64Array) -> Float64Array:
    """f64 [T, 3, 3] how the body stands: turned about the vertical as the trunk is."""
    back = _unit(trunk[:, :, 2] * (1.0, 0.0, 1.0), (0.0, 0.0, 1.0))
    down = np.broadcast_to([0.0, 1.0, 0.0], back.shape)
    return np.stack([np.cross(down, back), down, back], axis=2)


def _unit(vectors: Float64Array, otherwise: tuple[float, float, float]) -> Float64Array:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(length > _LEAST, vectors / np.maximum(length, _LEAST), otherwise)


def _measure(xy: Float64Array, known: Float64Array, time: Float64Array) -> BodyLengths:
    """The lengths and the size in each frame, each measured against the other in turn."""
    sizing = [limb for limb in LIMBS if limb.part in _SIZING]
    faces = list(FACE)
    pairs = np.array([[limb.parent, limb.child] for limb in sizing])
    seen = np.linalg.norm(xy[:, pairs[:, 1]] - xy[:, pairs[:, 0]], axis=2)
    weight = known[:, pairs].min(axis=2)
    extent, sure = _face_extent(xy[:, faces], known[:, faces])
    seen, weight = np.c_[seen, extent], np.c_[weight, sure]
    parts, face = dict(USUAL_LENGTHS), 1.0
    for _ in range(_ROUNDS):
        lengths = np.array([*(parts[limb.part] for limb in sizing), face * _FACE_EXTENT])
        height = _envelope(seen / lengths, weight, time)
        parts = {part: _full_length([limb for limb in LIMBS if limb.part == part], xy, known, height) for part in parts}
        face = float(_percentile(extent / height, sure, _FACE_EXTENT) / _FACE_EXTENT)
        usual = sum(parts[part] for part in _SIZING) / sum(USUAL_LENGTHS[part] for part in _SIZING)
        parts, face, height = {part: length / usual for part, length in parts.items()}, face / usual, height * usual
    return BodyLengths(MappingProxyType(parts), face, height)


def _envelope(heights: Float64Array, weight: Float64Array, time: Float64Array) -> Float64Array:
    """f64 [T] the steadied size from what each limb says of it, f64 [T, N]: expectile regression over time."""
    order = np.argsort(heights, axis=1)
    ranked = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
    total = ranked[:, -1]
    place = (ranked >= _LONGEST_LIMBS * total[:, None]).argmax(axis=1)
    told = np.take_along_axis(np.take_along_axis(heights, order, axis=1), place[:, None], axis=1)[:, 0]
    seen = total > _LEAST
    if not seen.any():
        return np.ones(len(time))
    told = np.interp(time, time[seen], told[seen])
    trust = np.maximum(total, 1e-3)
    height = told
    for _ in range(_ROUNDS):
        side = np.where(told > height, _ABOVE, 1 - _ABOVE) * trust
        height = local_quadratic(time, told[:, None, None], side[:, None], _HEIGHT_FRAMES)[:, 0, 0]
        height = np.maximum(height, 0.25 * told)
    return np.maximum(height, _LEAST)


def _full_length(limbs: Sequence[Limb], xy: Float64Array, known: Float64Array, height: Float64Array) -> float:
    """The length of a part in standing heights, of all its limbs together."""
    flat = [np.linalg.norm(xy[:, limb.child] - xy[:, limb.parent], axis=1) / height for limb in limbs]
    sure = [np.minimum(known[:, limb.parent], known[:, limb.child]) for limb in limbs]
    return _percentile(np.concatenate(flat), np.concatenate(sure), limbs[0].length)


def _percentile(lengths: Float64Array, sure: Float64Array, usual: float) -> float:
    """What is seen of a part at its full length, within what is plausible; the usual length where it is not seen."""
    seen = lengths[sure >= 0.5]
    if not len(seen) or len(seen) < _SHOWN * len(lengths):
        return usual
    return float(np.clip(np.percentile(seen, _FULL_LENGTH), *np.multiply(_PLAUSIBLE, usual)))


def _face_extent(face: Float64Array, known: Float64Array) -> tuple[Float64Array, Float64Array]:
    """f64 [T] the largest distance between points of the face f64 [T, 7, 2], and how well its points are known."""
    between = np.linalg.norm(face[:, :, None] - face[:, None], axis=3)
    sure = np.minimum(known[:, :, None], known[:, None])
    return (between * (sure >= 0.5)).max(axis=(1, 2)), np.sort(known, axis=1)[:, 2]
