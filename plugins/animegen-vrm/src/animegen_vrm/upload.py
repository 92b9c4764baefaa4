"""An avatar in the memory of the GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import moderngl
import numpy as np
from numpy.typing import NDArray

from animegen_vrm.materials import look, material_block
from animegen_vrm.model import Avatar, Posed
from animegen_vrm.recolour import ShadeTexture, shade_textures
from animegen_vrm.shaders import JOINTS_A_ROW, UNITS, Look, Programs
from animegen_vrm.textures import Textures

MATERIAL = 1
"""Binding point of the shaders."""

_BLOCK = 256  # bytes from one material's block to the next: every driver's alignment divides it


@dataclass(frozen=True, slots=True)
class Draw:
    """The triangles of one material."""

    material: int
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Step:
    """One draw call with all the state it needs: the surface of a material, or the hull around it."""

    draw: Draw
    vertices: moderngl.VertexArray
    textures: tuple[tuple[int, moderngl.Texture], ...]  # by unit; a hull uses those of its surface
    flags: int
    cull: Literal["front", "back"]
    depth_write: bool


class Model:
    """An avatar's vertices, joints, materials and textures. Made by Renderer.load; lives as long as the renderer."""

    def __init__(
        self,
        context: moderngl.Context,
        programs: Programs,
        avatar: Avatar,
        shown: Sequence[NDArray[np.bool_]] | None = None,
    ) -> None:
        """``shown``: which triangles of each primitive are drawn, bool [T] each; default: all."""
        self._context = context
        self._programs = programs
        self._avatar = avatar
        masks = shown or [np.ones(len(one.triangles), bool) for one in avatar.primitives]
        drawn = [one.triangles[mask] for one, mask in zip(avatar.primitives, masks, strict=True)]
        self._draws = _draws(avatar, drawn)
        self._weights: dict[str, float] = {}
        self._starts = np.cumsum([0, *(len(p.positions) for p in avatar.primitives)])
        self._upload_vertices(drawn)
        self._textures = Textures(context, avatar)
        self._blocks = context.buffer(_material_blocks(avatar))
        self._vertices: dict[Look, moderngl.VertexArray] = {}

    def pose(self, posed: Posed) -> None:
        """Move the vertices: expressions here, joints on the GPU. Some framebuffer must be bound."""
        if not self._draws:
            return
        self._morph(posed.expressions)
        matrices = posed.globals[self._avatar.joint_nodes] @ self._avatar.inverse_binds
        self._matrices[: len(matrices)] = matrices[:, :3]
        self._joints.write(self._matrices)
        self._joints.use(UNITS["joint_matrices"])
        self._skin.transform(self._moved, moderngl.POINTS, vertices=int(self._starts[-1]))

    @cached_property
    def colour_steps(self) -> list[Step]:
        """What draws the avatar in its own colours, in order."""
        return self._steps([None] * len(self._avatar.materials), layers=False)

    @cached_property
    def layer_steps(self) -> list[Step]:
        """What draws the avatar's shade layers, in order."""
        return self._steps(shade_textures(self._avatar), layers=True) if self._draws else []

    def draw(self, step: Step) -> None:
        """Draw the triangles of a step whose flags are set."""
        for unit, texture in step.textures:
            texture.use(unit)
        self._blocks.bind_to_uniform_block(MATERIAL, step.draw.material * _BLOCK, _BLOCK)
        step.vertices.render(moderngl.TRIANGLES, step.draw.count, step.draw.first)

    def _steps(self, shades: Sequence[ShadeTexture | None], layers: bool) -> list[Step]:
        steps = []
        for draw in self._draws:
            material, shade = self._avatar.materials[draw.material], shades[draw.material]
            needs = look(material, self._avatar.images, layers=layers, shade=shade)
            named = self._textures.of_colours(material) if shade is None else self._textures.of_part(material, shade)
            textures = tuple((UNITS[name], texture) for name, texture in named.items())
            flags = moderngl.DEPTH_TEST | (moderngl.BLEND if needs.alpha_blend else 0)
            writes = material.depth_write or not needs.alpha_blend
            culls = 0 if material.double_sided else moderngl.CULL_FACE
            steps.append(Step(draw, self._vertices_for(needs), textures, flags | culls, "back", writes))
            if material.outline_width > 0.0:
                hull = self._vertices_for(replace(needs, outline=True))
                steps.append(Step(draw, hull, (), flags | moderngl.CULL_FACE, "front", writes))
        return steps

    def _vertices_for(self, needs: Look) -> moderngl.VertexArray:
        """The moved vertices with the program for a look."""
        if needs not in self._vertices:
            self._vertices[needs] = self._context.vertex_array(
                self._programs.surface(needs),
                [(self._moved, "3f 3f", "position", "normal"), (self._uvs, "2f", "uv")],
                self._triangles,
                skip_errors=True,
            )
        return self._vertices[needs]

    def _upload_vertices(self, triangles: Sequence[NDArray[np.uint32]]) -> None:
        primitives, context = self._avatar.primitives, self._context
        positions = _joined([p.positions for p in primitives], 3, np.float32)
        normals = _joined([p.normals for p in primitives], 3, np.float32)
        joints = _joined([p.joints for p in primitives], 4, np.uint16)
        weights = _joined([p.weights for p in primitives], 4, np.float32)
        self._positions = context.buffer(positions)
        self._uvs = context.buffer(_joined([p.uvs for p in primitives], 2, np.float32))
        self._moved = context.buffer(reserve=positions.nbytes + normals.nbytes)
        rows = -(-max(len(self._avatar.joint_nodes), 1) // JOINTS_A_ROW)
        self._matrices = np.zeros((rows * JOINTS_A_ROW, 3, 4), np.float32)
        self._joints = context.texture((3 * JOINTS_A_ROW, rows), 4, dtype="f4")
        self._triangles = context.buffer(_triangles(self._avatar, triangles, self._draws, self._starts))
        self._skin = context.vertex_array(
            self._programs.skin,
            [
                (self._positions, "3f", "bind_position"),
                (context.buffer(normals), "3f", "bind_normal"),
                (context.buffer(joints), "4u2", "joints"),
                (context.buffer(weights), "4f", "weights"),
            ],
        )

    def _morph(self, weights: Mapping[str, float]) -> None:
        """Apply expressions to the meshes that have them, where they differ from what the buffer holds."""
        wanted = {name: weight for name, weight in weights.items() if weight != 0.0}
        changed = {name for name in wanted.keys() | self._weights.keys() if wanted.get(name) != self._weights.get(name)}
        for primitive, start in zip(self._avatar.primitives, self._starts, strict=False):
            if changed.isdisjoint(primitive.morphs):
                continue
            positions = primitive.positions.astype(np.float32)
            for name in sorted(wanted.keys() & primitive.morphs.keys()):
                positions += np.float32(wanted[name]) * primitive.morphs[name]
            self._positions.write(positions, offset=int(start) * 12)
        self._weights = wanted


def _joined(arrays: Sequence[NDArray[np.generic]], columns: int, dtype: type[np.generic]) -> NDArray[np.generic]:
    """All rows in one array that holds one row at least, as a buffer cannot be empty."""
    rows = np.concatenate([np.zeros((0, columns), dtype), *arrays]).astype(dtype)
    return rows if len(rows) else np.zeros((1, columns), dtype)


def _draws(avatar: Avatar, triangles: Sequence[NDArray[np.uint32]]) -> tuple[Draw, ...]:
    """One draw per material in use, in the order of drawing: the opaque first, then the blended by their order.

    ``triangles`` of each primitive are drawn.
    """
    counts = [0] * len(avatar.materials)
    for primitive, drawn in zip(avatar.primitives, triangles, strict=True):
        counts[primitive.material] += 3 * len(drawn)
    used = [i for i, count in enumerate(counts) if count]
    used.sort(key=lambda i: (avatar.materials[i].alpha_mode == "blend", avatar.materials[i].order, i))
    firsts = np.cumsum([0, *(counts[i] for i in used)])
    return tuple(Draw(i, int(first), counts[i]) for i, first in zip(used, firsts, strict=False))


def _triangles(
    avatar: Avatar, triangles: Sequence[NDArray[np.uint32]], draws: Sequence[Draw], starts: NDArray[np.int64]
) -> NDArray[np.generic]:
    """Vertex numbers of all triangles that are drawn, material by material in the order of the draws."""
    return _joined(
        [
            drawn + np.uint32(start)
            for draw in draws
            for primitive, drawn, start in zip(avatar.primitives, triangles, starts, strict=False)
            if primitive.material == draw.material
        ],
        3,
        np.uint32,
    )


def _material_blocks(avatar: Avatar) -> NDArray[np.float32]:
    blocks = np.zeros((max(len(avatar.materials), 1), _BLOCK // 4), np.float32)
    for block, material in zip(blocks, avatar.materials, strict=False):
        fields = material_block(material, avatar.images)
        block[: len(fields)] = fields
    return blocks
