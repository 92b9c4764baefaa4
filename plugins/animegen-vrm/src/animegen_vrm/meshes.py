"""Meshes and skins as primitives that hold only the vertices they use, with one table of joints for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animegen.types import Float32Array
from animegen_vrm.fields import MAX_NUMBER, Fields
from animegen_vrm.gltf import MAX_ENTRIES, Gltf
from animegen_vrm.humanoid import Binds
from animegen_vrm.model import Primitive

MAX_TRIANGLES = 1 << 21  # of all primitives together
MAX_PRIMITIVES = 4096
MAX_SKIN_JOINTS = 1 << 12
MAX_JOINTS = 1 << 15
MAX_JOINT_SETS = 4  # JOINTS_0 .. JOINTS_3; the four strongest of their weights are kept
MAX_TARGETS = 1024

_BIND_COST = 1000  # numbers that summing one morph target counts as, beside its own: it takes time even when empty


@dataclass(frozen=True, slots=True)
class MeshNode:
    """A node of the file that shows a mesh."""

    node: int
    mesh: int
    skin: int | None


class JointTable:
    """Joints with their inverse bind matrices, each pair once."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, bytes], int] = {}
        self.nodes: list[int] = []
        self.inverse_binds: list[Float32Array] = []

    def number(self, node: int, inverse_bind: Float32Array) -> int:
        """The number of a joint, which is added where it is new."""
        key = (node, inverse_bind.tobytes())
        if key not in self._numbers:
            self._numbers[key] = len(self.nodes)
            self.nodes.append(node)
            self.inverse_binds.append(inverse_bind)
        return self._numbers[key]


def mesh_nodes(gltf: Gltf, node_count: int) -> list[MeshNode]:
    """The nodes that show meshes, in the file's order."""
    meshes, skins = (len(gltf.root.sequence(key, MAX_ENTRIES)) for key in ("meshes", "skins"))
    found = []
    for node, entry in enumerate(gltf.root.children("nodes", node_count)):
        mesh = entry.optional_index("mesh", meshes, "meshes")
        if mesh is not None:
            found.append(MeshNode(node, mesh, entry.optional_index("skin", skins, "skins")))
    return found


