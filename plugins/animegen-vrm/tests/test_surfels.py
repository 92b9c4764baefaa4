"""Avatars as armatures and surfels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from animegen_vrm.cli import vrm
from animegen_vrm.model import Avatar
from animegen_vrm.read import read_avatar
from animegen_vrm.rig import BONES, BodyPose, Rig
from animegen_vrm.surface import rest_positions
from animegen_vrm.surfels import armature_of, surfels_of
from click.testing import CliRunner
from scipy.spatial import cKDTree
from stick_avatar import stick_avatar
from tiny_vrm import BLOCKS, block_vrm, save

from animegen.avatar.armature import Armature
from animegen.avatar.surfel_files import load_surfels
from animegen.avatar.surfels import MATERIAL_FIELDS, SurfelAvatar
from animegen.pose.skeletons import AVATAR35
from animegen.types import PARTS

COUNT = 3000
ABOUT = 0.04  # share by which the number of surfels may miss what is asked for: disks are thrown, not counted out
FLAT = 1e-3  # metres: float32 on matrices of a few factors
GODETTE_COUNT = 6000


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    """A person of blocks."""
    return read_avatar(save(tmp_path_factory.mktemp("surfels"), block_vrm()))


@pytest.fixture(scope="module")
def of_person(person: Avatar) -> SurfelAvatar:
    return surfels_of(person, COUNT)


@pytest.fixture(scope="module")
def godette(avatar_paths: dict[str, Path]) -> SurfelAvatar:
    return surfels_of(read_avatar(avatar_paths["godette_ccby"]), GODETTE_COUNT)


def _by_bone(armature: Armature) -> dict[str, np.ndarray]:
    return dict(zip(armature.bones, armature.pivots, strict=True))


@pytest.mark.parametrize("arms_down", [0.0, 45.0])
def test_an_armature_stands_in_the_t_pose_and_is_symmetric(arms_down: float) -> None:
    armature = armature_of(stick_avatar(arms_down=arms_down, turned=3))
    pivots = _by_bone(armature)
    assert armature.bones[0] == "hips"
    assert armature.bones == tuple(bone for bone in BONES if bone in pivots)
    for bone, pivot in pivots.items():
        other = bone.replace("left", "right")
        np.testing.assert_allclose(pivot * (-1, 1, 1), pivots[other], atol=FLAT) if other != bone else None
    heights = [pivots[f"left{bone}"][1] for bone in ("UpperArm", "LowerArm", "Hand")]
    np.testing.assert_allclose(heights, heights[0], atol=FLAT)


def test_a_bone_hangs_on_the_nearest_that_is_there() -> None:
    armature = armature_of(stick_avatar(without=("upperChest", "neck")))
    parents = {
        bone: armature.bones[p] if p >= 0 else "" for bone, p in zip(armature.bones, armature.parents, strict=True)
    }
    assert (parents["hips"], parents["head"], parents["leftShoulder"]) == ("", "chest", "chest")


def test_points_hang_on_the_bones_that_move_them(person: Avatar) -> None:
    armature = armature_of(person)
    held = {
        point: armature.bones[bone] for point, bone in zip(AVATAR35.points, armature.point_bones.tolist(), strict=True)
    }
    assert held["nose"] == held["left_ear"] == "head"
    assert (held["left_elbow"], held["right_knee"]) == ("leftLowerArm", "rightLowerLeg")
    wrist = armature.points[AVATAR35.index("left_wrist")]
    np.testing.assert_allclose(wrist, _by_bone(armature)["leftHand"], atol=FLAT)


def test_surfels_are_what_they_say(of_person: SurfelAvatar) -> None:
    count = len(of_person.positions)
    assert abs(count - COUNT) < ABOUT * COUNT
    assert (of_person.weights.astype(int).sum(axis=1) == 255).all()
    assert of_person.bones.max() < len(of_person.armature.bones)
    for normals in (of_person.normals, of_person.shading_normals):
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-5)
    assert of_person.table.shape[1] == len(MATERIAL_FIELDS)
    assert of_person.materials.max() < len(of_person.table)
    assert of_person.about["name"] == "tiny"
    assert of_person.gaze == (9.0, 8.0)


def test_surfels_lie_on_the_surface_and_leave_no_holes(person: Avatar, of_person: SurfelAvatar) -> None:
    tree = cKDTree(of_person.positions)
    for name in ("shirt", "trousers", "hand"):  # what of the others lies in front is hidden in part
        _, middle, half, _ = BLOCKS[name]
        front = np.random.default_rng(0).uniform(-1, 1, (200, 3)) * half + middle
        front[:, 2] = middle[2] + half[2]
        distance, nearest = tree.query(front)
        assert (distance <= of_person.radii[nearest]).mean() > 0.97, name
    places = np.concatenate(rest_positions(person))
    assert (of_person.positions >= places.min(axis=0) - FLAT).all()
    assert (of_person.positions <= places.max(axis=0) + FLAT).all()


def test_surfels_hang_on_the_bones_of_their_triangles(of_person: SurfelAvatar) -> None:
    _, middle, half, _ = BLOCKS["sleeve"]
    there = (np.abs(of_person.positions - middle) <= np.array(half) - (0.02, -FLAT, -FLAT)).all(axis=1)
    assert there.any()
    held = {of_person.armature.bones[bone] for bone in of_person.bones[there, 0].tolist()}
    assert held == {"leftUpperArm"}


def test_parts_have_shades_of_their_colours(of_person: SurfelAvatar) -> None:
    for name, part in (("shirt", "upper"), ("hair", "hair"), ("trousers", "lower")):
        _, middle, half, colour = BLOCKS[name]
        there = (np.abs(of_person.positions - middle) <= np.array(half) + FLAT).all(axis=1)
        mine = there & (of_person.parts == PARTS.index(part))
        assert mine.sum() > 0.9 * there.sum()
        own = of_person.about["palette"][PARTS.index(part)]
        shown = of_person.shades[mine, None] / 255 * 1.25 * np.array(own) * 255 + of_person.fixed[mine]
        assert np.abs(shown - colour).mean() < 3.0, name


def test_what_is_inside_is_left_out(person: Avatar) -> None:
    inner = next(p for p in person.primitives if person.materials[p.material].part == "lower")
    _, middle, half, _ = BLOCKS["trousers"]
    shrunk = replace(inner, positions=((inner.positions - middle) / 2 + middle).astype(np.float32))
    stuffed = surfels_of(replace(person, primitives=(*person.primitives, shrunk)), COUNT)
    inside = (np.abs(stuffed.positions - middle) < 0.7 * np.array(half)).all(axis=1)
    assert not inside.any()


def test_the_same_seed_gives_the_same_surfels(person: Avatar, of_person: SurfelAvatar) -> None:
    again, other = surfels_of(person, COUNT), surfels_of(person, COUNT, seed=1)
    for name in ("positions", "normals", "radii", "bones", "weights", "shades", "fixed", "materials"):
        np.testing.assert_array_equal(getattr(again, name), getattr(of_person, name))
    assert not np.array_equal(other.positions[:100], of_person.positions[:100])


def test_expressions_move_the_face(godette: SurfelAvatar) -> None:
    assert set(godette.morphs) >= {"blink", "aa", "oh", "look_left", "look_up"}
    assert godette.gaze == (0.0, 0.0)  # its eyes are moved by expressions
    head = godette.armature.bones.index("head")
    for name, morph in godette.morphs.items():
        assert (np.linalg.norm(morph.offsets, axis=1) > 0).all(), name
        assert (godette.bones[morph.surfels, 0] == head).all(), name
    left, right = (godette.morphs[name].offsets[:, 0].mean() for name in ("look_left", "look_right"))
    assert left > 0 > right


def test_heads_and_hands_get_their_share(godette: SurfelAvatar) -> None:
    names = np.array(godette.armature.bones)[godette.bones[:, 0]]
    head = np.isin(names, ["neck", "head", "leftEye", "rightEye"]).mean()
    hand = np.array(
        [("Hand" in name or name.endswith(("Proximal", "Intermediate", "Distal"))) for name in names]
    ).mean()
    assert 0.4 < head < 0.53
    assert 0.07 < hand < 0.13


def test_rest_and_t_pose_are_told_apart(person: Avatar) -> None:
    rig = Rig(person)
    np.testing.assert_allclose(rig.apply(BodyPose()).globals, rig.rest, atol=FLAT)
    assert rig.drivers[person.humanoid["leftHand"]] == "leftHand"


def test_the_command_writes_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "avatars"
    folder.mkdir()
    for name in ("one.vrm", "two.vrm"):
        save(folder, block_vrm(), name)
    output = tmp_path / "out.safetensors"
    arguments = ["surfels", str(folder), "-o", str(output), "--count", "1000", "--quiet"]
    result = CliRunner().invoke(vrm, arguments)
    assert result.exit_code == 0, result.output
    avatars, skeleton = load_surfels(output)
    assert [avatar.about["name"] for avatar in avatars] == ["one", "two"]
    assert skeleton.points == AVATAR35.points
    assert CliRunner().invoke(vrm, arguments).exit_code == 1  # it stands already
    assert CliRunner().invoke(vrm, [*arguments, "--overwrite"]).exit_code == 0
