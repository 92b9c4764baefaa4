from __future__ import annotations

import json
from dataclasses import astuple, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from animegen.errors import InputError, InvalidValue, OutputError, UsageError
from animegen.pose.clip import NOMINAL_RATE, PoseClip, join_clips
from animegen.pose.convert import convert_pose
from animegen.pose.files import PackedMask, load_poses, open_npz, save_npz, save_poses
from animegen.pose.skeletons import BLAZEPOSE33, BLAZEPOSE75, BODY25, BODY67, COCO17, COCO_WHOLEBODY133
from animegen.types import Expression, Mask, Pose, Skeleton

JSON_STEP = 0.006
"""COCO JSON keeps hundredths of a pixel."""
SCORE_STEP = 6e-5
"""JSON files keep four decimals of a score."""


def random_pose(rng: np.random.Generator, skeleton: Skeleton, *, rich: bool) -> Pose:
    count = len(skeleton)
    return Pose(
        skeleton,
        rng.uniform(-50, 2000, (count, 2)).astype(np.float32),
        rng.choice([0, 0.2, 0.7, 1.0], count).astype(np.float32),
        np.sort(rng.uniform(0, 2000, (2, 2)), axis=0).reshape(4).astype(np.float32),
        rng.normal(0, 100, count).astype(np.float32) if rich else None,
        Mask(rng.integers(0, 256, (5, 7), dtype=np.uint8), rng.normal(size=(2, 3))) if rich else None,
        Expression(*rng.uniform(0, 1, len(astuple(Expression()))).tolist()) if rich else None,
    )


