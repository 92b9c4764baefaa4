"""Rigged avatars drawn: the same in any batch and figure at every size, smooth in the pose; mistakes are named."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from rigged_avatars import box_man, person, seen
from scipy.spatial import ConvexHull

from animegen.avatar.drawing import Drawer
from animegen.avatar.layers import ALPHA, FIXED, SHADES, colour_layers, part_masks
from animegen.avatar.loading import load_drawing
from animegen.avatar.rigged import MATERIAL_FIELDS, RiggedAvatar
from animegen.avatar.rigged_files import save_rigged
from animegen.avatar.rigged_generator import STAGES, RiggedFigure, RiggedGenerator, load_rigged_generator, samples_at
from animegen.errors import InvalidValue
from animegen.ops.facets import NOTHING, facets
from animegen.pose.skeletons import AVATAR35
from animegen.types import PARTS
from animegen.weights.locations import shipped

ALIKE = 0.04
"""By how much of itself a figure's area may differ from stage to stage: outlines apart, only its edges are blurred."""
NUDGE = 1.0 / 256
FOLLOWS_WITHIN = 0.1
"""Of a nudge: how far from it the figure's middle may move."""
AN_EVEN_PART = 2.0
"""Of the mean change from nudge to nudge, the most that one of them may make."""
NEAR_THE_EYES = 0.045
"""Canvas sides around the points of the eyes: 10 cm, a blink pulls lids into the head."""
A_LINE = 0.03
"""Share of a figure's pixels at 128 that its outline takes at the least."""
ON_THE_EDGE = 0.01
"""Samples: one this near to where a body ends may be on either side."""
AREA_WITHIN = 0.02
"""Of a square of 77 pixels a side."""

FRONT, BACK = 0.0, np.pi
HAIR, SKIN, EYES = (PARTS.index(part) for part in ("hair", "skin", "eyes"))


@pytest.fixture(scope="module")
def generator() -> RiggedGenerator:
    """Two men, of whom the second is darker and has no outline."""
    ann, bob = box_man("ann"), box_man("bob", colour=120)
    table = bob.table.copy()
    table[:, MATERIAL_FIELDS.index("outline_width")] = 0.0
    return RiggedGenerator([ann, replace(bob, table=table)], AVATAR35, torch.device("cpu"))


def asked(*turns: float, avatar: int = 0, **face: float) -> dict[str, Any]:
    """What to draw for a pose for each turn, all with the same face."""
    scene, count = seen(turns), len(turns)
    names = ("blink_l", "blink_r", "aa", "ih", "ou", "ee", "oh", "brow", "gaze_x", "gaze_y")
    expression = np.array([[face.get(name, 0.0) for name in names]] * count, np.float32)
    return {
        "xy": scene.xy, "z": scene.z, "score": scene.score, "expression": expression, "avatar": np.full(count, avatar),
    }  # fmt: skip


def area(layers: np.ndarray) -> np.ndarray:
    """The share of a picture that is covered, f64 [...]."""
    return layers[..., ALPHA].mean(axis=(-2, -1)) / 255.0


def middle(plane: np.ndarray) -> np.ndarray:
    """Where what a plane [S, S] shows lies on the mean, (x, y) in canvas sides."""
    weight, side = plane.astype(np.float64), len(plane)
    return np.array([(weight.sum(axis=axis) * (np.arange(side) + 0.5)).sum() for axis in (0, 1)]) / weight.sum() / side


def test_it_draws_layers_of_every_stage(generator):
    assert generator.stages == STAGES
    assert generator.skeleton == AVATAR35
    assert [avatar["name"] for avatar in generator.avatars] == ["ann", "bob"]
    for stage in (32, 64, 256):
        layers = generator.draw(**asked(FRONT, BACK), stage=stage)
        assert layers.shape == (2, stage, stage, 10)
        assert layers.dtype == np.uint8
        assert not layers[..., SHADES].any(where=layers[..., :1] == 0)
        assert generator.finished(layers, 1) is layers


