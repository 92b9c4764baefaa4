"""When the pose fails: which poses of a person are not to be trusted, and what stands in for them.

A person is drawn from trusted poses. Where one is missing or doubtful, the frames around tell the body's shape and
whatever is sure in the doubtful pose tells its place. Where nobody knows any more, the avatar fades, and the person
stays removed from the picture for a while.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby, pairwise

import numpy as np
from scipy.ndimage import maximum_filter, median_filter

from animegen.config import OnLost
from animegen.pose.interpolate import in_between
from animegen.types import Float32Array, Mask, Pose, Track

GAP_SECONDS = Fraction(1, 2)
"""A person unseen for no longer than this keeps moving: the poses between are interpolated."""

FADE_SECONDS = Fraction(1, 5)
"""How long an avatar takes to fade in or out."""

EDGE_SECONDS = Fraction(3, 2)
"""A person who leaves or enters at the picture's edge is carried on for no longer than this, until out of it."""

HOLD_SECONDS = Fraction(2)
"""How long a pose is held at most, where that is asked for."""

REMOVED_SECONDS = Fraction(2)
"""How long somebody who was lost in the picture stays removed from it: the source shows the person, unasked."""

UNSURE = 0.5
"""A pose of less strength is not trusted."""
ENTERING = 0.93
"""At either end of a run a pose is not trusted below this share of the run's usual strength: half a body is seen."""
_ENTERING_SECONDS = Fraction(1, 2)
_SQUASHED, _SQUASHED_SECONDS, _SQUASHED_POSES = 0.4, Fraction(1, 8), 4
"""A trunk thinner than this share of its usual width, for no longer than this, as against so many poses either way."""
_EVIDENCE = 0.5
"""Score from which a point of a doubtful pose tells where the body is."""
_PACE_FRAMES = 4
"""Poses at an end of a run by which its pace is told."""
_EDGE = 0.02
"""Share of the picture's side within which a person touches its edge."""
_ROOM = 0.08
"""Share of a silhouette's side by which it is grown where the person is carried on: what it covers is removed."""
_LEAVING = 0.002
"""Share of the picture's longer side that a person moves a frame who leaves it."""


@dataclass(frozen=True, slots=True)
class LostSpan:
    """Frames ``first`` .. ``last`` in which a person's pose failed.

    ``why``: unseen (nothing was found), unsure (a doubtful pose), hidden (behind another person), edge (partly or
    wholly out of the picture). ``done``: interpolated, held, carried (went on at its pace), faded, behind (drawn behind
    the other person), source (the person is shown), covered (the person is hidden under a mosaic), removed (nothing is
    drawn, and the person is taken out of the picture), absent (nothing is known and nothing done).
    """

    first: int
    last: int
    why: str
    done: str


@dataclass(frozen=True, slots=True, eq=False)
class Presence:
    """A person in every frame in which something is done about them.

    ``opacity`` 0..1 of the avatar and ``shown`` (whether the source shows through) are aligned with the track.
    """

    track: Track
    opacity: tuple[float, ...]
    shown: tuple[bool, ...]
    spans: tuple[LostSpan, ...]


def doubtful(track: Track, strength: Sequence[float], rate: Fraction) -> frozenset[int]:
    """Frames whose poses are not trusted.

    ``strength`` 0..1, aligned with the track, says how sure a pose is. A weak pose is doubtful, and at the ends of each
    run of frames also one that is weaker than the run's usual: of who comes into the picture only a part is seen at
    first. So is a body that is squashed for a moment. Where a run has none that is sure, all of it stands.
    """
    squashed = _squashed(track, rate)
    weak: set[int] = set()
    for run in _runs(track.frame_indices):
        sure = np.array([strength[i] for i in run])
        least = ENTERING * float(np.median(sure))
        ends = max(1, round(rate * _ENTERING_SECONDS))
        places = {i for i, value in zip(run, sure, strict=True) if value < UNSURE or i in squashed}
        for way in (run, run[::-1]):
            firm = next(n for n, i in enumerate(way) if strength[i] >= least)
            if firm <= ends:
                places.update(way[:firm])
        if len(places) < len(run):
            weak |= {track.frame_indices[i] for i in places}
    return frozenset(weak)


