"""Bones from points: on an armature built here, posed, and seen by cameras whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest

from animegen.avatar.armature import Armature, PosedBones
from animegen.avatar.rotations import about, from_matrices, nearest, to_matrices, turned
from animegen.avatar.solve import Solver
from animegen.errors import InvalidValue
from animegen.pose.skeletons import AVATAR35

PIXEL = 1.0 / 256
SEEN_WITHIN = 0.6 * PIXEL
"""Points come back to where they were seen but for what bones' habits pull."""
BONES_WITHIN = 0.02
"""Metres; what points do not tell (a spine's bend, a collar's lift) is as it mostly is, so joints are a bit off."""
HAND_WITHIN = 0.15
"""Radians; a hand is a few pixels large."""
CURLS_WITHIN = 0.2
NUDGE = 0.5 * PIXEL
NUDGED_WITHIN = 8.0
"""A nudge of one point moves no other by more than so many times as much."""

_LEFT = {
    "Shoulder": (0.03, 1.33, 0.0), "UpperArm": (0.13, 1.35, 0.0), "LowerArm": (0.38, 1.35, 0.0),
    "Hand": (0.6, 1.35, 0.0), "UpperLeg": (0.08, 0.9, 0.0), "LowerLeg": (0.08, 0.5, 0.0), "Foot": (0.08, 0.1, -0.02),
    "Toes": (0.08, 0.03, 0.1),
    "ThumbMetacarpal": (0.62, 1.34, 0.02), "ThumbProximal": (0.65, 1.34, 0.045), "ThumbDistal": (0.68, 1.34, 0.06),
}  # fmt: skip
_TRUNK = {
    "hips": (0.0, 0.95, 0.0), "spine": (0.0, 1.0, 0.0), "chest": (0.0, 1.1, 0.0), "upperChest": (0.0, 1.2, 0.0),
    "neck": (0.0, 1.4, 0.0), "head": (0.0, 1.47, 0.01),
}  # fmt: skip
_HEAD = {
    "nose": (0.0, 1.53, 0.11), "left_eye": (0.03, 1.57, 0.08), "left_ear": (0.08, 1.56, 0.0),
    "mouth_left": (0.02, 1.49, 0.09),
}  # fmt: skip
_FEET = {"left_heel": (0.08, 0.0, -0.07), "left_foot_index": (0.08, 0.01, 0.17)}
_JOINTS = {
    "shoulder": "UpperArm", "elbow": "LowerArm", "wrist": "Hand", "hip": "UpperLeg", "knee": "LowerLeg",
    "ankle": "Foot", "thumb": "ThumbProximal", "index": "IndexProximal", "pinky": "LittleProximal",
}  # fmt: skip
_TIPS = {"thumb_tip": "ThumbDistal", "index_tip": "IndexDistal", "pinky_tip": "LittleDistal"}


def _parent(bone: str) -> str:
    """The bone above in the humanoid."""
    for segments in (("Metacarpal", "Proximal", "Distal"), ("Proximal", "Intermediate", "Distal")):
        for above, below in pairwise(segments):
            if bone.endswith(below) and ("Thumb" in bone) == (segments[0] == "Metacarpal"):
                return bone.removesuffix(below) + above
    side = bone[:4] if bone.startswith("left") else bone[:5]
    if bone.endswith(("Metacarpal", "Proximal")):
        return f"{side}Hand"
    chains = (
        ("hips", "spine", "chest", "upperChest", "neck", "head"),
        ("upperChest", *(side + name for name in ("Shoulder", "UpperArm", "LowerArm", "Hand"))),
        ("hips", *(side + name for name in ("UpperLeg", "LowerLeg", "Foot", "Toes"))),
    )
    return next(above for chain in chains for above, below in pairwise(chain) if below == bone)


def _places() -> dict[str, tuple[float, float, float]]:
    left = {f"left{bone}": place for bone, place in _LEFT.items()}
    for finger, z in (("Index", 0.03), ("Middle", 0.01), ("Ring", -0.01), ("Little", -0.03)):
        for i, segment in enumerate(("Proximal", "Intermediate", "Distal")):
            left[f"left{finger}{segment}"] = (0.69 + 0.03 * i, 1.35, z)
    right = {bone.replace("left", "right"): (-x, y, z) for bone, (x, y, z) in left.items()}
    return _TRUNK | left | right


