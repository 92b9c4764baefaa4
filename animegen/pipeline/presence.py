"""When everybody is drawn: raw tracks become whole ones, and every frame in which a pose failed is accounted for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from scipy.ndimage import gaussian_filter1d

from animegen.composite import depth_order
from animegen.pipeline.run import Run
from animegen.pose.files import open_npz
from animegen.pose.lost import GAP_SECONDS, LostSpan, doubtful, fill_gaps, presence, trusted
from animegen.pose.sides import repair_sides
from animegen.pose.smooth import smooth_track
from animegen.tracking import fill_hidden
from animegen.tracking.similarity import strength
from animegen.types import Mask, Pose, Track

HIDDEN_SECONDS = Fraction(6)
"""A person hidden behind another for no longer than this is drawn behind that person."""

ORDER_SECONDS = 0.25
"""Time scale over which a person's depth order is smoothed, so that nobody flickers in front of another."""


@dataclass(frozen=True, slots=True, eq=False)
class Present:
    """One person in every frame in which something is done about them: see
    :class:`animegen.pose.lost.Presence`.

    ``order`` is the depth order of each pose, larger is nearer.
    """

    track: Track
    opacity: tuple[float, ...]
    shown: tuple[bool, ...]
    order: tuple[float, ...]
    spans: tuple[LostSpan, ...]


def present(
    run: Run, tracks: Sequence[Track], slots: Mapping[int, Mapping[int, int]], shots: Sequence[range]
) -> list[Present]:
    """The people of a clip, aligned with their raw tracks.

    ``slots`` has by track id and frame index the position of a raw pose among its frame's, ``shots`` the frames
    between two cuts: nobody is carried across one.
    """
    by_shot: list[list[Present]] = [[] for _ in tracks]
    for shot in shots:
        parts = [within(track, shot) for track in tracks]
        here = [i for i, part in enumerate(parts) if part.poses]
        found = [slots[tracks[i].id] for i in here]
        for i, person in zip(here, _in_shot(run, [parts[i] for i in here], found, shot), strict=True):
            by_shot[i].append(person)
    return [_joined(people) for people in by_shot]


def unseen(run: Run, tracks: Sequence[Track], shots: Sequence[range]) -> dict[int, list[Pose]]:
    """About where people were in the frames in which they were not found: what shows there is no background.

    It follows from the tracks alone, whatever is done with the people.
    """
    rate = run.video.info.rate
    there: dict[int, list[Pose]] = {}
    for shot in shots:
        here = [part for part in (within(track, shot) for track in tracks) if part.poses]
        filled = [fill_gaps(part, round(rate * GAP_SECONDS), "interpolate") for part in here]
        for part, (whole, fronts) in zip(here, fill_hidden(filled, round(rate * HIDDEN_SECONDS)), strict=True):
            found = set(part.frame_indices) - fronts.keys()
            person = presence(whole, {}, shot=shot, size=run.size, rate=rate, on_lost="interpolate").track
            for index, pose in zip(person.frame_indices, person.poses, strict=True):
                if index not in found:
                    there.setdefault(index, []).append(pose)
    return there


def within(track: Track, shot: range) -> Track:
    """The part of a track that lies in a shot; it may have no frame."""
    places = [i for i, index in enumerate(track.frame_indices) if index in shot]
    return Track(track.id, tuple(track.frame_indices[i] for i in places), tuple(track.poses[i] for i in places))


def _joined(parts: Sequence[Present]) -> Present:
    first = parts[0]
    track = Track(
        first.track.id,
        tuple(index for part in parts for index in part.track.frame_indices),
        tuple(pose for part in parts for pose in part.track.poses),
    )
    return Present(
        track,
        tuple(value for part in parts for value in part.opacity),
        tuple(value for part in parts for value in part.shown),
        tuple(value for part in parts for value in part.order),
        tuple(span for part in parts for span in part.spans),
    )