def _squashed(track: Track, rate: Fraction) -> frozenset[int]:
    """Places at which both sides of the trunk fall together for a moment, and part again as they were.

    A body that truly turns passes its sides through each other to the other side, or has one nearer than the other.
    """
    skeleton, least = track.poses[0].skeleton, 2 * _SQUASHED_POSES + 1
    pairs = [[f"{side}_{part}" for side in ("left", "right")] for part in ("shoulder", "hip")]
    if len(track.poses) < least or not {point for pair in pairs for point in pair} <= set(skeleton.points):
        return frozenset()
    left, right = np.array([[skeleton.index(point) for point in pair] for pair in pairs]).T
    across = np.array([pose.xy[left, 0] - pose.xy[right, 0] for pose in track.poses])
    depth = np.array([np.zeros(2) if pose.z is None else pose.z[left] - pose.z[right] for pose in track.poses])
    width = np.hypot(across, depth).mean(axis=1)
    thin = width < _SQUASHED * median_filter(width, least, mode="nearest")
    found: list[int] = []
    for is_thin, group in groupby(range(len(thin)), key=lambda i: bool(thin[i])):
        run = list(group)
        if is_thin and run[0] > 0 and run[-1] < len(thin) - 1 and len(run) <= max(1, round(rate * _SQUASHED_SECONDS)):
            ends = across[[run[0] - 1, run[-1] + 1]].sum(axis=1)
            found += run if ends[0] * ends[1] > 0 else []
    return frozenset(found)


def trusted(track: Track, doubts: Collection[int]) -> Track:
    """The track with its doubtful poses replaced by the nearest trusted ones, put where the doubtful ones are sure.

    A body between two trusted poses turns from one to the other. Masks of doubtful frames are kept.
    """
    sure = [i for i, index in enumerate(track.frame_indices) if index not in doubts]
    if not sure or not doubts:
        return track
    poses = list(track.poses)
    for i, index in enumerate(track.frame_indices):
        if index in doubts:
            before = max((k for k in sure if k < i), default=None)
            after = min((k for k in sure if k > i), default=None)
            shape = _between(track, before, after, index)
            poses[i] = replace(_anchored(shape, track.poses[i]), mask=track.poses[i].mask)
    return replace(track, poses=tuple(poses))


def _between(track: Track, before: int | None, after: int | None, index: int) -> Pose:
    """The body at a frame from the trusted poses at the places ``before`` and ``after`` of a track."""
    if before is not None and after is not None:
        first, last = track.frame_indices[before], track.frame_indices[after]
        return in_between(track.poses[before], track.poses[after], (index - first) / (last - first), eased=False)
    place = after if before is None else before
    assert place is not None  # the caller has a trusted pose
    return track.poses[place]


def _anchored(shape: Pose, seen: Pose) -> Pose:
    """A body moved to where the sure points of a doubtful pose are; as it is where nothing is sure."""
    both = (seen.score >= _EVIDENCE) & (shape.score > 0)
    return _moved(shape, np.median((seen.xy - shape.xy)[both], axis=0)) if both.any() else shape


def _moved(pose: Pose, shift: Float32Array) -> Pose:
    """A pose, its box and its mask shifted by f32 [2] pixels."""
    mask = pose.mask
    if mask is not None:
        affine = mask.affine.copy()
        affine[:, 2] += shift
        mask = replace(mask, affine=affine)
    return replace(pose, xy=pose.xy + shift, bbox=pose.bbox + np.tile(shift, 2), mask=mask)


