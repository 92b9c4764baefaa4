"""What hangs loose on an avatar becomes bones that swing, as the file says, and stays out of its head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from animegen_vrm import loose, visibility
from animegen_vrm import quaternions as q
from animegen_vrm.loose import bones_of, springs_of
from animegen_vrm.model import Avatar, Collider, Primitive, Spring
from animegen_vrm.rig import BONES, BodyPose, Rig
from animegen_vrm.rigged import armature_of, rigged_of
from animegen_vrm.springs import settle
from stick_avatar import stick_avatar

from animegen.avatar.rigged_files import load_rigged, save_rigged
from animegen.avatar.springs import Springs, Swing
from animegen.pose.skeletons import AVATAR35

LINKS, LENGTH = 3, 0.1
FIRST = 22
"""The first node of the hair: the bones of the stick avatar stand before it."""
ROOT, OUT = (0.0, 0.1, -0.1), (0.0, 0.0, -1.0)
WIDTH = 0.02
EXACT = 1e-3
"""Metres, of 30 cm of hair: turns are kept in 16 bits."""


def haired(*, colliders: tuple[Collider, ...] = (), gravity: float = 0.0, drag: float = 0.4) -> Avatar:
    """A stick avatar with a strip of hair that sticks out behind its head."""
    nodes = tuple(range(FIRST, FIRST + LINKS + 1))
    count = len(nodes)
    spring = Spring(
        nodes, (1.0,) * count, (gravity,) * count, ((0.0, -1.0, 0.0),) * count, (drag,) * count, (0.01,) * count,
        colliders,
    )  # fmt: skip
    links = [tuple(LENGTH * value for value in OUT)] * LINKS
    bare = stick_avatar(chain=spring, chain_nodes=[ROOT, *links])
    globals_ = Rig(bare).apply(BodyPose()).globals
    places = globals_[list(nodes), :3, 3]
    joints = len(bare.joint_nodes)
    strip = Primitive(
        name="hair",
        positions=np.concatenate([places + np.array((x, 0.0, 0.0)) for x in (-WIDTH, WIDTH)]).astype(np.float32),
        normals=np.tile(np.array((0, 1, 0), np.float32), (2 * count, 1)),
        uvs=np.zeros((2 * count, 2), np.float32),
        joints=np.tile(joints + np.minimum(np.arange(count), LINKS - 1), 2)[:, None].repeat(4, 1).astype(np.uint16),
        weights=np.tile(np.array((1, 0, 0, 0), np.float32), (2 * count, 1)),
        triangles=np.array(
            [t for i in range(LINKS) for t in ((i, i + count, i + 1), (i + 1, i + count, i + count + 1))], np.uint32
        ),
        material=0,
        morphs={},
    )
    return replace(
        bare,
        primitives=(*bare.primitives, strip),
        joint_nodes=np.append(bare.joint_nodes, nodes[:-1]).astype(np.int32),
        inverse_binds=np.concatenate([bare.inverse_binds, np.linalg.inv(globals_[list(nodes[:-1])])]),
        materials=tuple(replace(material, double_sided=True) for material in bare.materials),
    )


def springs(avatar: Avatar) -> Springs:
    posed = Rig(avatar).apply(BodyPose())
    return springs_of(avatar, posed, bones_of(avatar, posed), None)


def names(avatar: Avatar) -> list[str]:
    """The bones that swing."""
    posed = Rig(avatar).apply(BodyPose())
    return [bone for bone in bones_of(avatar, posed).bones if bone not in BONES]


def test_hair_becomes_bones_where_its_nodes_are() -> None:
    avatar = haired()
    armature, found = armature_of(avatar), springs(avatar)
    body = len(armature.bones) - LINKS
    assert armature.bones[:body] == tuple(bone for bone in BONES if bone in avatar.humanoid)
    np.testing.assert_array_equal(found.bones, body + np.arange(LINKS))
    np.testing.assert_array_equal(armature.parents[body:], [armature.bones.index("head"), body, body + 1])
    ends = Rig(avatar).rest_position("head") + ROOT + np.outer(np.arange(LINKS + 1), LENGTH * np.array(OUT))
    np.testing.assert_allclose(armature.pivots[body:], ends[:-1], atol=EXACT)
    np.testing.assert_allclose(found.tails, ends[1:], atol=EXACT)
    np.testing.assert_allclose(found.drag, 0.4)
    np.testing.assert_allclose(found.stiffness, 1.0)


def test_it_comes_to_rest_where_the_file_says() -> None:
    avatar = haired(gravity=0.2)
    rig = Rig(avatar)
    nod = rig.apply(BodyPose({"head": q.about((1.0, 0.0, 0.0), 0.5).astype(np.float32)}))
    wanted = settle(rig, nod).globals[FIRST + 1 : FIRST + 1 + LINKS, :3, 3]
    armature = armature_of(avatar)
    nodes = [avatar.humanoid.get(bone, FIRST) for bone in armature.bones]
    matrices = (nod.globals[nodes] @ np.linalg.inv(rig.rest[nodes]))[:, :3].astype(np.float32)
    camera = matrices * np.array((1, -1, -1), np.float32)[:, None]
    found = springs(avatar)
    swing = Swing(armature, found)
    moved = swing.applied(matrices, swing.hanging(camera))[found.bones]
    places = (moved[:, :, :3] @ found.tails[:, :, None])[..., 0] + moved[:, :, 3]
    np.testing.assert_allclose(places, wanted, atol=EXACT)
    stiff = swing.applied(matrices, np.zeros((LINKS, 3), np.float16))[found.bones]
    assert np.abs(places - (stiff[:, :, :3] @ found.tails[:, :, None])[..., 0] - stiff[:, :, 3]).max() > 0.02


def test_facets_hang_on_what_swings_and_stay_out_of_the_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visibility, "_POINTS", 1000)
    made = rigged_of(haired(), 100)
    swinging = made.armature.bones.index("swings 0")
    assert set(made.bones[made.bones >= swinging].tolist()) == {swinging, swinging + 1, swinging + 2}
    save_rigged(tmp_path / "haired.safetensors", [made], AVATAR35)
    (read,), _ = load_rigged(tmp_path / "haired.safetensors")
    assert len(read.springs) == LINKS


def test_what_no_avatar_has_is_left_out_of_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The specification puts spheres far off for readers that know no planes."""
    monkeypatch.setattr(visibility, "_POINTS", 1000)
    head = stick_avatar().humanoid["head"]
    plane, inside = Collider(head, (0.0, -1000.0, 0.0), 1000.0), Collider(head, (0.0, -10000.0, 0.0), 0.0)
    hollow, near = Collider(head, (0.0, 0.0, 0.0), -0.5), Collider(head, (0.0, 0.1, 0.0), 0.1)
    made = rigged_of(haired(colliders=(plane, inside, hollow, near), gravity=1e4), 100)
    save_rigged(tmp_path / "haired.safetensors", [made], AVATAR35)
    (read,), _ = load_rigged(tmp_path / "haired.safetensors")
    assert np.unique(read.springs.reach).tolist() == pytest.approx([0.0, 0.11])


