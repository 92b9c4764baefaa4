"""When the pose of a person cannot be found: which poses are not to be trusted, and what is drawn in their place.

Used in the second pass, after tracking, on one person and one shot at a time: ``doubtful`` finds poses that are likely
wrong, ``trusted`` replaces them, ``fill_gaps`` bridges short absences, and ``presence`` decides what is done before,
between and after the frames in which the person was found. Replaced poses have the shape of the body in the frames
around, at the place that the well-seen points of the doubtful pose tell.
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
"""How long a person who was lost inside the picture stays removed from it: the source still shows them, and they must
not reappear as they were filmed."""

UNSURE = 0.5
"""A pose of less strength is not trusted."""
ENTERING = 0.93
"""At either end of a run of poses, one of less than this share of the run's usual strength is not trusted: a person who
comes into view is first seen in part."""
_ENTERING_SECONDS = Fraction(1, 2)
_SQUASHED, _SQUASHED_SECONDS, _SQUASHED_POSES = 0.4, Fraction(1, 8), 4
"""A trunk is squashed where it is thinner than this share of its median width over so many poses on either side, for no
longer than the time in the middle."""
_EVIDENCE = 0.5
"""Score from which a point of a doubtful pose tells where the body is."""
_PACE_FRAMES = 4
"""Poses at the end of a run from which the speed of the person is estimated."""
_EDGE = 0.02
"""Share of the picture's side within which a person touches its edge."""
_ROOM = 0.08
"""Share of a silhouette's side by which it is grown where a person is carried on: what it covers will be removed, and
where the person is by then is known only roughly."""
_LEAVING = 0.002
"""Share of the picture's longer side by which a person must move in a frame to count as leaving it."""


@dataclass(frozen=True, slots=True)
class LostSpan:
    """Frames ``first`` .. ``last`` in which a person's pose could not be found, with the reason and the remedy.

    ``why`` is one of ``unseen`` (nothing was found), ``unsure`` (what was found is doubtful), ``hidden`` (behind
    another person) and ``edge`` (partly or wholly outside of the picture).

    ``done`` says what was drawn: a pose that was ``interpolated``, ``held``, ``carried`` (moved on at the speed before)
    or ``behind`` (put behind the person in front); an avatar that ``faded``; the ``source``; the person ``covered`` by
    a mosaic; nothing, with the person ``removed`` from the picture; or nothing, with nobody known to be there
    (``absent``).
    """

    first: int
    last: int
    why: str
    done: str


@dataclass(frozen=True, slots=True, eq=False)
class Presence:
    """A person in every frame of a shot in which they are drawn, shown or removed.

    ``track`` has a pose for each of these frames, found or not; ``opacity`` 0..1 of the avatar and ``shown``, whether
    the source shows the person, are aligned with it. ``spans`` are all frames in which the pose was not found.
    """

    track: Track
    opacity: tuple[float, ...]
    shown: tuple[bool, ...]
    spans: tuple[LostSpan, ...]


def doubtful(track: Track, strength: Sequence[float], rate: Fraction) -> frozenset[int]:
    """The frames of a track whose poses are not to be trusted.

    ``strength`` 0..1, aligned with the track, says how certain each pose is. Doubtful are weak poses; at the ends of
    each run of consecutive frames also those that are weaker than usual for the run, since a person who comes into view
    is first seen in part; and bodies that are squashed for a moment. A run in which all poses are doubtful is kept as
    it is.
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
    """Places in the track at which the left and right of the trunk coincide for a moment, and then are as before.

    That is an error of the backend. In a body that really turns, left and right change sides, or one of them is nearer.
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
    """The track with its doubtful poses replaced.

    The shape of the body is interpolated between the trusted poses before and after, and moved to where the well-seen
    points of the doubtful pose are. Masks of doubtful poses are kept.
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
    """A body moved to where the well-seen points of a doubtful pose are; where it is if there are none."""
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
    """Put poses where at most ``most`` frames in a row are missing from a track.

    They are interpolated between the pose before and the pose after, or equal that before with ``on_lost`` "hold".
    Their scores are the smaller ones of the two; they have no mask.
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
    """Decide what is done about a person in every frame of a shot.

    ``track`` has the trusted poses, with short gaps filled; ``missing`` maps those of its frames in which no pose was
    found to the reason (unseen, unsure, hidden). ``size`` is the picture's (width, height), ``rate`` in frames per
    second. Before and after each run of consecutive frames, a person who enters or leaves at an edge of the picture is
    carried on until out of it, and any other fades.
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
    """The durations above, in frames."""

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
        """The opacity of an avatar so many frames away from the nearest one in which the pose was found."""
        return max(0.0, 1.0 - steps / (self.fade + 1))


def _failed(pose: Pose, why: str, fading: float, on_lost: OnLost) -> _Drawn:
    """What is drawn in a frame of the track in which no pose was found."""
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
    """The speed of a body as a whole, f32 [2] in pixels a frame."""
    return np.asarray(np.median(poses[-1].xy - poses[0].xy, axis=0) / max(1, len(poses) - 1), np.float32)


def _leaving(pose: Pose, pace: Float32Array, size: tuple[int, int], soon: int) -> bool:
    """Whether a person reaches an edge of the picture in ``soon`` frames, if not yet there, and moves across it."""
    margin, box = _EDGE * np.array(size), pose.bbox + np.float32(soon) * np.tile(pace, 2)
    low, high = box[:2] <= margin, box[2:] >= np.array(size) - 1 - margin
    return bool((low & (pace < 0) | high & (pace > 0)).any() and np.abs(pace).max() > _LEAVING * max(size))


def _in_sight(pose: Pose, size: tuple[int, int]) -> bool:
    return bool((pose.bbox[2:] > 0).all() and (pose.bbox[:2] < np.array(size) - 1).all())


def _frames_away(found: Sequence[bool]) -> list[int]:
    """For each entry, how many places away the nearest one is that is true."""
    places, last = np.arange(len(found)), len(found)
    before = np.maximum.accumulate(np.where(found, places, -last))
    after = np.minimum.accumulate(np.where(found, places, 2 * last)[::-1])[::-1]
    away: list[int] = np.minimum(places - before, after - places).tolist()
    return away


def _runs(indices: Sequence[int]) -> list[list[int]]:
    """The positions in ``indices`` of each run of consecutive frames."""
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
    """The frames without a found pose, as spans of the same reason and remedy."""

    def way(index: int) -> tuple[str, str]:
        return (drawn[index].why, drawn[index].done) if index in drawn else ("unseen", "absent")

    for (why, done), group in groupby(frames, key=way):
        if done:
            span = list(group)
            yield LostSpan(span[0], span[-1], why, done)
