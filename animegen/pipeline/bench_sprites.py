"""Sprites as the style anime is asked for them in a conversion: figures alone, and with heads and hands laid in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import product
from pathlib import Path

from animegen.pipeline.anime import AnimeStyle, make_style
from animegen.pipeline.anime_parts import FIGURES
from animegen.protocols import PluginContext
from animegen.testing import synthetic_identity, synthetic_pose
from animegen.types import RenderRequest, Track

_FEET, _TALL = (400.0, 700.0), 400.0
_RATE = 25


@dataclass(frozen=True, slots=True)
class SpriteTime:
    """Sprites of one kind: how many a second at the median round, the slowest and the fastest, and what one takes."""

    kind: str
    size: int
    batch: int
    sprites: tuple[float, float, float]
    gflop: float


@dataclass(frozen=True, slots=True)
class SpriteWork:
    """What is to be timed: one batch of sprites. ``gflop`` is that of the networks for each."""

    kind: str
    size: int
    batch: int
    gflop: float
    run: Callable[[], object]

    def time(self, sprites: tuple[float, float, float]) -> SpriteTime:
        """With the rates that were measured."""
        return SpriteTime(self.kind, self.size, self.batch, sprites, self.gflop)


def sprite_work(
    weights: Path, parts: Mapping[str, Path], context: PluginContext, *, sizes: Sequence[int], batches: Sequence[int]
) -> list[SpriteWork]:
    """Batches of a standing person, a little different in each frame, whose square has ``sizes`` pixels.

    ``weights`` are the figures', ``parts`` those of what is laid in, by the names that the style has them under, where
    sprites are to be measured with it too. Raises WeightsError where the style cannot use them.
    """
    kinds = {"figure": {FIGURES: weights}, **({"with parts": {FIGURES: weights, **parts}} if parts else {})}
    styles = {kind: make_style(None, replace(context, weights=files)) for kind, files in kinds.items()}
    work = []
    for kind, style in styles.items():
        for size, batch in product(sizes, batches):
            requests = _requests(style, size, batch)
            gflop = style.flops(requests[0].prepared) / 1e9
            work.append(SpriteWork(kind, size, batch, gflop, partial(style.render, requests)))
    return work


def _requests(style: AnimeStyle, size: int, count: int) -> list[RenderRequest]:
    """Frames of one person, as large as their canvas wants."""
    identity = synthetic_identity()
    side = style.prepare(identity, _track(_TALL, count), ())["canvas"][:, 2].max()
    track = _track(_TALL * size / side, count)
    prepared = style.prepare(identity, track, ())
    return [
        RenderRequest(identity, prepared, pose, frame, Fraction(frame, _RATE), float(size), float(frame))
        for frame, pose in zip(track.frame_indices, track.poses, strict=True)
    ]


def _track(height: float, count: int) -> Track:
    return Track(0, tuple(range(count)), tuple(synthetic_pose(feet=_FEET, height=height, seed=i) for i in range(count)))
