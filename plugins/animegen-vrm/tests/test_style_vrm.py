"""The style ``vrm``: real people's poses drive real avatars."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from animegen_vrm.driving import drive
from animegen_vrm.options import VrmOptions
from animegen_vrm.rig import BodyPose, Rig
from animegen_vrm.style import make_style
from stick_avatar import stick_avatar

from animegen.errors import InputError, UsageError
from animegen.pose.hands import HandMotion
from animegen.pose.lift import Lifted, lift_points
from animegen.pose.limbs import POINTS
from animegen.pose.skeletons import AVATAR35
from animegen.protocols import PluginContext, Style
from animegen.testing import check_style
from animegen.testing.synthetic import synthetic_identity, synthetic_pose
from animegen.types import Expression, RenderRequest, Sprite, Track

LIMB_DEGREES = 1.0
"""Limbs are aimed by rotations: what is left are rounding errors of float32."""
STEADY_DEGREES = 6.0
"""From frame to frame: the noise put in turns the foot by about one degree."""
FRAMES = 20
ON_THE_PERSON = 0.15
"""How far the middle of an avatar may lie from that of the person, in heights: its build is another."""


@pytest.fixture(scope="module")
def style(avatar_paths: dict[str, Path]) -> Style:
    """The style with two avatars, one of each version of VRM."""
    pytest.importorskip("moderngl")
    files = (avatar_paths["eliza_momo"], avatar_paths["godette_ccby"])
    return make_style(VrmOptions(avatar=files), PluginContext())


def drawn(style: Style, name: str, **pose: object) -> tuple[Sprite, Track]:
    """A synthetic person as the avatar of that name."""
    person = synthetic_pose(**pose)  # type: ignore[arg-type]
    track = Track(0, (0,), (person,))
    identity = replace(synthetic_identity(0), avatar=name)
    height = float(person.bbox[3] - person.bbox[1])
    request = RenderRequest(identity, style.prepare(identity, track, ()), person, 0, Fraction(0), height)
    return style.render([request])[0], track


def test_it_keeps_the_contract_of_styles(style: Style) -> None:
    check_style(style)


def test_an_avatar_stands_where_the_person_stands(style: Style, avatar_paths: dict[str, Path]) -> None:
    sprite, track = drawn(style, str(avatar_paths["eliza_momo"]), height=300.0, feet=(200.0, 350.0))
    rows, columns = np.nonzero(sprite.rgba[..., 3] > 128)
    left, top = sprite.affine @ (columns.min(), rows.min(), 1.0)
    right, bottom = sprite.affine @ (columns.max(), rows.max(), 1.0)
    box = track.poses[0].bbox
    height = box[3] - box[1]
    assert abs((left + right) / 2 - (box[0] + box[2]) / 2) < ON_THE_PERSON * height
    assert abs(bottom - box[3]) < ON_THE_PERSON * height
    assert abs((bottom - top) / height - 1) < 2 * ON_THE_PERSON


def test_hands_are_where_the_persons_are(style: Style, avatar_paths: dict[str, Path]) -> None:
    """Hands up beside the shoulders, which are far apart on people and close together on avatars."""
    person = synthetic_pose(height=300.0, feet=(200.0, 350.0))
    xy, wrists = person.xy.copy(), []
    for side, out in (("left", 1), ("right", -1)):
        at = {name: person.skeleton.index(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist", *_HAND)}
        hand = xy[[at[name] for name in _HAND]] - xy[at["wrist"]]
        xy[at["elbow"]] = xy[at["shoulder"]] + 300 * np.array((0.1 * out, 0.13))
        xy[at["wrist"]] = xy[at["shoulder"]] + 300 * np.array((0.12 * out, -0.02))
        xy[[at[name] for name in _HAND]] = xy[at["wrist"]] - hand
        wrists.append(xy[at["wrist"]])
    identity = replace(synthetic_identity(0), avatar=str(avatar_paths["eliza_momo"]))
    track = Track(0, (0,), (replace(person, xy=xy, z=None),))
    request = RenderRequest(identity, style.prepare(identity, track, ()), track.poses[0], 0, Fraction(0), 300.0)
    (sprite,) = style.render([request])
    for wrist in wrists:
        x, y = np.rint((wrist - sprite.affine[:, 2]) / sprite.affine[[0, 1], [0, 1]]).astype(int)
        assert sprite.rgba[y, x, 3] == 255


_HAND = ("index", "pinky", "thumb")


def test_who_faces_away_shows_no_face(style: Style, avatar_paths: dict[str, Path]) -> None:
    """Skin is what a face shows most: from behind, hair hides it."""
    front, back = (
        drawn(style, str(avatar_paths["eliza_momo"]), facing=way, height=300.0)[0] for way in ("front", "back")
    )
    heads = [sprite.rgba[: len(sprite.rgba) // 3].astype(int) for sprite in (front, back)]
    bright = [int(((head[..., :3].min(axis=2) > 200) & (head[..., 3] > 250)).sum()) for head in heads]
    assert bright[0] > 2 * bright[1]


def test_lids_close_with_the_persons(style: Style, avatar_paths: dict[str, Path]) -> None:
    person = synthetic_pose(height=400.0)
    blinking = replace(person, expression=Expression(blink_l=1.0, blink_r=1.0, confidence=1.0))
    identity = replace(synthetic_identity(0), avatar=str(avatar_paths["eliza_momo"]))
    pictures = []
    for pose in (person, blinking):
        prepared = style.prepare(identity, Track(0, (0,), (pose,)), ())
        pictures.append(style.render([RenderRequest(identity, prepared, pose, 0, Fraction(0), 400.0)])[0].rgba)
    assert (pictures[0] != pictures[1]).any()


def test_avatars_go_to_people_in_their_order_and_again_from_the_start(
    style: Style, avatar_paths: dict[str, Path]
) -> None:
    people = [synthetic_identity(seed) for seed in range(3)]
    first, second = str(avatar_paths["eliza_momo"]), str(avatar_paths["godette_ccby"])
    assert list(style.cast(people)) == [first, second, first]  # type: ignore[attr-defined]


def test_colours_of_the_person_are_taken_when_asked_for(avatar_paths: dict[str, Path]) -> None:
    name = str(avatar_paths["eliza_momo"])
    pictures = [
        drawn(make_style(VrmOptions(avatar=(Path(name),), colours=colours), PluginContext()), name, height=200.0)[
            0
        ].rgba
        for colours in ("own", "person")
    ]
    assert (pictures[0][..., 3] > 128).sum() == pytest.approx((pictures[1][..., 3] > 128).sum(), rel=0.02)
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() > 64


def test_without_an_avatar_the_way_out_is_named() -> None:
    with pytest.raises(UsageError, match="needs an avatar") as error:
        make_style(VrmOptions(), PluginContext())
    assert "--set avatar=" in str(error.value.hint)


def test_a_file_that_is_no_avatar_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.vrm"
    wrong.write_bytes(b"not an avatar")
    with pytest.raises(InputError, match=r"wrong\.vrm"):
        make_style(VrmOptions(avatar=(wrong,)), PluginContext())


@pytest.mark.parametrize(("bone", "child", "point", "next_point"), [
    ("leftUpperArm", "leftLowerArm", "left_shoulder", "left_elbow"),
    ("rightLowerArm", "rightHand", "right_elbow", "right_wrist"),
    ("leftUpperLeg", "leftLowerLeg", "left_hip", "left_knee"),
    ("rightLowerLeg", "rightFoot", "right_knee", "right_ankle"),
])  # fmt: skip
def test_limbs_point_where_the_persons_do(bone: str, child: str, point: str, next_point: str) -> None:
    rng = np.random.default_rng(3)
    body = synthetic_pose(AVATAR35, seed=1)
    xy = np.repeat(body.xy[None].astype(np.float64), 5, axis=0) + rng.normal(0, 2, (5, POINTS, 2))
    person = lift_points(xy, np.ones((5, POINTS)), None, np.arange(5.0))
    rig = Rig(stick_avatar())
    turns = drive(person)
    for frame in range(5):
        posed = rig.apply(BodyPose({name: turn[frame].astype(np.float32) for name, turn in turns.items()}))
        start, end = (posed.globals[rig.avatar.humanoid[name], :3, 3] for name in (bone, child))
        way = person.xyz[frame, AVATAR35.index(next_point)] - person.xyz[frame, AVATAR35.index(point)]
        wanted = way * (1, -1, -1)
        cosine = (end - start) @ wanted / np.linalg.norm(end - start) / np.linalg.norm(wanted)
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))) < LIMB_DEGREES


def still_person() -> Lifted:
    body = synthetic_pose(AVATAR35, seed=1)
    xy = np.repeat(body.xy[None].astype(np.float64), 3, axis=0)
    return lift_points(xy, np.ones((3, POINTS)), None, np.arange(3.0))


def pointing(known: float) -> HandMotion:
    """A left hand that points to the left of the picture, its palm to us: the index finger straight, a fist else."""
    bends = np.full((3, 5, 3), np.radians(70))
    bends[:, 1] = 0
    along, across = np.tile((-1.0, 0.0, 0.0), (3, 1)), np.tile((0.0, -1.0, 0.0), (3, 1))
    return HandMotion(bends, np.zeros((3, 4)), along, across, np.full(3, known))


def turned(turn: np.ndarray) -> float:
    """Degrees."""
    return float(np.degrees(2 * np.arccos(np.clip(np.abs(turn[0, 3]), 0, 1))))


def test_fingers_bend_and_hands_turn_as_they_are_seen() -> None:
    person = still_person()
    eased, seen = drive(person), drive(person, {"left": pointing(1.0)})
    assert turned(seen["leftIndexProximal"]) < 1 < turned(eased["leftIndexProximal"])
    assert turned(seen["leftMiddleProximal"]) == pytest.approx(70, abs=1)
    np.testing.assert_array_equal(seen["rightMiddleProximal"], eased["rightMiddleProximal"])
    posed = Rig(stick_avatar()).apply(BodyPose({name: turn[0].astype(np.float32) for name, turn in seen.items()}))
    hand = posed.globals[stick_avatar().humanoid["leftHand"], :3, :3]
    np.testing.assert_allclose(hand @ (1, 0, 0), (-1, 0, 0), atol=0.02)  # along the fingers
    np.testing.assert_allclose(hand @ (0, 0, 1), (0, 1, 0), atol=0.02)  # to the thumb's side


def test_hands_that_are_hardly_seen_are_at_ease() -> None:
    person = still_person()
    eased, half, unseen = (drive(person, {"left": pointing(known)}) for known in (0.0, 0.5, 0.0))
    plain = drive(person)
    for bone, turn in plain.items():
        np.testing.assert_allclose(unseen[bone], turn, atol=1e-6)
    between = turned(half["leftMiddleProximal"])
    assert turned(eased["leftMiddleProximal"]) < between < 70


def test_a_foot_that_points_along_the_shin_stays_steady() -> None:
    """Nothing but the shin tells how a dancer's pointed foot is turned: noise of its points must not spin it."""
    rng = np.random.default_rng(5)
    body = synthetic_pose(AVATAR35, seed=1)
    xy = np.repeat(body.xy[None].astype(np.float64), FRAMES, axis=0)
    knee, ankle, heel, toe = (AVATAR35.index(f"left_{name}") for name in ("knee", "ankle", "heel", "foot_index"))
    person = lift_points(xy, np.ones((FRAMES, POINTS)), None, np.arange(float(FRAMES)))
    joints = person.joints.copy()
    joints[:, heel] = joints[:, ankle]
    joints[:, toe] = joints[:, ankle] + 0.5 * (joints[:, ankle] - joints[:, knee]) + rng.normal(0, 0.2, (FRAMES, 3))
    turns = drive(replace(person, joints=joints))["leftFoot"]
    steps = 2 * np.degrees(np.arccos(np.clip(np.abs((turns[1:] * turns[:-1]).sum(axis=1)), 0, 1)))
    assert steps.max() < STEADY_DEGREES


