"""Ears: long ones become round, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from animegen_vrm import visibility
from animegen_vrm.cli import vrm
from animegen_vrm.ears import with_round_ears
from animegen_vrm.model import Avatar, Primitive
from animegen_vrm.read import read_avatar
from animegen_vrm.rigged import rigged_of
from animegen_vrm.surface import rest_positions
from click.testing import CliRunner
from dressed import BARE, FLAT, RINGS, SIDES, wearing
from stick_avatar import stick_avatar
from tiny_vrm import block_vrm, save

from animegen.avatar.options import AnimeOptions
from animegen.avatar.rigged_files import load_rigged, save_rigged
from animegen.errors import InvalidValue, UsageError
from animegen.pipeline.anime import make_style
from animegen.pose.skeletons import AVATAR35
from animegen.protocols import PluginContext
from animegen.testing.synthetic import synthetic_identity, synthetic_track
from animegen.types import RenderRequest

HEAD, ROOT, LENGTH, BREADTH = 0.1, 0.09, 0.09, 0.06  # metres: a head's radius, where ears begin, how large they are
HEIGHT = 1.6  # metres: of the ears
ROUND = 1e-3  # metres: as far a head may move where it bulges beyond the ears' roots
COUNT, SOME = 2000, 30_000  # facets; points by which is told what is seen: enough for so small an avatar
REAL = tuple(f"eliza_{name}" for name in ("chen", "jin", "kei", "momo", "rin", "ryu", "satoshi", "yuki"))


def elf(length: float = LENGTH) -> Avatar:
    """Someone with a round head and a cone of a length as each ear."""
    ear = ("head", (0.0, 0.0), BREADTH / 2, (0.0, 1.0), BARE)
    avatar = wearing(("head", (0.0, 0.0), HEAD, (1.5, 1.7), BARE), ear, ear)
    *others, left, right = avatar.primitives
    return replace(avatar, primitives=(*others, cone(left, length), cone(right, -length)))


def cone(tube: Primitive, length: float) -> Primitive:
    """An upright tube up to 1 made a cone that points to a side."""
    x, y, z = tube.positions.T
    places = np.stack([np.sign(length) * ROOT + y * length, HEIGHT + (1 - y) * x, (1 - y) * z], axis=1)
    normals = np.stack([np.full_like(x, np.sign(length) * 0.3), x / (BREADTH / 2), z / (BREADTH / 2)], axis=1)
    return replace(tube, positions=places, normals=normals / np.linalg.norm(normals, axis=1, keepdims=True))


def test_ears_are_half_as_long_and_end_blunt() -> None:
    places = rest_positions(with_round_ears(elf()))
    for ear, sign in ((places[-2], 1.0), (places[-1], -1.0)):
        out = sign * ear[:, 0]
        assert out.max() == pytest.approx(ROOT + LENGTH / 2, abs=0.2 * LENGTH / 2)
        near_the_end = ear[out > out.max() - 0.1 * (out.max() - ROOT)]
        assert np.ptp(near_the_end[:, 1]) > 0.25 * BREADTH  # a cone has 0.1 there
        np.testing.assert_allclose(ear[:, 1].mean(), HEIGHT, atol=0.01)


def test_nothing_else_moves() -> None:
    before = elf()
    after = with_round_ears(before)
    for one, other in zip(before.primitives[:-2], after.primitives[:-2], strict=True):
        np.testing.assert_allclose(other.positions, one.positions, atol=ROUND)
    for one, other in zip(before.primitives, after.primitives, strict=True):
        assert other.triangles is one.triangles
    for ear in after.primitives[-2:]:
        np.testing.assert_allclose(np.linalg.norm(ear.normals, axis=1), 1.0, atol=FLAT)


def test_normals_stay_across_the_surface() -> None:
    """They turn as the surface does: across the rings of facets, but for the flat end."""
    ear = with_round_ears(elf()).primitives[-2]
    rings = ear.positions.reshape(RINGS, SIDES, 3)
    normals = ear.normals.reshape(RINGS, SIDES, 3)[2 : RINGS * 2 // 3]
    along = np.gradient(rings, axis=0)[2 : RINGS * 2 // 3]
    cosine = (along * normals).sum(axis=-1) / np.linalg.norm(along, axis=-1)
    assert np.abs(cosine).max() < 0.15


def test_who_has_no_long_ears_is_named() -> None:
    flat = elf()
    *others, face = flat.primitives[:-2]
    in_front = replace(face, positions=face.positions * np.array((1, 1, 0), np.float32))
    for avatar in (elf(length=0.02), stick_avatar(), replace(flat, primitives=(*others, in_front))):
        with pytest.raises(InvalidValue, match="'stick' has no ears that stick out") as raised:
            with_round_ears(avatar)
        assert raised.value.hint


@pytest.mark.parametrize("name", REAL)
def test_ears_of_real_elves(name: str, avatar_paths: dict[str, Path]) -> None:
    avatar = read_avatar(avatar_paths[name])
    face = next(i for i, one in enumerate(avatar.primitives) if "_Face_00_SKIN" in avatar.materials[one.material].name)
    before, after = (rest_positions(each)[face] for each in (avatar, with_round_ears(avatar)))
    front = before[:, 2] > 0.05
    np.testing.assert_allclose(after[front], before[front], atol=ROUND)
    reach = np.abs(before[front, 0]).max()
    for side in (1.0, -1.0):
        long, round_ = (side * each[:, 0].max() if side > 0 else -each[:, 0].min() for each in (before, after))
        assert 0.35 * (long - reach) < round_ - reach < 0.65 * (long - reach)


def test_an_avatar_can_come_with_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visibility, "_POINTS", SOME)
    path = tmp_path / "elf.safetensors"
    save_rigged(path, [rigged_of(elf(), COUNT, round_ears=True), rigged_of(elf(), COUNT)], AVATAR35)
    both, long_only = load_rigged(path)[0]
    assert both.positions[:, 0].max() == pytest.approx(ROOT + LENGTH, abs=2 * ROUND)
    assert both.with_round_ears().positions[:, 0].max() < ROOT + 0.6 * LENGTH
    assert long_only.with_round_ears() is long_only


def test_the_style_draws_round_ears_unless_an_avatars_own_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visibility, "_POINTS", SOME)
    path = tmp_path / "elf.safetensors"
    save_rigged(path, [rigged_of(elf(), COUNT, round_ears=True)], AVATAR35)
    track, person, covered = synthetic_track(length=1, height=400.0), synthetic_identity(1), {}
    for ears in ("round", "own"):
        options = AnimeOptions() if ears == "round" else AnimeOptions(ears="own")
        style = make_style(options, PluginContext(weights={"avatar-anime": path}))
        prepared = style.prepare(person, track, ())
        (sprite,) = style.render([RenderRequest(person, prepared, track.poses[0], 0, Fraction(0), 400.0, 0.0)])
        covered[ears] = int((sprite.rgba[..., 3] > 128).sum())
    assert covered["round"] < covered["own"]


def test_the_command_names_who_is_not_there(tmp_path: Path) -> None:
    save(tmp_path, block_vrm(), "ann.vrm")
    arguments = ["rigged", str(tmp_path), "-o", str(tmp_path / "out.safetensors"), "--round-ears", "bob", "--quiet"]
    result = CliRunner().invoke(vrm, arguments)
    assert isinstance(result.exception, UsageError)
    assert "bob" in str(result.exception)
    assert "--round-ears" in (result.exception.hint or "")