def armature(without: tuple[str, ...] = ()) -> Armature:
    """A person of 1.6 m, without the bones whose names hold a word of ``without``."""
    places = {bone: place for bone, place in _places().items() if not any(word in bone for word in without)}
    bones = list(places)
    carrier = {bone: bone for bone in bones}
    for bone in _places():
        if bone not in carrier:
            carrier[bone] = carrier[_parent(bone)]
    points: dict[str, tuple[str, tuple[float, float, float]]] = {}
    for name in AVATAR35.points:
        side, point = ("right", name.replace("right", "left")) if "right" in name else ("left", name)
        short = point.removeprefix("left_")
        if point in _HEAD:
            bone, place = "head", _HEAD[point]
        elif point in _FEET:
            bone, place = "leftFoot" if "heel" in point else "leftToes", _FEET[point]
        elif short in _TIPS:
            bone = f"left{_TIPS[short]}"
            x, y, z = _places()[bone]
            place = (x + 0.025, y, z)
        else:
            bone, place = f"left{_JOINTS[short]}", _places()[f"left{_JOINTS[short]}"]
        mirrored = (-place[0], *place[1:]) if side == "right" else place
        points[name] = carrier[bone.replace("left", side)], mirrored
    parents = [-1, *(bones.index(carrier[_parent(bone)]) for bone in bones[1:])]
    return Armature(
        tuple(bones),
        np.array(parents, np.int64),
        np.array([*places.values()], np.float32),
        np.array([bones.index(bone) for bone, _ in points.values()], np.int64),
        np.array([place for _, place in points.values()], np.float32),
    )


@dataclass(frozen=True, eq=False)
class Scene:
    """Poses with what is seen of them: ``matrices`` f64 [N, B, 3, 4] in metres in the camera's axes."""

    matrices: np.ndarray
    xy: np.ndarray
    z: np.ndarray

    @property
    def score(self) -> np.ndarray:
        return np.ones(self.z.shape, np.float32)

    def solved(self, person: Armature) -> PosedBones:
        return Solver(person, AVATAR35.points).solve(self.xy, self.z, self.score)


def pose(rng: np.random.Generator, lively: float = 1.0) -> dict[str, np.ndarray]:
    """Local rotations as people have them, as quaternions."""
    vectors = {bone: rng.normal(0.0, 0.05, 3) for bone in ("spine", "chest", "upperChest")}
    vectors |= {bone: rng.normal(0.0, 0.15, 3) for bone in ("neck", "head")}
    for side, out in (("left", 1.0), ("right", -1.0)):
        vectors[f"{side}UpperArm"] = np.array((-0.2, -0.3 * out, -0.9 * out)) + rng.normal(0.0, 0.3, 3)
        vectors[f"{side}LowerArm"] = np.array((0.0, -out * rng.uniform(0.2, 1.8), 0.0))
        vectors[f"{side}Hand"] = rng.normal(0.0, 0.2, 3)
        vectors[f"{side}UpperLeg"] = np.array((-rng.uniform(0.0, 1.2), 0.1 * out, 0.1 * out)) + rng.normal(0, 0.1, 3)
        vectors[f"{side}LowerLeg"] = np.array((rng.uniform(0.0, 1.5), 0.0, 0.0))
        vectors[f"{side}Foot"] = rng.normal(0.0, 0.15, 3)
        for finger in ("Index", "Middle", "Ring", "Little"):
            curl = np.radians(0.3 * np.array((75.0, 95.0, 60.0)))
            for segment, bend in zip(("Proximal", "Intermediate", "Distal"), curl, strict=True):
                vectors[f"{side}{finger}{segment}"] = np.array((0.0, 0.0, -out * bend))
    return {bone: rotation(lively * vector) for bone, vector in vectors.items()}


def rotation(vector: np.ndarray) -> np.ndarray:
    """The matrix of the turn about a vector by its length in radians."""
    angle = np.linalg.norm(vector)
    return about(vector / max(angle, 1e-12), np.asarray(angle))


