"""The contract of :class:`animegen.protocols.Style`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from animegen.pose.skeletons import BLAZEPOSE33, BLAZEPOSE75, COCO17
from animegen.protocols import CastingStyle, Style
from animegen.testing.checks import frozen, require
from animegen.testing.synthetic import synthetic_crop, synthetic_identity, synthetic_pose
from animegen.types import Float64Array, Identity, Pose, Prepared, RenderRequest, Skeleton, Sprite, Track

_VISIBLE = 32
"""Alpha from which a pixel of a sprite counts as drawn."""

_SURE = 0.5
"""Score of the least sure point from which a person counts as well seen."""
_HARD = ("tiny", "less than a pixel", "coincide")
"""People of whom a style may draw nothing."""


def check_style(
    style: Style,
    *,
    skeletons: Sequence[Skeleton] = (BLAZEPOSE75, BLAZEPOSE33, COCO17),
    needs_crop: bool = False,
    tolerance: int = 0,
) -> None:
    """Raise AssertionError unless a style keeps its contract on poses of the given skeletons.

    Rendering must be a pure function of the request: the same alone, in a batch, in another order and a second time,
    to ``tolerance`` grey levels (0 for a style that draws; a network may need 1). Sprites are premultiplied, lie on
    the person, and exist for tiny, huge, half-visible and barely known people. A style that casts gives everyone an
    avatar that it takes back. ``needs_crop`` as in the style's spec.
    """
    require(list(style.render([])) == [], "render([]) must return an empty list")
    if isinstance(style, CastingStyle):
        _check_casting(style)
    for skeleton in skeletons:
        requests = []
        for seed, (name, pose) in enumerate(_poses(skeleton)):
            identity = synthetic_identity(seed)
            prepared = _prepared(style, identity, Track(0, (seed,), (frozen(pose),)), name)
            crop = synthetic_crop(pose, identity, seed) if needs_crop else None
            size = float(pose.bbox[3] - pose.bbox[1])
            request = RenderRequest(identity, prepared, pose, seed, Fraction(seed, 25), size, seed + 0.5, crop)
            requests.append((f"{name} ({skeleton.name})", request))
        _check_rendering(style, requests, tolerance)


def _check_casting(style: CastingStyle) -> None:
    """Everyone gets an avatar: the same each time, and the one that they have already."""
    for count in (0, 1, 40):
        people = [synthetic_identity(seed) for seed in range(count)]
        names = list(style.cast(people))
        require(len(names) == count, f"cast must name {count} avatars for as many people, got {len(names)}")
        require(all(isinstance(name, str) and name for name in names), f"avatars are named by text, got {names}")
        require(names == list(style.cast(people)), "cast gives the same people other avatars the second time")
        known = [replace(person, avatar=name) for person, name in zip(people[::-1], names, strict=True)]
        require(names == list(style.cast(known)), "cast must leave people the avatars that they have")


def _poses(skeleton: Skeleton) -> Iterator[tuple[str, Pose]]:
    """Everything that happens in footage: each name says what the pose shows."""
    for facing in ("front", "back", "left", "right"):
        yield f"a person seen from the {facing}", synthetic_pose(skeleton, facing=facing)
    yield "a person in motion", synthetic_pose(skeleton, seed=1)
    yield "a person in other motion", synthetic_pose(skeleton, seed=2)
    yield "a tiny person", synthetic_pose(skeleton, height=7.0, feet=(31.0, 17.0))
    yield "a person of less than a pixel", synthetic_pose(skeleton, height=0.5, feet=(31.0, 17.0))
    yield "a huge person", synthetic_pose(skeleton, height=1500.0, feet=(300.0, 1300.0))
    yield "a person partly outside the picture", synthetic_pose(skeleton, feet=(-20.0, 330.0))
    standing = synthetic_pose(skeleton)
    yield "a person without depth", replace(standing, z=None)
    yield "a person of low scores", replace(standing, score=np.full_like(standing.score, 0.05))
    upper = standing.xy[:, 1] < standing.xy[:, 1].mean()
    yield "a person whose lower half is unknown", replace(standing, score=np.where(upper, standing.score, 0))
    one = np.zeros_like(standing.score)
    one[0] = 0.9
    yield "a person of one known point", replace(standing, score=one)
    yield "a person of no known point", replace(standing, score=np.zeros_like(standing.score))
    same = np.tile(standing.xy.mean(axis=0), (len(skeleton), 1))
    yield "a person whose points all coincide", replace(standing, xy=same)


def _prepared(style: Style, identity: Identity, track: Track, name: str) -> Prepared:
    """What ``prepare`` returns, without and with a picture of the person, checked to be arrays that can be saved."""
    for crops in ((), (synthetic_crop(track.poses[0], identity, track.frame_indices[0]),)):
        prepared = style.prepare(identity, track, crops)
        require(isinstance(prepared, Mapping), f"prepare must return a mapping for {name}, got {prepared!r:.60}")
        for key, array in prepared.items():
            plain = isinstance(array, np.ndarray) and not array.dtype.hasobject
            require(plain and isinstance(key, str), f"prepare: '{key}' must be a named array without objects ({name})")
    return prepared


def _check_rendering(style: Style, named: Sequence[tuple[str, RenderRequest]], tolerance: int) -> None:
    requests = [replace(request, pose=frozen(request.pose)) for _, request in named]
    batch = list(style.render(requests))
    require(len(batch) == len(requests), f"render must return {len(requests)} sprites, got {len(batch)}")
    for (name, request), sprite in zip(named, batch, strict=True):
        _check_sprite(sprite, request, name)
        if all(word not in name for word in _HARD) and request.pose.score.min() > _SURE:
            _check_place(sprite, request.pose, name)
    backwards = list(style.render(requests[::-1]))[::-1]
    for (name, _), request, together, turned in zip(named, requests, batch, backwards, strict=True):
        _check_same(together, turned, tolerance, f"{name} differs when the batch is in another order")
        alone = style.render([request])
        require(len(alone) == 1, f"render must return one sprite for one request, got {len(alone)} ({name})")
        _check_same(together, alone[0], tolerance, f"{name} differs between a batch and alone")
        _check_same(style.render([request])[0], alone[0], 0, f"{name} differs the second time")


def _check_sprite(sprite: Sprite, request: RenderRequest, name: str) -> None:
    require(isinstance(sprite, Sprite), f"render must return sprites, got {type(sprite).__name__} for {name}")
    require(sprite.order == request.order, f"order must be the request's {request.order}, got {sprite.order} ({name})")
    require(bool(np.isfinite(sprite.affine).all()), f"the affine must be finite, got {sprite.affine} ({name})")
    require(abs(_scale(sprite.affine)) > 0, f"the affine must be invertible, got {sprite.affine} ({name})")
    over = sprite.rgba[..., :3] > sprite.rgba[..., 3:]
    require(not over.any(), f"{name}: colour above alpha at {over.any(axis=-1).sum()} pixels; see Sprite.from_straight")


def _scale(affine: Float64Array) -> float:
    return float(np.linalg.det(affine[:, :2]))


def _check_place(sprite: Sprite, pose: Pose, name: str) -> None:
    """A person well seen is drawn, and drawn where they are."""
    rows, columns = np.nonzero(sprite.rgba[..., 3] >= _VISIBLE)
    require(rows.size > 0, f"nothing is drawn for {name}")
    centre = sprite.affine @ np.array([columns.mean(), rows.mean(), 1.0])
    low, high = pose.bbox[:2].astype(np.float64), pose.bbox[2:].astype(np.float64)
    inside = bool((centre > low).all() and (centre < high).all())
    require(inside, f"{name} is drawn around {centre.round(1)}, outside their box {pose.bbox.round(1)}")


def _check_same(a: Sprite, b: Sprite, tolerance: int, text: str) -> None:
    require(a.rgba.shape == b.rgba.shape, f"{text}: {a.rgba.shape} against {b.rgba.shape}")
    off = int(np.abs(a.rgba.astype(np.int16) - b.rgba).max(initial=0))
    require(off <= tolerance, f"{text}: by up to {off} grey levels")
    require(np.array_equal(a.affine, b.affine), f"{text}: the affines are not equal")
