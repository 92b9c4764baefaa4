"""Sprites as the style anime is asked for them in a conversion: frames of one person who stands and moves a little."""

from __future__ import annotations

from fractions import Fraction

from animegen.pipeline.anime import AnimeStyle
from animegen.testing import synthetic_identity, synthetic_pose
from animegen.types import RenderRequest, Track

_SHOWN = 0.9
"""Of a sprite's side: sprites may be drawn a little larger than they are shown."""
_FEET, _TALL = (400.0, 700.0), 400.0
_RATE = 25


def sprite_requests(style: AnimeStyle, size: int, count: int) -> list[RenderRequest]:
    """Frames of a person whose sprite has ``size`` pixels, a little different each."""
    identity = synthetic_identity()
    side = style.prepare(identity, _track(_TALL, count), ())["canvas"][:, 2].max()
    track = _track(_TALL * _SHOWN * size / side, count)
    prepared = style.prepare(identity, track, ())
    return [
        RenderRequest(identity, prepared, pose, frame, Fraction(frame, _RATE), float(size), float(frame))
        for frame, pose in zip(track.frame_indices, track.poses, strict=True)
    ]


def _track(height: float, count: int) -> Track:
    return Track(0, tuple(range(count)), tuple(synthetic_pose(feet=_FEET, height=height, seed=i) for i in range(count)))
