"""Reading avatars of both versions into one shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from animegen_vrm.model import Avatar
from animegen_vrm.read import read_avatar
from animegen_vrm.rig import rest_matrices
from animegen_vrm.surface import rest_positions
from tiny_vrm import MESH_NODE, NUMBERS, TAIL_NODES, png, save, tiny_vrm

EXACT = 1e-5  # metres: float32 of a person's size
VERSIONS = ("0.x", "1.0")


def _bone(avatar: Avatar, name: str) -> np.ndarray:
    return rest_matrices(avatar.nodes)[avatar.humanoid[name], :3, 3]


@pytest.mark.parametrize("version", VERSIONS)
def test_both_versions_come_out_alike(tmp_path: Path, version: str) -> None:
    avatar = read_avatar(save(tmp_path, tiny_vrm(version)))
    assert (avatar.name, avatar.version) == ("tiny", version)
    assert avatar.licence.title == "Tiny"
    assert avatar.licence.authors == ("Nobody",)
    assert not avatar.licence.credit_required
    np.testing.assert_allclose(_bone(avatar, "leftHand"), (0.65, 1.4, 0.0), atol=EXACT)
    (primitive,) = avatar.primitives
    np.testing.assert_array_equal(primitive.triangles, [[0, 1, 2], [0, 2, 3]])
    (places,) = rest_positions(avatar)
    np.testing.assert_allclose(places[1], (0.1, 1.4, 0.1), atol=EXACT)  # the unused fifth vertex is gone
    assert len(places) == 4
    assert avatar.look_at.by == "bone"
    assert avatar.look_at.horizontal == 9.0


@pytest.mark.parametrize("version", VERSIONS)
def test_expressions_become_summed_displacements(tmp_path: Path, version: str) -> None:
    avatar = read_avatar(save(tmp_path, tiny_vrm(version)))
    assert avatar.expressions == ("aa",)
    np.testing.assert_allclose(avatar.primitives[0].morphs["aa"][:, 1], (-0.01, -0.01, 0, 0), atol=EXACT)


@pytest.mark.parametrize("version", VERSIONS)
def test_springs_hang_on_nodes_and_know_their_colliders(tmp_path: Path, version: str) -> None:
    avatar = read_avatar(save(tmp_path, tiny_vrm(version)))
    (spring,) = avatar.springs
    assert [avatar.nodes.names[node] for node in spring.nodes[:2]] == ["tail1", "tail2"]
    assert spring.stiffness[0] == 0.7
    (collider,) = spring.colliders
    assert collider.node == avatar.humanoid["head"]
    place = rest_matrices(avatar.nodes)[collider.node] @ (*collider.offset, 1.0)
    np.testing.assert_allclose(place[:3], (0.0, 1.6, 0.02), atol=EXACT)
    if version == "0.x":  # which leaves the end of a chain unsaid: 7 cm on
        end = rest_matrices(avatar.nodes)[spring.nodes[2], :3, 3]
        np.testing.assert_allclose(end - rest_matrices(avatar.nodes)[spring.nodes[1], :3, 3], (0, -0.07, 0), atol=EXACT)


def test_branching_hair_of_0x_becomes_several_chains(tmp_path: Path) -> None:
    writer = tiny_vrm("0.x")
    writer.json["nodes"].append({"name": "side", "translation": [0.1, 0, 0]})
    writer.json["nodes"][TAIL_NODES[0]]["children"].append(len(writer.json["nodes"]) - 1)
    avatar = read_avatar(save(tmp_path, writer))
    chains = [[avatar.nodes.names[node] for node in spring.nodes] for spring in avatar.springs]
    assert chains == [["tail1", "tail2", "tail2_end"], ["side", "side_end"]]


def test_parents_stand_before_children(tmp_path: Path) -> None:
    writer = tiny_vrm()
    nodes = writer.json["nodes"]
    nodes.append({"name": "over", "children": [NUMBERS["hips"]], "translation": [0, 1, 0]})
    avatar = read_avatar(save(tmp_path, writer))
    assert (avatar.nodes.parents < np.arange(len(avatar.nodes.parents))).all()
    np.testing.assert_allclose(_bone(avatar, "hips"), (0.0, 1.9, 0.0), atol=EXACT)


def test_a_matrix_is_taken_apart(tmp_path: Path) -> None:
    writer = tiny_vrm()
    node = writer.json["nodes"][NUMBERS["hips"]]
    del node["translation"]
    node["matrix"] = [0, 0, -2, 0, 0, 2, 0, 0, 2, 0, 0, 0, 0, 0.9, 0, 1]
    avatar = read_avatar(save(tmp_path, writer))
    world = rest_matrices(avatar.nodes)[avatar.humanoid["hips"]]
    np.testing.assert_allclose(world, np.array(node["matrix"]).reshape(4, 4).T, atol=EXACT)


def test_mtoon_0x_gets_the_meaning_of_1(tmp_path: Path) -> None:
    (material,) = read_avatar(save(tmp_path, tiny_vrm("0.x"))).materials
    # What UniVRM's own tests give for 0.x defaults.
    assert material.shading_toony == pytest.approx(0.95)
    assert material.shading_shift == pytest.approx(-0.05)
    assert material.lit == pytest.approx((0.2140, 1, 1, 1), abs=1e-4)  # sRGB 0.5 in linear light
    assert material.outline_width == pytest.approx(0.002)  # 0.2 cm
    assert (material.alpha_mode, material.depth_write, material.double_sided) == ("blend", False, True)
    assert material.order == 3001
    assert material.lit_texture is not None
    assert material.lit_texture.offset == (0.25, 0.5)  # v runs the other way
    assert material.lit_texture.scale == (0.5, 0.5)


def test_mtoon_1_is_kept(tmp_path: Path) -> None:
    (material,) = read_avatar(save(tmp_path, tiny_vrm())).materials
    assert material.shade == (0.5, 0.4, 0.3)
    assert (material.shading_shift, material.shading_toony, material.outline_width) == (-0.1, 0.95, 0.002)
    assert material.shade_texture is None


def test_thumbs_of_0x_get_the_names_of_1(tmp_path: Path) -> None:
    writer = tiny_vrm("0.x")
    bones = writer.json["extensions"]["VRM"]["humanoid"]["humanBones"]
    bones += [{"bone": "leftThumbProximal", "node": TAIL_NODES[0]}, {"bone": "leftThumbDistal", "node": TAIL_NODES[1]}]
    humanoid = read_avatar(save(tmp_path, writer)).humanoid
    assert "leftThumbMetacarpal" in humanoid
    assert "leftThumbProximal" not in humanoid
    assert "leftThumbDistal" in humanoid


def test_a_mesh_without_a_skin_hangs_on_its_node(tmp_path: Path) -> None:
    writer = tiny_vrm()
    node = writer.json["nodes"][MESH_NODE]
    del node["skin"]
    node["translation"] = [0, 1, 0]
    avatar = read_avatar(save(tmp_path, writer))
    (places,) = rest_positions(avatar)
    np.testing.assert_allclose(places[0], (-0.1, 2.4, 0.1), atol=EXACT)
    np.testing.assert_array_equal(avatar.primitives[0].weights[:, 0], 1.0)


def test_normalised_integers_strides_and_sparse_accessors(tmp_path: Path) -> None:
    writer = tiny_vrm()
    accessors, attributes = writer.json["accessors"], writer.json["meshes"][0]["primitives"][0]["attributes"]
    weights = np.zeros((5, 8), np.uint8)  # four weights, four bytes of something else
    weights[:, :4] = (51, 204, 0, 0)
    accessors[attributes["WEIGHTS_0"]] |= {
        "bufferView": writer.view(weights.tobytes(), byteStride=8),
        "componentType": 5121,
        "normalized": True,
    }
    moved = {
        "count": 1,
        "indices": {"bufferView": writer.view(np.array([2], np.uint16).tobytes()), "componentType": 5123},
    }
    moved["values"] = {"bufferView": writer.view(np.array([[0.3, 1.6, 0.1]], np.float32).tobytes())}
    accessors[attributes["POSITION"]]["sparse"] = moved
    (primitive,) = read_avatar(save(tmp_path, writer)).primitives
    np.testing.assert_allclose(primitive.weights[0, :2], (0.8, 0.2), atol=EXACT)
    np.testing.assert_allclose(primitive.positions[2], (0.3, 1.6, 0.1), atol=EXACT)


def test_the_four_strongest_of_eight_weights_are_kept(tmp_path: Path) -> None:
    writer = tiny_vrm()
    attributes = writer.json["meshes"][0]["primitives"][0]["attributes"]
    attributes["JOINTS_1"] = attributes["JOINTS_0"]
    attributes["WEIGHTS_1"] = writer.accessor(np.array([[0.5, 0.5, 0.5, 0.5]] * 5, np.float32))
    (primitive,) = read_avatar(save(tmp_path, writer)).primitives
    np.testing.assert_allclose(primitive.weights.sum(axis=1), 1.0, atol=EXACT)
    assert primitive.weights[0, 0] == pytest.approx(0.75 / 2.25)


def test_missing_normals_are_made(tmp_path: Path) -> None:
    writer = tiny_vrm()
    del writer.json["meshes"][0]["primitives"][0]["attributes"]["NORMAL"]
    (primitive,) = read_avatar(save(tmp_path, writer)).primitives
    np.testing.assert_allclose(primitive.normals, [(0, 0, 1)] * 4, atol=EXACT)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_pictures_of_each_kind(tmp_path: Path, kind: str) -> None:
    import io

    from PIL import Image

    held = io.BytesIO()
    Image.open(io.BytesIO(png())).save(held, kind)
    writer = tiny_vrm()
    writer.json["images"][0]["bufferView"] = writer.view(held.getvalue())
    (image,) = read_avatar(save(tmp_path, writer)).images
    assert image.shape == (4, 4, 4)
    # JPEG and WebP lose a little.
    np.testing.assert_allclose(image[0, 0], (200, 150, 120, 255), atol=8)


def test_large_pictures_are_halved(tmp_path: Path) -> None:
    writer = tiny_vrm()
    writer.json["images"][0]["bufferView"] = writer.view(png(size=(4096, 2)))
    (image,) = read_avatar(save(tmp_path, writer)).images
    assert image.shape == (1, 2048, 4)


def test_real_avatars_stand_and_face_us(avatar_paths: dict[str, Path]) -> None:
    for name, path in avatar_paths.items():
        avatar = read_avatar(path)
        assert avatar.version == ("1.0" if name.startswith("eliza") else "0.x")
        left, right = _bone(avatar, "leftUpperArm"), _bone(avatar, "rightUpperArm")
        assert left[0] > 0 > right[0], name  # our right, if it faces us
        assert 0.7 < _bone(avatar, "head")[1] < 1.8, name
        soles = min(places[:, 1].min() for places in rest_positions(avatar))
        assert abs(soles) < 0.05, name  # metres over the floor
        for primitive in avatar.primitives:
            np.testing.assert_allclose(primitive.weights.sum(axis=1), 1.0, atol=EXACT)
            np.testing.assert_allclose(np.linalg.norm(primitive.normals, axis=1), 1.0, atol=1e-3)
            assert primitive.triangles.max() == len(primitive.positions) - 1
        if name != "korii_churo_credit":  # whose file has no morph targets
            assert {"aa", "ih", "ou", "ee", "oh", "blink"} <= set(avatar.expressions), name


def test_the_same_file_gives_the_same_avatar(avatar_paths: dict[str, Path]) -> None:
    once, twice = (read_avatar(avatar_paths["godette_ccby"]) for _ in range(2))
    assert once.materials == twice.materials
    for one, other in zip(once.primitives, twice.primitives, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
        np.testing.assert_array_equal(one.triangles, other.triangles)