@st.composite
def clips(draw: st.DrawFn, skeleton: Skeleton = BLAZEPOSE33, min_frames: int = 0) -> PoseClip:
    counts = draw(st.lists(st.integers(0, 3), min_size=min_frames, max_size=4))
    steps = draw(st.lists(st.integers(1, 5), min_size=len(counts), max_size=len(counts)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    indices = np.cumsum([0, *steps])[1:].tolist()
    return PoseClip(
        (1920, 1080),
        skeleton,
        tuple(indices),
        tuple(Fraction(index * 1001, 30000) for index in indices),
        tuple(tuple(random_pose(rng, skeleton, rich=bool(rng.integers(2))) for _ in range(n)) for n in counts),
        tuple(tuple(None if rng.integers(3) == 0 else i for i in range(n)) for n in counts),
    )


def same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.dtype == b.dtype and np.array_equal(a, b)


def assert_frames_match(a: PoseClip, b: PoseClip) -> None:
    assert (a.size, a.skeleton, a.frame_indices, a.times, a.track_ids) == (
        b.size,
        b.skeleton,
        b.frame_indices,
        b.times,
        b.track_ids,
    )


@settings(max_examples=30, deadline=None)
@given(clip=clips())
def test_npz_gives_back_exactly_what_was_saved(clip: PoseClip, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("npz") / "clip.npz"
    save_poses(clip, path)
    back = load_poses(path)
    assert_frames_match(back, clip)
    for read, written in zip(sum(back.poses, ()), sum(clip.poses, ()), strict=True):
        for name in ("xy", "score", "bbox", "z"):
            assert same(getattr(read, name), getattr(written, name)), name
        assert read.expression == written.expression
        assert (read.mask is None) == (written.mask is None)
        if read.mask and written.mask:
            assert same(read.mask.alpha, written.mask.alpha)
            assert same(read.mask.affine, written.mask.affine)


@settings(max_examples=10, deadline=None)
@given(clip=clips())
def test_masks_packed_beforehand_make_the_same_file(clip: PoseClip, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("packed")
    save_npz(clip, folder / "whole.npz")
    people = [pose for poses in clip.poses for pose in poses]
    bare = replace(clip, poses=tuple(tuple(replace(pose, mask=None) for pose in poses) for poses in clip.poses))
    save_npz(bare, folder / "packed.npz", [PackedMask.of(pose.mask) if pose.mask else None for pose in people])
    assert (folder / "packed.npz").read_bytes() == (folder / "whole.npz").read_bytes()


def test_masks_stay_packed_until_a_frame_is_asked_for(tmp_path: Path) -> None:
    pose = random_pose(np.random.default_rng(5), BLAZEPOSE33, rich=True)
    assert pose.mask is not None
    clip = PoseClip((9, 9), BLAZEPOSE33, (4, 7), (Fraction(0), Fraction(1)), ((), (pose,)), ((), (0,)))
    save_npz(clip, tmp_path / "clip.npz")
    packed = open_npz(tmp_path / "clip.npz")
    assert list(packed) == [4, 7]
    assert packed[4] == ()
    assert packed.clip.poses[1][0].mask is None
    mask = packed[7][0].mask
    assert mask is not None
    assert same(mask.alpha, pose.mask.alpha)
    damaged = replace(PackedMask.of(pose.mask), data=b"no mask")
    save_npz(replace(clip, poses=packed.clip.poses), tmp_path / "clip.npz", [damaged])
    with pytest.raises(InputError, match=r"clip\.npz"):
        open_npz(tmp_path / "clip.npz")[7]


@settings(max_examples=15, deadline=None)
@given(clip=clips())
def test_the_same_clip_gives_the_same_bytes(clip: PoseClip, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    for format in ("npz", "coco"):
        for name in ("a", "b"):
            save_poses(clip, folder / name, format, overwrite=True)
        assert (folder / "a").read_bytes() == (folder / "b").read_bytes()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(clip=clips(min_frames=1))
def test_json_files_give_back_the_converted_poses(clip: PoseClip, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("json")
    for name, skeleton in (("clip.json", COCO17), ("clip", BODY25)):
        save_poses(clip, folder / name)
        back = load_poses(folder / name)
        assert_frames_match(back, replace(clip, skeleton=skeleton, poses=back.poses))
        for read, written in zip(sum(back.poses, ()), sum(clip.poses, ()), strict=True):
            wanted = convert_pose(written, skeleton)
            known = wanted.score > 0
            assert np.abs(read.xy - wanted.xy)[known].max(initial=0) < JSON_STEP
            assert np.abs(read.score - wanted.score).max() < SCORE_STEP
            if skeleton is COCO17:
                assert np.abs(read.bbox - wanted.bbox).max() < 2 * JSON_STEP


def test_hands_and_faces_travel_in_json_files_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    with_face = replace(random_pose(rng, BLAZEPOSE75, rich=True), mask=None)
    without = replace(with_face, expression=None)
    clip = PoseClip((1920, 1080), BLAZEPOSE75, (0,), (Fraction(0),), ((with_face, without),), ((1, None),))
    for name, skeleton in (("clip.json", COCO_WHOLEBODY133), ("clip", BODY67)):
        save_poses(clip, tmp_path / name)
        back = load_poses(tmp_path / name)
        assert back.skeleton == skeleton
        for read, written in zip(back.poses[0], clip.poses[0], strict=True):
            wanted = convert_pose(written, skeleton)
            assert np.abs(read.xy - wanted.xy)[wanted.score > 0].max() < JSON_STEP
            assert np.abs(read.score - wanted.score).max() < SCORE_STEP
            assert wanted.score[skeleton.index("left_hand_8")] == written.score[BLAZEPOSE75.index("left_hand_8")]
        face, none = (pose.expression for pose in back.poses[0])
        assert none is None
        assert face is not None
        assert np.allclose(astuple(face), astuple(with_face.expression or Expression()), atol=SCORE_STEP)


def test_coco_wholebody_ground_truth_is_read_with_hands_and_faces(shared: Path) -> None:
    clip = load_poses(shared / "pose" / "test_coco_wholebody.json")
    assert clip.skeleton == COCO_WHOLEBODY133
    people = [pose for poses in clip.poses for pose in poses]
    assert all((pose.score >= 0).all() and (pose.score <= 1).all() for pose in people)
    hands = [COCO_WHOLEBODY133.index(f"right_hand_{i}") for i in range(21)]
    known = [pose for pose in people if pose.score[hands].any()]
    assert known
    for pose in known:  # a hand is at its wrist: COCO's annotators put both within a hand's length
        size = np.ptp(pose.xy[hands], axis=0).max()
        wrist = COCO_WHOLEBODY133.index("right_wrist")
        if pose.score[wrist]:
            assert np.linalg.norm(pose.xy[hands[0]] - pose.xy[wrist]) < size


def one_person(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    pose = random_pose(rng, COCO17, rich=False)
    clip = PoseClip((640, 480), COCO17, (0, 1), (Fraction(0), Fraction(1, 30)), ((pose,), ()), ((4,), ()))
    path = tmp_path / "clip.json"
    save_poses(clip, path)
    return path


def test_coco_lists_every_frame_and_flags_by_score(tmp_path: Path) -> None:
    data = json.loads(one_person(tmp_path).read_text())
    assert [image["frame_index"] for image in data["images"]] == [0, 1]
    assert data["categories"][0]["keypoints"] == list(COCO17.points)
    annotation = data["annotations"][0]
    assert annotation["track_id"] == 4
    flags = annotation["keypoints"][2::3]
    for flag, score in zip(flags, annotation["keypoint_scores"], strict=True):
        assert flag == (0 if score == 0 else 1 if score < 0.5 else 2)


def test_coco_ground_truth_is_read(shared: Path) -> None:
    clip = load_poses(shared / "pose" / "test_coco.json")
    assert len(clip) == 4
    assert sum(len(poses) for poses in clip.poses) >= 12
    assert clip.times[1] == 1 / NOMINAL_RATE


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("walk the dog", "not a pose file"),
        ("[1, 2]", "a JSON object was expected"),
        ("{}", "neither COCO JSON"),
        ('{"images": [{"id": 1}], "annotations": []}', "width"),
        ('{"images": [], "annotations": [{"keypoints": [1, 2, 3], "image_id": 1}]}', "annotation 0"),
        ('{"people": [{"pose_keypoints_2d": [1, 2]}]}', "person 0"),
        ('{"people": [{}]}', "pose_keypoints_2d"),
        ('{"people": 3}', "malformed"),
    ],
)
def test_bad_json_names_file_and_fault(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(InputError) as error:
        load_poses(path)
    assert "bad.json" in str(error.value)
    assert says in str(error.value)


def test_not_finite_points_are_refused(tmp_path: Path) -> None:
    path = one_person(tmp_path)
    data = json.loads(path.read_text())
    data["annotations"][0]["keypoints"][0] = float("nan")
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match="not finite"):
        load_poses(path)


def test_damaged_npz_is_an_input_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    pose = random_pose(rng, BLAZEPOSE33, rich=True)
    path = tmp_path / "clip.npz"
    save_npz(PoseClip((9, 9), BLAZEPOSE33, (0,), (Fraction(0),), ((pose,),), ((0,),)), path)
    whole = path.read_bytes()
    for keep in (2, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:keep])
        with pytest.raises(InputError, match=r"clip\.npz"):
            load_poses(path)
    rng = np.random.default_rng(4)
    for position in rng.integers(0, len(whole), 60):
        broken = bytearray(whole)
        broken[position] ^= 0xFF
        path.write_bytes(broken)
        try:
            load_poses(path)
        except InputError as error:
            assert "clip.npz" in str(error)
    np.savez(path, xy=np.zeros(3))
    with pytest.raises(InputError, match="missing"):
        load_poses(path)
    np.savez(path, version=np.array([{}], dtype=object))
    with pytest.raises(InputError, match=r"clip\.npz"):
        load_poses(path)


def test_missing_file_and_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.npz"):
        load_poses(tmp_path / "nothing.npz")
    with pytest.raises(InputError, match="no OpenPose frames"):
        load_poses(tmp_path)


def test_unknown_format_is_a_usage_error(tmp_path: Path) -> None:
    clip = PoseClip((9, 9), COCO17, (), (), (), ())
    with pytest.raises(UsageError, match="txt"):
        save_poses(clip, tmp_path / "clip.txt")
    with pytest.raises(UsageError, match="xml"):
        save_poses(clip, tmp_path / "clip.npz", "xml")


def test_nothing_is_left_where_writing_fails(tmp_path: Path) -> None:
    clip = PoseClip((9, 9), COCO17, (), (), (), ())
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError):
        save_poses(clip, tmp_path / "file" / "clip.npz")
    with pytest.raises(OutputError, match="exists already"):
        save_poses(clip, tmp_path / "file", "openpose")
    with pytest.raises(OutputError, match="exists already"):
        save_poses(clip, tmp_path / "file", "npz")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


def test_clips_check_themselves_and_join() -> None:
    rng = np.random.default_rng(3)
    pose = random_pose(rng, COCO17, rich=False)
    first = PoseClip((9, 9), COCO17, (0,), (Fraction(0),), ((pose,),), ((0,),))
    second = replace(first, frame_indices=(1,), times=(Fraction(1, 25),))
    joined = join_clips([first, second])
    assert joined.rate == 25
    (track,) = joined.tracks()
    assert track.frame_indices == (0, 1)
    assert joined.with_tracks([track]).poses == joined.poses
    assert joined.with_tracks([]).track_ids == ((), ())
    with pytest.raises(InvalidValue, match="must rise"):
        join_clips([second, first])
    with pytest.raises(InvalidValue, match="twice"):
        replace(first, poses=((pose, pose),), track_ids=((1, 1),))
    with pytest.raises(InvalidValue, match="blazepose33"):
        replace(first, skeleton=BLAZEPOSE33)
