"""Read a VRM avatar: from a file nobody vouches for to one checked shape for both versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from animegen_vrm.chains import read_springs
from animegen_vrm.gltf import read_gltf
from animegen_vrm.humanoid import is_vrm_1, read_bones, read_expressions, read_licence, read_look_at
from animegen_vrm.meshes import Meshes, mesh_nodes
from animegen_vrm.model import Avatar, Material, Spring
from animegen_vrm.mtoon import Materials
from animegen_vrm.nodes import Tree
from animegen_vrm.parts import assign_parts
from animegen_vrm.pictures import Pictures


def read_avatar(path: Path) -> Avatar:
    """Read a VRM 0.x or 1.0 file.

    Whatever the version, the avatar faces +Z, has the names of 1.0, and each material shows at most one part of a
    palette (``Material.part``). Its name is the file's, without the ending. Raises InputError naming the file and the
    fault.
    """
    gltf = read_gltf(path)
    version_1 = is_vrm_1(gltf)
    tree = Tree(gltf)
    file_nodes = len(tree)
    bones = read_bones(gltf, file_nodes)
    springs = read_springs(gltf, tree)
    if not version_1:
        tree.turn_about()
    nodes, numbers = tree.sort()

    shown = mesh_nodes(gltf, file_nodes)
    nodes_of_mesh: dict[int, list[int]] = {}
    for each in shown:
        nodes_of_mesh.setdefault(each.mesh, []).append(each.node)
    pictures = Pictures(gltf)
    materials = Materials(gltf, pictures).read()
    meshes = Meshes(gltf, numbers, read_expressions(gltf, nodes_of_mesh), len(materials))
    meshes.read(shown)
    if any(primitive.material == len(materials) for primitive in meshes.primitives):
        materials.append(Material(name=""))
    moved = {name for primitive in meshes.primitives for name in primitive.morphs}
    avatar = Avatar(
        name=path.stem,
        version="1.0" if version_1 else "0.x",
        licence=read_licence(gltf),
        nodes=nodes,
        joint_nodes=np.array(meshes.joints.nodes, np.int32),
        inverse_binds=np.array(meshes.joints.inverse_binds, np.float32),
        primitives=tuple(meshes.primitives),
        materials=tuple(materials),
        images=tuple(pictures.images),
        humanoid={name: numbers[node] for name, node in bones.items()},
        expressions=tuple(sorted(moved)),
        springs=tuple(_renumbered(spring, numbers) for spring in springs),
        look_at=read_look_at(gltf),
    )
    return assign_parts(avatar)


def _renumbered(spring: Spring, numbers: Sequence[int]) -> Spring:
    return replace(
        spring,
        nodes=tuple(numbers[node] for node in spring.nodes),
        colliders=tuple(replace(collider, node=numbers[collider.node]) for collider in spring.colliders),
    )
