"""Textures taken apart into shade and fixed colours, so that any palette can colour an avatar."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from animegen_vrm.model import Avatar
from animegen_vrm.read import read_avatar
from animegen_vrm.recolour import SHADE_FLOOR, ShadeTexture, reference_palette, shade_textures, take_apart
from animegen_vrm.surface import lit_colours, sample_surface
from dressed import BARE, TIE, wearing
from dressed import SKIN as FACE
from hypothesis import given
from hypothesis import strategies as st
from tiny_vrm import block_vrm, save, tiny_vrm

from animegen.avatar.layers import SHADE_LIMIT
from animegen.types import PARTS, Part, Uint8Array

OWN_COLOUR = round(255 / SHADE_LIMIT)
SKIN = (249.0, 230.0, 217.0)
BLACK = (45.0, 45.0, 46.0)

colours = st.tuples(*[st.integers(0, 255)] * 3)
parts = st.sampled_from(PARTS)


def _apart(rgb: tuple[int, int, int], part: Part, reference: tuple[float, ...]) -> tuple[int, np.ndarray]:
    shade, fixed = take_apart(np.array([rgb], np.uint8), part, np.array(reference))
    return int(shade[0]), fixed[0]


def _mixed(texture: ShadeTexture, colour: tuple[float, float, float]) -> np.ndarray:
    """What the texture shows in a colour of sRGB 0..1: f64 [H, W, 3], 0..255."""
    shade = texture.shade[..., None] * SHADE_LIMIT * np.array(colour)
    return np.clip(shade + texture.fixed, 0, 255)


@given(part=parts, rgb=colours)
def test_a_part_in_its_own_colour_is_one_shade(part: Part, rgb: tuple[int, int, int]) -> None:
    shade, fixed = _apart(rgb, part, tuple(map(float, rgb)))
    lightness_tells = part not in ("skin", "eyes") or max(rgb) - min(rgb) > 60
    if lightness_tells:
        assert shade == OWN_COLOUR
        assert not fixed.any()


@given(part=parts, rgb=colours, reference=colours)
def test_every_colour_shows_its_part_or_itself(part: Part, rgb: tuple, reference: tuple) -> None:
    shade, fixed = _apart(rgb, part, tuple(map(float, reference)))
    # Rounded, the floor may lie half a step lower; what is part foreign, part not, keeps a share of each.
    told = shade / 255 * SHADE_LIMIT >= SHADE_FLOOR - 0.01
    assert told or fixed.max() >= 0.4 * max(rgb)


@given(one=st.integers(0, 255), other=st.integers(0, 255))
def test_darker_cloth_has_less_shade(one: int, other: int) -> None:
    low, high = sorted((one, other))
    # Up to where white begins to be a collar of its own.
    shades = [_apart((grey,) * 3, "upper", (150.0,) * 3)[0] for grey in (low, high) if grey < 200]
    assert shades == sorted(shades)


def test_a_white_collar_on_black_stays_and_so_does_a_tie() -> None:
    assert _apart((250, 250, 250), "upper", BLACK)[1].min() > 240
    np.testing.assert_allclose(_apart((200, 30, 30), "upper", BLACK)[1], (200, 30, 30), atol=1)


def test_folds_of_a_coloured_cloth_are_shade() -> None:
    for fold in (0.5, 0.7, 0.9):
        rgb = tuple(round(c * fold) for c in (200, 40, 40))
        shade, fixed = _apart(rgb, "upper", (200.0, 40.0, 40.0))  # type: ignore[arg-type]
        assert 0.3 * OWN_COLOUR < shade < OWN_COLOUR
        assert not fixed.any()


def test_blush_stays_red_on_any_skin() -> None:
    shade, (red, green, blue) = _apart((245, 190, 180), "skin", SKIN)
    assert shade > 0.7 * OWN_COLOUR
    assert red > 20
    assert max(green, blue) < 5


def test_socks_painted_on_the_skin_stay() -> None:
    for sock in ((250, 250, 250), (128, 128, 128), (40, 60, 160)):
        np.testing.assert_allclose(_apart(sock, "skin", SKIN)[1], sock, atol=1)


def test_pale_skin_is_skin() -> None:
    shade, fixed = _apart((245, 228, 222), "skin", (237.0, 195.0, 179.0))
    assert shade > OWN_COLOUR
    assert fixed.max() < 30


def test_a_material_without_a_texture(tmp_path: Path) -> None:
    writer = tiny_vrm()
    writer.json["materials"][0] = {"name": "Tops", "pbrMetallicRoughness": {"baseColorFactor": [0.2, 0, 0, 1]}}
    avatar = read_avatar(save(tmp_path, writer))
    (texture,) = shade_textures(avatar)
    assert texture is not None
    assert texture.shade.tolist() == [[OWN_COLOUR]]
    assert reference_palette(avatar)["upper"] == pytest.approx((0.4845, 0, 0), abs=0.005)  # sRGB of linear 0.2


def test_the_palette_of_an_atlas(tmp_path: Path) -> None:
    palette = reference_palette(read_avatar(save(tmp_path, block_vrm())))
    assert {part: tuple(round(c * 255) for c in colour) for part, colour in palette.items()} == {
        "hair": (60, 40, 120),
        "skin": (245, 215, 195),
        "upper": (200, 40, 40),
        "lower": (40, 90, 50),
        "shoes": (30, 30, 30),
    }


def _shown(avatar: Avatar, textures: tuple[ShadeTexture | None, ...], palette: dict) -> tuple[Uint8Array, np.ndarray]:
    """What is seen of the recoloured materials: in the file's colours, and in a palette's."""
    surface = sample_surface(avatar, 20_000)
    before, after = [], []
    for number, primitive in enumerate(avatar.primitives):
        material, texture = avatar.materials[primitive.material], textures[primitive.material]
        if texture is None or material.part is None:
            continue
        mine = (surface.primitive == number) & (surface.seen > 0.2)
        image = np.rint(_mixed(texture, palette[material.part])).astype(np.uint8)
        solid = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
        plain = replace(material, lit=(1.0, 1.0, 1.0, 1.0))
        if plain.lit_texture is not None:
            plain = replace(plain, lit_texture=replace(plain.lit_texture, image=0))
        before.append(lit_colours(avatar, material, surface.uvs[mine])[:, :3])
        after.append(lit_colours(replace(avatar, images=(solid,)), plain, surface.uvs[mine])[:, :3])
    return np.concatenate(before), np.concatenate(after)


def test_real_avatars_keep_their_looks_in_their_own_palette(avatar_paths: dict[str, Path]) -> None:
    for name in ("eliza_satoshi", "eliza_yuki", "godette_ccby", "korii_churo_credit"):
        avatar = read_avatar(avatar_paths[name])
        textures = shade_textures(avatar)
        before, after = _shown(avatar, textures, reference_palette(avatar))
        away = np.abs(before.astype(float) - after).max(axis=1)
        assert np.median(away) < 10, name
        assert np.quantile(away, 0.9) < 45, name
        for material, texture in zip(avatar.materials, textures, strict=True):
            if texture is not None and material.lit_texture is not None:
                assert texture.shade.shape == avatar.images[material.lit_texture.image].shape[:2]


def test_a_black_suit_becomes_white_and_its_shirt_stays(avatar_paths: dict[str, Path]) -> None:
    avatar = read_avatar(avatar_paths["eliza_chen"])
    textures = shade_textures(avatar)
    by_name = {material.name.split()[0]: texture for material, texture in zip(avatar.materials, textures, strict=True)}
    assert by_name["N00_007_01_Tops_01_CLOTH_03"] is None  # the shirt
    assert by_name["N00_007_01_Tops_01_CLOTH_05"] is None  # the tie
    suit = by_name["N00_007_01_Tops_01_CLOTH_01"]
    material = next(each for each in avatar.materials if each.name.startswith("N00_007_01_Tops_01_CLOTH_01"))
    assert suit is not None
    assert material.lit_texture is not None
    cloth = suit.shade[avatar.images[material.lit_texture.image][..., 3] == 255] * (SHADE_LIMIT / 255)
    assert 0.9 < np.median(cloth) < 1.1
    assert cloth.std() > 0.02  # its folds are still there


def test_skin_has_the_colour_of_the_face() -> None:
    """Bodies are painted in other colours, and more of them is there than of faces."""
    dark = (0.01, 0.01, 0.01)
    whole = wearing(("head", (0.0, 0.0), 0.1, (1.5, 1.7), BARE), ("hips", (0.0, 0.0), 0.2, (0.1, 1.2), TIE))
    *others, face, tie = whole.materials
    painted = replace(tie, part="skin", lit=(*dark, 1.0), shade=dark)
    avatar = replace(whole, materials=(*others, face, painted))
    np.testing.assert_allclose(reference_palette(avatar)["skin"], np.array(FACE) ** (1 / 2.2), atol=0.03)
    faceless = replace(avatar, materials=(*others, replace(face, part=None), painted))
    assert max(reference_palette(faceless)["skin"]) < 0.2
