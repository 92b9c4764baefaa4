"""People who never lived: poses, identities and pictures for tests, the same for the same arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from animegen.colour import lab_to_rgb
from animegen.pose.skeletons import BLAZEPOSE33
from animegen.types import (
    PARTS,
    Crop,
    Float32Array,
    Float64Array,
    Frame,
    Identity,
    Palette,
    PartColour,
    Pose,
    Skeleton,
    Track,
    Traits,
    Uint8Array,
)

Facing = Literal["front", "back", "left", "right"]

_BODY = {
    "nose": (0.0, 0.905, -0.06),
    "eye_inner": (0.012, 0.925, -0.05),
    "eye": (0.022, 0.926, -0.048),
    "eye_outer": (0.033, 0.925, -0.04),
    "ear": (0.045, 0.915, 0.0),
    "mouth": (0.016, 0.88, -0.05),
    "shoulder": (0.105, 0.81, 0.0),
    "elbow": (0.155, 0.63, 0.0),
    "wrist": (0.165, 0.47, -0.04),
    "pinky": (0.17, 0.42, -0.04),
    "index": (0.16, 0.41, -0.05),
    "thumb": (0.15, 0.43, -0.06),
    "hand_0": (0.165, 0.47, -0.04),
    **{f"hand_{1 + i}": (0.157 - 0.004 * i, 0.453 - 0.013 * i, -0.05 - 0.005 * i) for i in range(4)},
    **{f"hand_{5 + i}": (0.16, 0.41 - 0.016 * i, -0.05) for i in range(4)},
    **{f"hand_{9 + i}": (0.163, 0.409 - 0.018 * i, -0.047) for i in range(4)},
    **{f"hand_{13 + i}": (0.167, 0.412 - 0.016 * i, -0.043) for i in range(4)},
    **{f"hand_{17 + i}": (0.17, 0.42 - 0.012 * i, -0.04) for i in range(4)},
    "hip": (0.06, 0.52, 0.0),
    "knee": (0.065, 0.28, -0.01),
    "ankle": (0.07, 0.05, 0.0),
    "heel": (0.07, 0.02, 0.03),
    "foot_index": (0.08, 0.01, -0.07),
}
"""A standing person of height 1, feet at 0: x to the person's left, y up, z away from the viewer whom they face."""

_TURN = {"front": 0.0, "left": np.pi / 2, "back": np.pi, "right": -np.pi / 2}


def synthetic_pose(
    skeleton: Skeleton = BLAZEPOSE33,
    *,
    feet: tuple[float, float] = (160.0, 220.0),
    height: float = 200.0,
    facing: Facing = "front",
    score: float = 0.9,
    seed: int | None = None,
) -> Pose:
    """A standing person: ``feet`` (x, y) and ``height`` in frame pixels; points found by the skeleton's names.

    ``seed`` moves the limbs at random, up to a thirtieth of the height. Points that no standing person has get score 0.
    """
    body = np.array([_place(point) for point in skeleton.points], np.float64)
    known: NDArray[np.bool_] = np.isfinite(body[:, 0])
    body[~known] = (0.0, 0.5, 0.0)
    if seed is not None:
        body += np.random.default_rng(seed).uniform(-1 / 30, 1 / 30, body.shape) * [1.0, 1.0, 0.3]
    angle = _TURN[facing]
    across, up, depth = body.T
    x = across * np.cos(angle) - depth * np.sin(angle)
    z = across * np.sin(angle) + depth * np.cos(angle)
    xy = np.stack([feet[0] + x * height, feet[1] - up * height], axis=1).astype(np.float32)
    scores = np.where(known, score, 0.0).astype(np.float32)
    box = np.array([*xy.min(axis=0), *xy.max(axis=0)], np.float32)
    box += np.array([-0.06, -0.1, 0.06, 0.02], np.float32) * np.float32(height)
    return Pose(skeleton, xy, scores, box, z=(z * height).astype(np.float32))


def _place(point: str) -> tuple[float, float, float]:
    """Where a named point stands on the body; NaN for a point the body does not have."""
    side = 1.0 if "left" in point else -1.0
    bare = point.replace("left", "").replace("right", "").strip("_")
    x, y, z = _BODY.get(bare, (np.nan, np.nan, np.nan))
    return side * x, y, z


