"""Avatars as armatures and rigged facets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from animegen_vrm import rigged, visibility
from animegen_vrm.cli import vrm
from animegen_vrm.dataset import random_face, seen
from animegen_vrm.framing import View, crown_of, frame
from animegen_vrm.keypoints import Keypoints
from animegen_vrm.model import Avatar
from animegen_vrm.motion import random_pose
from animegen_vrm.paint import Painter
from animegen_vrm.read import read_avatar
from animegen_vrm.render import LIGHT, Renderer
from animegen_vrm.rig import BONES, BodyPose, Rig, vrm_expressions
from animegen_vrm.rigged import armature_of, rigged_of
from animegen_vrm.tpose import mesh_of
from animegen_vrm.visibility import sides_seen
from cards import card
from click.testing import CliRunner
from stick_avatar import stick_avatar
from tiny_vrm import BLOCKS, block_vrm, save, tiny_vrm

from animegen.avatar.armature import Armature
from animegen.avatar.config import EXPRESSION
from animegen.avatar.layers import colour_layers
from animegen.avatar.rigged import MATERIAL_FIELDS, RiggedAvatar
from animegen.avatar.rigged_files import load_rigged, save_rigged
from animegen.avatar.rigged_generator import load_rigged_generator
from animegen.errors import AnimegenError, InvalidValue
from animegen.measure.pictures import alpha_iou, foreground_psnr
from animegen.pose.skeletons import AVATAR35
from animegen.types import PARTS

COUNT = 1000
FLAT = 1e-3  # metres: float32 on matrices of a few factors
DOUBLE_SIDED = MATERIAL_FIELDS.index("double_sided")


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    """A person of blocks."""
    return read_avatar(save(tmp_path_factory.mktemp("rigged"), block_vrm()))


@pytest.fixture(scope="module")
def of_person(person: Avatar) -> RiggedAvatar:
    return rigged_of(person, COUNT)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    """One square whose lower edge moves when it says 'aa'."""
    return read_avatar(save(tmp_path_factory.mktemp("rigged"), tiny_vrm()))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is hidden is found out roughly: for avatars of which nothing is."""
    monkeypatch.setattr(visibility, "_POINTS", 1000)


# Armatures


def _by_bone(armature: Armature) -> dict[str, np.ndarray]:
    return dict(zip(armature.bones, armature.pivots, strict=True))


@pytest.mark.parametrize("arms_down", [0.0, 45.0])
def test_an_armature_stands_in_the_t_pose_parents_first(arms_down: float) -> None:
    armature = armature_of(stick_avatar(arms_down=arms_down, turned=3))
    pivots = _by_bone(armature)
    assert armature.bones == tuple(bone for bone in BONES if bone in pivots)
    assert armature.parents[0] == -1
    assert (armature.parents < np.arange(len(armature.bones))).all()
    for bone, pivot in pivots.items():
        mirrored = bone.replace("left", "right")
        np.testing.assert_allclose(pivot * ((-1, 1, 1) if mirrored != bone else 1), pivots[mirrored], atol=FLAT)
    heights = [pivots[f"left{bone}"][1] for bone in ("UpperArm", "LowerArm", "Hand")]
    np.testing.assert_allclose(heights, heights[0], atol=FLAT)


def test_a_bone_hangs_on_the_nearest_that_is_there() -> None:
    armature = armature_of(stick_avatar(without=("upperChest", "neck")))
    parents = dict(zip(armature.bones, (armature.bones[p] for p in armature.parents), strict=True))
    assert (parents["head"], parents["leftShoulder"]) == ("chest", "chest")


def test_points_hang_on_the_bones_that_move_them(person: Avatar) -> None:
    armature = armature_of(person)
    held = dict(zip(AVATAR35.points, (armature.bones[bone] for bone in armature.point_bones), strict=True))
    assert held["nose"] == held["left_ear"] == "head"
    assert (held["left_elbow"], held["right_knee"]) == ("leftLowerArm", "rightLowerLeg")
    wrist = armature.points[AVATAR35.index("left_wrist")]
    np.testing.assert_allclose(wrist, _by_bone(armature)["leftHand"], atol=FLAT)


def test_without_hips_there_is_no_armature() -> None:
    whole = stick_avatar()
    hipless = replace(whole, humanoid={bone: node for bone, node in whole.humanoid.items() if bone != "hips"})
    for make in (armature_of, lambda avatar: rigged_of(avatar, COUNT)):
        with pytest.raises(InvalidValue, match="'stick' has no humanoid bone 'hips'"):
            make(hipless)


