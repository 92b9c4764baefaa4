"""VRM Animation: a glTF animation of a humanoid with expressions and gaze (VRMC_vrm_animation 1.0)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from animegen.types import Float32Array, Float64Array
from animegen_vrm import quaternions as q
from animegen_vrm.fields import Fields
from animegen_vrm.gltf import MAX_ENTRIES, Gltf, read_gltf
from animegen_vrm.model import Nodes
from animegen_vrm.motion.clip import Motion
from animegen_vrm.motion.retarget import Take, as_motion
from animegen_vrm.nodes import Tree
from animegen_vrm.rig import BONES, ancestors, rest_matrices

RATE = 60.0
"""Poses a second: VRM animations have keys at any time."""

_LONGEST = 600.0  # seconds
_FULL_GAZE = 90.0  # degrees that count as a gaze of 1, as avatars' look-at ranges have it
_NEEDED = ("hips", *(side + bone for side in ("left", "right") for bone in ("UpperLeg", "LowerLeg", "Foot")))
_EXPORT = "Export the animation again as VRM Animation (.vrma)."

_Tracks = Mapping[tuple[int, str], Float64Array]
"""(node, path) -> values at the poses' times, f64 [F, 3 or 4]."""


@dataclass(frozen=True, slots=True, eq=False)
class _Skeleton:
    """The file's nodes at rest with the humanoid bones among them."""

    nodes: Nodes
    bones: Mapping[str, int]
    world: Float64Array  # rotations f64 [N, 4]
    places: Float64Array  # [N, 3]


def read_vrma(path: Path) -> Motion:
    """Read a VRM Animation. Raises InputError naming the file and the fault."""
    gltf = read_gltf(path)
    extensions = gltf.root.child("extensions")
    if "VRMC_vrm_animation" not in extensions:
        raise gltf.root.fault("has no extension 'VRMC_vrm_animation': it is no VRM animation", _EXPORT)
    extension = extensions.child("VRMC_vrm_animation")
    tree = Tree(gltf)
    count = len(tree)
    bones = {
        bone: entry.index("node", count, "nodes")
        for bone, entry in extension.child("humanoid").named("humanBones", 256).items()
        if bone in BONES
    }
    missing = [bone for bone in _NEEDED if bone not in bones]
    if missing:
        raise extension.fault(f"lacks the humanoid bones {', '.join(missing)}", _EXPORT)
    nodes, numbers = tree.sort()
    tracks = _read_tracks(gltf, numbers)
    skeleton = _skeleton(nodes, {bone: numbers[node] for bone, node in bones.items()})
    take = _take(path.stem, skeleton, tracks)
    return replace(
        as_motion(take, take.turns),
        expressions=_expressions(extension, count, numbers, tracks),
        look=_look(extension, count, numbers, tracks),
    )


def _skeleton(nodes: Nodes, bones: Mapping[str, int]) -> _Skeleton:
    """Rest rotations and places in the world."""
    world = np.empty((len(nodes.names), 4))
    for node, parent in enumerate(nodes.parents):
        own = nodes.rotations[node].astype(np.float64)
        world[node] = own if parent < 0 else q.multiply(world[parent], own)
    return _Skeleton(nodes, bones, q.normalise(world), rest_matrices(nodes)[:, :3, 3].astype(np.float64))


def _read_tracks(gltf: Gltf, numbers: list[int]) -> _Tracks:
    """All rotations and translations of the first animation at RATE, by the sorted nodes' numbers."""
    animations = gltf.root.children("animations", MAX_ENTRIES)
    if not animations:
        raise gltf.root.fault("has no animation", _EXPORT)
    samplers = animations[0].children("samplers", MAX_ENTRIES)
    channels = [
        (channel.child("target"), samplers[channel.index("sampler", len(samplers), "samplers")])
        for channel in animations[0].children("channels", MAX_ENTRIES)
    ]
    last = max((float(_times(gltf, sampler)[-1]) for _, sampler in channels), default=0.0)
    if last > _LONGEST:
        raise animations[0].fault(f"lasts {last:g} s; at most {_LONGEST:g} s are read", "Cut it into shorter clips.")
    moments = np.arange(int(last * RATE + 1e-6) + 1) / RATE
    tracks = {}
    for target, sampler in channels:
        kind = target.text("path")
        if kind in ("rotation", "translation") and "node" in target:
            node = numbers[target.index("node", len(numbers), "nodes")]
            tracks[node, kind] = _sampled(gltf, sampler, moments, rotation=kind == "rotation")
    if not tracks:
        raise animations[0].fault("moves nothing", _EXPORT)
    return tracks


def _times(gltf: Gltf, sampler: Fields) -> Float64Array:
    """Times of a sampler's keys in seconds, rising from 0 on."""
    times = gltf.accessor(sampler.index("input", len(gltf.accessors), "accessors"), "SCALAR").astype(np.float64)
    if not len(times) or times[0] < 0.0 or (np.diff(times) <= 0.0).any():
        raise sampler.fault("has times of keys that do not rise from 0 on", _EXPORT)
    return times


