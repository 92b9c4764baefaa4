from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from animegen.errors import InputError, InvalidValue, OutputError
from animegen.pose.clip import PoseClip
from animegen.pose.convert import convert_pose
from animegen.pose.draw import draw_pose
from animegen.pose.files import load_poses, save_poses
from animegen.pose.options import SkeletonOptions
from animegen.pose.skeleton_style import make_style
from animegen.pose.skeletons import BLAZEPOSE33, BLAZEPOSE75, COCO17, SKELETONS
from animegen.protocols import PluginContext, Style
from animegen.testing import synthetic_pose
from animegen.types import (
    Expression,
    Identity,
    Palette,
    PartColour,
    Pose,
    RenderRequest,
    Skeleton,
    Sprite,
    Track,
    Traits,
    Uint8Array,
)

BODY = {
    "nose": (100, 60), "left_eye": (108, 52), "right_eye": (92, 52), "left_ear": (118, 56), "right_ear": (82, 56),
    "left_shoulder": (135, 105), "right_shoulder": (65, 105), "left_elbow": (160, 160), "right_elbow": (40, 160),
    "left_wrist": (170, 215), "right_wrist": (30, 110), "left_hip": (120, 215), "right_hip": (80, 215),
    "left_knee": (125, 290), "right_knee": (75, 290), "left_ankle": (130, 370), "right_ankle": (70, 370),
}  # fmt: skip
DRAWN = ("left_shoulder", "left_elbow", "left_wrist", "right_wrist", "left_hip", "left_knee", "right_ankle", "nose")


def standing(score: float = 0.95) -> Pose:
    xy = np.array([BODY[name] for name in COCO17.points], np.float32) + np.float32(40)
    return Pose(COCO17, xy, np.full(17, score, np.float32), np.array([50, 60, 240, 430], np.float32))


def identity(seed: int = 1, upper: tuple[float, float, float] | None = None) -> Identity:
    unknown = PartColour((50.0, 0.0, 0.0), 0.0)
    known = unknown if upper is None else PartColour(upper, 0.9)
    palette = Palette(unknown, unknown, unknown, known, unknown, unknown)
    return Identity(f"person-{seed}", palette, Traits(), "skeleton", seed)


def style_of(options: SkeletonOptions | None = None) -> Style:
    return make_style(options, PluginContext())


def rendered(style: Style, who: Identity, pose: Pose) -> Sprite:
    prepared = style.prepare(who, Track(0, (7,), (pose,)), ())
    request = RenderRequest(who, prepared, pose, 7, Fraction(7, 30), 370.0, order=2.5)
    (sprite,) = style.render([request])
    return sprite


def at(sprite: Sprite, x: float, y: float) -> np.ndarray:
    column, row = round(x - sprite.affine[0, 2]), round(y - sprite.affine[1, 2])
    return sprite.rgba[row, column]


def test_who_comes_in_over_the_edge_is_no_dwarf() -> None:
    """First the head is in the picture, then the shoulders, then all."""
    whole = standing()
    in_sight = {0: ("nose",), 1: ("nose", "left_shoulder", "right_shoulder"), 2: tuple(COCO17.points)}
    stages = [np.repeat(range(3), 12), np.repeat([1], 12)]
    for stage in stages:
        score = np.array([[0.95 * (name in in_sight[i]) for name in COCO17.points] for i in stage], np.float32)
        poses = tuple(replace(whole, score=row) for row in score)
        units = style_of().prepare(identity(), Track(0, tuple(range(len(poses))), poses), ())["units"]
        assert units.min() > 0.7 * 110, "the torso is 110 pixels long"


def test_the_sprite_covers_head_torso_and_limbs() -> None:
    sprite = rendered(style_of(), identity(), standing())
    for name in DRAWN:
        x, y = (value + 40 for value in BODY[name])
        assert at(sprite, x, y)[3] == 255, name
    assert sprite.order == 2.5
    assert np.array_equal(sprite.affine[:, :2], np.eye(2))
    assert (sprite.rgba[..., :3] <= sprite.rgba[..., 3:]).all()
    assert (sprite.rgba[..., 3] > 0).mean() < 0.8


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda skeleton: skeleton.name)
def test_every_skeleton_can_be_drawn(skeleton: Skeleton) -> None:
    pose = convert_pose(standing(), skeleton)
    sprite = rendered(style_of(), identity(), pose)
    assert at(sprite, BODY["left_knee"][0] + 40, BODY["left_knee"][1] + 40)[3] == 255


