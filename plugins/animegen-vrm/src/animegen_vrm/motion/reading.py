"""Motions from files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from animegen.errors import InputError
from animegen.types import Float64Array
from animegen_vrm import quaternions as q
from animegen_vrm.motion.bvh import Bvh, read_bvh
from animegen_vrm.motion.clip import Motion
from animegen_vrm.motion.names import match_bones
from animegen_vrm.motion.retarget import Take, retarget
from animegen_vrm.motion.vrma import read_vrma

_NEEDED = (
    "hips",
    *(s + b for s in ("left", "right") for b in ("UpperArm", "LowerArm", "UpperLeg", "LowerLeg", "Foot")),
)

_FASTEST = np.radians(1800.0)
"""How far hips may turn in a second."""


def read_motion(path: Path) -> Motion:
    """Read a motion: BVH or VRM Animation (.vrma).

    Raises InputError naming the file and the fault (for BVH also the line).
    """
    suffix = path.suffix.lower()
    if suffix == ".bvh":
        return retarget(bvh_take(read_bvh(path), path))
    if suffix == ".vrma":
        return read_vrma(path)
    raise InputError(f"{path}: '{suffix}' is no motion format", "Motions are .bvh or .vrma files.")


def bvh_take(bvh: Bvh, path: Path) -> Take:
    """A BVH in the humanoid's axes. Raises InputError when its joints' names tell no humanoid."""
    joints = match_bones([joint.name for joint in bvh.joints], [joint.parent for joint in bvh.joints])
    missing = [bone for bone in _NEEDED if bone not in joints]
    if missing:
        raise InputError(
            f"{path}: no joint looks like {', '.join(missing)}", "Name the joints as Mixamo, CMU or Poser do."
        )
    places, ends = bvh.rest_positions()
    axes = _axes(joints, places, path)
    moving = slice(1 if _starts_with_reference(bvh, joints["hips"]) else 0, None)
    world = q.multiply(q.multiply(axes, bvh.rotations()[moving]), q.inverse(axes))
    places, ends = q.rotate(axes, places), q.rotate(axes, ends)
    rest = {bone: places[joint] for bone, joint in joints.items()}
    for side in ("left", "right"):
        if f"{side}Hand" in joints:
            rest[f"{side}HandTip"] = _hand_end(bvh, joints, side, places, ends)
        last = joints.get(f"{side}Toes", joints[f"{side}Foot"])
        rest[f"{side}ToesTip"] = ends[last]
    turns = {bone: world[:, joint] for bone, joint in joints.items()}
    for bone, (turn, place) in _spine(bvh, joints, world, places).items():
        turns[bone], rest[bone] = turn, place
    hips = q.rotate(axes, bvh.root_positions()[moving]) + q.rotate(world[:, 0], places[joints["hips"]] - places[0])
    return Take(path.stem, 1.0 / bvh.frame_time, rest, turns, hips)


def _starts_with_reference(bvh: Bvh, hips: int) -> bool:
    """Whether the first frame is a reference pose before the motion: nobody turns to the second one that fast."""
    if len(bvh.values) < 2:
        return False
    first, second = replace(bvh, values=bvh.values[:2]).rotations()[:, hips]
    turned = 2.0 * np.arccos(np.clip(abs(float(first @ second)), 0.0, 1.0))
    return bool(turned > _FASTEST * bvh.frame_time)


def _axes(joints: dict[str, int], places: Float64Array, path: Path) -> Float64Array:
    """The turn from the file's axes to Y up and facing +Z, told by its skeleton: the spine is up, the left hip left."""
    top = joints.get("head", joints.get("neck", joints["leftUpperArm"]))
    up = _nearest_axis(places[top] - places[joints["leftUpperLeg"]] / 2 - places[joints["rightUpperLeg"]] / 2)
    left = _nearest_axis((places[joints["leftUpperLeg"]] - places[joints["rightUpperLeg"]]) * (1.0 - np.abs(up)))
    if not up.any() or not left.any():
        raise InputError(f"{path}: the skeleton's offsets do not tell up from down and left from right")
    return q.from_matrices(np.stack([left, up, np.cross(left, up)]))


def _nearest_axis(vector: Float64Array) -> Float64Array:
    """The coordinate axis, with its sign, along which a vector mostly lies; zero for zero."""
    axis = np.zeros(3)
    largest = np.abs(vector).argmax()
    axis[largest] = np.sign(vector[largest])
    return axis


def _hand_end(bvh: Bvh, joints: dict[str, int], side: str, places: Float64Array, ends: Float64Array) -> Float64Array:
    """Where the palm points at rest: the middle finger's knuckle, else the farthest joint or end that is no thumb's."""
    hand = joints[f"{side}Hand"]
    below = {hand}
    best: Float64Array = places[joints.get(f"{side}MiddleProximal", hand)]
    if f"{side}MiddleProximal" in joints:
        return best
    for i, joint in enumerate(bvh.joints):
        if (i == hand or joint.parent in below) and "thumb" not in joint.name.lower():
            below.add(i)
            best = max((best, places[i], ends[i]), key=lambda place: float(np.linalg.norm(place - places[hand])))
    return best


def _spine(
    bvh: Bvh, joints: dict[str, int], world: Float64Array, places: Float64Array
) -> dict[str, tuple[Float64Array, Float64Array]]:
    """Rotations and places of spine, chest and upper chest, spread evenly over the source's own joints of the torso."""
    chain = _path(bvh, joints["hips"], joints["leftUpperArm"])
    others = set(_path(bvh, joints["hips"], joints["rightUpperArm"]))
    torso = [joint for joint in chain if joint in others]
    found = {}
    for part, bone in enumerate(("spine", "chest", "upperChest"), start=1):
        position = part / 3.0 * (len(torso) - 1)
        below, above = torso[int(np.floor(position))], torso[int(np.ceil(position))]
        share = position - np.floor(position)
        turn = q.blend(world[:, below], world[:, above], np.full(len(world), share))
        found[bone] = turn, places[below] * (1.0 - share) + places[above] * share
    return found


def _path(bvh: Bvh, top: int, joint: int) -> list[int]:
    """Joints from ``top`` down to ``joint``."""
    path = [joint]
    while path[-1] != top and bvh.joints[path[-1]].parent >= 0:
        path.append(bvh.joints[path[-1]].parent)
    return path[::-1]
