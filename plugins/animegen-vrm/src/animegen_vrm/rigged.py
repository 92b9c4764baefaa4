"""Avatars as rigged facets: their triangles, divided where textures change, with textures' colours at the corners."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
from numpy.typing import NDArray

from animegen.avatar.armature import Armature
from animegen.avatar.rigged import MATERIAL_FIELDS, MOST_VERTICES, ROUND_EARS, Morph, RiggedAvatar
from animegen.errors import InvalidValue
from animegen.types import Float32Array, Float64Array, Uint8Array
from animegen_vrm.dataset import entry_of
from animegen_vrm.divide import divided
from animegen_vrm.ears import with_round_ears
from animegen_vrm.facets import Facets
from animegen_vrm.keypoints import Keypoints
from animegen_vrm.layers import settled
from animegen_vrm.loose import bones_of, head_of, springs_of
from animegen_vrm.model import Avatar
from animegen_vrm.paint import Painter
from animegen_vrm.rig import BONES, BodyPose, Rig, ancestors
from animegen_vrm.tpose import mesh_of, unit
from animegen_vrm.visibility import sides_seen

_MOVED = 5e-5
"""Metres: an expression that moves a vertex by less leaves it out."""
_FARTHEST = 100.0
"""Metres from the origin: what reaches beyond is no person."""
_BONES = 3


def armature_of(avatar: Avatar) -> Armature:
    """An avatar's bones in its T-pose, those that swing last, with the 35 points of AVATAR35.

    Raises InvalidValue where it has no hips.
    """
    rig = Rig(avatar)
    posed = rig.apply(BodyPose())
    skeletal = bones_of(avatar, posed)
    number = {bone: i for i, bone in enumerate(skeletal.bones)}
    keypoints = Keypoints(avatar)
    parents = [
        next((number[b] for b in ancestors(bone) if b in number), -1)
        if bone in BONES
        else skeletal.drivers[avatar.nodes.parents[node]]
        for bone, node in zip(skeletal.bones, skeletal.nodes, strict=True)
    ]
    return Armature(
        bones=skeletal.bones,
        parents=np.array(parents, np.int64),
        pivots=posed.globals[list(skeletal.nodes), :3, 3].astype(np.float32),
        point_bones=np.array([number.get(rig.drivers[node], 0) for node in keypoints.nodes], np.int64),
        points=keypoints.points(posed).astype(np.float32),
    )


def rigged_of(avatar: Avatar, count: int, *, round_ears: bool = False) -> RiggedAvatar:
    """An avatar of at most about ``count`` facets in its T-pose: what can be seen of it, in full light.

    Facets are divided where a texture changes most, on faces soonest. ``round_ears``: it comes with a morph to those,
    too. Raises InvalidValue for an avatar without hips, one of which nothing is seen, one that is too large or needs
    too many vertices or materials, and where ears that do not stick out are to be made round.
    """
    posed = Rig(avatar).apply(BodyPose())
    skeletal = bones_of(avatar, posed)
    mesh = mesh_of(avatar, posed)
    if not (np.abs(mesh.positions) <= _FARTHEST).all() or not np.isfinite(mesh.uvs).all():
        raise InvalidValue(
            f"avatar '{avatar.name}' has vertices farther than {_FARTHEST:g} m from the origin, or NaNs",
            "export it again, in metres",
        )
    if round_ears:
        rounded = mesh_of(with_round_ears(avatar), posed).positions
        mesh = replace(mesh, offsets={**mesh.offsets, ROUND_EARS: rounded - mesh.positions})
    painter = Painter(avatar)
    mesh = settled(avatar, painter, mesh, ~np.isin(skeletal.bones, list(avatar.humanoid)))
    sides = sides_seen(avatar, painter, mesh)
    drawn = divided(painter, mesh, sides, count)
    _check_size(avatar.name, len(drawn.positions), int(sides.any(axis=1).sum()), count)
    rows = painter.rows(drawn.material, drawn.middles())
    rows[:, MATERIAL_FIELDS.index("double_sided")] *= drawn.behind
    table, materials = np.unique(rows, axis=0, return_inverse=True)
    if len(table) > 256:
        raise InvalidValue(f"avatar '{avatar.name}' has {len(table)} kinds of materials; 256 fit")
    bones, weights = _bound(drawn.weights)
    bends = avatar.look_at.by == "bone"
    armature = armature_of(avatar)
    head = head_of(armature, mesh.positions, mesh.weights)
    return RiggedAvatar(
        about=asdict(entry_of(avatar)),
        armature=armature,
        positions=drawn.positions.astype(np.float32),
        normals=_directions(drawn.normals),
        bones=bones,
        weights=weights,
        shades=drawn.colours[:, 0],
        fixed=drawn.colours[:, 1:],
        corners=drawn.triangles.astype(np.int32),
        materials=materials.reshape(-1).astype(np.uint8),
        table=table,
        morphs={name: morph for name in mesh.offsets if len((morph := _morph(drawn, name)).vertices)},
        gaze=(avatar.look_at.horizontal, avatar.look_at.vertical) if bends else (0.0, 0.0),
        springs=springs_of(avatar, posed, skeletal, head),
    )


def _check_size(name: str, vertices: int, seen: int, count: int) -> None:
    """``seen`` triangles of a mesh were divided into about ``count``."""
    if not vertices:
        raise InvalidValue(
            f"nothing is seen of avatar '{name}'", "check its materials: all of it is clear or inside out"
        )
    if vertices > MOST_VERTICES:
        finer = seen < count
        hint = (
            "ask for fewer facets with --count" if finer else f"simplify its mesh, of which {seen:,} triangles are seen"
        )
        raise InvalidValue(f"avatar '{name}' needs {vertices:,} vertices; {MOST_VERTICES:,} fit", hint)


def _directions(normals: Float64Array) -> Float32Array:
    """Normals f32 [V, 3] of length 1, straight up where they cancel out."""
    there = normals.any(axis=1, keepdims=True)
    return unit(np.where(there, normals, (0.0, 1.0, 0.0))).astype(np.float32)


def _bound(weights: Float64Array) -> tuple[Uint8Array, Uint8Array]:
    """The strongest bones of weights f64 [V, B] and theirs in 255ths, uint8 [V, 3] each."""
    padded = np.pad(weights, ((0, 0), (0, max(_BONES - weights.shape[1], 0))))
    strongest = np.argsort(-padded, axis=1, kind="stable")[:, :_BONES]
    shares = np.take_along_axis(padded, strongest, axis=1)
    shares[shares.sum(axis=1) <= 0.0, 0] = 1.0
    # Rounded sums, so that the shares add up.
    edges = np.rint(np.cumsum(shares, axis=1) / shares.sum(axis=1, keepdims=True) * 255)
    whole = np.diff(edges, axis=1, prepend=0.0)
    return np.where(whole > 0, strongest, 0).astype(np.uint8), whole.astype(np.uint8)


def _morph(drawn: Facets, name: str) -> Morph:
    offsets = drawn.offsets[name]
    moved: NDArray[np.int64] = np.flatnonzero(np.linalg.norm(offsets, axis=1) > _MOVED)
    return Morph(moved.astype(np.int32), offsets[moved].astype(np.float32))
