"""The contract of :class:`animegen.protocols.IdentityPreserver`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from animegen.protocols import ComparingPreserver, IdentityPreserver
from animegen.testing.checks import require
from animegen.testing.synthetic import synthetic_crop, synthetic_identity, synthetic_track
from animegen.types import PARTS, Crop, Identity, PartColour, Track


def check_identity_preserver(preserver: IdentityPreserver) -> None:
    """Raise AssertionError unless an identity preserver keeps its contract.

    Enrolling is a pure function of the track and its crops, works without any crop, keeps two tracks apart by their
    keys, and finds colours that exist; matching names a position of the gallery or nobody. Where it tells differences,
    nobody differs from themselves, and it tells the same both ways.
    """
    people = []
    for seed in range(2):
        track = synthetic_track(length=4, id=seed + 1)
        crops = _crops(track, seed)
        identity = preserver.enroll(track, crops)
        _check_identity(identity, f"track {track.id}")
        again = preserver.enroll(track, crops)
        require(identity.palette == again.palette, f"enrolling track {track.id} twice gives two palettes")
        require((identity.key, identity.seed) == (again.key, again.seed), "enrolling twice gives two keys or seeds")
        _check_identity(preserver.enroll(track, ()), f"track {track.id} without crops")
        people.append(identity)
    require(people[0].key != people[1].key, f"two tracks get one key, '{people[0].key}'")
    require(preserver.match(people[0], ()) is None, "nobody can be matched in an empty gallery")
    for identity in people:
        found = preserver.match(identity, people)
        fits = found is None or (isinstance(found, int) and 0 <= found < len(people))
        require(fits, f"match must return a position of the gallery or None, got {found!r}")
    if isinstance(preserver, ComparingPreserver):
        _check_differences(preserver, people)


def _check_differences(preserver: ComparingPreserver, people: Sequence[Identity]) -> None:
    for a in people:
        for b in people:
            told, back = preserver.difference(a, b), preserver.difference(b, a)
            require(told is None or told >= 0, f"difference must be None or at least 0, got {told!r}")
            require(told == back, f"difference must be the same both ways, got {told!r} and {back!r}")
        own = preserver.difference(a, a)
        require(own is None or own <= 1 or own == math.inf, f"nobody differs from themselves, got {own!r}")


def _crops(track: Track, seed: int) -> list[Crop]:
    person = synthetic_identity(seed)
    frames = zip(track.frame_indices, track.poses, strict=True)
    return [synthetic_crop(pose, person, index) for index, pose in frames]


def _check_identity(identity: Identity, who: str) -> None:
    require(isinstance(identity, Identity), f"enroll must return an Identity for {who}, got {identity!r:.60}")
    require(bool(identity.key), f"the identity of {who} has no key")
    for part in PARTS:
        colour: PartColour = getattr(identity.palette, part)
        real = all(math.isfinite(value) for value in colour.lab) and 0 <= colour.lab[0] <= 100
        require(real, f"{part} of {who} must be a CIELAB colour, got {colour.lab}")
        require(0 <= colour.confidence <= 1, f"the confidence of {part} must be 0..1, got {colour.confidence} ({who})")
