"""Stick figures as avatar data: rendered from poses in closed form, small enough to train on in a test."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from animegen.avatar import anime_objective
from animegen.avatar.config import AvatarConfig
from animegen.avatar.data import AvatarEntry, ClipEntry, DatasetWriter, Header, Sample
from animegen.avatar.layers import FIXED, LAYERS, SHADE_LIMIT
from animegen.avatar.psgan import KEYPOINTS, PsganConfig
from animegen.pose.skeletons import AVATAR35

BODY = {
    "nose": (0.5, 0.2), "eye": (0.03, 0.17), "ear": (0.06, 0.18), "mouth": (0.02, 0.23), "shoulder": (0.1, 0.32),
    "elbow": (0.18, 0.42), "wrist": (0.24, 0.5), "index": (0.26, 0.53), "pinky": (0.25, 0.54), "thumb": (0.24, 0.52),
    "hip": (0.06, 0.55), "knee": (0.08, 0.72), "ankle": (0.09, 0.88), "heel": (0.09, 0.9), "foot_index": (0.13, 0.92),
    "thumb_tip": (0.25, 0.54), "index_tip": (0.28, 0.56), "pinky_tip": (0.26, 0.57),
}  # fmt: skip
"""Half of a standing figure in canvas sides: how far to the side of the middle, and how far down."""

STROKES = (
    ("left_shoulder", "right_shoulder", 4, 0.05), ("left_shoulder", "left_hip", 4, 0.05),
    ("right_shoulder", "right_hip", 4, 0.05), ("left_shoulder", "left_elbow", 2, 0.03),
    ("left_elbow", "left_wrist", 2, 0.03), ("right_shoulder", "right_elbow", 4, 0.03),
    ("right_elbow", "right_wrist", 4, 0.03), ("left_hip", "left_knee", 5, 0.04), ("left_knee", "left_ankle", 5, 0.04),
    ("right_hip", "right_knee", 5, 0.04), ("right_knee", "right_ankle", 5, 0.04),
    ("left_ankle", "left_foot_index", 6, 0.03), ("right_ankle", "right_foot_index", 6, 0.03),
    ("left_ear", "right_ear", 1, 0.08),
)  # fmt: skip
"""From, to, plane of the layers, half width: the left arm is bare and the right one sleeved, so mirroring shows."""

SIZE = 32
CLIPS = (ClipEntry("stand", "train"), ClipEntry("sway", "validation"))
PALETTE = tuple((0.9, 0.1 * i, 0.2) for i in range(6))


def header(size: int = SIZE, names: tuple[str, ...] = ("ann", "bob")) -> Header:
    return Header(size, AVATAR35, tuple(AvatarEntry(name, "CC0", "", PALETTE) for name in names), CLIPS)


def pose(rng: np.random.Generator) -> np.ndarray:
    """A standing figure with its arms anywhere, f32 [35, 2] in canvas sides; its left side lies to the right."""
    sway, lift = rng.uniform(-0.06, 0.06), rng.uniform(-0.2, 0.05, 2)
    points = np.zeros((35, 2), np.float32)
    for i, name in enumerate(AVATAR35.points):
        if name == "nose":
            points[i] = BODY[name]
            continue
        side = 1 if name.startswith(("left", "mouth_left")) else -1
        part = "mouth" if name.startswith("mouth") else name.split("_", 1)[1]
        x, y = BODY[part]
        if x > 0.1 and y < 0.6:
            y += lift[int(side > 0)]
        points[i] = 0.5 + side * x, y
    points[:, 0] += sway
    return points


def render(xy: np.ndarray, size: int = SIZE, fixed: int = 0) -> np.ndarray:
    """Layers uint8 [size, size, 10] of a pose in canvas sides; ``fixed`` is a small mark that differs by avatar."""
    layers = np.zeros((size, size, LAYERS), np.float32)
    centres = (np.arange(size) + 0.5) / size
    place = np.stack(np.meshgrid(centres, centres), axis=-1)
    for a, b, plane, width in STROKES:
        start, end = xy[AVATAR35.index(a)], xy[AVATAR35.index(b)]
        axis = end - start
        along = np.clip(((place - start) @ axis) / max(float(axis @ axis), 1e-6), 0, 1)
        distance = np.linalg.norm(place - start - along[..., None] * axis, axis=-1)
        cover = np.clip((width - distance) * size + 0.5, 0, 1)[..., None]
        layers *= 1 - cover
        layers[..., 0] += cover[..., 0]
        layers[..., plane] += cover[..., 0] / SHADE_LIMIT
    layers[..., FIXED.start + fixed] += layers[..., 4] * 0.2
    return np.rint(layers.clip(0, 1) * 255).astype(np.uint8)


def sample(seed: int, clip: int = 0, size: int = SIZE) -> Sample:
    """One sample of a seed: pose, expression and avatar follow from it."""
    rng = np.random.default_rng(seed)
    xy = pose(rng)
    return Sample(
        layers=render(xy, size, seed % 2),
        xy=xy * np.float32(size) - np.float32(0.5),
        z=rng.normal(0, 0.05 * size, 35).astype(np.float32),
        visible=np.ones(35, np.float32),
        expression=rng.random(10).astype(np.float32),
        avatar=seed % 2,
        clip=clip,
        framing=0,
    )


def write_figures(
    folder: Path, train: int = 24, validation: int = 4, size: int = SIZE, names: tuple[str, ...] = ("ann", "bob")
) -> Path:
    """A dataset of figures in one shard a split."""
    writer = DatasetWriter(folder, header(size, names))
    writer.write(0, [sample(seed, 0, size) for seed in range(train)])
    writer.write(1, [sample(1000 + seed, 1, size) for seed in range(validation)])
    return folder


def tiny_psgan(stage: int = 8) -> PsganConfig:
    indices = tuple(AVATAR35.index(name) for name in KEYPOINTS)
    return PsganConfig(indices, stage, latent=8, channels={4: 16, 8: 16, 16: 8})


def narrow_networks(patch: pytest.MonkeyPatch) -> None:
    """Let both recipes train networks of a few channels."""
    narrow = partial(AvatarConfig, latent=4, width=16, map_size=16, patch={8: 8, 16: 8})
    patch.setattr(anime_objective, "AvatarConfig", narrow)
    patch.setattr(anime_objective, "CHANNELS", {4: 12, 8: 12, 16: 8, 32: 8})
    patch.setattr(PsganConfig, "of", classmethod(lambda cls, skeleton, stage: tiny_psgan(stage)))