@pytest.mark.parametrize("side", [5.0, 60.0, 150.0, 256.0, 380.5, 700.0, 846.0])
def test_figures_are_drawn_a_little_larger_than_they_are_shown(generator, side):
    drawn = Drawer(generator).stage_for(side)
    assert drawn == STAGES[0] or 1.05 * side < drawn < 1.1 * side + 64


def test_nothing_asked_is_nothing_drawn(generator):
    nothing = {name: array[:0] for name, array in asked(FRONT).items()}
    assert generator.draw(**nothing, stage=32).shape == (0, 32, 32, 10)


def test_a_drawing_does_not_depend_on_its_batch(generator):
    many = asked(0.0, 0.7, 1.4, 3.0, -0.5, blink_l=0.5, aa=0.3, gaze_x=0.4) | {"avatar": np.array([0, 1, 0, 1, 0])}
    together = generator.draw(**many, stage=64)
    for order in ([4, 2, 0, 1, 3], [2, 2], [3]):
        some = generator.draw(**{name: array[order] for name, array in many.items()}, stage=64)
        assert some.tobytes() == together[order].tobytes()
    assert together[0].tobytes() != together[1].tobytes()


def test_a_file_draws_the_same_twice(tmp_path, generator):
    path = tmp_path / "men.safetensors"
    save_rigged(path, [figure.avatar for figure in generator.figures], AVATAR35)
    one, again = (load_rigged_generator(path).draw(**asked(0.5), stage=128) for _ in range(2))
    assert one.tobytes() == again.tobytes()
    kept, drawn = part_masks(one[0]), part_masks(generator.draw(**asked(0.5), stage=128)[0])
    assert (kept != drawn).mean() < 0.01  # a file keeps places and directions nearly


def test_threads_change_nothing(generator):
    before, one = torch.get_num_threads(), generator.draw(**asked(0.5), stage=64)
    try:
        torch.set_num_threads(3)
        assert generator.draw(**asked(0.5), stage=64).tobytes() == one.tobytes()
    finally:
        torch.set_num_threads(before)


def test_a_palette_colours_its_part_alone(generator):
    (layers,) = generator.draw(**asked(FRONT), stage=128)
    usual = np.full((6, 3), 0.5, np.float32)
    for i in range(len(PARTS)):
        palette = usual.copy()
        palette[i] = 0.1, 0.9, 0.1
        changed = (colour_layers(layers, palette) != colour_layers(layers, usual)).any(axis=2)
        assert changed.any()
        assert not (changed & (layers[..., SHADES][..., i] == 0)).any()


@pytest.mark.parametrize("face", [{"gaze_x": 1.0}, {"gaze_y": -1.0}, {"blink_l": 1.0, "blink_r": 1.0}])
def test_eyes_change_only_near_the_eyes(generator, face):
    calm, moved = (generator.draw(**asked(FRONT, **f), stage=256)[0].astype(int) for f in ({}, face))
    changed = (calm != moved).any(axis=2)
    row, column = (np.argwhere(changed).T + 0.5) / 256
    eyes = asked(FRONT)["xy"][0, [AVATAR35.index("left_eye"), AVATAR35.index("right_eye")]]
    distance = np.hypot(column[:, None] - eyes[:, 0], row[:, None] - eyes[:, 1]).min(axis=1)
    assert len(distance) > 5
    assert distance.max() < NEAR_THE_EYES


def test_eyes_look_where_they_are_told_and_close(generator):
    def irises(**face: float) -> np.ndarray:
        return generator.draw(**asked(FRONT, **face), stage=256)[0, ..., SHADES][..., EYES]

    x, y = middle(irises())
    for side in (1.0, -1.0):  # his left is right of the picture
        assert side * (middle(irises(gaze_x=side))[0] - x) > 0.3 / 256
        assert side * (y - middle(irises(gaze_y=side))[1]) > 0.3 / 256
    assert not irises(blink_l=1.0, blink_r=1.0).any()
    assert irises(blink_l=0.2).any()