def test_hair_comes_to_rest_while_a_person_is_out_of_sight(style: Style, avatar_paths: dict[str, Path]) -> None:
    identity = replace(synthetic_identity(0), avatar=str(avatar_paths["eliza_momo"]))
    before, after = (synthetic_pose(height=300.0, facing=way) for way in ("back", "front"))
    returned = style.prepare(identity, Track(0, (0, 90), (before, after)), ())
    alone = style.prepare(identity, Track(0, (90,), (after,)), ())
    np.testing.assert_array_equal(returned["rotations"][1], alone["rotations"][0])
    np.testing.assert_array_equal(returned["tails"][1], alone["tails"][0])


def test_hair_swings_by_the_frame_rate_of_the_clip(avatar_paths: dict[str, Path]) -> None:
    avatar = avatar_paths["eliza_momo"]
    identity = replace(synthetic_identity(0), avatar=str(avatar))
    poses = tuple(synthetic_pose(height=300.0, seed=i) for i in range(3))
    track = Track(0, (0, 1, 2), poses)
    slow, fast, again = (
        make_style(VrmOptions(avatar=(avatar,)), PluginContext(rate=rate)).prepare(identity, track, ())["tails"]
        for rate in (0.5, 60.0, 60.0)
    )
    assert np.isfinite(slow).all()
    np.testing.assert_array_equal(fast, again)
    assert np.abs(fast[2] - slow[2]).max() > 1e-3
