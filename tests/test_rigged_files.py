"""Files of rigged avatars: what is read is what was written, nearly; what is damaged is an error that says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from figures import PALETTE
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rigged_avatars import box_man

from animegen.avatar.checkpoint import load_tensors, save_tensors
from animegen.avatar.directions import decode_normals, encode_normals
from animegen.avatar.loading import load_drawing
from animegen.avatar.rigged import RiggedAvatar
from animegen.avatar.rigged_files import load_rigged, save_rigged
from animegen.avatar.rigged_generator import RiggedGenerator
from animegen.avatar.springs import Springs
from animegen.errors import InvalidValue, WeightsError
from animegen.pose.skeletons import AVATAR35

OF_THE_BOX = 0.55 / 65535
"""Places: half a step, and what float32 rounds."""
DEGREES = 1.0
OF_AN_OFFSET = 0.51 / 127
"""Of the farthest: half a step."""
Told = list[dict[str, Any]]


@pytest.fixture(scope="module")
def man() -> RiggedAvatar:
    """The box man with a palette, a trait, and a ponytail that swings and hits his head."""
    bare = box_man(ponytail=True)
    head = np.array([bare.armature.bones.index("head")])
    ends, reach = np.zeros((1, 2, 3), np.float32), np.full((len(bare.springs), 1), 0.1, np.float32)
    bare = replace(bare, springs=replace(bare.springs, carriers=head, ends=ends, reach=reach))
    about = {**bare.about, "credit": "Ann Ä. 花", "palette": [*PALETTE[:5], None], "traits": {"skirt": 0.5}}
    return replace(bare, about=about)


def degrees_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.asarray(np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=1), (a * b).sum(axis=1))))


def test_what_is_read_is_what_was_written_nearly(man, tmp_path):
    other = replace(man, about={**man.about, "name": "bob"}, morphs={}, gaze=(0.0, 12.5), springs=Springs.none())
    save_rigged(tmp_path / "two.safetensors", [man, other], AVATAR35, {"made_by": "a test"})
    (found, second), skeleton = load_rigged(tmp_path / "two.safetensors")
    assert skeleton == AVATAR35
    assert load_tensors(tmp_path / "two.safetensors")[1]["made_by"] == "a test"
    assert (second.about["name"], dict(second.morphs), second.gaze) == ("bob", {}, (0.0, 12.5))
    assert found.about == json.loads(json.dumps(man.about))
    assert found.gaze == man.gaze
    assert found.armature.bones == man.armature.bones
    for name in ("parents", "pivots", "point_bones", "points"):
        np.testing.assert_array_equal(getattr(found.armature, name), getattr(man.armature, name))
    for name in ("bones", "weights", "shades", "fixed", "corners", "materials", "table"):
        kept = getattr(found, name)
        assert kept.dtype == getattr(man, name).dtype
        np.testing.assert_array_equal(kept, getattr(man, name))
    for name in ("bones", "tails", "stiffness", "gravity", "drag", "carriers", "ends", "reach"):
        kept = getattr(found.springs, name)
        assert kept.dtype == getattr(man.springs, name).dtype
        np.testing.assert_array_equal(kept, getattr(man.springs, name))
    assert (len(found.springs), len(second.springs)) == (len(man.springs), 0)
    box = np.ptp(man.positions, axis=0)
    assert (np.abs(found.positions - man.positions) <= OF_THE_BOX * box).all()
    assert degrees_between(found.normals, man.normals).max() < DEGREES
    np.testing.assert_allclose(np.linalg.norm(found.normals, axis=1), 1, rtol=1e-6)
    assert set(found.morphs) == set(man.morphs)
    for name, morph in man.morphs.items():
        np.testing.assert_array_equal(found.morphs[name].vertices, morph.vertices)
        farthest = np.abs(morph.offsets).max()
        np.testing.assert_allclose(found.morphs[name].offsets, morph.offsets, rtol=0, atol=OF_AN_OFFSET * farthest)


@given(arrays(np.float32, (1, 3), elements=st.floats(-1, 1, width=32)))
def test_directions_are_kept_to_a_degree(vector):
    length = np.linalg.norm(vector)
    if length < 1e-6:
        return
    normal = (vector / length).astype(np.float32)
    found = decode_normals(encode_normals(normal))
    assert degrees_between(found, normal).max() < DEGREES


def test_directions_along_the_axes_are_kept_exactly():
    axes = np.concatenate([np.eye(3), -np.eye(3)]).astype(np.float32)
    np.testing.assert_array_equal(decode_normals(encode_normals(axes)), axes)


def test_any_two_bytes_are_a_direction():
    coded = np.stack(np.meshgrid(*[np.arange(-128, 128, dtype=np.int8)] * 2), axis=-1).reshape(-1, 2)
    found = decode_normals(coded)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


def test_too_many_or_no_vertices_are_refused(man, tmp_path):
    none = replace(man, positions=man.positions[:0])
    many = replace(man, positions=np.zeros((2**16 + 1, 3), np.float32))
    for wrong, count in ((none, 0), (many, 65537)):
        with pytest.raises(InvalidValue, match=f"1 to 65536 vertices, got {count}"):
            save_rigged(tmp_path / "wrong.safetensors", [wrong], AVATAR35)
    assert not list(tmp_path.iterdir())


def first(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., None]:
    """Damage of a tensor of the first avatar."""

    def damage(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        tensors[f"0.{name}"] = change(tensors[f"0.{name}"]).contiguous()

    return damage


def told(change: Callable[[Told], Any], field: str = "avatars") -> Callable[..., None]:
    """Damage of what the metadata tells."""

    def damage(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        entry = json.loads(metadata[field])
        metadata[field] = json.dumps(entry if (other := change(entry)) is None else other)

    return damage


DAMAGES: dict[str, Callable[..., None]] = {
    "no avatar": told(lambda _: []),
    "no list of avatars": told(lambda _: {"about": 1}),
    "an avatar more": told(lambda e: e + e),
    "no name": told(lambda e: e[0]["about"].pop("name") and None),
    "nothing told": told(lambda e: e[0].update(about=None)),
    "no gaze": told(lambda e: e[0].pop("gaze") and None),
    "gaze of three": told(lambda e: e[0].update(gaze=[1, 2, 3])),
    "gaze of words": told(lambda e: e[0].update(gaze=["a", "b"])),
    "gaze of nan": told(lambda e: e[0].update(gaze=[float("nan"), 0])),
    "gaze beyond floats": told(lambda e: e[0].update(gaze=[10**400, 0])),
    "a bone less": told(lambda e: e[0].update(bones=e[0]["bones"][1:])),
    "bones as a number": told(lambda e: e[0].update(bones=3)),
    "other materials": told(lambda e: e[::-1], "fields"),
    "a point less": told(lambda e: e.update(points=e["points"][1:]), "skeleton"),
    "a point twice": told(lambda e: e.update(points=e["points"][:1] + e["points"][:-1]), "skeleton"),
    "an edge to nowhere": told(lambda e: e.update(edges=[[0, 99]]), "skeleton"),
    "an edge of one": told(lambda e: e.update(edges=[[0]]), "skeleton"),
    "no skeleton": lambda _, metadata: metadata.pop("skeleton"),
    "no JSON": lambda _, metadata: metadata.update(avatars="[{"),
    "no positions": lambda tensors, _: tensors.pop("0.positions"),
    "no vertices": first("positions", lambda t: t[:0]),
    "one number for positions": first("positions", lambda t: t[0, 0]),
    "a vertex less": first("positions", lambda t: t[1:]),
    "flat positions": first("positions", lambda t: t[:, :2]),
    "positions in metres": first("positions", lambda t: t.float()),
    "a box of one": first("box", lambda t: t[:1]),
    "an endless box": first("box", lambda t: t * float("inf")),
    "a box far off": first("box", lambda t: t + 1e6),
    "normals of three": first("normals", lambda t: torch.cat([t, t[:, :1]], 1)),
    "normals of words": first("normals", lambda t: t.short()),
    "a bone out of range": first("bones", lambda t: t.fill_(200)),
    "bones below 0": first("bones", lambda t: -t.long()),
    "weights that are too small": first("weights", lambda t: t // 2),
    "shades of nothing": first("shades", lambda t: t.bfloat16()),
    "a corner out of range": first("corners", lambda t: (t.int() * 0 + 65535).to(torch.uint16)),
    "corners below 0": first("corners", lambda t: -t.long()),
    "facets of four": first("corners", lambda t: torch.cat([t, t[:, :1]], 1)),
    "a facet less": first("corners", lambda t: t[1:]),
    "a material out of range": first("materials", lambda t: t + 1),
    "no materials": first("table", lambda t: t[:0]),
    "a field less": first("table", lambda t: t[:, :-1]),
    "materials of nan": first("table", lambda t: t * float("nan")),
    "parents after their bones": first("parents", lambda t: t + 1),
    "parents below 0": first("parents", lambda t: t * 0 - 1),
    "a pivot less": first("pivots", lambda t: t[1:]),
    "pivots of nan": first("pivots", lambda t: t * float("nan")),
    "points on bones out of range": first("point_bones", lambda t: t + 1000),
    "points below 0": first("point_bones", lambda t: t * 0 - 1),
    "points in one place": first("points", lambda t: t * 0),
    "points far off": first("points", lambda t: t * 1e20),
    "an expression out of range": first("morph.blink.vertices", lambda t: (t.int() * 0 + 65535).to(torch.uint16)),
    "an expression that moves one less": first("morph.blink.vertices", lambda t: t[1:]),
    "an expression of one vertex": first("morph.aa.vertices", lambda t: t[0]),
    "flat offsets": first("morph.aa.offsets", lambda t: t[:, :2]),
    "no offsets": lambda tensors, _: tensors.pop("0.morph.aa.offsets"),
    "steps of nan": first("morph.aa.step", lambda t: t * float("nan")),
    "a number of springs": first("springs.bones", lambda t: t[0]),
    "a spring less": first("springs.bones", lambda t: t[1:]),
    "springs that are not there": first("springs.bones", lambda t: t + 100),
    "springs before their parents": first("springs.bones", lambda t: t.flip(0)),
    "a spring twice": first("springs.bones", lambda t: t * 0 + t[0]),
    "hips that swing": first("springs.bones", lambda t: t - t[0]),
    "bones of the body that swing": first("springs.bones", lambda t: t - 12),
    "a body that hangs on hair": lambda tensors, _: tensors.update(
        {
            f"0.springs.{name}": tensors[f"0.springs.{name}"][:-1].contiguous()
            for name in ("bones", "tails", "stiffness", "gravity", "drag", "reach")
        }
    ),
    "tails without length": lambda tensors, _: tensors.update(
        {"0.springs.tails": tensors["0.pivots"][tensors["0.springs.bones"]]}
    ),
    "tails far off": first("springs.tails", lambda t: t * 1e6),
    "tails of nan": first("springs.tails", lambda t: t * float("nan")),
    "no tails": lambda tensors, _: tensors.pop("0.springs.tails"),
    "stiffness below 0": first("springs.stiffness", lambda t: -t),
    "endless stiffness": first("springs.stiffness", lambda t: t * float("inf")),
    "drag above 1": first("springs.drag", lambda t: t + 1),
    "gravity as one number": first("springs.gravity", lambda t: t[:, 1]),
    "strong gravity": first("springs.gravity", lambda t: t + 1e4),
    "colliders on nothing": first("springs.carriers", lambda t: t - 1000),
    "colliders on springs": lambda tensors, _: tensors.update(
        {"0.springs.carriers": tensors["0.springs.bones"][:1].clone()}
    ),
    "spheres for capsules": first("springs.ends", lambda t: t[:, 0]),
    "capsules far off": first("springs.ends", lambda t: t - 1e6),
    "reach below 0": first("springs.reach", lambda t: t - 1),
    "reach of a collider more": first("springs.reach", lambda t: torch.cat([t, t], 1)),
}


@pytest.fixture(scope="module")
def whole(man: RiggedAvatar, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rigged") / "whole.safetensors"
    save_rigged(path, [man], AVATAR35)
    return path


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_files_are_errors(whole, tmp_path, name):
    tensors, metadata = load_tensors(whole)
    DAMAGES[name](tensors, metadata)
    path = tmp_path / "damaged.safetensors"
    save_tensors(path, tensors, metadata)
    with pytest.raises(WeightsError, match=r"damaged\.safetensors is damaged"):
        load_drawing(path)


def test_truncated_files_are_errors(whole, tmp_path):
    data, path = whole.read_bytes(), tmp_path / "short.safetensors"
    for length in (0, 7, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(WeightsError, match=r"cannot read .*short\.safetensors"):
            load_drawing(path)
    with pytest.raises(WeightsError, match="there is no file"):
        load_drawing(tmp_path / "none.safetensors")


def test_files_of_something_else_are_errors(whole, tmp_path):
    tensors, metadata = load_tensors(whole)
    path = tmp_path / "other.safetensors"
    save_tensors(path, tensors, {**metadata, "format": "animegen-rigged-9"})
    with pytest.raises(WeightsError, match="holds no rigged avatars: its format is 'animegen-rigged-9'"):
        load_rigged(path)
    with pytest.raises(WeightsError, match="is not an avatar generator"):
        load_drawing(path)


def test_either_kind_of_file_is_drawn_from(whole):
    assert isinstance(load_drawing(whole), RiggedGenerator)


def test_an_avatar_that_no_pose_moves_is_an_error_when_it_is_loaded(man, tmp_path):
    strange = replace(man, armature=replace(man.armature, bones=("pelvis", *man.armature.bones[1:])))
    save_rigged(tmp_path / "strange.safetensors", [strange], AVATAR35)
    with pytest.raises(WeightsError, match=r"strange\.safetensors: avatar 'ann' cannot be posed: .*'pelvis'"):
        load_drawing(tmp_path / "strange.safetensors")