def test_a_mouth_opens(generator):
    calm, talking = (generator.draw(**asked(FRONT, aa=aa), stage=256)[0].astype(int) for aa in (0.0, 1.0))
    rows = np.flatnonzero((calm != talking).any(axis=(1, 2)))
    mouth = asked(FRONT)["xy"][0, AVATAR35.index("mouth_left"), 1]
    assert len(rows)
    assert np.abs((rows + 0.5) / 256 - mouth).max() < 0.04


def test_pictures_follow_points_smoothly(generator):
    """Sixteen nudges of a quarter of a pixel to the side: the figure moves as far, and no nudge changes much more."""
    given = asked(0.3, avatar=1)
    frames = []
    for i in range(17):
        shift = np.array((i * NUDGE / 4, 0.0), np.float32)
        frames.append(generator.draw(**given | {"xy": given["xy"] + shift}, stage=256)[0].astype(int))
    changes = np.array([np.abs(b - a).sum() for a, b in pairwise(frames)])
    assert changes.max() < AN_EVEN_PART * changes.mean()
    moved = np.array([middle(frame[..., ALPHA])[0] for frame in frames])
    assert abs(moved[-1] - moved[0] - 4 * NUDGE) < 4 * FOLLOWS_WITHIN * NUDGE
    assert (np.abs(np.diff(moved) - NUDGE / 4) < FOLLOWS_WITHIN * NUDGE).all()


def test_where_an_unknown_point_lies_means_nothing(generator):
    given = asked(0.4)
    hidden = [AVATAR35.index(name) for name in ("left_wrist", "left_elbow", "right_ankle", "right_pinky_tip")]
    given["score"][:, hidden] = 0.0
    wild = {name: array.copy() for name, array in given.items()}
    wild["xy"][:, hidden], wild["z"][:, hidden] = np.nan, 1e9
    one, other = (generator.draw(**g, stage=64) for g in (given, wild))
    assert one.tobytes() == other.tobytes()
    assert area(one) > 0.5 * area(generator.draw(**asked(0.4), stage=64))
    nobody = generator.draw(**given | {"score": np.zeros_like(given["score"])}, stage=64)
    assert nobody.shape == (1, 64, 64, 10)


def test_an_outline_is_drawn_around(generator):
    """The second man differs from the first by it alone, and in how dark he is."""
    lined, bare = (generator.draw(**asked(0.4, avatar=i), stage=128)[0] for i in range(2))
    whole, inked = (
        [((m[..., ALPHA] > 200) & (m[..., 1:].max(axis=2) < most)).sum() for m in (lined, bare)] for most in (256, 30)
    )
    dark = [ink / figure for ink, figure in zip(inked, whole, strict=True)]
    assert dark[0] > A_LINE
    assert dark[1] == 0
    assert area(lined) > area(bare)


def test_front_and_back_are_told_apart(generator):
    front, back = part_masks(generator.draw(**asked(FRONT, BACK), stage=256))
    at = [(asked(turn)["xy"][0, AVATAR35.index("nose"), 1] * 256).astype(int) for turn in (FRONT, BACK)]
    faces = [mask[row - 6 : row + 6] for mask, row in zip((front, back), at, strict=True)]
    assert (faces[0] == SKIN + 1).sum() > 2 * (faces[0] == HAIR + 1).sum()
    assert (faces[1] == HAIR + 1).sum() > 5 * (faces[1] == SKIN + 1).sum()
    assert (front == EYES + 1).any()
    assert not (back == EYES + 1).any()


def test_a_surface_that_is_seen_from_both_sides_has_no_inside():
    """Without an outline, a closed body is the same whichever way its facets are turned."""
    man = box_man()
    table = man.table.copy()
    table[:, MATERIAL_FIELDS.index("double_sided")] = 1.0
    table[:, MATERIAL_FIELDS.index("outline_width")] = 0.0
    one = replace(man, table=table)
    other = replace(one, normals=-man.normals, corners=man.corners[:, ::-1].copy())
    drawn = [RiggedGenerator([a], AVATAR35, torch.device("cpu")).draw(**asked(0.5), stage=64) for a in (one, other)]
    np.testing.assert_array_equal(*drawn)


