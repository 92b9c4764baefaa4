"""The style keeps the contract, and draws the person's colours where the person is."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from animegen_style_flat import animegen_styles
from animegen_style_flat.options import FlatOptions
from animegen_style_flat.style import make_style

from animegen.colour import lab_to_rgb
from animegen.errors import InvalidValue
from animegen.plugins import PluginHost
from animegen.pose.skeletons import BLAZEPOSE33, COCO17
from animegen.protocols import PluginContext
from animegen.testing import check_style, synthetic_identity, synthetic_pose
from animegen.types import Pose, RenderRequest, Skeleton, Sprite, Track, Trait, Traits, Uint8Array


def draw(pose: Pose, options: FlatOptions | None = None, identity=None) -> Sprite:
    identity = identity or synthetic_identity(0)
    style = make_style(options, PluginContext())
    prepared = style.prepare(identity, Track(0, (0,), (pose,)), ())
    (sprite,) = style.render([RenderRequest(identity, prepared, pose, 0, Fraction(0), 200.0)])
    return sprite


def pixel(sprite: Sprite, place) -> Uint8Array:
    """The sprite's colour at a place in frame pixels."""
    column, row = np.linalg.solve(sprite.affine[:, :2], np.asarray(place) - sprite.affine[:, 2]).round().astype(int)
    return sprite.rgba[row, column]


@pytest.mark.parametrize("hair", ["auto", "twintails"])
def test_contract(hair):
    check_style(make_style(FlatOptions(hair=hair), PluginContext()))


def test_the_package_announces_the_style():
    (spec,) = animegen_styles()
    assert (spec.name, spec.options) == ("flat", FlatOptions)


def test_animegen_finds_the_installed_package():
    host = PluginHost.load()
    if "flat" not in host.specs("style"):
        pytest.skip("the package is not installed here")
    spec = host.find("style", "flat")
    assert host.package_of(spec).name == "animegen-style-flat"
    check_style(host.create(spec, None, PluginContext()))


@pytest.mark.parametrize("skeleton", [COCO17, BLAZEPOSE33], ids=lambda s: s.name)
def test_clothes_have_the_persons_colours(skeleton: Skeleton):
    identity, pose = synthetic_identity(3), synthetic_pose(skeleton, height=400, feet=(200, 420))
    sprite = draw(pose, identity=identity)
    at = {name: pose.xy[skeleton.index(name)] for name in skeleton.points}
    places = [(0.3, 0.3), (0.3, -0.3), (0.5, 0.0), (0.8, 0.4), (0.8, -0.4)]
    hips, shoulders = ((at[f"left_{name}"] + at[f"right_{name}"]) / 2 for name in ("hip", "shoulder"))
    half = (at["left_hip"] - at["right_hip"]) / 2
    chest = [(shoulders + down * (hips - shoulders) + side * half, "upper") for down, side in places]
    for place, part in (*chest, ((at["left_knee"] + at["left_ankle"]) / 2, "lower")):
        wanted = lab_to_rgb(getattr(identity.palette, part).lab)
        assert np.abs(pixel(sprite, place)[:3].astype(int) - wanted).max() <= 3, part


def test_eyes_are_seen_from_the_front_and_not_from_behind():
    identity = synthetic_identity(0)
    white = dict.fromkeys(("front", "back"), 0)
    for facing in white:
        sprite = draw(synthetic_pose(height=400, facing=facing, feet=(200, 420)), identity=identity)
        white[facing] = int((sprite.rgba >= 250).all(axis=-1).sum())
    assert white["front"] > 100
    assert white["back"] == 0


def test_unknown_legs_are_left_away():
    pose = synthetic_pose(height=400, feet=(200, 420))
    legs = [i for i, name in enumerate(BLAZEPOSE33.points) if any(w in name for w in ("knee", "ankle", "heel", "foot"))]
    score = pose.score.copy()
    score[legs] = 0
    shin = pose.xy[BLAZEPOSE33.index("left_ankle")]
    sprite = draw(replace(pose, score=score))
    bottom = sprite.affine[1, 2] + sprite.affine[1, 1] * np.flatnonzero(sprite.rgba[..., 3].any(axis=1)).max()
    assert bottom < shin[1] - 50
    assert pixel(draw(pose), shin)[3] == 255


def test_a_nearer_arm_covers_the_chest_and_a_farther_one_does_not():
    identity = synthetic_identity(3)
    pose = synthetic_pose(height=400, feet=(200, 420))
    chest = (pose.xy[BLAZEPOSE33.index("left_shoulder")] + pose.xy[BLAZEPOSE33.index("right_hip")]) / 2
    seen = {}
    for away in (-80.0, 80.0):
        xy, z = pose.xy.copy(), pose.z.copy()
        for name in ("left_wrist", "left_index", "left_pinky", "left_thumb"):
            xy[BLAZEPOSE33.index(name)] = chest
        for name in ("left_elbow", "left_wrist"):
            z[BLAZEPOSE33.index(name)] = away
        seen[away] = pixel(draw(replace(pose, xy=xy, z=z), identity=identity), chest)[:3].astype(int)
    skin, upper = (lab_to_rgb(getattr(identity.palette, part).lab).astype(int) for part in ("skin", "upper"))
    assert np.abs(seen[-80.0] - skin).max() <= 3
    assert np.abs(seen[80.0] - upper).max() <= 3


def test_traits_choose_the_hair_and_the_sleeves():
    pose = synthetic_pose(height=400, feet=(200, 420))
    plain = synthetic_identity(3)
    sizes = [
        int((draw(pose, identity=replace(plain, traits=Traits(hair_length=Trait(v, 1.0)))).rgba[..., 3] > 0).sum())
        for v in (0.0, 0.5, 1.0)
    ]
    assert sizes[0] < sizes[1] < sizes[2]
    elbow = pose.xy[[BLAZEPOSE33.index("left_elbow"), BLAZEPOSE33.index("left_wrist")]].mean(axis=0)
    bare, covered = (
        pixel(draw(pose, identity=replace(plain, traits=Traits(sleeves=Trait(v, 1.0)))), elbow)[:3].tolist()
        for v in (0.2, 1.0)
    )
    assert bare != covered


@pytest.mark.parametrize("wrong", [{"head": 0.0}, {"outline": 9.0}, {"min_score": -1.0}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InvalidValue, match=next(iter(wrong))):
        FlatOptions(**wrong)
