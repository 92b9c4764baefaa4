"""The scene graph of a glTF file: checked to be a forest, sorted so that parents stand before their children."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from animegen.types import Float64Array
from animegen_vrm.fields import MAX_NUMBER, Fields
from animegen_vrm.gltf import Gltf
from animegen_vrm.model import Nodes
from animegen_vrm.rig import rest_matrices

MAX_NODES = 1 << 14

_HALF_TURN_Y = np.array([0.0, 1.0, 0.0, 0.0])


class Tree:
    """Nodes in the file's numbers; more may be added before they are sorted."""

    def __init__(self, gltf: Gltf) -> None:
        self._root = gltf.root
        entries = gltf.root.children("nodes", MAX_NODES)
        if not entries:
            raise gltf.root.fault("has no nodes")
        self.names = [entry.text("name") for entry in entries]
        self.parents = [-1] * len(entries)
        self.children = [entry.indices("children", len(entries), "nodes", MAX_NODES) for entry in entries]
        for parent, entry in enumerate(entries):
            for child in self.children[parent]:
                if self.parents[child] != -1 or child == parent:
                    raise entry.fault(f"has the child {child}, which has a parent already")
                self.parents[child] = parent
        places = [_place(entry) for entry in entries]
        self.translations: list[Float64Array] = [place[0] for place in places]
        self.rotations: list[Float64Array] = [place[1] for place in places]
        self.scales: list[Float64Array] = [place[2] for place in places]

    def __len__(self) -> int:
        return len(self.names)

    def add(self, name: str, parent: int, translation: Float64Array) -> int:
        """A new node without rotation; returns its number."""
        self.names.append(name)
        self.parents.append(parent)
        self.children.append([])
        self.children[parent].append(len(self) - 1)
        self.translations.append(translation)
        self.rotations.append(np.array([0.0, 0.0, 0.0, 1.0]))
        self.scales.append(np.ones(3))
        return len(self) - 1

    def turn_about(self) -> None:
        """Put one root over everything that turns it half about Y."""
        roots = [node for node, parent in enumerate(self.parents) if parent == -1]
        self.names.append("turned")
        self.parents.append(-1)
        self.children.append(roots)
        self.translations.append(np.zeros(3))
        self.rotations.append(_HALF_TURN_Y)
        self.scales.append(np.ones(3))
        for root in roots:
            self.parents[root] = len(self) - 1

    def sort(self) -> tuple[Nodes, list[int]]:
        """The nodes, parents first, and the new number of each node; InputError for a cycle."""
        order = [node for node, parent in enumerate(self.parents) if parent == -1]
        for node in order:  # grows while it is walked
            order.extend(self.children[node])
        if len(order) < len(self):
            stray = min(set(range(len(self))) - set(order))
            raise self._root.fault(f"has a circle of nodes: nodes[{stray}] is its own ancestor")
        numbers = [0] * len(order)
        for number, node in enumerate(order):
            numbers[node] = number
        nodes = Nodes(
            names=tuple(self.names[node] for node in order),
            parents=np.array([numbers[self.parents[n]] if self.parents[n] >= 0 else -1 for n in order], np.int32),
            translations=np.array([self.translations[node] for node in order], np.float32),
            rotations=np.array([self.rotations[node] for node in order], np.float32),
            scales=np.array([self.scales[node] for node in order], np.float32),
        )
        with np.errstate(over="ignore", invalid="ignore"):
            world = rest_matrices(nodes)
        if not np.isfinite(world).all() or np.abs(world).max() > MAX_NUMBER:
            raise self._root.fault(f"has nodes whose place in the world passes {MAX_NUMBER:g} metres")
        return nodes, numbers


def _place(entry: Fields) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Translation, rotation (x y z w, of length 1) and scale of a node, also where it has a matrix instead."""
    if "matrix" in entry:
        matrix = np.array(entry.numbers("matrix", (0.0,) * 16)).reshape(4, 4).T
        scale = np.linalg.norm(matrix[:3, :3], axis=0)
        if np.linalg.det(matrix[:3, :3]) < 0:
            scale[0] = -scale[0]
        if np.abs(scale).min() < 1e-9:
            raise entry.fault("has a matrix that flattens what it moves")
        return matrix[:3, 3], Rotation.from_matrix(matrix[:3, :3] / scale).as_quat(), scale
    rotation = np.array(entry.numbers("rotation", (0.0, 0.0, 0.0, 1.0)))
    length = np.linalg.norm(rotation)
    if length < 1e-6:
        raise entry.fault("has a rotation of length 0")
    translation = np.array(entry.vector("translation", (0.0, 0.0, 0.0)))
    return translation, rotation / length, np.array(entry.vector("scale", (1.0, 1.0, 1.0)))