def test_every_stage_shows_the_same_figure(generator):
    poses = asked(0.0, 1.2, 3.0, avatar=1)
    drawn = {stage: generator.draw(**poses, stage=stage) for stage in (64, 128, 256)}
    for stage, layers in drawn.items():
        np.testing.assert_allclose(area(layers), area(drawn[256]), rtol=ALIKE * max(1, 128 / stage))
        for one, other in zip(layers, drawn[256], strict=True):
            np.testing.assert_allclose(middle(one[..., ALPHA]), middle(other[..., ALPHA]), atol=0.2 / stage)


@pytest.mark.parametrize(
    ("scale", "shift"), [(1.0, 0.9), (1.0, -3.0), (1e-3, 0.5), (0.0, 0.5), (12.0, -5.5), (1e6, -1e6)]
)
def test_whatever_is_outside_is_left_out(generator, scale, shift):
    given = asked(0.2)
    xy, z = given["xy"] * np.float32(scale) + np.float32(shift), given["z"] * np.float32(scale)
    layers = generator.draw(**given | {"xy": xy, "z": z}, stage=64)
    assert layers.shape == (1, 64, 64, 10)
    if shift == -3.0:
        assert not layers.any()
    if scale == 12.0:
        assert area(layers) > area(generator.draw(**given, stage=64))


def test_what_does_not_fit_is_named(generator):
    given = asked(0.0, 1.0)
    for name, array in given.items():
        if name != "avatar":
            with pytest.raises(InvalidValue, match=f"{name} must be"):
                generator.draw(**given | {name: array[:, :-1]}, stage=32)
            with pytest.raises(InvalidValue, match=f"{name} must be"):
                generator.draw(**given | {name: array[:1]}, stage=32)
    for avatar in ([0, 2], [-1, 0]):
        with pytest.raises(InvalidValue, match="avatar must be from 0 to 1"):
            generator.draw(**given | {"avatar": np.array(avatar)}, stage=32)
    with pytest.raises(InvalidValue, match="stage must be one of"):
        generator.draw(**given, stage=50)
    for name in ("xy", "z"):
        with pytest.raises(InvalidValue, match="finite"):
            generator.draw(**given | {name: np.full_like(given[name], np.nan)}, stage=32)


def alone(figure: RiggedFigure, camera: np.ndarray, stage: int) -> tuple[np.ndarray, np.ndarray]:
    """The picture [S, S, 10] of a figure that moves as one with a matrix [3, 4], and what each sample of it shows."""
    matrices = np.tile(camera, (1, len(person().bones), 1, 1))
    seen = figure.vertices(matrices, np.full(1, 2.0, np.float32), np.zeros((1, 10), np.float32), stage)
    scene = figure.scene
    picture, keys = facets(seen, scene.corners, scene.kinds, side=stage, scale=samples_at(stage))
    return picture[0].numpy(), keys[0].numpy()


def coin(turn: float = 0.0, depth: float = 0.0) -> float:
    """The share of a picture that a square of 30 cm covers, two metres away and turned about y."""
    man, c, s = box_man(), 0.15 * np.cos(turn), 0.15 * np.sin(turn)
    places = np.array([[x * c, 1 + 0.15 * y, depth - x * s] for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))])
    four = {name: getattr(man, name)[:4] for name in ("bones", "weights", "shades", "fixed", "normals")}
    square = replace(
        man, **four, positions=places.astype(np.float32), corners=np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        materials=np.full(2, len(man.table) - 1, np.uint8), morphs={},
    )  # fmt: skip
    camera = np.array([[1, 0, 0, 0], [0, -1, 0, 1], [0, 0, -1, 2]], np.float32)
    figure = RiggedFigure(square, AVATAR35, torch.device("cpu"))
    return float(area(alone(figure, camera, 256)[0]))


