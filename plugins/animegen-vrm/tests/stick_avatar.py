"""A bare avatar for tests: humanoid bones as nodes, a block as each foot, nothing else unless asked for."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from animegen_vrm import quaternions as q
from animegen_vrm.model import Avatar, Licence, LookAt, Material, Nodes, Primitive, Spring
from animegen_vrm.rig import BONES, ancestors
from numpy.typing import NDArray

_LEFT = {
    "Shoulder": (0.03, 1.40, 0.0), "UpperArm": (0.12, 1.40, 0.0), "LowerArm": (0.36, 1.40, 0.0),
    "Hand": (0.60, 1.40, 0.0), "UpperLeg": (0.09, 0.88, 0.0), "LowerLeg": (0.09, 0.48, 0.0),
    "Foot": (0.09, 0.08, 0.0), "Toes": (0.09, 0.02, 0.12),
}  # fmt: skip
_CENTRE = {
    "hips": (0.0, 0.95, 0.0), "spine": (0.0, 1.05, 0.0), "chest": (0.0, 1.18, 0.0), "upperChest": (0.0, 1.30, 0.0),
    "neck": (0.0, 1.45, 0.0), "head": (0.0, 1.53, 0.0),
}  # fmt: skip
HIP_HEIGHT = 0.95


def places(arms_down: float = 0.0) -> dict[str, NDArray[np.float64]]:
    """Where the bones stand; ``arms_down`` degrees below the T-pose."""
    found = {bone: np.array(place) for bone, place in _CENTRE.items()}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        found |= {side + bone: np.array(place) * (sign, 1.0, 1.0) for bone, place in _LEFT.items()}
        turn = q.about((0.0, 0.0, 1.0), -sign * np.radians(arms_down))
        shoulder = found[f"{side}UpperArm"]
        for bone in ("LowerArm", "Hand"):
            found[side + bone] = shoulder + q.rotate(turn, found[side + bone] - shoulder)
    return found


def stick_avatar(
    *,
    without: Collection[str] = (),
    arms_down: float = 0.0,
    turned: int | None = None,
    expressions: tuple[str, ...] = (),
    look_at: LookAt | None = None,
    chain: Spring | None = None,
    chain_nodes: Collection[tuple[float, float, float]] = (),
) -> Avatar:
    """An avatar 1.7 m tall.

    ``turned``: seed of arbitrary rest rotations, which change the local axes but not where bones stand. ``chain_nodes``
    are offsets of nodes that hang in a row on the head, numbered after the bones; ``chain`` is their spring.
    """
    where = {bone: place for bone, place in places(arms_down).items() if bone not in without}
    bones = [bone for bone in BONES if bone in where]
    number = {bone: i for i, bone in enumerate(bones)}
    parents = [next((number[above] for above in ancestors(bone) if above in number), -1) for bone in bones]
    rng = np.random.default_rng(turned)
    world = [q.normalise(rng.normal(size=4)) if turned is not None else np.array(q.IDENTITY) for _ in bones]
    translations, rotations = [], []
    for bone, parent in zip(bones, parents, strict=True):
        above = np.array(q.IDENTITY) if parent < 0 else world[parent]
        offset = where[bone] - (np.zeros(3) if parent < 0 else where[bones[parent]])
        translations.append(q.rotate(q.inverse(above), offset))
        rotations.append(q.multiply(q.inverse(above), world[number[bone]]))
    names = list(bones)
    for i, offset in enumerate(chain_nodes):
        parents.append(number["head"] if i == 0 else len(names) - 1)
        translations.append(q.rotate(q.inverse(world[number["head"]]), offset) if i == 0 else np.array(offset))
        rotations.append(q.inverse(world[number["head"]]) if i == 0 else np.array(q.IDENTITY))
        names.append(f"hair{i}")
    nodes = Nodes(
        tuple(names),
        np.array(parents, np.int32),
        np.array(translations, np.float32),
        np.array(rotations, np.float32),
        np.ones((len(names), 3), np.float32),
    )
    feet = [number[f"{side}Foot"] for side in ("left", "right")]
    binds = np.stack([_inverse(where[bones[node]], world[node]) for node in feet]).astype(np.float32)
    return Avatar(
        "stick", "1.0", Licence("stick", ("nobody",), "CC0", False), nodes, np.array(feet, np.int32), binds,
        tuple(_block(where[bones[node]], joint) for joint, node in enumerate(feet)), (Material("plain"),), (), number,
        expressions, (chain,) if chain else (), look_at or LookAt(),
    )  # fmt: skip


def _inverse(place: NDArray[np.float64], rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] = q.to_matrices(rotation)
    matrix[:3, 3] = place
    return np.linalg.inv(matrix)


def _block(ankle: NDArray[np.float64], joint: int) -> Primitive:
    """A foot from 6 cm behind the ankle to 18 cm before it, on the floor."""
    corners = np.array([(x, y, z) for x in (-0.04, 0.04) for y in (0.0, 0.06) for z in (-0.06, 0.18)])
    positions = (corners + ankle * (1.0, 0.0, 1.0)).astype(np.float32)
    count = len(positions)
    joints = np.zeros((count, 4), np.uint16)
    joints[:, 0] = joint
    weights = np.zeros((count, 4), np.float32)
    weights[:, 0] = 1.0
    triangles = np.array([(0, 1, 2), (1, 2, 3), (4, 5, 6), (5, 6, 7)], np.uint32)
    return Primitive(
        "foot", positions, np.zeros_like(positions), np.zeros((count, 2), np.float32), joints, weights, triangles, 0, {}
    )
