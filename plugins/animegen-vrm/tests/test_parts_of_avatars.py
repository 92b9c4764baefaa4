"""Which part of a palette each material shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from animegen_vrm.model import Avatar
from animegen_vrm.read import read_avatar
from animegen_vrm.surface import rest_positions
from tiny_vrm import BLOCKS, block_vrm, save, tiny_vrm

from animegen.types import PARTS

PARTS_OF_BLOCKS = {
    "face": "skin",
    "hair": "hair",
    "shirt": "upper",
    "sleeve": "upper",
    "hand": "skin",
    "trousers": "lower",
    "shoe": "shoes",
}
VROID = {
    "N00_000_00_Body_00_SKIN (Instance)": "skin",
    "N00_000_00_HairBack_00_HAIR (Instance)": "hair",
    "N00_001_01_Bottoms_01_CLOTH (Instance)": "lower",
    "N00_007_01_Tops_01_CLOTH_01 (Instance)": "upper",
    "N00_007_01_Accessory_Tie_01_CLOTH (Instance)": None,
    "N00_008_01_Shoes_01_CLOTH (Instance)": "shoes",
    "N00_000_00_FaceMouth_00_FACE (Instance)": None,
    "N00_000_00_EyeIris_00_EYE (Instance)": "eyes",
    "N00_000_00_EyeHighlight_00_EYE (Instance)": None,
    "N00_000_00_EyeWhite_00_EYE (Instance)": None,
    "N00_000_00_Face_00_SKIN (Instance)": "skin",
    "N00_000_00_FaceBrow_00_FACE (Instance)": "hair",
    "N00_000_00_FaceEyeline_00_FACE (Instance)": "skin",
    "N00_000_00_FaceEyelash_00_FACE (Instance)": None,
    "N00_000_Hair_00_HAIR (Instance)": "hair",
}


def _heights(avatar: Avatar) -> dict[str | None, np.ndarray]:
    """Heights of the vertices of each part, in heights of the avatar."""
    found: dict[str | None, list[np.ndarray]] = {}
    for primitive, places in zip(avatar.primitives, rest_positions(avatar), strict=True):
        found.setdefault(avatar.materials[primitive.material].part, []).append(places[:, 1])
    top = max(heights.max() for each in found.values() for heights in each)
    return {part: np.concatenate(each) / top for part, each in found.items()}


@pytest.mark.parametrize("name", VROID)
def test_names_of_vroid_tell(tmp_path: Path, name: str) -> None:
    writer = tiny_vrm()
    writer.json["materials"][0]["name"] = name
    assert read_avatar(save(tmp_path, writer)).materials[0].part == VROID[name]


@pytest.mark.parametrize("name", ["everything", "Body", "Face"])
def test_an_atlas_is_split_by_bones_and_colours(tmp_path: Path, name: str) -> None:
    avatar = read_avatar(save(tmp_path, block_vrm(name)))
    assert {material.name for material in avatar.materials} == {name}
    found = {}
    for primitive in avatar.primitives:
        for u in primitive.uvs[:, 0]:
            found[list(BLOCKS)[int(u * len(BLOCKS))]] = avatar.materials[primitive.material].part
    assert found == PARTS_OF_BLOCKS
    assert sum(len(primitive.triangles) for primitive in avatar.primitives) == 12 * len(BLOCKS)
    for primitive in avatar.primitives:
        assert primitive.triangles.max() == len(primitive.positions) - 1


def test_a_dress_is_split_at_the_waist(tmp_path: Path) -> None:
    avatar = read_avatar(save(tmp_path, block_vrm("Onepiece_CLOTH")))
    heights = _heights(avatar)
    assert set(heights) == {"upper", "lower"}
    assert heights["lower"].max() < heights["upper"].min() + 0.1


def test_a_coat_over_bare_legs_is_a_dress(tmp_path: Path) -> None:
    assert set(_heights(read_avatar(save(tmp_path, block_vrm("Coat"))))) == {"upper", "lower"}


def test_an_unused_material_stays(tmp_path: Path) -> None:
    writer = tiny_vrm()
    writer.json["materials"].append({"name": "Unused_HAIR"})
    assert [material.part for material in read_avatar(save(tmp_path, writer)).materials] == ["skin", None]


def test_real_avatars_show_all_parts(avatar_paths: dict[str, Path]) -> None:
    for name, path in avatar_paths.items():
        avatar = read_avatar(path)
        heights = _heights(avatar)
        # korii's eyes are painted on the skin.
        expected = set(PARTS) - ({"eyes"} if name == "korii_churo_credit" else set())
        assert set(heights) - {None} == expected, name
        assert heights["shoes"].max() < 0.32, name  # korii wears boots
        assert heights["hair"].max() > 0.95, name
        assert np.median(heights["upper"]) > 0.45, name
        assert np.median(heights["lower"]) < 0.55, name
        if "eyes" in heights:
            assert heights["eyes"].min() > 0.65, name
            assert heights["eyes"].max() < 0.95, name
