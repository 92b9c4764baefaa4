"""A person's pose on another body."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from animegen.errors import InvalidValue
from animegen.pose.head import FACE, HUMAN_FACE
from animegen.pose.lengths import HUMAN_HEAD
from animegen.pose.lift import lift_track
from animegen.pose.limbs import HUMAN_LEAN, LIMBS, NECK, TRUNK, USUAL_LENGTHS
from animegen.pose.retarget import Proportions, normalise_motion, retarget, retarget_track
from animegen.pose.skeletons import AVATAR35, COCO17
from animegen.pose.smooth import smooth_track
from animegen.testing import synthetic_pose, synthetic_track
from animegen.types import Track

SAME_POSE = 0.01
"""How far the same build may move points, in heights: limbs seen longer than they can be are held in."""
SAME_PLACE = 0.005
"""Heights from the person's wrist to the avatar's, of bent arms that are long enough."""
SAME_PLACE_OF_A_HEAD = 0.06
"""The same at the head, in heads: the avatar's arms, at their limit, stretch a little less."""
OVERLONG = 1.15
"""How much longer than they are limbs may be where depth was steadied."""
QUICKER = 2.0
"""How much faster hands may move while they begin to be placed rather than pointed."""
UPRIGHT = 2.0
"""Degrees by which somebody may lean who stands upright."""
CALM = 1.2
"""How much larger accelerations may become."""

_SHORTER = {"trunk": 0.9, "neck": 0.9, "shoulder": 0.75, "upper_arm": 0.82, "forearm": 0.85, "thigh": 0.88, "shin": 0.9}
ANIME = Proportions(
    {part: length * _SHORTER.get(part, 1.0) for part, length in USUAL_LENGTHS.items()}, 0.2, 1.45 * HUMAN_FACE
)


def own_build(lifted):
    face = lifted.lengths.face
    return Proportions(lifted.lengths.parts, HUMAN_HEAD * face, face * HUMAN_FACE)


def dance(length=60, **where):
    """Somebody who waves and lifts one foot and the other."""
    poses = []
    for i in range(length):
        pose = synthetic_pose(**where)
        xy, phase = pose.xy.copy(), 2 * np.pi * i / 30
        for side, sign in (("left", 1), ("right", -1)):
            lift = 18 * max(0.0, sign * np.sin(phase))
            for name in ("ankle", "heel", "foot_index"):
                xy[pose.skeleton.index(f"{side}_{name}"), 1] -= lift
            for name in ("wrist", "index", "pinky", "thumb"):
                if f"{side}_{name}" in pose.skeleton.points:
                    xy[pose.skeleton.index(f"{side}_{name}"), 1] -= 40 * (1 + np.sin(phase))
        poses.append(replace(pose, xy=xy))
    return Track(1, tuple(range(length)), tuple(poses))