def test_hair_comes_no_nearer_to_the_head_than_it_is_at_rest_where_a_file_has_no_colliders() -> None:
    avatar = haired()
    posed = Rig(avatar).apply(BodyPose())
    armature = armature_of(avatar)
    head = armature.bones.index("head")
    positions = armature.pivots[head] + 0.15 * np.concatenate([np.eye(3), -np.eye(3)])
    weights = np.zeros((6, len(armature.bones)), np.float32)
    weights[:, head] = 1.0
    ball = loose.head_of(armature, positions, weights)
    found = springs_of(avatar, posed, bones_of(avatar, posed), ball)
    away = np.linalg.norm(found.tails - found.ends[0, 0], axis=1)
    assert ball is not None and found.carriers.tolist() == [head]
    np.testing.assert_allclose(found.reach[:, 0], np.minimum(away, ball.radius), atol=EXACT)
    assert loose.head_of(armature, positions[:0], weights[:0]) is None


def test_colliders_of_a_file_are_kept_and_move_with_the_body() -> None:
    on_chest = Collider(stick_avatar().humanoid["chest"], (0.0, 0.1, 0.0), 0.2, (0.0, 0.3, 0.0))
    on_hair = Collider(FIRST + 1, (0.0, 0.0, 0.0), 0.05)
    avatar = haired(colliders=(on_chest, on_hair))
    found, armature = springs(avatar), armature_of(avatar)
    assert [armature.bones[bone] for bone in found.carriers] == ["chest", "head"]
    np.testing.assert_allclose(found.reach, [(0.21, 0.06)] * LINKS, atol=EXACT)
    np.testing.assert_allclose(
        found.ends[0] - Rig(avatar).rest_position("chest"), [(0, 0.1, 0), (0, 0.3, 0)], atol=EXACT
    )
    Swing(armature, found)


def test_what_moves_nothing_is_no_bone() -> None:
    avatar = haired()
    assert names(avatar) == ["swings 0", "swings 1", "swings 2"]
    assert names(replace(avatar, primitives=avatar.primitives[:-1])) == []
    assert len(springs(replace(avatar, primitives=avatar.primitives[:-1]))) == 0


def test_flesh_does_not_swing() -> None:
    avatar = haired()
    named = (*avatar.nodes.names[:FIRST], "J_Sec_L_Bust1", *avatar.nodes.names[FIRST + 1 :])
    assert names(replace(avatar, nodes=replace(avatar.nodes, names=named))) == []


def test_a_body_does_not_hang_on_springs() -> None:
    avatar = haired()
    (hair,) = avatar.springs
    chest, upper = avatar.humanoid["chest"], avatar.humanoid["upperChest"]
    trunk = replace(hair, nodes=(chest, upper))
    assert names(replace(avatar, springs=(trunk,))) == []
    assert names(replace(avatar, springs=(trunk, hair))) == names(avatar)


def test_an_eye_that_is_hair_is_no_eye() -> None:
    avatar = haired()
    odd = replace(avatar, humanoid={**avatar.humanoid, "leftEye": FIRST + 1})
    assert "leftEye" not in armature_of(odd).bones
    assert names(odd) == names(avatar)


@pytest.mark.parametrize("room", [LINKS, LINKS - 1])
def test_springs_for_which_there_is_no_room_are_left_out(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    avatar = haired()
    monkeypatch.setattr(loose, "MOST_BONES", len(avatar.humanoid) + room)
    assert len(names(avatar)) == (LINKS if room == LINKS else 0)