class Meshes:
    """Reads the primitives of one file. ``numbers`` gives each node of the file its number in the avatar."""

    def __init__(self, gltf: Gltf, numbers: Sequence[int], binds: Binds, material_count: int) -> None:
        self._gltf = gltf
        self._numbers = numbers
        self._binds = binds
        self._material_count = material_count
        self._entries = gltf.root.children("meshes", MAX_ENTRIES)
        self._skins = gltf.root.children("skins", MAX_ENTRIES)
        self._triangles = 0
        self._count = 0
        self._skin_joints: dict[int, NDArray[np.uint16]] = {}
        self.joints = JointTable()
        self.primitives: list[Primitive] = []

    def read(self, shown: Sequence[MeshNode]) -> None:
        """Read what the given nodes show into ``primitives`` and ``joints``."""
        for each in shown:
            mesh = self._entries[each.mesh]
            joints = self._joints(each)
            if len(self.joints.nodes) > MAX_JOINTS:
                raise mesh.fault(f"brings the joints of all skins above {MAX_JOINTS}")
            for entry in mesh.children("primitives", MAX_PRIMITIVES):
                self._count += 1
                if self._count > MAX_PRIMITIVES:
                    raise mesh.fault(f"brings the primitives of all meshes above {MAX_PRIMITIVES}")
                primitive = self._primitive(mesh.text("name"), entry, each.node, joints)
                if len(primitive.triangles):
                    self.primitives.append(primitive)
        if not self.primitives:
            raise self._gltf.root.fault("has no mesh with a triangle in it")

    def _joints(self, shown: MeshNode) -> NDArray[np.uint16]:
        """Number in the joint table of each joint of the node's skin; of the node itself where it has no skin."""
        if shown.skin is None:
            return np.array([self.joints.number(self._numbers[shown.node], np.eye(4, dtype=np.float32))], np.uint16)
        if shown.skin not in self._skin_joints:
            self._skin_joints[shown.skin] = self._skin(self._skins[shown.skin])
        return self._skin_joints[shown.skin]

    def _skin(self, skin: Fields) -> NDArray[np.uint16]:
        """Number in the joint table of each joint of a skin."""
        nodes = skin.indices("joints", len(self._numbers), "nodes", MAX_SKIN_JOINTS)
        if not nodes:
            raise skin.fault("has no joints")
        self._gltf.spend(16 * len(nodes))
        binds = np.tile(np.eye(4, dtype=np.float32), (len(nodes), 1, 1))
        accessor = self._accessor(skin, "inverseBindMatrices")
        if accessor is not None:
            matrices = self._gltf.accessor(accessor, "MAT4").astype(np.float32)
            if len(matrices) < len(nodes):
                raise skin.fault(f"has {len(matrices)} inverse bind matrices for {len(nodes)} joints")
            binds = matrices[: len(nodes)].reshape(-1, 4, 4).transpose(0, 2, 1)
            if np.abs(binds).max() > MAX_NUMBER:
                raise skin.fault(f"has an inverse bind matrix with a number above {MAX_NUMBER:g}")
        return np.array([self.joints.number(self._numbers[n], m) for n, m in zip(nodes, binds, strict=True)], np.uint16)

    def _accessor(self, owner: Fields, key: str) -> int | None:
        return owner.optional_index(key, len(self._gltf.accessors), "accessors")

    def _primitive(self, name: str, entry: Fields, node: int, joints: NDArray[np.uint16]) -> Primitive:
        mode = entry.whole("mode", 4, 6)
        if mode != 4:
            raise entry.fault(f"is drawn in mode {mode}; an avatar's meshes are lists of triangles (4)")
        attributes = entry.child("attributes")
        positions = self._attribute(attributes, "POSITION", "VEC3")
        if positions is None:
            raise entry.fault("has no POSITION")
        used, triangles = self._triangle_list(entry, len(positions))

        def column(key: str, kind: str) -> NDArray[Any] | None:
            values = self._attribute(attributes, key, kind)
            if values is None:
                return None
            if len(values) != len(positions):
                raise attributes.fault(f"has {len(values)} rows of '{key}' for {len(positions)} positions")
            return values[used]

        self._gltf.spend(len(used) * 24 + triangles.size)
        places = positions[used].astype(np.float32)
        if len(places) and np.abs(places).max() > MAX_NUMBER:
            raise attributes.fault(f"has a position beyond {MAX_NUMBER:g} metres")
        uvs = column("TEXCOORD_0", "VEC2")
        if uvs is None:
            uvs = np.zeros((len(used), 2), np.float32)
        rows, weights = self._weights(attributes, column, len(used), len(joints))
        return Primitive(
            name=name,
            positions=places,
            normals=_normals(column("NORMAL", "VEC3"), places, triangles),
            uvs=np.zeros((len(used), 2), np.float32)
            if uvs is None
            else np.clip(uvs, -MAX_NUMBER, MAX_NUMBER, dtype=np.float32),
            joints=joints[rows],
            weights=weights,
            triangles=triangles,
            material=self._material(entry),
            morphs=self._morphs(entry, node, used, len(positions)),
        )

    def _material(self, entry: Fields) -> int:
        """The primitive's material; the one after the file's last where it names none."""
        material = entry.optional_index("material", self._material_count, "materials")
        return self._material_count if material is None else material

    def _attribute(self, owner: Fields, key: str, kind: str) -> NDArray[Any] | None:
        index = self._accessor(owner, key)
        return None if index is None else self._gltf.accessor(index, kind)

    def _triangle_list(self, entry: Fields, count: int) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """The vertices that are used, rising, and the triangles in their numbers."""
        corners = self._attribute(entry, "indices", "SCALAR")
        if corners is None:
            corners = np.arange(count, dtype=np.uint32)
        if not np.issubdtype(corners.dtype, np.unsignedinteger):
            raise entry.fault("has indices that are not unsigned integers")
        if len(corners) % 3:
            raise entry.fault(f"has {len(corners)} indices, which make no whole triangles")
        self._triangles += len(corners) // 3
        if self._triangles > MAX_TRIANGLES:
            raise entry.fault(f"brings the triangles of all meshes above {MAX_TRIANGLES}")
        if len(corners) and int(corners.max()) >= count:
            raise entry.fault(f"names vertex {int(corners.max())} of {count}")
        used, compact = np.unique(corners, return_inverse=True)
        return used.astype(np.int64), compact.reshape(-1, 3).astype(np.uint32)

    def _weights(
        self, attributes: Fields, column: Any, vertices: int, joint_count: int
    ) -> tuple[NDArray[np.int64], Float32Array]:
        """The four strongest joints of each vertex, as places in the skin, and their weights."""
        sets = []
        for i in range(MAX_JOINT_SETS):
            rows, weights = column(f"JOINTS_{i}", "VEC4"), column(f"WEIGHTS_{i}", "VEC4")
            if rows is None or weights is None:
                break
            if not np.issubdtype(rows.dtype, np.unsignedinteger):
                raise attributes.fault(f"has JOINTS_{i} that are not unsigned integers")
            sets.append((rows.astype(np.int64), np.clip(weights, 0.0, 1.0).astype(np.float32)))
        if not sets or joint_count == 1:
            first = np.zeros((vertices, 4), np.float32)
            first[:, 0] = 1.0
            return np.zeros((vertices, 4), np.int64), first
        rows, weights = (np.concatenate(parts, axis=1) for parts in zip(*sets, strict=True))
        # Where a weight is 0 the joint says nothing, and some exporters leave rubbish there.
        rows = np.where(weights > 0, rows, 0)
        if rows.size and int(rows.max()) >= joint_count:
            raise attributes.fault(f"names joint {int(rows.max())} of a skin with {joint_count}")
        strongest = np.argsort(-weights, axis=1, kind="stable")[:, :4]
        rows, weights = np.take_along_axis(rows, strongest, 1), np.take_along_axis(weights, strongest, 1)
        weights[weights.sum(axis=1) <= 0, 0] = 1.0
        return rows, weights / weights.sum(axis=1, keepdims=True)

    def _morphs(self, entry: Fields, node: int, used: NDArray[np.int64], count: int) -> Mapping[str, Float32Array]:
        """Summed displacements of each expression that moves this primitive."""
        targets = entry.children("targets", MAX_TARGETS)
        morphs: dict[str, Float32Array] = {}
        for name, binds in self._binds.items():
            mine = [(target, weight) for bound, target, weight in binds if bound == node]
            total = np.zeros((len(used), 3), np.float32)
            for target, weight in mine:
                self._gltf.spend(total.size + _BIND_COST)
                if target >= len(targets):
                    raise entry.fault(f"has {len(targets)} morph targets, but the expression '{name}' moves {target}")
                moved = self._attribute(targets[target], "POSITION", "VEC3")
                if moved is None:
                    continue
                if len(moved) != count:
                    raise targets[target].fault(f"has {len(moved)} displacements for {count} positions")
                total += np.clip(moved[used], -MAX_NUMBER, MAX_NUMBER).astype(np.float32) * np.float32(weight)
            if total.any():
                morphs[name] = total
        return morphs


def _normals(given: NDArray[Any] | None, positions: Float32Array, triangles: NDArray[np.uint32]) -> Float32Array:
    """Normals of length 1; the mean of the triangles' where the file has none."""
    normals = np.zeros_like(positions)
    if given is not None:
        normals = given.astype(np.float64)
    lengths = np.linalg.norm(normals, axis=1)
    if lengths.size and lengths.min() < 1e-6:
        a, b, c = (positions[triangles[:, corner]].astype(np.float64) for corner in range(3))
        face = np.cross(b - a, c - a)
        smooth = np.zeros(positions.shape)
        for corner in range(3):
            np.add.at(smooth, triangles[:, corner], face)
        flat = np.linalg.norm(smooth, axis=1) < 1e-18
        smooth[flat] = (0.0, 1.0, 0.0)
        normals = np.where(lengths[:, None] < 1e-6, smooth, normals)
        lengths = np.linalg.norm(normals, axis=1)
    unit: Float32Array = (normals / lengths[:, None]).astype(np.float32)
    return unit