def with_arms(elbow, wrist, length=31, height=300.0):
    """Somebody whose arms go from hanging to there: ``elbow`` and ``wrist`` from the shoulder on, outward and down, in
    heights."""
    poses = []
    for share in np.linspace(0, 1, length):
        pose = synthetic_pose(feet=(300.0, 400.0), height=height)
        xy = pose.xy.copy()
        for side, out in (("left", 1), ("right", -1)):
            point = {name: pose.skeleton.index(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist", *_FINGERS)}
            hand = xy[[point[name] for name in _FINGERS]] - xy[point["wrist"]]
            for name, hanging, there in (("elbow", (0.02, 0.17), elbow), ("wrist", (0.03, 0.32), wrist)):
                way = (1 - share) * np.array(hanging) + share * np.array(there)
                xy[point[name]] = xy[point["shoulder"]] + height * way * [out, 1]
            xy[[point[name] for name in _FINGERS]] = xy[point["wrist"]] + hand
        poses.append(replace(pose, xy=xy, z=None))
    return Track(1, tuple(range(length)), tuple(poses))


_FINGERS = ("index", "pinky", "thumb")
_WRISTS = [AVATAR35.index(f"{side}_wrist") for side in ("left", "right")]
_EARS = [AVATAR35.index(f"{side}_ear") for side in ("left", "right")]
_ARMS_SPREAD = ((0.17, 0.02), (0.32, 0.03))
_HANDS_JOINED = ((0.04, 0.17), (-0.08, 0.15))
_HAND_AT_EAR = ((0.12, 0.1), (0.0, -0.08))
_OFF_THE_HIPS = 15
"""Frame from which arms that are spread no longer hang: hanging ones are turned off an avatar's hips."""


@pytest.mark.parametrize("arms", [_ARMS_SPREAD, _HANDS_JOINED, _HAND_AT_EAR])
@pytest.mark.parametrize("make", [dance, None])
def test_the_same_build_gives_the_same_pose(make, arms):
    person = lift_track(make() if make else with_arms(*arms))
    same = retarget(person, own_build(person))
    body = [i for i in range(len(AVATAR35)) if i not in FACE and person.known[:, i].min() > 0.5]
    off = np.linalg.norm(same.xyz[:, body, :2] - person.joints[:, body, :2], axis=2) / person.lengths.height[:, None]
    assert off.max() < SAME_POSE
    assert same.whole


def test_limbs_get_the_avatars_length_and_keep_their_direction():
    person = lift_track(with_arms(*_ARMS_SPREAD))
    moved = retarget(person, ANIME)
    there, drawn = person.joints[_OFF_THE_HIPS:, :, :2], moved.xyz[_OFF_THE_HIPS:, :, :2]
    for limb in LIMBS:
        if max(limb.parent, limb.child) < len(AVATAR35) and limb.part in ("upper_arm", "forearm", "thigh", "shin"):
            own = there[:, limb.child] - there[:, limb.parent]
            new = drawn[:, limb.child] - drawn[:, limb.parent]
            cross = own[:, 0] * new[:, 1] - own[:, 1] * new[:, 0]
            assert np.abs(cross / np.linalg.norm(own, axis=1) / np.linalg.norm(new, axis=1)).max() < 0.01
            ratio = np.linalg.norm(new, axis=1) / np.linalg.norm(own, axis=1)
            wanted = ANIME.parts[limb.part] / person.lengths.parts[limb.part]
            assert ratio.max() <= wanted * 1.001


def test_bent_arms_put_the_hands_where_the_persons_are():
    person = lift_track(with_arms(*_HANDS_JOINED))
    moved = retarget(person, ANIME)
    off = moved.xyz[-1, _WRISTS, :2] - person.joints[-1, _WRISTS, :2]
    assert np.abs(off).max() < SAME_PLACE * 300
    for side in ("left", "right"):
        wrist, *fingers = (AVATAR35.index(f"{side}_{name}") for name in ("wrist", *_FINGERS))
        own = person.joints[-1, fingers, :2] - person.joints[-1, wrist, :2]
        new = moved.xyz[-1, fingers, :2] - moved.xyz[-1, wrist, :2]
        cosine = (own * new).sum(axis=1) / np.linalg.norm(own, axis=1) / np.linalg.norm(new, axis=1)
        assert cosine.min() > 0.999


def test_a_hand_at_the_face_is_at_the_avatars_face():
    person = lift_track(with_arms(*_HAND_AT_EAR))
    moved = retarget(person, ANIME)
    own, new = (
        (points[-1, _WRISTS, :2] - points[-1, _EARS, :2].mean(axis=0)) / head
        for points, head in (
            (person.joints, HUMAN_HEAD * person.lengths.face * person.lengths.height[-1]),
            (moved.xyz, ANIME.head_to_height * moved.height[-1]),
        )
    )
    assert np.abs(own - new).max() < SAME_PLACE_OF_A_HEAD


@pytest.mark.parametrize("arms", [_HANDS_JOINED, _HAND_AT_EAR, ((0.0, 0.17), (0.0, 0.02))])
def test_arms_keep_their_lengths_and_go_over_smoothly(arms):
    person = lift_track(with_arms(*arms))
    moved = retarget(person, ANIME)
    for side in ("left", "right"):
        shoulder, elbow, wrist = (AVATAR35.index(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist"))
        for part, near, far in (("upper_arm", shoulder, elbow), ("forearm", elbow, wrist)):
            length = np.linalg.norm(moved.xyz[:, far] - moved.xyz[:, near], axis=1)
            assert length.max() < OVERLONG * ANIME.parts[part] * moved.height.max()
        own, new = (np.linalg.norm(np.diff(x[:, wrist, :2], axis=0), axis=1) for x in (person.joints, moved.xyz))
        assert new.max() < QUICKER * own.max()


def lean(joints, limb):
    """How far a limb that stands up leans to the camera, in degrees, on average."""
    way = (joints[:, LIMBS[limb].child] - joints[:, LIMBS[limb].parent]).mean(axis=0)
    return np.degrees(np.arctan2(-way[2], -way[1]))


@pytest.mark.parametrize("leans", [{"trunk": -3.5, "neck": -12.0}, {"trunk": 0.0, "neck": 20.0}])
def test_who_stands_upright_holds_trunk_and_neck_as_the_avatar_does_at_rest(leans):
    person = lift_track(with_arms(*_ARMS_SPREAD))
    moved = retarget(person, replace(ANIME, lean=leans))
    for limb in (TRUNK, NECK):
        part = LIMBS[limb].part
        assert lean(person.joints, limb) == pytest.approx(HUMAN_LEAN[part], abs=UPRIGHT)
        assert lean(moved.joints, limb) == pytest.approx(leans[part], abs=UPRIGHT)


def test_the_avatar_stands_where_the_person_stands():
    person = lift_track(dance(feet=(300.0, 400.0), height=300.0))
    moved = retarget(person, ANIME)
    feet = [AVATAR35.index(f"{side}_{name}") for side in ("left", "right") for name in ("heel", "foot_index")]
    down = person.joints[:, feet, 1].max(axis=1)
    assert np.abs(moved.xyz[:, feet, 1].max(axis=1) - down).max() < 0.03 * 300
    assert moved.height == pytest.approx(person.lengths.height)


def test_half_a_person_is_as_tall_as_what_is_seen():
    track = dance(feet=(300.0, 400.0), height=300.0)
    legs = [i for i, name in enumerate(track.poses[0].skeleton.points) if any(w in name for w in _LEGS)]
    score = track.poses[0].score.copy()
    score[legs] = 0
    half = Track(1, track.frame_indices, tuple(replace(pose, score=score) for pose in track.poses))
    moved = retarget(lift_track(half), ANIME)
    assert not moved.whole
    assert moved.height.max() < 300
    middle = np.mean(
        [track.poses[0].xy[track.poses[0].skeleton.index(f"left_{n}")] for n in ("shoulder", "hip")], axis=0
    )
    mine = np.mean([moved.xyz[0, AVATAR35.index(f"left_{n}"), :2] for n in ("shoulder", "hip")], axis=0)
    assert abs(middle[1] - mine[1]) < 0.02 * 300


_LEGS = ("knee", "ankle", "heel", "foot")


@pytest.mark.parametrize(("facing", "towards"), [("front", -1), ("back", 1)])
def test_the_face_looks_where_the_person_looks(facing, towards):
    moved = retarget(lift_track(dance(facing=facing)), ANIME)
    nose, ears = AVATAR35.index("nose"), [AVATAR35.index("left_ear"), AVATAR35.index("right_ear")]
    ahead = moved.xyz[:, nose, 2] - moved.xyz[:, ears, 2].mean(axis=1)
    assert (np.sign(ahead) == towards).all()


def test_a_shifted_person_shifts_the_avatar():
    track = dance()
    moved = Track(1, track.frame_indices, tuple(replace(p, xy=p.xy + np.float32([1.0, -1.0])) for p in track.poses))
    before, after = (retarget(lift_track(t), ANIME).xyz for t in (track, moved))
    assert np.abs(after[..., :2] - before[..., :2] - [1.0, -1.0]).max() < 1e-3
    assert np.abs(after[..., 2] - before[..., 2]).max() < 1e-3


def test_poses_come_back_as_a_track():
    track = dance()
    avatar = retarget_track(track, ANIME)
    assert avatar.frame_indices == track.frame_indices
    for pose, own in zip(avatar.poses, track.poses, strict=True):
        assert pose.skeleton == AVATAR35
        assert (pose.bbox[:2] < pose.xy[pose.score > 0].min(axis=0)).all()
        assert (pose.score[AVATAR35.index("left_thumb_tip")]) == 0
        assert pose.expression == own.expression
    unknown = replace(track.poses[0], score=np.zeros_like(track.poses[0].score))
    assert np.isfinite(retarget_track(Track(0, (4,), (unknown,)), ANIME).poses[0].xy).all()


def test_a_skeleton_without_feet_or_depth_is_taken():
    track = synthetic_track(COCO17, length=8)
    flat = Track(0, track.frame_indices, tuple(replace(pose, z=None) for pose in track.poses))
    moved = retarget(lift_track(flat), ANIME)
    assert moved.whole
    assert moved.score[0, AVATAR35.index("left_ankle")] > 0
    assert moved.score[0, AVATAR35.index("left_heel")] == 0


def test_proportions_travel_as_numbers():
    again = Proportions.from_dict(ANIME.to_dict())
    assert again.parts == pytest.approx(dict(ANIME.parts))
    assert np.allclose(again.face, ANIME.face)
    leaning = replace(ANIME, lean={"trunk": -4.0, "neck": 11.0})
    assert dict(Proportions.from_dict(leaning.to_dict()).lean) == leaning.lean
    with pytest.raises(InvalidValue, match="neck"):
        replace(ANIME, lean={"trunk": 0.0, "neck": 90.0})
    values = ANIME.to_dict()
    del values["neck_lean"]  # as files from before it was measured
    assert Proportions.from_dict(values).lean["neck"] == HUMAN_LEAN["neck"]
    del values["thigh"]
    with pytest.raises(InvalidValue, match="thigh"):
        Proportions.from_dict(values)
    with pytest.raises(InvalidValue, match="shin"):
        Proportions({**USUAL_LENGTHS, "shin": 0.0}, 0.2, HUMAN_FACE)


def test_the_crown_stands_above_the_ears():
    human = Proportions(USUAL_LENGTHS, HUMAN_HEAD, HUMAN_FACE)
    assert human.crown * human.parts["neck"] == pytest.approx(0.075, abs=0.01)  # tragion to vertex: 131 of 1750 mm
    assert ANIME.crown > human.crown


def test_motion_goes_over_to_where_another_person_stands():
    near = dance(40, feet=(300.0, 460.0), height=300.0)
    far = dance(40, feet=(500.0, 250.0), height=150.0)
    moved = normalise_motion(near, far)
    for pose, wanted in zip(moved.poses, far.poses, strict=True):
        foot = [pose.skeleton.index(f"{side}_foot_index") for side in ("left", "right")]
        nose = pose.skeleton.index("nose")
        assert pose.xy[foot, 1].max() == pytest.approx(250.0 - 1.5, abs=3)
        tall, other = (p.xy[foot, 1].max() - p.xy[nose, 1] for p in (pose, wanted))
        assert tall == pytest.approx(other, rel=0.08)


def test_a_hidden_left_foot_is_not_taken_for_the_foot_line():
    source = dance(10, feet=(300.0, 460.0), height=300.0)
    poses = []
    for pose in source.poses:
        score, xy = pose.score.copy(), pose.xy.copy()
        for name in ("ankle", "heel", "foot_index"):
            score[pose.skeleton.index(f"left_{name}")] = 0
            xy[pose.skeleton.index(f"left_{name}"), 1] = 5000
        poses.append(replace(pose, score=score, xy=xy))
    hidden = Track(1, source.frame_indices, tuple(poses))
    one, other = normalise_motion(hidden, source), normalise_motion(source, source)
    nose = source.poses[0].skeleton.index("nose")
    assert np.abs(one.poses[0].xy[nose] - other.poses[0].xy[nose]).max() < 6
    without = Track(1, (0,), (replace(source.poses[0], score=np.zeros(33, np.float32)),))
    with pytest.raises(InvalidValue, match="feet"):
        normalise_motion(without, source)


def test_real_people_stay_as_calm_as_they_were(shared, blazepose_weights):
    from animegen.pose.blazepose import make_blazepose
    from animegen.pose.blazepose.options import BlazePoseOptions
    from animegen.protocols import PluginContext
    from animegen.video import open_video

    backend = make_blazepose(BlazePoseOptions(), PluginContext(threads=2, weights=blazepose_weights))
    with open_video(shared / "video" / "sam2_juggle_man.mp4") as video:
        poses = tuple(people[0] for people in backend.estimate(video.frames(195, 235)))
    track = smooth_track(Track(0, tuple(range(len(poses))), poses), Fraction(24))
    person = lift_track(track)
    moved = retarget(person, ANIME)
    seen = np.flatnonzero(person.known[:, : len(AVATAR35)].min(axis=0) >= 0.5)

    def acceleration(points):
        return np.linalg.norm(np.diff(points[:, seen, :2], n=2, axis=0), axis=2).mean()

    assert acceleration(moved.xyz) < CALM * acceleration(person.joints)
    assert moved.whole