def canvas(pose: Pose) -> Uint8Array:
    """The figure of a pose on a picture of 300 x 460."""
    sprite = rendered(style_of(), identity(), pose)
    x, y = sprite.affine[:, 2].astype(int)
    picture = np.zeros((460, 300, 4), np.uint8)
    height, width = sprite.rgba.shape[:2]
    picture[y : y + height, x : x + width] = sprite.rgba
    return picture


def with_hands(score: float) -> Pose:
    pose = synthetic_pose(BLAZEPOSE75, feet=(150.0, 430.0), height=400.0)
    scores = pose.score.copy()
    scores[33:] = score
    return replace(pose, score=scores)


def test_fingers_are_drawn_where_they_are_seen_and_come_gently() -> None:
    pose = with_hands(0.9)
    tip = pose.xy[BLAZEPOSE75.index("left_hand_12")].astype(int)
    assert canvas(pose)[tip[1], tip[0], 3] == 255
    assert canvas(with_hands(0.0))[tip[1], tip[0], 3] == 0
    steps = [canvas(with_hands(score))[..., 3].astype(int) for score in np.linspace(0, 1, 41)]
    whole = int((np.abs(steps[-1] - steps[0]) > 0).sum())
    jumps = [int((np.abs(b - a) > 0).sum()) for a, b in pairwise(steps)]
    assert max(jumps) < 0.6 * whole, "no hand pops in"


@pytest.mark.parametrize("face", [Expression(blink_l=1, blink_r=1), Expression(aa=1), Expression(oh=1)], ids=str)
def test_a_blink_and_an_open_mouth_are_seen_as_far_as_they_are_sure(face: Expression) -> None:
    calm = canvas(with_hands(0.0)).astype(int)
    changed = [
        int((canvas(replace(with_hands(0.0), expression=replace(face, confidence=sure))) != calm).any(axis=-1).sum())
        for sure in (0.0, 0.25, 1.0)
    ]
    assert changed[0] == 0
    assert changed[2] > 15
    assert changed[1] < changed[2]


def test_the_same_request_gives_the_same_pixels_alone_and_in_a_batch() -> None:
    style, who, pose = style_of(), identity(), standing()
    prepared = style.prepare(who, Track(0, (7,), (pose,)), ())
    request = RenderRequest(who, prepared, pose, 7, Fraction(0), 370.0)
    moved = replace(request, pose=replace(pose, xy=pose.xy + np.float32(9)), frame_index=8)
    alone = style.render([request])[0]
    batch = style_of().render([moved, request])
    assert np.array_equal(alone.rgba, batch[1].rgba)
    assert np.array_equal(alone.affine, batch[1].affine)


def test_two_people_differ_and_wear_their_own_colour() -> None:
    style, pose = style_of(), standing()
    chest = (BODY["nose"][0] + 40, 170 + 40)
    colours = {tuple(at(rendered(style, identity(seed), pose), *chest)) for seed in range(6)}
    assert len(colours) == 6
    red, _, blue, _ = at(rendered(style, identity(1, (55.0, 60.0, 40.0)), pose), *chest)
    assert red > blue + 80


def test_dark_trousers_stay_dark() -> None:
    navy = PartColour((11.0, 3.0, -13.0), 0.9)
    who = identity()
    sprite = rendered(style_of(), replace(who, palette=replace(who.palette, lower=navy)), standing())
    thigh = 0.5 * (np.array(BODY["left_hip"]) + BODY["left_knee"]) + 40
    red, green, blue, _ = (int(value) for value in at(sprite, *thigh))
    assert max(red, green) < 70
    assert blue > red + 15, "navy, not grey"


def test_opacity_and_thickness() -> None:
    whole = rendered(style_of(), identity(), standing())
    faint = rendered(style_of(SkeletonOptions(opacity=0.5)), identity(), standing())
    assert faint.rgba.max() == 128
    thin = rendered(style_of(SkeletonOptions(thickness=0.4)), identity(), standing())
    assert (thin.rgba[..., 3] > 0).sum() < 0.8 * (whole.rgba[..., 3] > 0).sum()
    with pytest.raises(InvalidValue, match="opacity"):
        SkeletonOptions(opacity=0)


