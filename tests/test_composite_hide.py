"""People who are left or hidden: what belongs to whom, and a mosaic that covers all of a person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from animegen.composite import cut_out, own_matte, person_matte, pixelated
from animegen.testing import synthetic_pose
from animegen.types import Mask, Pose, Sprite, Uint8Array

SIZE = (480, 300)

_HALO = 0.02
"""Share of somebody else's body that a cut-out may touch where two stand side by side."""


def standing(x: float) -> Pose:
    """A person of about 260 pixels at ``x``, whose mask shows everybody in the frame, as masks of backends do."""
    pose = synthetic_pose()
    low, high = pose.bbox[:2], pose.bbox[2:]
    scale = np.float32(260 / (high[1] - low[1]))
    shift = np.array([x, 20], np.float32) - np.array([(low[0] + high[0]) / 2, low[1]], np.float32) * scale
    moved = replace(pose, xy=pose.xy * scale + shift, bbox=pose.bbox * scale + np.tile(shift, 2), mask=None)
    return replace(moved, z=None)


def pair() -> tuple[Pose, Pose]:
    poses = standing(170), standing(290)
    both = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    for pose in poses:
        matte = person_matte(pose, SIZE)
        np.maximum(both[matte.window], matte.alpha, out=both[matte.window])
    mask = Mask(both, np.array([[1.0, 0, 0], [0, 1.0, 0]]))
    return replace(poses[0], mask=mask), replace(poses[1], mask=mask)


def whole(alpha: Uint8Array, x: int, y: int) -> Uint8Array:
    canvas = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    canvas[y : y + alpha.shape[0], x : x + alpha.shape[1]] = alpha
    return canvas


def noise() -> Uint8Array:
    return np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)


def laid(sprite: Sprite) -> tuple[Uint8Array, Uint8Array]:
    """Colours and alpha of a sprite in the frame."""
    x, y = (round(float(v)) for v in sprite.affine[:, 2])
    height, width = min(sprite.rgba.shape[0], SIZE[1] - y), min(sprite.rgba.shape[1], SIZE[0] - x)
    canvas = np.zeros((SIZE[1], SIZE[0], 4), np.uint8)
    canvas[y : y + height, x : x + width] = sprite.rgba[:height, :width]
    return canvas[..., :3], canvas[..., 3]


def test_a_matte_has_nothing_of_who_stands_beside() -> None:
    left, right = pair()
    bodies = [whole((m := person_matte(replace(p, mask=None), SIZE)).alpha, m.x, m.y) == 255 for p in (left, right)]
    for own, other, mine, theirs in ((left, right, *bodies), (right, left, *bodies[::-1])):
        together, alone = person_matte(own, SIZE), own_matte(own, [other], SIZE)
        assert (whole(together.alpha, together.x, together.y)[theirs] > 0).mean() > 0.9
        assert (whole(alone.alpha, alone.x, alone.y)[theirs & ~mine] > 127).mean() < _HALO
        assert (whole(alone.alpha, alone.x, alone.y)[mine & ~theirs] > 127).mean() > 1 - _HALO


def test_nobody_beside_changes_nothing() -> None:
    (left, _), far = pair(), standing(2000)
    assert np.array_equal(own_matte(left, [far], SIZE).alpha, person_matte(left, SIZE).alpha)


def test_a_cut_out_is_the_source_itself() -> None:
    image, (left, right) = noise(), pair()
    colours, alpha = laid(cut_out(image, left, 0.0, [right]))
    assert np.array_equal(colours[alpha == 255], image[alpha == 255])


@pytest.mark.parametrize("masked", [True, False])
def test_a_mosaic_covers_all_of_a_person_with_blocks_of_one_colour(masked: bool) -> None:
    image, (left, right) = noise(), pair()
    pose = left if masked else replace(left, mask=None)
    colours, alpha = laid(pixelated(image, pose, 0.0, [right]))
    matte = own_matte(pose, [right], SIZE)
    covered = whole(matte.alpha, matte.x, matte.y) > 0
    assert set(np.unique(alpha)) == {0, 255}
    assert (alpha[covered] == 255).all()
    block = 32
    for y in range(0, SIZE[1], block):
        for x in range(0, SIZE[0], block):
            tile = slice(y, y + block), slice(x, x + block)
            assert len(np.unique(colours[tile].reshape(-1, 3), axis=0)) == 1
            if alpha[tile].any():
                assert np.allclose(colours[tile][0, 0], image[tile].mean(axis=(0, 1)), atol=1)


def test_who_is_out_of_the_frame_is_covered_by_nothing() -> None:
    assert not laid(pixelated(noise(), standing(-900), 0.0))[1].any()