def film(
    person: Armature,
    poses: list[dict[str, np.ndarray]],
    turns: list[np.ndarray],
    distance: float = 4.0,
    size: float = 0.45,
) -> Scene:
    """The poses, each turned as a whole, from ``distance`` metres, ``size`` canvas sides a metre."""
    matrices = np.zeros((len(poses), len(person.bones), 3, 4))
    flip = np.diag((1.0, -1.0, -1.0))
    for matrix, local, turn in zip(matrices, poses, turns, strict=True):
        for i, bone in enumerate(person.bones):
            above = person.parents[i]
            pivot = person.pivots[i].astype(np.float64)
            carried = flip @ turn if above < 0 else matrix[above, :, :3]
            place = np.array((0.1, 0.05, distance)) if above < 0 else matrix[above] @ (*pivot, 1.0)
            matrix[i, :, :3] = carried @ local.get(bone, np.eye(3))
            matrix[i, :, 3] = place - matrix[i, :, :3] @ pivot
    points = np.concatenate([person.points, np.ones((len(person.points), 1))], axis=1)
    seen = (matrices[:, person.point_bones] @ points[:, :, None])[..., 0]
    hips = seen[:, [AVATAR35.index("left_hip"), AVATAR35.index("right_hip")], 2].mean(axis=1)
    focal = (size * hips)[:, None]
    xy = 0.5 + focal[..., None] * seen[..., :2] / seen[..., 2:]
    z = (seen[..., 2] - hips[:, None]) * focal / hips[:, None]
    return Scene(matrices, xy.astype(np.float32), z.astype(np.float32))


def drawn(person: Armature, bones: PosedBones) -> np.ndarray:
    """Where the points of solved bones are seen, f64 [N, K, 2]."""
    points = np.concatenate([person.points, np.ones((len(person.points), 1))], axis=1)
    seen = (bones.matrices[:, person.point_bones].astype(np.float64) @ points[:, :, None])[..., 0]
    return np.asarray(0.5 + bones.focal[:, None, None] * seen[..., :2] / seen[..., 2:])


def joints(person: Armature, matrices: np.ndarray) -> np.ndarray:
    """Where the pivots are, from the hips, f64 [N, B, 3]."""
    pivots = np.concatenate([person.pivots, np.ones((len(person.pivots), 1))], axis=1)
    places = (matrices.astype(np.float64) @ pivots[:, :, None])[..., 0]
    return np.asarray(places - places[:, :1])