def _sampled(gltf: Gltf, sampler: Fields, moments: Float64Array, *, rotation: bool) -> Float64Array:
    """A sampler's values at given times, f64 [F, 3 or 4] (glTF 2.0, appendix C)."""
    times = _times(gltf, sampler)
    kind = "VEC4" if rotation else "VEC3"
    values = gltf.accessor(sampler.index("output", len(gltf.accessors), "accessors"), kind).astype(np.float64)
    method = sampler.text("interpolation", "LINEAR")
    cubic = method == "CUBICSPLINE"
    if len(values) != len(times) * (3 if cubic else 1):
        raise sampler.fault(f"has {len(values)} values for {len(times)} keys", _EXPORT)
    keys = values.reshape(len(times), 3, -1)[:, 1] if cubic else values
    below = np.clip(np.searchsorted(times, moments, side="right") - 1, 0, len(times) - 1)
    above = np.minimum(below + 1, len(times) - 1)
    span = times[above] - times[below]
    share = np.clip((moments - times[below]) / np.where(span > 0.0, span, 1.0), 0.0, 1.0)
    if method == "STEP":
        return keys[below]
    if cubic:
        mixed = _hermite(values.reshape(len(times), 3, -1), below, above, share[:, None], span[:, None])
        return q.normalise(mixed) if rotation else mixed
    if method != "LINEAR":
        raise sampler.fault(f"has the interpolation '{method}', which glTF does not know", _EXPORT)
    if rotation:
        return q.slerp(q.normalise(keys[below]), q.normalise(keys[above]), share)
    mixed = keys[below] * (1.0 - share[:, None]) + keys[above] * share[:, None]
    return np.asarray(mixed, np.float64)


def _hermite(
    keys: Float64Array, below: NDArray[np.intp], above: NDArray[np.intp], t: Float64Array, span: Float64Array
) -> Float64Array:
    """Cubic splines through keys f64 [K, 3, D] of in-tangent, value and out-tangent."""
    cube, square = t**3, t**2
    mixed = (
        (2.0 * cube - 3.0 * square + 1.0) * keys[below, 1]
        + span * (cube - 2.0 * square + t) * keys[below, 2]
        + (3.0 * square - 2.0 * cube) * keys[above, 1]
        + span * (cube - square) * keys[above, 0]
    )
    return np.asarray(mixed, np.float64)


def _take(name: str, skeleton: _Skeleton, tracks: _Tracks) -> Take:
    """World rotations of the bones since the T-pose, in which the file's skeleton rests."""
    frames = len(next(iter(tracks.values())))
    turns: dict[str, Float64Array] = {}
    for bone in BONES:
        if bone in skeleton.bones:
            parent = next((above for above in ancestors(bone) if above in turns), None)
            before = np.broadcast_to(q.IDENTITY, (frames, 4)) if parent is None else turns[parent]
            turns[bone] = q.multiply(before, _since_rest(skeleton, tracks, skeleton.bones[bone]))
    rest = {bone: skeleton.places[node] for bone, node in skeleton.bones.items()}
    for side in ("left", "right"):  # a sole that ends at the toes' joints; without any, under the ankle
        rest[f"{side}ToesTip"] = rest.get(f"{side}Toes", rest[f"{side}Foot"])
    return Take(name, RATE, rest, turns, _hips(skeleton, tracks, frames))


def _since_rest(skeleton: _Skeleton, tracks: _Tracks, node: int) -> Float64Array:
    """A node's rotation since rest in the world's axes, f64 [F, 4] or [4] where it does not move."""
    own = skeleton.nodes.rotations[node].astype(np.float64)
    parent = skeleton.nodes.parents[node]
    above = np.asarray(q.IDENTITY) if parent < 0 else skeleton.world[parent]
    turn = q.multiply(tracks.get((node, "rotation"), own), q.inverse(own))
    return q.multiply(q.multiply(above, turn), q.inverse(above))


def _hips(skeleton: _Skeleton, tracks: _Tracks, frames: int) -> Float64Array:
    """Where the hips are, f64 [F, 3]; what is above them does not move."""
    node = skeleton.bones["hips"]
    rest = skeleton.nodes.translations[node].astype(np.float64)
    moved = tracks.get((node, "translation"), rest) - rest
    parent = skeleton.nodes.parents[node]
    shift = moved if parent < 0 else moved @ rest_matrices(skeleton.nodes)[parent, :3, :3].T.astype(np.float64)
    return np.asarray(np.broadcast_to(skeleton.places[node] + shift, (frames, 3)), np.float64)


def _expressions(extension: Fields, count: int, numbers: list[int], tracks: _Tracks) -> dict[str, Float32Array]:
    """Weights f32 [F] of the expressions that the file moves: the x of their nodes' places."""
    groups = extension.child("expressions")
    found: dict[str, Float32Array] = {}
    for group in ("preset", "custom"):
        for name, entry in groups.named(group, 256).items():
            track = tracks.get((numbers[entry.index("node", count, "nodes")], "translation"))
            if track is not None:
                found[name] = np.clip(track[:, 0], 0.0, 1.0).astype(np.float32)
    return found


def _look(extension: Fields, count: int, numbers: list[int], tracks: _Tracks) -> Float32Array | None:
    """Gaze f32 [F, 2] to the left and up, -1..1, from the rotation of the look-at node."""
    if "lookAt" not in extension:
        return None
    track = tracks.get((numbers[extension.child("lookAt").index("node", count, "nodes")], "rotation"))
    if track is None:
        return None
    ahead = q.rotate(track, (0.0, 0.0, 1.0))
    yaw = np.arctan2(ahead[:, 0], ahead[:, 2])
    pitch = np.arcsin(np.clip(ahead[:, 1], -1.0, 1.0))
    degrees = np.degrees(np.stack([yaw, pitch], axis=1))
    gaze: Float32Array = np.clip(degrees / _FULL_GAZE, -1.0, 1.0).astype(np.float32)
    return gaze