# Facets


def test_a_rigged_avatar_is_what_it_says(of_person: RiggedAvatar) -> None:
    assert (of_person.weights.astype(int).sum(axis=1) == 255).all()
    assert of_person.bones.max() < len(of_person.armature.bones)
    np.testing.assert_allclose(np.linalg.norm(of_person.normals, axis=1), 1.0, atol=1e-5)
    assert np.array_equal(np.unique(of_person.corners), np.arange(len(of_person.positions)))
    assert of_person.table.shape[1] == len(MATERIAL_FIELDS)
    assert of_person.materials.max() == len(of_person.table) - 1
    assert of_person.about["name"] == "tiny"
    assert of_person.gaze == (9.0, 8.0)


def test_facets_face_where_their_vertices_do(of_person: RiggedAvatar) -> None:
    a, b, c = of_person.positions[of_person.corners].transpose(1, 0, 2)
    mean = of_person.normals[of_person.corners].mean(axis=1)
    assert (np.sum(np.cross(b - a, c - a) * mean, axis=1) > 0).mean() > 0.99


def test_facets_hang_on_the_bones_of_their_triangles(of_person: RiggedAvatar) -> None:
    _, middle, half, _ = BLOCKS["sleeve"]
    there = (np.abs(of_person.positions - middle) <= np.array(half) + FLAT).all(axis=1)
    assert there.any()
    assert {of_person.armature.bones[bone] for bone in of_person.bones[there, 0]} == {"leftUpperArm"}


def test_parts_have_shades_of_their_colours(of_person: RiggedAvatar) -> None:
    parts = np.zeros(len(of_person.positions))
    parts[of_person.corners.ravel()] = np.repeat(of_person.table[of_person.materials, 0], 3)
    for name, part in (("shirt", "upper"), ("hair", "hair"), ("trousers", "lower")):
        _, middle, half, colour = BLOCKS[name]
        there = (np.abs(of_person.positions - middle) <= np.array(half) + FLAT).all(axis=1)
        assert (parts[there] == PARTS.index(part)).all(), name
        own = np.array(of_person.about["palette"][PARTS.index(part)])
        shown = of_person.shades[there, None] / 255 * 1.25 * own * 255 + of_person.fixed[there]
        assert np.abs(shown - colour).mean() < 3.0, name


def test_what_is_inside_is_left_out(person: Avatar) -> None:
    inner = next(p for p in person.primitives if person.materials[p.material].part == "lower")
    _, middle, half, _ = BLOCKS["trousers"]
    shrunk = replace(inner, positions=((inner.positions - middle) / 2 + middle).astype(np.float32))
    stuffed = rigged_of(replace(person, primitives=(*person.primitives, shrunk)), COUNT)
    inside = (np.abs(stuffed.positions - middle) < 0.7 * np.array(half)).all(axis=1)
    assert not inside.any()


@pytest.mark.parametrize("dressed", [True, False])
def test_skin_right_under_clothes_is_left_out(person: Avatar, dressed: bool) -> None:
    cloth = next(p for p in person.primitives if person.materials[p.material].part == "lower")
    skin = next(i for i, material in enumerate(person.materials) if material.part == "skin")
    _, middle, half, _ = BLOCKS["trousers"]
    inward = (1 - 0.003 / np.array(half)).astype(np.float32)
    leg = replace(cloth, positions=(cloth.positions - middle) * inward + middle, material=skin)
    worn = [p for p in person.primitives if dressed or p is not cloth]
    made = rigged_of(replace(person, primitives=(*worn, leg)), COUNT)
    of_skin = made.table[made.materials, 0] == PARTS.index("skin")
    there = (np.abs(made.positions[made.corners].mean(axis=1) - middle) < half).all(axis=1)
    assert (of_skin & there).any() != dressed


def test_skin_is_left_out_where_all_that_is_seen_of_it_is_covered(person: Avatar) -> None:
    """A leg right under trousers goes on far inside of a wide coat, where nobody sees it."""
    cloth = next(p for p in person.primitives if person.materials[p.material].part == "lower")
    skin = next(i for i, material in enumerate(person.materials) if material.part == "skin")
    _, middle, half, _ = BLOCKS["trousers"]

    def block(centre: tuple[float, ...], size: tuple[float, ...]) -> np.ndarray:
        return ((cloth.positions - middle) / np.array(half) * size + np.array(centre)).astype(np.float32)

    leg = replace(cloth, positions=block((0.1, 0.61, 0.0), (0.067, 0.387, 0.067)), material=skin)
    coat = replace(cloth, positions=block((0.1, 0.9, 0.0), (0.2, 0.2, 0.2)))
    made = rigged_of(replace(person, primitives=(*person.primitives, coat, leg)), COUNT)
    of_skin = made.table[made.materials, 0] == PARTS.index("skin")
    assert not (of_skin & (made.positions[made.corners].mean(axis=1)[:, 1] < 1.0)).any()