def fill_gaps(track: Track, most: int, on_lost: OnLost) -> Track:
    """The track with poses put where at most ``most`` frames in a row are missing; they have no mask.

    The body turns from the pose before to the pose after; with ``hold`` it keeps the pose before. Scores are the
    smaller of the two.
    """
    whole: list[tuple[int, Pose]] = []
    for index, pose in zip(track.frame_indices, track.poses, strict=True):
        if whole and 1 < index - whole[-1][0] <= most + 1:
            first, before = whole[-1]
            for missing in range(first + 1, index):
                share = 0.0 if on_lost == "hold" else (missing - first) / (index - first)
                whole.append((missing, in_between(before, pose, share, eased=False)))
        whole.append((index, pose))
    return _track(track.id, whole)


def presence(
    track: Track,
    missing: Mapping[int, str],
    *,
    shot: range,
    size: tuple[int, int],
    rate: Fraction,
    on_lost: OnLost,
) -> Presence:
    """The person in every frame of a shot in which something is done about them.

    ``track`` has the trusted poses with short gaps filled; ``missing`` says of its frames that were not found why:
    unseen, unsure or hidden. ``size`` is the picture's (width, height), ``rate`` frames a second. At the ends of each
    run the person is carried on out of the picture where they leave it, and fades where they do not.
    """
    timing = _Timing.of(rate)
    drawn = {index: _Drawn(pose) for index, pose in zip(track.frame_indices, track.poses, strict=True)}
    away = _frames_away([missing.get(index, "hidden") == "hidden" for index in track.frame_indices])
    for index, steps in zip(track.frame_indices, away, strict=True):
        if index in missing:
            drawn[index] = _failed(drawn[index].pose, missing[index], timing.fading(steps), on_lost)
    runs = [[track.frame_indices[i] for i in run] for run in _runs(track.frame_indices)]
    limits = [shot.start, *((a[-1] + b[0]) // 2 + 1 for a, b in pairwise(runs)), shot.stop]
    for run, (first, stop) in zip(runs, pairwise(limits), strict=True):
        poses = [drawn[index].pose for index in run]
        for way, room in ((1, stop - 1 - run[-1]), (-1, run[0] - first)):
            end = run[-1] if way > 0 else run[0]
            ends_shot = end + way * room in (shot.start, shot.stop - 1) and room <= timing.gap
            tail = _tail(poses[::way], size, timing, on_lost, room, ends_shot=ends_shot)
            drawn.update((end + way * step, frame) for step, frame in enumerate(tail, start=1))
    return _as_presence(track.id, drawn)


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """What is drawn of a person in one frame; ``why`` and ``done`` are empty where the pose was found."""

    pose: Pose
    opacity: float = 1.0
    shown: bool = False
    why: str = ""
    done: str = ""


@dataclass(frozen=True, slots=True)
class _Timing:
    """The times of this module in frames."""

    gap: int
    fade: int
    edge: int
    hold: int
    removed: int

    @classmethod
    def of(cls, rate: Fraction) -> _Timing:
        seconds = (GAP_SECONDS, FADE_SECONDS, EDGE_SECONDS, HOLD_SECONDS, REMOVED_SECONDS)
        return cls(*(max(1, round(rate * time)) for time in seconds))

    def fading(self, steps: int) -> float:
        """Opacity so many frames away from one that was found."""
        return max(0.0, 1.0 - steps / (self.fade + 1))


def _failed(pose: Pose, why: str, fading: float, on_lost: OnLost) -> _Drawn:
    """A frame of a track that was filled in."""
    if why == "hidden":
        return _Drawn(pose, why=why, done="behind")
    if on_lost == "source":
        return _Drawn(pose, fading, True, why, "source")
    if on_lost == "fade":
        return _Drawn(pose, fading, False, why, "faded")
    return _Drawn(pose, why=why, done="held" if on_lost == "hold" and why == "unseen" else "interpolated")


def _tail(
    run: Sequence[Pose], size: tuple[int, int], timing: _Timing, on_lost: OnLost, room: int, *, ends_shot: bool
) -> list[_Drawn]:
    """What is drawn after a run of poses (read backwards: before it), in at most ``room`` frames."""
    last, pace = run[-1], _pace(run[-_PACE_FRAMES:])
    around = last if last.mask is None else replace(last, mask=_grown(last.mask))
    leaving = _leaving(last, pace, size, timing.fade)
    why = "edge" if leaving else "unseen"
    carried = timing.edge if leaving else room if ends_shot and on_lost in ("interpolate", "hold") else 0
    held = timing.hold if on_lost == "hold" and not leaving else 0
    tail: list[_Drawn] = []
    for step in range(1, min(room, max(carried, held) + timing.fade + timing.removed) + 1):
        moving = min(step, carried + timing.fade) if not held else 0
        pose = _moved(around, np.float32(moving) * pace)
        if not _in_sight(pose, size):
            break
        fading = timing.fading(max(0, step - max(carried, held)))
        if on_lost == "source":
            tail.append(_Drawn(pose, timing.fading(step), True, why, "source"))
        elif fading == 0.0:
            tail.append(_Drawn(pose, 0.0, False, why, "removed"))
        else:
            done = "faded" if fading < 1.0 else "held" if held else "carried"
            tail.append(_Drawn(pose, fading, False, why, done))
    return tail


def _grown(mask: Mask) -> Mask:
    """A silhouette with room around it: where somebody goes on unseen is known roughly."""
    room = 2 * round(_ROOM * max(mask.alpha.shape)) + 1
    return replace(mask, alpha=np.asarray(maximum_filter(mask.alpha, room), np.uint8))


def _pace(poses: Sequence[Pose]) -> Float32Array:
    """f32 [2] pixels a frame by which a body moves on the whole."""
    return np.asarray(np.median(poses[-1].xy - poses[0].xy, axis=0) / max(1, len(poses) - 1), np.float32)


def _leaving(pose: Pose, pace: Float32Array, size: tuple[int, int], soon: int) -> bool:
    """Whether a person reaches an edge of the picture in ``soon`` frames, if not yet there, and moves across it."""
    margin, box = _EDGE * np.array(size), pose.bbox + np.float32(soon) * np.tile(pace, 2)
    low, high = box[:2] <= margin, box[2:] >= np.array(size) - 1 - margin
    return bool((low & (pace < 0) | high & (pace > 0)).any() and np.abs(pace).max() > _LEAVING * max(size))


def _in_sight(pose: Pose, size: tuple[int, int]) -> bool:
    return bool((pose.bbox[2:] > 0).all() and (pose.bbox[:2] < np.array(size) - 1).all())


def _frames_away(found: Sequence[bool]) -> list[int]:
    """How many places each entry is from the nearest that was found."""
    places, last = np.arange(len(found)), len(found)
    before = np.maximum.accumulate(np.where(found, places, -last))
    after = np.minimum.accumulate(np.where(found, places, 2 * last)[::-1])[::-1]
    away: list[int] = np.minimum(places - before, after - places).tolist()
    return away


def _runs(indices: Sequence[int]) -> list[list[int]]:
    """The places of each run of consecutive frames."""
    groups = groupby(enumerate(indices), key=lambda pair: pair[1] - pair[0])
    return [[place for place, _ in group] for _, group in groups]


def _track(track_id: int, whole: Sequence[tuple[int, Pose]]) -> Track:
    return Track(track_id, tuple(index for index, _ in whole), tuple(pose for _, pose in whole))


def _as_presence(track_id: int, drawn: Mapping[int, _Drawn]) -> Presence:
    order = sorted(drawn)
    return Presence(
        _track(track_id, [(index, drawn[index].pose) for index in order]),
        tuple(drawn[index].opacity for index in order),
        tuple(drawn[index].shown for index in order),
        tuple(_spans(range(order[0], order[-1] + 1), drawn)),
    )


def _spans(frames: range, drawn: Mapping[int, _Drawn]) -> Iterator[LostSpan]:
    """The runs of frames that failed in one way, those in which nothing is done among them."""

    def way(index: int) -> tuple[str, str]:
        return (drawn[index].why, drawn[index].done) if index in drawn else ("unseen", "absent")

    for (why, done), group in groupby(frames, key=way):
        if done:
            span = list(group)
            yield LostSpan(span[0], span[-1], why, done)