def test_what_is_unknown_is_not_drawn() -> None:
    pose = standing()
    score = pose.score.copy()
    score[COCO17.index("left_wrist")] = 0.05
    sprite = rendered(style_of(), identity(), replace(pose, score=score))
    x, y = (value + 40 for value in BODY["left_wrist"])
    inside = sprite.rgba.shape[0] > y - sprite.affine[1, 2] and sprite.rgba.shape[1] > x - sprite.affine[0, 2]
    assert not inside or at(sprite, x, y)[3] == 0
    nobody = rendered(style_of(), identity(), replace(pose, score=np.zeros(17, np.float32)))
    assert nobody.rgba.shape == (1, 1, 4)
    assert nobody.rgba.max() == 0


def test_figures_outside_the_picture_and_twisted_ones_are_drawn_or_empty() -> None:
    pose = standing()
    picture = np.array([0.0, 0.0, 1000.0, 1000.0])
    for shift in (-1000, 5000):
        away = rendered(style_of(), identity(), replace(pose, xy=pose.xy + np.float32(shift), bbox=pose.bbox + shift))
        rows, columns = np.nonzero(away.rgba[..., 3])
        shown = np.array([columns, rows]).T + away.affine[:, 2]
        assert not ((shown > picture[:2]) & (shown < picture[2:])).all(axis=1).any()
    twisted = rendered(style_of(), identity(), replace(pose, xy=np.full((17, 2), 50, np.float32)))
    assert np.isfinite(twisted.affine).all()
    assert (twisted.rgba[..., :3] <= twisted.rgba[..., 3:]).all()


def test_real_poses_are_covered_by_their_figures(shared: Path) -> None:
    clip = load_poses(shared / "pose" / "test_coco.json")
    style, drawn = style_of(), 0
    for pose in (pose for poses in clip.poses for pose in poses):
        sprite = rendered(style, identity(), pose)
        # Flags are no scores: ground truth of 2 is sure, 1 (hidden) stands between and grows to full size as well.
        for name in ("left_knee", "right_elbow"):
            i = COCO17.index(name)
            root = COCO17.index(name.replace("knee", "hip").replace("elbow", "shoulder"))
            if min(pose.score[i], pose.score[root]) == 1:
                assert at(sprite, *pose.xy[i])[3] > 200
                drawn += 1
    assert drawn > 5


def test_draw_pose_paints_limbs_by_side_and_leaves_out_the_unsure() -> None:
    pose = standing()
    image = np.zeros((440, 300, 3), np.uint8)
    draw_pose(image, pose)
    left = image[40 + 330, 40 + 127].astype(int)
    right = image[40 + 330, 40 + 73].astype(int)
    assert left[2] > left[0] + 80
    assert right[0] > right[2] + 80
    empty = np.zeros_like(image)
    draw_pose(empty, standing(0.1))
    assert not empty.any()
    rgba = np.zeros((440, 300, 4), np.uint8)
    draw_pose(rgba, pose)
    assert (rgba[..., :3] <= rgba[..., 3:]).all()
    assert rgba[40 + 330, 40 + 127, 3] == 255


def invoke(*arguments: str) -> str:
    from animegen.cli.pose import command

    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_pose_commands_convert_animate_and_draw(tmp_path: Path) -> None:
    a = standing()
    b = replace(a, xy=a.xy[:, ::-1].copy())
    keys = PoseClip((301, 441), COCO17, (0, 1), (Fraction(0), Fraction(1)), ((a,), (b,)), ((0,), (0,)))
    save_poses(keys, tmp_path / "keys.npz")
    invoke("interpolate", str(tmp_path / "keys.npz"), "-o", str(tmp_path / "a.json"), "--between", "2",
           "--draw", str(tmp_path / "a.mp4"))  # fmt: skip
    assert len(load_poses(tmp_path / "a.json")) == 4
    from animegen.video import open_video

    with open_video(tmp_path / "a.mp4") as video:
        assert len(video.timeline) == 4
    invoke("draw", str(tmp_path / "a.json"), "-o", str(tmp_path / "pictures"))
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 4
    invoke("convert", str(tmp_path / "a.json"), str(tmp_path / "b.npz"), "--skeleton", "blazepose33")
    assert load_poses(tmp_path / "b.npz").skeleton == BLAZEPOSE33
    with pytest.raises(OutputError, match="exists already"):
        invoke("convert", str(tmp_path / "a.json"), str(tmp_path / "b.npz"))
    with pytest.raises(InputError, match="301x441"):
        invoke("draw", str(tmp_path / "keys.npz"), "--over", str(tmp_path / "a.mp4"), "-o", str(tmp_path / "c.mp4"))
    assert not (tmp_path / "c.mp4").exists()