@pytest.mark.usefixtures("quick")
def test_an_avatar_without_textures_keeps_its_triangles() -> None:
    plain = stick_avatar()
    made = rigged_of(plain, COUNT)
    assert 0 < len(made.corners) <= sum(len(primitive.triangles) for primitive in plain.primitives)
    assert (made.fixed == 255).all()
    assert made.materials.max() == 0
    np.testing.assert_allclose(np.linalg.norm(made.normals, axis=1), 1.0)  # though the file has none


def test_the_same_avatar_gives_the_same_bytes(person: Avatar, of_person: RiggedAvatar, tmp_path: Path) -> None:
    for name, made in (("first", of_person), ("second", rigged_of(person, COUNT))):
        save_rigged(tmp_path / name, [made], AVATAR35)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("double_sided", [False, True])
def test_backs_are_seen_of_double_sided_materials(double_sided: bool) -> None:
    shown = card(double_sided=double_sided)
    rig = Rig(shown)
    mesh = mesh_of(shown, rig.apply(BodyPose()))
    sides = sides_seen(shown, Painter(shown), mesh)
    np.testing.assert_array_equal(sides, [(True, double_sided)] * 2)


# Expressions


@pytest.mark.usefixtures("quick")
def test_expressions_move_what_they_move_and_no_more(tiny: Avatar) -> None:
    square = tiny.primitives[0]
    hardly = np.tile(np.array((1e-5, 0, 0), np.float32), (len(square.positions), 1))
    moved = replace(square, morphs={**square.morphs, "oh": hardly, "aa": square.morphs["aa"] + hardly})
    made = rigged_of(replace(tiny, primitives=(moved,), expressions=("aa", "oh")), COUNT)
    assert set(made.morphs) == {"aa"}
    lower = np.flatnonzero(made.positions[:, 1] < made.positions[:, 1].min() + FLAT)
    np.testing.assert_array_equal(made.morphs["aa"].vertices, lower)
    np.testing.assert_allclose(made.morphs["aa"].offsets[:, 1], -0.01, atol=1e-6)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("times", [0.0, 1e7], ids=["nothing", "far"])
def test_expressions_may_move_nothing_or_far_away(tiny: Avatar, times: float) -> None:
    square = tiny.primitives[0]
    thrown = replace(square, morphs={"aa": square.morphs["aa"] * np.float32(times)})
    made = rigged_of(replace(tiny, primitives=(thrown,)), COUNT)
    assert len(made.corners) == 2
    assert all(np.isfinite(morph.offsets).all() for morph in made.morphs.values())
    assert set(made.morphs) == ({"aa"} if times else set())


@pytest.mark.usefixtures("quick")
def test_a_gaze_turns_eye_bones_as_far_as_the_file_says(tiny: Avatar) -> None:
    assert rigged_of(tiny, COUNT).gaze == (tiny.look_at.horizontal, tiny.look_at.vertical)
    by_expressions = replace(tiny, look_at=replace(tiny.look_at, by="expression"))
    assert rigged_of(by_expressions, COUNT).gaze == (0.0, 0.0)


# Faults


def _clear(whole: Avatar) -> Avatar:
    return replace(whole, materials=(replace(whole.materials[0], alpha_mode="mask", lit=(1, 1, 1, 0)),))


def _with(whole: Avatar, **arrays: Any) -> Avatar:
    return replace(whole, primitives=(replace(whole.primitives[0], **arrays),))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (_clear(card()), "nothing is seen of avatar 'stick'"),
        (_with(card(), positions=card().primitives[0].positions * 1000), "farther than 100 m"),
        (_with(card(), uvs=np.full((4, 2), np.nan, np.float32)), "NaN"),
    ],
    ids=["clear", "large", "nan"],
)
def test_what_cannot_be_drawn_is_named(wrong: Avatar, message: str) -> None:
    with pytest.raises(InvalidValue, match=message) as raised:
        rigged_of(wrong, COUNT)
    assert raised.value.hint


