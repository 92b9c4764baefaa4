"""Conditioning maps: where they are bright, what they leave out, and that they mirror with the pose."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from figures import pose

from animegen.avatar.conditioning import PoseBatch, PoseMaps, resampled
from animegen.ops.pose_maps import LIMB_CHANNELS
from animegen.pose.skeletons import AVATAR35

SIDES = (4, 8, 16, 32, 64)
EXACT = 1e-5
"""float32 arithmetic."""


def maps() -> PoseMaps:
    return PoseMaps(AVATAR35, point_sigma=0.012, limb_sigma=0.022)


def figure(seed: int = 0) -> PoseBatch:
    rng = np.random.default_rng(seed)
    xy = torch.from_numpy(pose(rng))[None]
    z = torch.from_numpy(rng.normal(0, 0.1, (1, 35)).astype(np.float32))
    return PoseBatch(xy, z, torch.ones(1, 35))


@pytest.mark.parametrize("side", SIDES)
def test_a_points_map_is_brightest_at_the_point(side: int) -> None:
    asked = figure()
    drawn = maps().points(asked, side)[0]
    brightest = drawn.flatten(1).argmax(dim=1)
    for point, place in enumerate(brightest.tolist()):
        x, y = (asked.xy[0, point] * side).tolist()
        assert abs(place % side + 0.5 - x) <= 0.5 + EXACT
        assert abs(place // side + 0.5 - y) <= 0.5 + EXACT


@pytest.mark.parametrize("side", SIDES)
def test_an_unknown_point_leaves_no_trace(side: int) -> None:
    asked, wrist = figure(), AVATAR35.index("left_wrist")
    asked.score[0, wrist] = 0
    assert maps().points(asked, side)[0, wrist].abs().max() == 0
    limbs = maps().limbs(asked, side)[0].view(-1, LIMB_CHANNELS, side, side)
    for edge, ends in enumerate(AVATAR35.edges):
        assert (limbs[edge].abs().max() == 0) == (wrist in ends)


def test_limbs_tell_place_and_depth() -> None:
    asked, edge = figure(), AVATAR35.edges.index((AVATAR35.index("left_hip"), AVATAR35.index("left_knee")))
    a, b = AVATAR35.edges[edge]
    near, place, _, depth = maps().limbs(asked, 256)[0].view(-1, LIMB_CHANNELS, 256, 256)[edge]
    for t in (0.1, 0.5, 0.9):
        x, y = (asked.xy[0, a] + t * (asked.xy[0, b] - asked.xy[0, a])).mul(256).long().tolist()
        assert near[y, x] > 0.95
        assert place[y, x].item() == pytest.approx(2 * t - 1, abs=0.05)
        z = asked.z[0, a] + t * (asked.z[0, b] - asked.z[0, a])
        assert depth[y, x].item() == pytest.approx(4 * z.item(), abs=0.05)


@pytest.mark.parametrize("side", [8, 32])
def test_a_mirrored_pose_has_mirrored_maps(side: int) -> None:
    asked, order = figure(), np.arange(35)
    for a, b in AVATAR35.flip_pairs:
        order[[a, b]] = b, a
    xy = asked.xy.clone()
    xy[..., 0] = 1 - xy[..., 0]
    mirrored = PoseBatch(xy[:, order], asked.z[:, order], asked.score[:, order])
    points, flipped = maps().points(asked, side), maps().points(mirrored, side)
    torch.testing.assert_close(flipped[:, order], points.flip(-1), atol=EXACT, rtol=0)

    limbs = maps().limbs(asked, side).view(-1, LIMB_CHANNELS, side, side)
    others = maps().limbs(mirrored, side).view(-1, LIMB_CHANNELS, side, side)
    for edge, (a, b) in enumerate(AVATAR35.edges):
        pair = (order[a], order[b])
        turned = pair not in AVATAR35.edges
        other = others[AVATAR35.edges.index(pair[::-1] if turned else pair)].flip(-1)
        # seen from its other end, a limb runs backwards; mirrored, its sides change places
        signs = torch.tensor([1.0, -1.0 if turned else 1.0, 1.0 if turned else -1.0, 1.0])
        torch.testing.assert_close(other * signs[:, None, None], limbs[edge], atol=EXACT, rtol=0)


def test_resampling_keeps_what_there_is() -> None:
    drawn = maps().limbs(figure(), 32)
    assert resampled(drawn, 32) is drawn
    smaller = resampled(drawn, 8)
    assert smaller.shape[-1] == 8
    torch.testing.assert_close(smaller.mean(dim=(2, 3)), drawn.mean(dim=(2, 3)), atol=EXACT, rtol=0)
    larger = resampled(drawn, 64)
    assert larger.shape[-1] == 64
    # bilinear, so that nothing brighter than there was appears
    assert larger.max() <= drawn.max()
    torch.testing.assert_close(resampled(larger, 32).mean(), drawn.mean(), atol=1e-3, rtol=0)
