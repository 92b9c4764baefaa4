"""Avatars as armatures and surfels: what is drawn without triangles and textures."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from animegen.avatar.armature import Armature
from animegen.avatar.surfels import Morph, SurfelAvatar
from animegen.errors import InvalidValue
from animegen.types import Float64Array, Uint8Array
from animegen_vrm.borders import to_borders
from animegen_vrm.dataset import entry_of
from animegen_vrm.keypoints import Keypoints
from animegen_vrm.model import Avatar
from animegen_vrm.paint import paint
from animegen_vrm.rig import BodyPose, Rig, ancestors
from animegen_vrm.scatter import Points, scatter
from animegen_vrm.tpose import Mesh, bones_of, crossed, mesh_of, unit

MOVED = 5e-5
"""Metres: an expression that moves a surfel by less leaves it out."""

_JOINTS = 3


def armature_of(avatar: Avatar) -> Armature:
    """An avatar's bones in its T-pose with the 35 points of AVATAR35. Raises InvalidValue where it has no hips."""
    rig = Rig(avatar)
    posed = rig.apply(BodyPose())
    bones = bones_of(avatar)
    number = {bone: i for i, bone in enumerate(bones)}
    keypoints = Keypoints(avatar)
    return Armature(
        bones=bones,
        parents=np.array([next((number[b] for b in ancestors(bone) if b in number), -1) for bone in bones], np.int64),
        pivots=posed.globals[[avatar.humanoid[bone] for bone in bones], :3, 3].astype(np.float32),
        point_bones=np.array([number.get(rig.drivers[node], 0) for node in keypoints.nodes], np.int64),
        points=keypoints.points(posed).astype(np.float32),
    )


def surfels_of(avatar: Avatar, count: int, seed: int = 0) -> SurfelAvatar:
    """About ``count`` surfels of an avatar in its T-pose: what can be seen of it, in full light.

    Heads and hands get more of them than their area says, eyes most. The same ``seed`` gives the same surfels.
    """
    rig = Rig(avatar)
    mesh = mesh_of(avatar, rig, rig.apply(BodyPose()))
    sample = scatter(avatar, mesh, count, seed)
    points = sample.points[sample.kept]
    painted = paint(avatar, mesh.material[sample.points.triangle], sample.points.of(mesh, mesh.uvs))
    table, materials = np.unique(painted.rows[sample.kept], axis=0, return_inverse=True)
    if len(table) > 256:
        raise InvalidValue(f"avatar '{avatar.name}' has {len(table)} kinds of materials; 256 fit into surfels")
    opened = mesh.opened()
    flat, smooth = _normals(opened, points)
    borders = sample.whole(opened, to_borders(avatar, opened, points, sample.radius))
    bones, weights = _bound(points.of(mesh, mesh.weights))
    bends = avatar.look_at.by == "bone"
    return SurfelAvatar(
        about=asdict(entry_of(avatar)),
        armature=armature_of(avatar),
        positions=points.of(mesh, mesh.positions).astype(np.float32),
        normals=flat.astype(np.float32),
        shading_normals=smooth.astype(np.float32),
        borders=borders.astype(np.float32),
        radii=sample.radius.astype(np.float32),
        bones=bones,
        weights=weights,
        parts=painted.part[sample.kept],
        shades=sample.mean(painted.shade),
        fixed=sample.mean(painted.fixed),
        materials=materials.reshape(-1).astype(np.uint8),
        table=table,
        morphs={name: morph for name in mesh.offsets if len((morph := _morph(mesh, points, name)).surfels)},
        gaze=(avatar.look_at.horizontal, avatar.look_at.vertical) if bends else (0.0, 0.0),
    )


def _normals(mesh: Mesh, points: Points) -> tuple[Float64Array, Float64Array]:
    """Normals of the triangles and smooth ones, f64 [S, 3] each; where one has no length the other stands for it."""
    flat = unit(crossed(mesh.positions[mesh.triangles]))[points.triangle]
    smooth = unit(points.of(mesh, mesh.normals))
    flat = np.where(flat.any(axis=1, keepdims=True), flat, smooth)
    return flat, np.where(smooth.any(axis=1, keepdims=True), smooth, flat)


def _bound(weights: Float64Array) -> tuple[Uint8Array, Uint8Array]:
    """The strongest bones of weights f64 [S, B] and theirs in 255ths, uint8 [S, 3] each."""
    padded = np.pad(weights, ((0, 0), (0, max(_JOINTS - weights.shape[1], 0))))
    strongest = np.argsort(-padded, axis=1, kind="stable")[:, :_JOINTS]
    shares = np.take_along_axis(padded, strongest, axis=1)
    shares[shares.sum(axis=1) <= 0.0, 0] = 1.0
    # Rounded sums, so that the shares add up.
    edges = np.rint(np.cumsum(shares, axis=1) / shares.sum(axis=1, keepdims=True) * 255)
    whole = np.diff(edges, axis=1, prepend=0.0)
    return np.where(whole > 0, strongest, 0).astype(np.uint8), whole.astype(np.uint8)


def _morph(mesh: Mesh, points: Points, name: str) -> Morph:
    offsets = points.of(mesh, mesh.offsets[name])
    moved = np.flatnonzero(np.linalg.norm(offsets, axis=1) > MOVED)
    return Morph(moved.astype(np.int32), offsets[moved].astype(np.float32))