def _in_shot(run: Run, tracks: Sequence[Track], slots: Sequence[Mapping[int, int]], shot: range) -> list[Present]:
    """The people of one shot: doubtful poses replaced, gaps filled, steadied, carried on at the ends."""
    rate, on_lost = run.video.info.rate, run.config.on_lost
    doubts = [doubtful(track, [strength(pose) for pose in track.poses], rate) for track in tracks]
    sure = [trusted(_with_sides(track, doubt), doubt) for track, doubt in zip(tracks, doubts, strict=True)]
    hidden = fill_hidden(
        [fill_gaps(track, round(rate * GAP_SECONDS), on_lost) for track in sure], round(rate * HIDDEN_SECONDS)
    )
    people = []
    for raw, doubt, (track, fronts), places in zip(tracks, doubts, hidden, slots, strict=True):
        steady = smooth_track(track, rate, [run.video.timeline.time(index) for index in track.frame_indices])
        why = dict.fromkeys(set(track.frame_indices) - set(raw.frame_indices), "unseen")
        why |= dict.fromkeys(doubt, "unsure") | dict.fromkeys(fronts, "hidden")
        masked = _with_masks(run, steady, places)
        people.append(presence(masked, why, shot=shot, size=run.size, rate=rate, on_lost=on_lost))
    orders = _orders([person.track for person in people], [fronts for _, fronts in hidden], rate)
    return [
        Present(person.track, person.opacity, person.shown, order, person.spans)
        for person, order in zip(people, orders, strict=True)
    ]


def _with_sides(track: Track, doubts: Collection[int]) -> Track:
    """The track with left and right as its trusted poses tell; doubtful ones would mislead them."""
    places = [i for i, index in enumerate(track.frame_indices) if index not in doubts]
    told = Track(track.id, tuple(track.frame_indices[i] for i in places), tuple(track.poses[i] for i in places))
    poses = dict(zip(track.frame_indices, track.poses, strict=True))
    poses |= zip(told.frame_indices, repair_sides(told).poses, strict=True)
    return replace(track, poses=tuple(poses.values()))


def _with_masks(run: Run, track: Track, slots: Mapping[int, int]) -> Track:
    """The track with the silhouettes of the poses at the ends of its runs: who is carried on keeps the silhouette."""
    indices = track.frame_indices
    there = set(indices)
    ends = {i for i in indices if not {i - 1, i + 1} <= there} & slots.keys()
    masks: dict[int, Mask | None] = {}
    for segment in run.segments:
        here = sorted(index for index in ends if segment.start <= index < segment.stop)
        if here:
            raw = open_npz(run.job.segment("poses", segment.index))
            masks |= {index: raw[index][slots[index]].mask for index in here}
    poses = (replace(pose, mask=masks.get(index)) for index, pose in zip(track.frame_indices, track.poses, strict=True))
    return replace(track, poses=tuple(poses))


def _orders(tracks: Sequence[Track], hidden: Sequence[Mapping[int, int]], rate: Fraction) -> list[tuple[float, ...]]:
    """Everyone's depth order per pose; ``hidden`` has by frame the position of the track behind which one must be."""
    smooth = [_smooth_order(track, rate) for track in tracks]
    at = [dict(zip(track.frame_indices, order, strict=True)) for track, order in zip(tracks, smooth, strict=True)]
    return [
        tuple(
            min(own, at[fronts[index]][index] - 1.0) if index in fronts else own
            for index, own in zip(track.frame_indices, order, strict=True)
        )
        for track, order, fronts in zip(tracks, smooth, hidden, strict=True)
    ]


def _smooth_order(track: Track, rate: Fraction) -> list[float]:
    raw = np.array([depth_order(pose) for pose in track.poses])
    smooth: list[float] = gaussian_filter1d(raw, float(rate) * ORDER_SECONDS, mode="nearest").tolist()
    return smooth