@pytest.mark.usefixtures("quick")
def test_too_many_vertices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rigged, "MOST_VERTICES", 3)
    with pytest.raises(InvalidValue, match="'stick' needs 4 vertices; 3 fit") as raised:
        rigged_of(card(), COUNT)
    assert "--count" in raised.value.hint


# The command


@pytest.mark.usefixtures("quick")
def test_the_command_writes_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "avatars"
    folder.mkdir()
    for name in ("one.vrm", "two.vrm"):
        save(folder, tiny_vrm(), name)
    output = tmp_path / "out.safetensors"
    arguments = ["rigged", str(folder), "-o", str(output), "--count", "100", "--quiet"]
    result = CliRunner().invoke(vrm, arguments)
    assert result.exit_code == 0, result.output
    assert "facets of 2 avatars" in result.output
    avatars, skeleton = load_rigged(output)
    assert [avatar.about["name"] for avatar in avatars] == ["one", "two"]
    assert skeleton.points == AVATAR35.points
    before = output.read_bytes()
    (folder / "two.vrm").unlink()
    assert CliRunner().invoke(vrm, arguments).exit_code == 1  # it stands already
    assert output.read_bytes() == before
    assert CliRunner().invoke(vrm, [*arguments, "--overwrite"]).exit_code == 0
    assert len(load_rigged(output)[0]) == 1


@pytest.mark.usefixtures("quick")
def test_a_fault_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "avatars"
    folder.mkdir()
    save(folder, tiny_vrm(), "one.vrm")
    (folder / "two.vrm").write_bytes(b"no avatar")
    output = tmp_path / "out" / "out.safetensors"
    result = CliRunner().invoke(vrm, ["rigged", str(folder), "-o", str(output), "--count", "100", "--quiet"])
    assert result.exit_code == 1
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize("count", ["99", "75001"])
def test_counts_have_bounds(tmp_path: Path, count: str) -> None:
    result = CliRunner().invoke(vrm, ["rigged", str(tmp_path), "-o", str(tmp_path / "x"), "--count", count])
    assert result.exit_code == 2
    assert "100<=x<=75000" in result.output


# Pictures

PICTURE = 256
LEAST_IOU, LEAST_PSNR = 0.95, 22.0  # measured: about 0.975 and 25 dB over many poses of ten avatars
PICTURE_COUNT = 20_000


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    try:
        return Renderer(PICTURE)
    except AnimegenError as error:
        pytest.skip(f"no OpenGL here: {error}")


@pytest.mark.parametrize("name", ["eliza_ryu", "godette_ccby"])
def test_facets_look_as_the_avatar_does(
    renderer: Renderer, avatar_paths: dict[str, Path], tmp_path: Path, name: str
) -> None:
    avatar = read_avatar(avatar_paths[name])
    save_rigged(tmp_path / "it.safetensors", [rigged_of(avatar, PICTURE_COUNT)], AVATAR35)
    generator = load_rigged_generator(tmp_path / "it.safetensors")
    keypoints, rig, model = Keypoints(avatar), Rig(avatar), renderer.load(avatar)
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        face = random_face(rng)
        posed = rig.apply(random_pose(rng), vrm_expressions(face, avatar), (face.gaze_x, face.gaze_y))
        points = keypoints.points(posed)
        view = View(framing=0, yaw=20.0, pitch=5.0, roll=0.0, fov=30.0, margin=0.1, shift=(0.0, 0.0))
        camera = frame(view, points, crown_of(avatar, keypoints), PICTURE)
        truth = renderer.layers(model, posed, camera, LIGHT)
        xy, z = seen(points, camera)
        drawn = generator.draw(
            (xy[None] + np.float32(0.5)) / np.float32(PICTURE),
            z[None] / np.float32(PICTURE),
            np.ones((1, len(AVATAR35)), np.float32),
            expression=np.array([[getattr(face, axis) for axis in EXPRESSION]], np.float32),
            avatar=np.zeros(1, np.int64),
            stage=PICTURE,
        )[0]
        own = generator.avatars[0]["palette"]
        palette = np.array([colour or (0.5, 0.5, 0.5) for colour in own], np.float32)
        expected, shown = (colour_layers(layers, palette) for layers in (truth, drawn))
        assert alpha_iou(expected, shown) >= LEAST_IOU, seed
        assert foreground_psnr(expected, shown) >= LEAST_PSNR, seed