def test_facets_are_as_large_as_they_are_seen():
    assert coin() == pytest.approx(0.3**2, rel=AREA_WITHIN)
    assert coin(depth=0.5) == pytest.approx((0.3 / 0.75) ** 2, rel=AREA_WITHIN)
    assert coin(np.pi / 3) == pytest.approx(0.3**2 / 2, rel=AREA_WITHIN)
    assert coin(2.0) == coin(depth=1.999) == coin(depth=5.0) == 0


def cube(divided: int) -> RiggedAvatar:
    """A cube of 60 cm around (0, 1, 0) whose sides are so many squares a side, without an outline."""
    man, line = box_man(), np.linspace(-0.3, 0.3, divided + 1)
    u, v = (a.ravel() for a in np.meshgrid(line, line))
    first = (np.arange(divided)[:, None] * (divided + 1) + np.arange(divided)).ravel()
    square = first[:, None] + (0, 1, divided + 2, 0, divided + 2, divided + 1)
    positions, normals, corners = [], [], []
    for axis in range(3):
        for side in (1, -1):
            corners.append(square.reshape(-1, 3)[:, ::side] + len(positions) * len(u))
            positions.append(np.roll(np.stack([np.full(len(u), 0.3 * side), u, v], axis=1), axis, axis=1))
            normals.append(np.roll(np.tile((side, 0, 0), (len(u), 1)), axis, axis=1))
    places = np.concatenate(positions) + np.array((0, 1, 0))
    table = man.table[:1].copy()
    table[:, MATERIAL_FIELDS.index("outline_width")] = 0.0
    same = {
        name: np.repeat(getattr(man, name)[:1], len(places), axis=0) for name in ("bones", "weights", "shades", "fixed")
    }
    return replace(
        man, **same, positions=places.astype(np.float32), normals=np.concatenate(normals).astype(np.float32),
        corners=np.concatenate(corners).astype(np.int32), materials=np.zeros(12 * len(square), np.uint8), table=table,
        morphs={},
    )  # fmt: skip


@pytest.mark.parametrize("stage", [64, 1024])
@pytest.mark.parametrize("seed", range(3))
def test_closed_bodies_have_no_holes(stage, seed):
    """A turned cube covers all samples within its silhouette, and none beyond."""
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    flip = np.diag((1.0, -1.0, -1.0)) @ turn
    camera = np.concatenate([flip, np.array([[0.0], [0.0], [2.0]]) - flip @ [[0], [1], [0]]], axis=1).astype(np.float32)
    body, scale = cube(16), samples_at(stage)
    figure = RiggedFigure(body, AVATAR35, torch.device("cpu"))
    covered = alone(figure, camera, stage)[1] != NOTHING
    x, y, z = camera.astype(np.float64) @ np.pad(body.positions, ((0, 0), (0, 1)), constant_values=1.0).T
    corners = np.stack([0.5 + 2 * x / z, 0.5 + 2 * y / z], axis=1) * stage * scale - 0.5
    row, column = np.mgrid[: stage * scale, : stage * scale]
    outside = np.full(row.shape, -np.inf)
    for by_x, by_y, offset in ConvexHull(corners).equations:
        np.maximum(outside, by_x * column + by_y * row + offset, out=outside)
    assert covered[outside < -ON_THE_EDGE].all()
    assert not covered[outside > ON_THE_EDGE].any()


def test_the_avatars_that_come_with_animegen_are_drawn():
    generator = load_drawing(shipped("weights") / "avatar-anime.safetensors")
    count, parts = len(generator.avatars), set()
    turns = [0.4 * i for i in range(count)]
    layers = generator.draw(**asked(*turns) | {"avatar": np.arange(count)}, stage=64)
    for avatar, picture in zip(generator.avatars, layers, strict=True):
        assert 0.03 < area(picture) < 0.4, avatar["name"]
        parts |= set(np.flatnonzero(picture[..., SHADES].any(axis=(0, 1))).tolist())
        assert picture[..., FIXED].any(), avatar["name"]
    assert parts == set(range(len(PARTS)))
    assert len({picture.tobytes() for picture in layers}) == count