def angle_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Radians between rotation matrices, whose size does not count."""
    a, b = nearest(a.astype(np.float64)), nearest(b.astype(np.float64))
    return np.asarray(np.arccos(np.clip((np.trace(a.swapaxes(-1, -2) @ b, axis1=-2, axis2=-1) - 1) / 2, -1, 1)))


YAWS = (0.0, 0.8, 1.6, 2.4, 3.1, -2.0, -1.5, -0.7)


@pytest.fixture(scope="module")
def person() -> Armature:
    return armature()


@pytest.fixture(scope="module")
def scene(person) -> Scene:
    """Eight poses from all sides."""
    rng = np.random.default_rng(3)
    return film(person, [pose(rng) for _ in YAWS], [rotation(np.array((0.0, yaw, 0.0))) for yaw in YAWS])


def test_points_come_back_to_where_they_were_seen(person, scene):
    miss = np.linalg.norm(drawn(person, scene.solved(person)) - scene.xy, axis=2)
    assert miss.max() < 3 * SEEN_WITHIN and np.sqrt(np.square(miss).mean()) < SEEN_WITHIN


def test_bones_are_those_of_the_pose(person, scene):
    solved = scene.solved(person)
    size = np.linalg.norm(solved.matrices[:, :1, :, :1], axis=2)
    off = np.linalg.norm(joints(person, solved.matrices) / size - joints(person, scene.matrices), axis=2)
    assert np.median(off) < 0.3 * BONES_WITHIN and off.max() < 3 * BONES_WITHIN
    rows = [person.bones.index(bone) for bone in ("leftHand", "rightHand", "head", "leftFoot", "rightFoot")]
    turns = angle_between(solved.matrices[:, rows, :, :3], scene.matrices[:, rows, :, :3])
    assert np.median(turns) < 0.3 * HAND_WITHIN and turns.max() < 2 * HAND_WITHIN


def test_the_hips_are_a_focal_length_away(person, scene):
    solved = scene.solved(person)
    hips = (solved.matrices[:, 0].astype(np.float64) @ (*person.pivots[0], 1.0))[:, 2]
    np.testing.assert_allclose(hips, solved.focal, rtol=0.03)
    np.testing.assert_allclose(solved.focal, 4.0 * 0.45, rtol=0.1)


@pytest.mark.parametrize("vector", [(0, 0, 1.57), (0, 0, 3.1), (-1.57, 0, 0), (1.5, 0, 0), (0, 1.57, 1.57)])
def test_bodies_that_lie_or_stand_on_their_hands(person, vector):
    rng = np.random.default_rng(4)
    scene = film(person, [pose(rng) for _ in range(3)], [rotation(np.array(vector, float))] * 3)
    miss = np.linalg.norm(drawn(person, scene.solved(person)) - scene.xy, axis=2)
    assert miss.max() < 3 * SEEN_WITHIN


@pytest.mark.parametrize(("distance", "size"), [(2.5, 0.5), (7.0, 0.5), (4.0, 2.0)])
def test_near_far_and_large(person, distance, size):
    scene = film(person, [pose(np.random.default_rng(5))], [np.eye(3)], distance, size)
    solved = scene.solved(person)
    assert np.linalg.norm(drawn(person, solved) - scene.xy, axis=2).max() < 3 * SEEN_WITHIN
    np.testing.assert_allclose(solved.focal, distance * size, rtol=0.15)


@pytest.mark.parametrize("curl", [0.0, 0.3, 0.9])
def test_fingers_curl_as_their_tips_lie(person, curl):
    local = pose(np.random.default_rng(6))
    for bone in list(local):
        if any(finger in bone for finger in ("Index", "Middle", "Ring", "Little")):
            local[bone] = rotation(curl / 0.3 * _vector(local[bone]))
    scene = film(person, [local], [np.eye(3)])
    solved = scene.solved(person)
    for bone in ("leftIndexDistal", "rightMiddleDistal", "rightLittleIntermediate"):
        row, hand = person.bones.index(bone), person.bones.index("leftHand" if bone.startswith("left") else "rightHand")
        bends = [angle_between(m[0, row, :, :3], m[0, hand, :, :3]) for m in (solved.matrices, scene.matrices)]
        assert abs(bends[0] - bends[1]) < CURLS_WITHIN * np.radians(230)


def shapes(count: int, known: float = 1.0) -> np.ndarray:
    """Both hands with index and middle finger straight and spread, and the others bent."""
    bends = np.zeros((5, 3))
    bends[3:] = np.radians((70.0, 90.0, 50.0))
    fans = np.radians((10.0, -10.0, 0.0, 0.0))
    return np.tile(np.array([known, *fans, *bends.ravel()], np.float32), (count, 2, 1))


def finger_bends(person: Armature, matrices: np.ndarray, side: str) -> list[float]:
    """How far the last bones of the four fingers are turned against their hand, in radians."""
    rows = [person.bones.index(f"{side}{finger}Distal") for finger in ("Index", "Middle", "Ring", "Little")]
    hand = person.bones.index(f"{side}Hand")
    return [float(angle_between(matrices[0, row, :, :3], matrices[0, hand, :, :3])) for row in rows]


@pytest.mark.parametrize("side", ["left", "right"])
def test_each_finger_bends_as_it_was_seen(person, scene, side):
    solver = Solver(person, AVATAR35.points)
    signed = solver.solve(scene.xy, scene.z, scene.score, shapes(len(scene.xy)))
    index, middle, ring, little = finger_bends(person, signed.matrices, side)
    assert index == pytest.approx(np.radians(10), abs=1e-3) and middle == pytest.approx(np.radians(10), abs=1e-3)
    # 210 degrees one way are 150 the other.
    assert ring == pytest.approx(np.radians(150), abs=1e-3) and little == pytest.approx(np.radians(150), abs=1e-3)
    apart = [person.bones.index(f"{side}{finger}Distal") for finger in ("Index", "Middle")]
    thumb = person.bones.index(f"{side}ThumbDistal")
    near, far = np.linalg.norm(
        joints(person, signed.matrices)[0, apart] - joints(person, signed.matrices)[0, thumb], axis=1
    )
    assert near < far, "the index finger is on the thumb's side"


def test_fingers_that_were_not_seen_follow_their_tips(person, scene):
    solver = Solver(person, AVATAR35.points)
    alone = scene.solved(person).matrices
    unseen = solver.solve(scene.xy, scene.z, scene.score, shapes(len(scene.xy), known=0.0)).matrices
    np.testing.assert_array_equal(unseen, alone)
    half = solver.solve(scene.xy, scene.z, scene.score, shapes(len(scene.xy), known=0.5)).matrices
    signed = solver.solve(scene.xy, scene.z, scene.score, shapes(len(scene.xy))).matrices
    for side in ("left", "right"):
        ends = [finger_bends(person, matrices, side)[1] for matrices in (alone, half, signed)]
        assert ends[0] > ends[1] > ends[2]


def test_hands_of_other_shapes_are_refused(person, scene):
    solver = Solver(person, AVATAR35.points)
    for hands in (shapes(len(scene.xy))[:, :1], shapes(len(scene.xy)) * np.float32(np.nan)):
        with pytest.raises(InvalidValue, match="hands"):
            solver.solve(scene.xy, scene.z, scene.score, hands)


def _vector(matrix: np.ndarray) -> np.ndarray:
    """The axis of a small turn times its angle."""
    quaternion = from_matrices(matrix)
    length = np.linalg.norm(quaternion[:3])
    return np.asarray(quaternion[:3] / max(length, 1e-12) * 2.0 * np.arctan2(length, quaternion[3]))


@pytest.mark.parametrize(
    "without",
    [("Toes", "upperChest"), ("Thumb", "Index", "Middle", "Ring", "Little", "Shoulder"), ("Ring",), ("neck",)],
)
def test_bones_that_an_armature_lacks(without):
    person = armature(without)
    rng = np.random.default_rng(7)
    scene = film(person, [pose(rng) for _ in range(2)], [np.eye(3)] * 2)
    solved = scene.solved(person)
    assert solved.matrices.shape == (2, len(person.bones), 3, 4)
    assert np.linalg.norm(drawn(person, solved) - scene.xy, axis=2).max() < 3 * SEEN_WITHIN


def test_a_place_that_is_unknown_means_nothing(person, scene):
    solver, rng = Solver(person, AVATAR35.points), np.random.default_rng(8)
    hidden = [AVATAR35.index(name) for name in ("left_elbow", "left_wrist", "right_knee", "right_pinky_tip", "nose")]
    score = scene.score.copy()
    score[:, hidden] = 0.0
    xy, z = scene.xy.copy(), scene.z.copy()
    xy[:, hidden], z[:, hidden] = rng.normal(size=(len(xy), len(hidden), 2)), np.nan
    one, other = solver.solve(scene.xy, scene.z, score), solver.solve(xy, z, score)
    assert one.matrices.tobytes() == other.matrices.tobytes()
    known = np.setdiff1d(np.arange(35), [*hidden, AVATAR35.index("left_thumb_tip")])
    assert np.linalg.norm(drawn(person, one) - scene.xy, axis=2)[:, known].max() < 4 * SEEN_WITHIN


def test_a_head_and_shoulders_without_the_rest(person, scene):
    seen = [
        i for i, name in enumerate(AVATAR35.points) if any(p in name for p in ("eye", "ear", "nose", "mouth", "should"))
    ]
    score = np.zeros_like(scene.score)
    score[:, seen] = 1.0
    solved = Solver(person, AVATAR35.points).solve(scene.xy, scene.z, score)
    assert np.linalg.norm(drawn(person, solved) - scene.xy, axis=2)[:, seen].max() < 3 * SEEN_WITHIN
    assert np.isfinite(solved.matrices).all()


def test_a_pose_does_not_depend_on_its_batch(person, scene):
    solver = Solver(person, AVATAR35.points)
    whole = solver.solve(scene.xy, scene.z, scene.score)
    for size in (1, 3, 5):
        parts = [
            solver.solve(scene.xy[i : i + size], scene.z[i : i + size], scene.score[i : i + size])
            for i in range(0, len(scene.xy), size)
        ]
        assert b"".join(part.matrices.tobytes() for part in parts) == whole.matrices.tobytes()
        assert b"".join(part.focal.tobytes() for part in parts) == whole.focal.tobytes()
    assert solver.solve(scene.xy[:0], scene.z[:0], scene.score[:0]).matrices.shape == (0, len(person.bones), 3, 4)


def test_the_same_points_give_the_same_bytes(person, scene):
    assert scene.solved(person).matrices.tobytes() == scene.solved(person).matrices.tobytes()


def test_a_nudge_moves_the_result_a_little(person, scene):
    solver = Solver(person, AVATAR35.points)
    for k in range(0, 35, 4):
        xy = scene.xy.copy()
        xy[:, k, 0] += NUDGE
        one = drawn(person, solver.solve(scene.xy, scene.z, scene.score))
        other = drawn(person, solver.solve(xy, scene.z, scene.score))
        assert np.linalg.norm(one - other, axis=2).max() < NUDGED_WITHIN * NUDGE


def test_a_turning_body_never_jumps(person):
    """All around in steps of 3 degrees: bones turn by about as much from one to the next."""
    step = np.radians(3.0)
    local = pose(np.random.default_rng(9))
    turns = [rotation(np.array((0.0, i * step, 0.0))) for i in range(121)]
    solved = film(person, [local] * len(turns), turns).solved(person)
    body = [i for i, bone in enumerate(person.bones) if "Distal" not in bone and "Intermediate" not in bone]
    assert angle_between(solved.matrices[1:, body, :, :3], solved.matrices[:-1, body, :, :3]).max() < 4 * step


@pytest.mark.parametrize("score", [0.0, 1.0])
@pytest.mark.parametrize("place", [0.5, 0.0, 1e30])
def test_nothing_sensible_stays_finite(person, score, place):
    xy, z = np.full((2, 35, 2), place, np.float32), np.zeros((2, 35), np.float32)
    solved = Solver(person, AVATAR35.points).solve(xy, z, np.full((2, 35), score, np.float32))
    assert np.isfinite(solved.matrices).all() and np.isfinite(solved.focal).all()


def test_noise_alone_stays_finite(person):
    rng = np.random.default_rng(10)
    xy, z = rng.uniform(size=(16, 35, 2)).astype(np.float32), rng.normal(0, 0.3, (16, 35)).astype(np.float32)
    solved = Solver(person, AVATAR35.points).solve(xy, z, rng.uniform(size=(16, 35)).astype(np.float32))
    assert np.isfinite(solved.matrices).all() and np.abs(solved.matrices).max() < 100


def test_shapes_that_do_not_fit_are_refused(person, scene):
    solver = Solver(person, AVATAR35.points)
    for xy, z, score in (
        (scene.xy[:, :3], scene.z, scene.score), (scene.xy, scene.z[:3], scene.score),
        (scene.xy, scene.z, scene.score[:, :3]), (scene.xy[..., :1], scene.z, scene.score),
    ):  # fmt: skip
        with pytest.raises(InvalidValue, match="must be"):
            solver.solve(xy, z, score)
    with pytest.raises(InvalidValue, match="finite"):
        solver.solve(np.full_like(scene.xy, np.nan), scene.z, scene.score)
    with pytest.raises(InvalidValue, match="finite"):
        solver.solve(scene.xy, scene.z, np.full_like(scene.score, np.inf))


def test_armatures_that_cannot_be_solved_are_refused(person):
    with pytest.raises(InvalidValue, match="34 names"):
        Solver(person, AVATAR35.points[:-1])
    with pytest.raises(InvalidValue, match="left_hip"):
        Solver(person, [name.replace("left_hip", "hip") for name in AVATAR35.points])
    with pytest.raises(InvalidValue, match="pelvis"):
        Solver(replace(person, bones=("pelvis", *person.bones[1:])), AVATAR35.points)


def test_rotations_and_quaternions_agree():
    rng = np.random.default_rng(11)
    quaternions = rng.normal(size=(64, 4))
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    matrices = to_matrices(quaternions)
    np.testing.assert_allclose(matrices @ matrices.swapaxes(1, 2), np.broadcast_to(np.eye(3), (64, 3, 3)), atol=1e-12)
    back = from_matrices(matrices)
    np.testing.assert_allclose(np.abs((back * quaternions).sum(axis=1)), 1.0, atol=1e-12)
    np.testing.assert_allclose(nearest(3.0 * matrices), matrices, atol=1e-12)
    vector = np.array((0.01, -0.02, 0.03))
    np.testing.assert_allclose(to_matrices(turned(quaternions, vector)), rotation(vector) @ matrices, atol=1e-5)