def synthetic_identity(seed: int = 0) -> Identity:
    """A person with six colours of their own, drawn from ``seed``."""
    rng = np.random.default_rng([7, seed])

    def colour() -> PartColour:
        lab = (float(rng.uniform(25, 85)), float(rng.uniform(-40, 40)), float(rng.uniform(-40, 40)))
        return PartColour(lab, 0.9)

    palette = Palette(**{part: colour() for part in PARTS})
    palette = replace(palette, skin=PartColour((float(rng.uniform(45, 80)), 14.0, 18.0), 0.9))
    return Identity(f"person-{seed}", palette, Traits(), style="", seed=seed)


def synthetic_frame(
    people: Sequence[tuple[Pose, Identity]] = (), *, size: tuple[int, int] = (320, 240), index: int = 0, rate: int = 25
) -> Frame:
    """A picture of ``size`` (width, height): a soft gradient with each person as coloured limbs."""
    width, height = size
    image = np.empty((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(60, 140, width)
    image[..., 1] = np.linspace(90, 170, height)[:, None]
    image[..., 2] = 120
    for pose, identity in people:
        _paint(image, pose, identity)
    image.flags.writeable = False
    return Frame(index, Fraction(index, rate), image)


def _paint(image: Uint8Array, pose: Pose, identity: Identity) -> None:
    """Draw the limbs of a pose as thick lines: legs, then the upper body, then the head."""
    radius = 0.03 * float(pose.bbox[3] - pose.bbox[1])
    limbs = [(a, b) for a, b in pose.skeleton.edges if min(pose.score[a], pose.score[b]) > 0]
    for names, part in ((("knee", "ankle", "foot"), "lower"), (("shoulder", "elbow", "wrist", "hip"), "upper")):
        rgb = lab_to_rgb(getattr(identity.palette, part).lab)
        for a, b in limbs:
            if any(name in pose.skeleton.points[b] for name in names):
                _stroke(image, pose.xy[a], pose.xy[b], radius, rgb)
    if "nose" in pose.skeleton.points:
        nose = pose.xy[pose.skeleton.index("nose")]
        _stroke(image, nose, nose, 2.2 * radius, lab_to_rgb(identity.palette.skin.lab))


def _stroke(image: Uint8Array, start: Float32Array, end: Float32Array, radius: float, rgb: Uint8Array) -> None:
    """Colour every pixel nearer than ``radius`` to a line segment."""
    size = image.shape[1::-1]
    left, top = np.clip(np.floor(np.minimum(start, end) - radius), 0, size).astype(int)
    right, bottom = np.clip(np.ceil(np.maximum(start, end) + radius) + 1, 0, size).astype(int)
    grid = np.stack(np.meshgrid(np.arange(left, right), np.arange(top, bottom)), axis=-1).astype(np.float64)
    image[top:bottom, left:right][_near(grid, start, end) < radius] = rgb


def _near(grid: Float64Array, start: Float32Array, end: Float32Array) -> Float64Array:
    """Distance of every pixel from a line segment."""
    along = (end - start).astype(np.float64)
    length = max(float(along @ along), 1e-9)
    share = np.clip(((grid - start) @ along) / length, 0, 1)[..., None]
    distance: Float64Array = np.linalg.norm(grid - start - share * along, axis=-1)
    return distance


def synthetic_track(
    skeleton: Skeleton = BLAZEPOSE33,
    *,
    length: int = 5,
    feet: tuple[float, float] = (80.0, 220.0),
    step: tuple[float, float] = (6.0, 0.0),
    height: float = 200.0,
    id: int = 0,
) -> Track:
    """A person who walks ``step`` pixels a frame."""
    poses = tuple(
        synthetic_pose(skeleton, feet=(feet[0] + i * step[0], feet[1] + i * step[1]), height=height)
        for i in range(length)
    )
    return Track(id, tuple(range(length)), poses)


def synthetic_crop(pose: Pose, identity: Identity, frame_index: int = 0) -> Crop:
    """The picture of a person cut out around them, with the pose in crop pixels."""
    left, top = np.floor(pose.bbox[:2]).astype(int)
    width, height = np.maximum(np.ceil(pose.bbox[2:] - pose.bbox[:2]).astype(int), 8)
    shift = np.array([left, top], np.float32)
    moved = replace(pose, xy=pose.xy - shift, bbox=pose.bbox - np.tile(shift, 2))
    frame = synthetic_frame([(moved, identity)], size=(int(width), int(height)))
    return Crop(frame_index, frame.image, moved)
