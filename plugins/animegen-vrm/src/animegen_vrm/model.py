"""A VRM avatar in memory, the same for VRM 0.x and 1.0: metres, Y up, facing +Z, names of VRM 1.0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from animegen.types import Float32Array, Uint8Array

AlphaMode = Literal["opaque", "mask", "blend"]
Part = Literal["hair", "skin", "eyes", "upper", "lower", "shoes"]


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """The scene graph. Parents stand before their children; a root's parent is -1."""

    names: tuple[str, ...]
    parents: NDArray[np.int32]  # [N]
    translations: Float32Array  # [N, 3] rest pose, relative to the parent
    rotations: Float32Array  # [N, 4] quaternions x y z w
    scales: Float32Array  # [N, 3]


@dataclass(frozen=True, slots=True)
class TextureRef:
    """A texture as a material uses it: ``image`` indexes Avatar.images; uv' = uv * scale + offset."""

    image: int
    offset: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (1.0, 1.0)
    repeat: bool = True


@dataclass(frozen=True, slots=True)
class Material:
    """MToon (or glTF's base colour where a file has no MToon). Colours are linear factors as in the file, 0..1."""

    name: str
    lit: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    lit_texture: TextureRef | None = None
    shade: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shade_texture: TextureRef | None = None
    shading_shift: float = 0.0  # -1..1, as in MToon 1.0
    shading_toony: float = 0.9  # 0..1
    alpha_mode: AlphaMode = "opaque"
    alpha_cutoff: float = 0.5
    depth_write: bool = True  # of blended materials
    double_sided: bool = False
    emissive: tuple[float, float, float] = (0.0, 0.0, 0.0)
    emissive_texture: TextureRef | None = None
    outline_width: float = 0.0  # metres in the world; 0: none
    outline_colour: tuple[float, float, float] = (0.0, 0.0, 0.0)
    order: int = 0  # blended materials are drawn from the smallest on
    outline_mix: float = 0.0  # 0: plain outline_colour; 1: outline_colour times the surface's own shaded colour
    outline_texture: TextureRef | None = None  # its green channel scales outline_width
    part: Part | None = None  # whose colour of a palette it takes; None: keeps its own


@dataclass(frozen=True, slots=True, eq=False)
class Primitive:
    """One drawn mesh. ``joints`` index Avatar.joint_nodes; a mesh without a skin hangs on one joint with weight 1."""

    name: str
    positions: Float32Array  # [V, 3]
    normals: Float32Array  # [V, 3]
    uvs: Float32Array  # [V, 2]
    joints: NDArray[np.uint16]  # [V, 4]
    weights: Float32Array  # [V, 4], rows sum to 1
    triangles: NDArray[np.uint32]  # [T, 3]
    material: int
    morphs: Mapping[str, Float32Array]  # expression name -> [V, 3] summed displacements at weight 1


@dataclass(frozen=True, slots=True)
class Collider:
    """A sphere, or a capsule where ``tail`` is set; in the node's own space."""

    node: int
    offset: tuple[float, float, float]
    radius: float
    tail: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Spring:
    """One chain of spring bones, from its root node to its end; settings are per joint, aligned with ``nodes``."""

    nodes: tuple[int, ...]
    stiffness: tuple[float, ...]
    gravity: tuple[float, ...]
    gravity_direction: tuple[tuple[float, float, float], ...]
    drag: tuple[float, ...]
    radius: tuple[float, ...]
    colliders: tuple[Collider, ...] = ()


@dataclass(frozen=True, slots=True)
class LookAt:
    """How far a gaze of 1 turns the eyes, in degrees, and by what."""

    by: Literal["bone", "expression"] = "bone"
    horizontal: float = 10.0
    vertical: float = 8.0


@dataclass(frozen=True, slots=True)
class Licence:
    """What the file says of its rights."""

    title: str
    authors: tuple[str, ...]
    licence: str
    credit_required: bool


@dataclass(frozen=True, slots=True, eq=False)
class Avatar:
    """A whole avatar.

    ``joint_nodes`` i32 [J] and ``inverse_binds`` f32 [J, 4, 4] are shared by all primitives: the matrix of joint j is
    ``globals[joint_nodes[j]] @ inverse_binds[j]`` (column vectors). ``images`` uint8 [H, W, 4] sRGB, straight alpha.
    ``humanoid`` maps VRM 1.0 bone names (hips, leftUpperArm, leftThumbMetacarpal, ...) to nodes; ``expressions`` are
    the names that primitives' morphs may carry.
    """

    name: str
    version: Literal["0.x", "1.0"]
    licence: Licence
    nodes: Nodes
    joint_nodes: NDArray[np.int32]
    inverse_binds: Float32Array
    primitives: tuple[Primitive, ...]
    materials: tuple[Material, ...]
    images: tuple[Uint8Array, ...]
    humanoid: Mapping[str, int]
    expressions: tuple[str, ...]
    springs: tuple[Spring, ...]
    look_at: LookAt


@dataclass(frozen=True, slots=True, eq=False)
class Posed:
    """An avatar in one moment: world matrices of its nodes f32 [N, 4, 4], and its expressions' weights 0..1."""

    globals: Float32Array
    expressions: Mapping[str, float]
