"""What is rendered is what the avatar, its materials, its pose and the camera say."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import moderngl
import numpy as np
import pytest
from animegen_vrm.camera import look_at, look_at_parallel
from animegen_vrm.model import Avatar, Licence, LookAt, Material, Nodes, Posed, Primitive, TextureRef
from animegen_vrm.read import read_avatar
from animegen_vrm.recolour import reference_palette
from animegen_vrm.render import OUTLINE, Renderer
from animegen_vrm.rig import rest_matrices

from animegen.avatar.layers import ALPHA, FIXED, SHADES, colour_layers
from animegen.errors import AnimegenError, InvalidValue
from animegen.types import PARTS, Uint8Array

SIZE = 64
LEVEL = 2  # 8-bit rounding, twice: in the texture and in the picture
EDGE = 0.55  # pixels: a rectangle's edge is known to half a pixel, as a pixel has 2 x 2 samples
SHARED = Path(__file__).resolve().parents[4] / "shared" / "avatars"
FRONT_LIGHT = (0.0, 0.0, 1.0)
BACK_LIGHT = (0.0, 0.0, -1.0)
CAMERA = look_at_parallel((0, 0, 3), (0, 0, 0), (0, 1, 0), 2.0, SIZE)
RED, BLUE = (1.0, 0.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    try:
        made = Renderer(SIZE)
    except AnimegenError as error:
        pytest.skip(f"no OpenGL here: {error}")
    with made:
        yield made


def card(material: int = 0, *, half: float = 0.5, x: float = 0.0, z: float = 0.0, joint: int = 0) -> Primitive:
    """A square that faces +Z."""
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32)
    positions = np.column_stack([corners * half, np.zeros(4)]) + np.array((x, 0, z))
    return Primitive(
        name="card",
        positions=positions.astype(np.float32),
        normals=np.tile(np.array((0, 0, 1), np.float32), (4, 1)),
        uvs=((corners * (1, -1) + 1) / 2).astype(np.float32),
        joints=np.tile(np.array((joint, 0, 0, 0), np.uint16), (4, 1)),
        weights=np.tile(np.array((1, 0, 0, 0), np.float32), (4, 1)),
        triangles=np.array([(0, 1, 2), (0, 2, 3)], np.uint32),
        material=material,
        morphs={},
    )


def avatar(primitives: list[Primitive], materials: list[Material], images: tuple[Uint8Array, ...] = ()) -> Avatar:
    """Meshes on two joints, both at the origin."""
    return Avatar(
        name="cards",
        version="1.0",
        licence=Licence("cards", (), "", False),
        nodes=Nodes(
            ("a", "b"),
            np.array((-1, -1), np.int32),
            np.zeros((2, 3), np.float32),
            np.tile(np.array((0, 0, 0, 1), np.float32), (2, 1)),
            np.ones((2, 3), np.float32),
        ),
        joint_nodes=np.arange(2, dtype=np.int32),
        inverse_binds=np.tile(np.eye(4, dtype=np.float32), (2, 1, 1)),
        primitives=tuple(primitives),
        materials=tuple(materials),
        images=images,
        humanoid={},
        expressions=("wide",),
        springs=(),
        look_at=LookAt(),
    )


REST = Posed(np.tile(np.eye(4, dtype=np.float32), (2, 1, 1)), {})


def plain(name: str, lit: tuple[float, float, float, float], **other: object) -> Material:
    return replace(Material(name, lit=lit, shade=lit[:3], shading_toony=1.0), **other)  # type: ignore[arg-type]


def draw(renderer: Renderer, shown: Avatar, posed: Posed = REST) -> Uint8Array:
    return renderer.colours(renderer.load(shown), posed, CAMERA, FRONT_LIGHT)


def middle(picture: Uint8Array) -> list[int]:
    return [int(value) for value in picture[SIZE // 2, SIZE // 2]]


def test_a_card_covers_the_pixels_its_corners_project_to(renderer: Renderer) -> None:
    shown = avatar([card(half=0.37, x=0.21)], [plain("red", RED)])
    camera = look_at((0.4, 0.6, 3), (0, 0.1, 0), (0, 1, 0), 40, SIZE)
    alpha = renderer.colours(renderer.load(shown), REST, camera)[..., 3] / 255
    corners, _ = camera.project(shown.primitives[0].positions)
    ys, xs = np.nonzero(alpha > 0.5)
    assert xs.min() == pytest.approx(corners[:, 0].min(), abs=2 * EDGE)
    assert xs.max() == pytest.approx(corners[:, 0].max(), abs=2 * EDGE)
    assert ys.min() == pytest.approx(corners[:, 1].min(), abs=2 * EDGE)
    assert ys.max() == pytest.approx(corners[:, 1].max(), abs=2 * EDGE)
    weights = alpha / alpha.sum()
    found = (weights * np.arange(SIZE)).sum(), (weights.T * np.arange(SIZE)).sum()
    np.testing.assert_allclose(found, corners.mean(axis=0), atol=0.3)  # perspective shifts the middle a little


def test_what_is_nearer_hides_what_is_farther_in_any_order(renderer: Renderer) -> None:
    materials = [plain("red", RED), plain("blue", BLUE)]
    for order in ((0, 1), (1, 0)):
        cards = [card(0, z=0.0), card(1, z=-0.5, half=0.8)]
        picture = draw(renderer, avatar([cards[i] for i in order], materials))
        assert middle(picture) == [255, 0, 0, 255]
        assert list(picture[SIZE // 2, 10]) == [0, 0, 255, 255]
        assert list(picture[2, 2]) == [0, 0, 0, 0]


def test_white_light_leaves_a_texture_as_it_lies_in_the_file(renderer: Renderer) -> None:
    rows = np.array([[(200, 30, 90, 255), (13, 120, 250, 255)], [(77, 77, 77, 255), (255, 255, 255, 255)]], np.uint8)
    image = rows.repeat(32, axis=0).repeat(32, axis=1)
    material = Material("textured", lit_texture=TextureRef(0), shade_texture=TextureRef(0))
    picture = draw(renderer, avatar([card(half=1.0)], [material], (image,)))
    np.testing.assert_allclose(picture[16::32, 16::32].astype(int), rows.astype(int), atol=LEVEL)


def test_textures_are_placed_and_repeated(renderer: Renderer) -> None:
    image = np.array([[(255, 0, 0, 255)] * 16 + [(0, 255, 0, 255)] * 16] * 4, np.uint8)
    texture = TextureRef(0, offset=(0.5, 0.0), scale=(2.0, 1.0))
    material = Material("textured", lit_texture=texture, shade_texture=texture)
    row = draw(renderer, avatar([card(half=1.0)], [material], (image,)))[32, (8, 24, 40, 56)]
    np.testing.assert_array_equal(row[:, :2], [(0, 255), (255, 0), (0, 255), (255, 0)])


def test_what_faces_away_from_the_light_is_in_its_shade(renderer: Renderer) -> None:
    linear = (0.5, 0.25, 1.0)
    model = renderer.load(avatar([card()], [Material("two tones", lit=(1, 1, 1, 1), shade=linear)]))
    assert middle(renderer.colours(model, REST, CAMERA, FRONT_LIGHT)) == [255, 255, 255, 255]
    shaded = middle(renderer.colours(model, REST, CAMERA, BACK_LIGHT))
    np.testing.assert_allclose(shaded[:3], [255 * value ** (1 / 2.2) for value in linear], atol=1)


def test_backs_are_drawn_and_lit_as_backs_where_a_material_has_two_sides(renderer: Renderer) -> None:
    turned = REST.globals.copy()
    turned[:, 0, 0] = turned[:, 2, 2] = -1.0
    two_tones = Material("two tones", shade=(0.2, 0.2, 0.2))
    one = renderer.load(avatar([card()], [two_tones]))
    two = renderer.load(avatar([card()], [replace(two_tones, double_sided=True)]))
    away = Posed(turned, {})
    assert middle(renderer.colours(one, away, CAMERA, FRONT_LIGHT))[3] == 0
    assert middle(renderer.colours(two, away, CAMERA, FRONT_LIGHT)) == [255, 255, 255, 255]
    assert middle(renderer.colours(two, away, CAMERA, BACK_LIGHT))[0] < 200


def test_masks_cut_and_clear_texels_colour_no_edge(renderer: Renderer) -> None:
    image = np.zeros((64, 64, 4), np.uint8)
    image[:] = (0, 255, 0, 0)
    image[:, :32] = (255, 0, 0, 255)
    texture = TextureRef(0, repeat=False)
    material = Material("cut", lit_texture=texture, shade_texture=texture, alpha_mode="mask")
    picture = draw(renderer, avatar([card(half=1.0)], [material], (image,)))
    assert (picture[:, :31] == (255, 0, 0, 255)).all()
    assert (picture[:, 33:] == 0).all()
    assert (picture[..., 1] == 0).all()


def test_blended_materials_mix_in_their_order_and_hide_when_they_write_depth(renderer: Renderer) -> None:
    half_blue = replace(plain("blue", (0.0, 0.0, 1.0, 0.5)), alpha_mode="blend", order=2, depth_write=False)
    half_red = replace(plain("red", (1.0, 0.0, 0.0, 0.5)), alpha_mode="blend", order=1, depth_write=False)
    behind, before = card(0, z=-0.1), card(1, z=0.1)
    picture = draw(renderer, avatar([behind, before], [half_blue, half_red]))
    np.testing.assert_allclose(middle(picture), [64, 0, 128, 191], atol=LEVEL)
    picture = draw(renderer, avatar([behind, before], [half_blue, replace(half_red, depth_write=True)]))
    np.testing.assert_allclose(middle(picture), [128, 0, 0, 128], atol=LEVEL)


def test_light_that_a_material_gives_off_needs_none(renderer: Renderer) -> None:
    glowing = plain("glowing", (0.0, 0.0, 0.0, 1.0), emissive=(0.5, 0.0, 1.0))
    expected = [255 * 0.5 ** (1 / 2.2), 0, 255, 255]
    np.testing.assert_allclose(middle(draw(renderer, avatar([card()], [glowing]))), expected, atol=1)


def test_joints_move_vertices_by_their_weights(renderer: Renderer) -> None:
    shared = card()
    shared.joints[:] = (0, 1, 0, 0)
    shared.weights[:] = (0.5, 0.5, 0, 0)
    moved = REST.globals.copy()
    moved[1, 0, 3] = 0.5
    model = renderer.load(avatar([shared], [plain("red", RED)]))
    alpha = renderer.colours(model, Posed(moved, {}), CAMERA)[..., 3].astype(float)
    xy, _ = CAMERA.project([(0.25, 0, 0)])
    assert (alpha.sum(axis=0) * np.arange(SIZE)).sum() / alpha.sum() == pytest.approx(xy[0, 0], abs=EDGE)


def test_expressions_move_vertices_and_let_them_go(renderer: Renderer) -> None:
    wide = card()
    wide = replace(wide, morphs={"wide": wide.positions * np.array((0.6, 0, 0), np.float32)})
    model = renderer.load(avatar([card(z=-1.0, half=0.1), wide], [plain("red", RED)]))
    rest = renderer.colours(model, REST, CAMERA)
    widened = renderer.colours(model, Posed(REST.globals, {"wide": 1.0}), CAMERA)
    assert (widened[..., 3] > 127).sum() == pytest.approx(1.6 * (rest[..., 3] > 127).sum(), rel=0.05)
    np.testing.assert_array_equal(renderer.colours(model, REST, CAMERA), rest)


def test_outlines_surround_what_has_them(renderer: Renderer) -> None:
    # The faces of a box, whose normals lean outwards; a hull shows by its far side.
    near, far = card(z=0.1), card(z=-0.1)
    far = replace(far, triangles=far.triangles[:, ::-1])
    for face in (near, far):
        face.normals[:] = face.positions * np.array((1, 1, 5), np.float32)
    bare = plain("red", RED)
    lined = replace(bare, outline_width=1e-4, outline_colour=(0.0, 1.0, 0.0))
    without, thin = (draw(renderer, avatar([near, far], [material])) for material in (bare, lined))
    thick = draw(renderer, avatar([near, far], [replace(lined, outline_width=0.1)]))
    assert middle(thin) == [255, 0, 0, 255]
    assert list(thick[SIZE // 2, 15]) == [0, 255, 0, 255]
    side = SIZE / 2  # of the square, in pixels; normals lean by a component of 1/sqrt(3)
    grown = (thin[..., 3].sum() - float(without[..., 3].sum())) / 255 / (4 * side)
    assert grown == pytest.approx(OUTLINE / np.sqrt(3), abs=0.3)


def test_colours_and_layers_are_premultiplied(renderer: Renderer) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 4), np.uint8)
    texture = TextureRef(0)
    base = Material("noise", lit_texture=texture, shade_texture=texture, alpha_mode="blend", outline_width=0.01)
    parts = [replace(base, part=part, order=i) for i, part in enumerate(PARTS)]
    cards = [card(i, z=i / 10, half=0.9 - i / 10) for i in range(len(parts) + 1)]
    model = renderer.load(avatar(cards, [*parts, base], (image,)))
    colours, layers = renderer.colours(model, REST, CAMERA), renderer.layers(model, REST, CAMERA)
    assert (colours[..., :3] <= colours[..., 3:]).all()
    assert (layers[..., 1:] <= layers[..., ALPHA : ALPHA + 1]).all()
    np.testing.assert_allclose(layers[..., ALPHA].astype(int), colours[..., 3].astype(int), atol=LEVEL)


def test_a_part_shows_in_its_own_shade_plane_and_what_has_none_in_the_fixed_ones(renderer: Renderer) -> None:
    for number, part in enumerate(PARTS):
        parted = plain(part, (0.5, 0.25, 0.25, 1.0), part=part)
        other = plain("other", (0.2, 0.6, 0.1, 1.0))
        model = renderer.load(avatar([card(0, x=-0.5, half=0.3), card(1, x=0.5, half=0.3)], [parted, other]))
        layers = renderer.layers(model, REST, CAMERA, FRONT_LIGHT)
        left, right = layers[SIZE // 2, SIZE // 4], layers[SIZE // 2, 3 * SIZE // 4]
        assert np.nonzero(left[SHADES])[0].tolist() == [number]
        assert left[ALPHA] == right[ALPHA] == 255
        assert not right[SHADES].any()
        colours = renderer.colours(model, REST, CAMERA, FRONT_LIGHT)
        np.testing.assert_array_equal(right[FIXED], colours[SIZE // 2, 3 * SIZE // 4, :3])


def test_layers_darken_in_the_shade_as_colours_do(renderer: Renderer) -> None:
    two_tones = Material("skin", lit=(0.8, 0.5, 0.4, 1.0), shade=(0.4, 0.25, 0.2), part="skin")
    model = renderer.load(avatar([card()], [two_tones]))
    lit, shaded = (
        (middle(renderer.layers(model, REST, CAMERA, light)), middle(renderer.colours(model, REST, CAMERA, light)))
        for light in (FRONT_LIGHT, BACK_LIGHT)
    )
    assert shaded[0][2] / lit[0][2] == pytest.approx(shaded[1][0] / lit[1][0], abs=0.02)


def test_what_is_drawn_of_an_avatar_is_hidden_by_the_rest_of_it(renderer: Renderer) -> None:
    both = avatar([card(z=-0.2), card(1, half=0.2, z=0.2)], [plain("far", RED), plain("near", BLUE)])
    far = [np.ones(2, bool), np.zeros(2, bool)]
    part, whole = renderer.load(both, far), renderer.load(both)
    drawn, hidden = (renderer.layers(part, REST, CAMERA, whole=one) for one in (None, whole))
    own = renderer.layers(renderer.load(both), REST, CAMERA)
    assert (drawn[24:40, 24:40, ALPHA] == 255).all()
    assert not hidden[27:37, 27:37].any()
    around = np.ones((SIZE, SIZE), bool)
    around[24:40, 24:40] = False
    assert np.array_equal(hidden[around], own[around])
    assert np.array_equal(renderer.layers(whole, REST, CAMERA), own)


def test_any_thread_draws_the_same_with_a_renderer_that_another_made(renderer: Renderer) -> None:
    shown = avatar([card()], [plain("red", RED)])
    here = draw(renderer, shown)
    with ThreadPoolExecutor(1) as other:
        np.testing.assert_array_equal(other.submit(draw, renderer, shown).result(), here)
    np.testing.assert_array_equal(draw(renderer, shown), here)


def test_nothing_to_draw_is_an_empty_picture(renderer: Renderer) -> None:
    empty = card()
    empty = replace(empty, triangles=np.zeros((0, 3), np.uint32))
    without_vertices = Primitive(
        name="none",
        positions=np.zeros((0, 3), np.float32),
        normals=np.zeros((0, 3), np.float32),
        uvs=np.zeros((0, 2), np.float32),
        joints=np.zeros((0, 4), np.uint16),
        weights=np.zeros((0, 4), np.float32),
        triangles=np.zeros((0, 3), np.uint32),
        material=0,
        morphs={"wide": np.zeros((0, 3), np.float32)},
    )
    for primitives in ([], [empty], [without_vertices], [without_vertices, empty]):
        model = renderer.load(avatar(primitives, [plain("red", RED)]))
        assert not renderer.colours(model, Posed(REST.globals, {"wide": 1.0}), CAMERA).any()
        assert not renderer.layers(model, REST, CAMERA).any()
    assert not renderer.colours(renderer.load(avatar([], [])), REST, CAMERA).any()
    assert draw(renderer, avatar([without_vertices, card()], [plain("red", RED)])).any()


def test_flat_triangles_and_normals_without_length_do_no_harm(renderer: Renderer) -> None:
    flat = card(half=0.0)
    bald = card()
    bald.normals[:] = 0
    picture = draw(renderer, avatar([flat, bald], [plain("red", RED, outline_width=0.05)]))
    assert middle(picture) == [255, 0, 0, 255]


def test_the_same_twice_is_the_same_also_in_another_context(renderer: Renderer) -> None:
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 4), np.uint8)
    shown = avatar([card(half=0.9)], [Material("noise", lit_texture=TextureRef(0), alpha_mode="mask")], (image,))
    model = renderer.load(shown)
    first = renderer.colours(model, REST, CAMERA)
    with Renderer(SIZE) as other:
        again = other.colours(other.load(shown), REST, CAMERA)
        np.testing.assert_array_equal(renderer.colours(model, REST, CAMERA), first)
    np.testing.assert_array_equal(again, first)


def test_another_size_needs_no_other_context(renderer: Renderer) -> None:
    model = renderer.load(avatar([card(half=1.0)], [plain("red", RED)]))
    wide = look_at_parallel((0, 0, 3), (0, 0, 0), (0, 1, 0), 2.0, (96, 48))
    with pytest.raises(InvalidValue, match=r"\(96, 48\)"):
        renderer.colours(model, REST, wide)
    renderer.resize((96, 48))
    picture = renderer.colours(model, REST, wide)
    assert picture.shape == (48, 96, 4)
    assert (picture[:, 24:72, 3] == 255).all()
    assert renderer.layers(model, REST, wide).shape == (48, 96, 10)
    renderer.resize(SIZE)


def test_faults_show_their_values(renderer: Renderer) -> None:
    model = renderer.load(avatar([card()], [plain("red", RED)]))
    with pytest.raises(InvalidValue, match=r"\(0, 64\)"):
        renderer.resize((0, 64))
    with pytest.raises(InvalidValue, match="got 3"):
        Renderer(SIZE, samples=3)
    with pytest.raises(InvalidValue, match="direction"):
        renderer.colours(model, REST, CAMERA, (0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("fault", "device", "way_out"),
    [
        ("libEGL.so not loaded", None, "libegl1"),
        ("eglInitialize failed (0x3001)", None, "libgl1-mesa-dri"),
        ("requested device index 7, but found 2 devices", 7, "leave the device out"),
    ],
)
def test_without_opengl_the_error_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, fault: str, device: int | None, way_out: str
) -> None:
    def fail(**_: object) -> None:
        raise Exception(fault)

    monkeypatch.setattr(moderngl, "create_context", fail)
    with pytest.raises(AnimegenError, match="no OpenGL") as raised:
        Renderer(SIZE, device=device)
    assert fault in str(raised.value)
    assert way_out in raised.value.hint


@pytest.mark.parametrize("name", ["eliza_ryu", "godette_ccby"])
def test_a_real_avatar_in_its_own_palette_looks_as_in_its_own_colours(renderer: Renderer, name: str) -> None:
    path = SHARED / f"{name}.vrm"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    shown = read_avatar(path)
    posed = Posed(rest_matrices(shown.nodes), {})
    model = renderer.load(shown)
    camera = look_at((0.5, 1.2, 4), (0, 0.8, 0), (0, 1, 0), 30, SIZE)
    colours, layers = renderer.colours(model, posed, camera), renderer.layers(model, posed, camera)
    assert (colours[..., :3] <= colours[..., 3:]).all()
    assert (layers[..., 1:] <= layers[..., ALPHA : ALPHA + 1]).all()
    own = reference_palette(shown)
    palette = np.array([own.get(part, (0.5, 0.5, 0.5)) for part in PARTS], np.float32)
    recoloured = colour_layers(layers, palette)
    np.testing.assert_allclose(recoloured[..., 3].astype(int), colours[..., 3].astype(int), atol=LEVEL)
    inside = colours[..., 3] > 0
    assert inside.sum() > 200
    difference = np.abs(recoloured[inside].astype(int) - colours[inside].astype(int)).mean()
    assert difference < OWN_COLOURS, difference


OWN_COLOURS = 16.0  # levels, on average: shades keep lightness, not every hue a texture has
