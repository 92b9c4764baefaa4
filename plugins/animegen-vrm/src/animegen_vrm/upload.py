"""An avatar in the memory of the GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import moderngl
import numpy as np
from numpy.typing import NDArray

from animegen_vrm.model import AlphaMode, Avatar, Material, Posed, TextureRef
from animegen_vrm.shaders import Programs
from animegen_vrm.textures import ShadeTexture, Textures

JOINTS, MATERIAL = 0, 1  # binding points of the shaders
_BLOCK = 256  # bytes from one material's block to the next: every driver's alignment divides it
_GAMMA = 2.2
_DARKEST = 0.45
_PARTS = ("hair", "skin", "eyes", "upper", "lower", "shoes")


@dataclass(frozen=True, slots=True)
class Draw:
    """The triangles of one material."""

    first: int
    count: int
    material: int
    alpha: AlphaMode
    depth_write: bool
    double_sided: bool
    outlined: bool


class Model:
    """An avatar's vertices, joints, materials and textures. Made by Renderer.load; lives as long as the renderer."""

    def __init__(self, context: moderngl.Context, programs: Programs, avatar: Avatar) -> None:
        self._context = context
        self._programs = programs
        self._avatar = avatar
        self.draws = _draws(avatar)
        self._weights: dict[str, float] = {}
        self._starts = np.cumsum([0, *(len(p.positions) for p in avatar.primitives)])
        self._upload_vertices()
        self._textures = Textures(context, avatar)
        self._shades: Sequence[ShadeTexture | None] | None = None
        self._colour_units = [self._textures.of_colours(material) for material in avatar.materials]
        self._layer_units: list[tuple[moderngl.Texture, ...]] | None = None
        self._blocks = context.buffer(_material_blocks(avatar))
        self._surfaces: dict[moderngl.Program, moderngl.VertexArray] = {}

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not self.draws

    def pose(self, posed: Posed) -> None:
        """Move the vertices: expressions here, joints on the GPU. Needs a bound framebuffer, though none is drawn to."""
        self._morph(posed.expressions)
        matrices = posed.globals[self._avatar.joint_nodes] @ self._avatar.inverse_binds
        self._joints.write(np.ascontiguousarray(matrices[:, :3], np.float32))
        self._joints.bind_to_storage_buffer(JOINTS)
        self._skin.transform(self._moved, moderngl.POINTS, vertices=int(self._starts[-1]))

    def part(self, material: int) -> bool:
        """Whether a material takes its colour from a palette."""
        return self._shade_textures()[material] is not None

    def use_material(self, material: int, layers: bool) -> None:
        """Bind a material's textures and constants."""
        units = self._units_of_layers() if layers else self._colour_units
        for unit, texture in enumerate(units[material]):
            texture.use(unit)
        self._blocks.bind_to_uniform_block(MATERIAL, material * _BLOCK, _BLOCK)

    def surface(self, program: moderngl.Program) -> moderngl.VertexArray:
        """The vertices as a program of :class:`Programs` takes them."""
        if program not in self._surfaces:
            given = [
                (self._moved, "3f 3f", ("position", "normal")),
                (self._uvs, "2f", ("uv",)),
            ]
            self._surfaces[program] = self._context.vertex_array(
                program,
                [(buffer, layout, *names) for buffer, layout, names in given],
                self._triangles,
                skip_errors=True,
            )
        return self._surfaces[program]

    def _upload_vertices(self) -> None:
        avatar, context = self._avatar, self._context
        positions = _joined([p.positions for p in avatar.primitives], 3, np.float32)
        normals = _joined([p.normals for p in avatar.primitives], 3, np.float32)
        joints = _joined([p.joints for p in avatar.primitives], 4, np.uint16)
        weights = _joined([p.weights for p in avatar.primitives], 4, np.float32)
        self._positions = context.buffer(positions)
        self._uvs = context.buffer(_joined([p.uvs for p in avatar.primitives], 2, np.float32))
        self._moved = context.buffer(reserve=positions.nbytes + normals.nbytes)
        self._joints = context.buffer(reserve=max(len(avatar.joint_nodes), 1) * 48, dynamic=True)
        self._triangles = context.buffer(_triangles(avatar, self.draws, self._starts))
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
        if not changed:
            return
        for primitive, start in zip(self._avatar.primitives, self._starts, strict=False):
            if changed.isdisjoint(primitive.morphs):
                continue
            positions = primitive.positions.astype(np.float32)
            for name, weight in wanted.items():
                if name in primitive.morphs:
                    positions += np.float32(weight) * primitive.morphs[name]
            self._positions.write(positions, offset=int(start) * 12)
        self._weights = wanted

    def _shade_textures(self) -> Sequence[ShadeTexture | None]:
        if self._shades is None:
            from animegen_vrm.recolour import shade_textures

            self._shades = shade_textures(self._avatar)
        return self._shades

    def _units_of_layers(self) -> list[tuple[moderngl.Texture, ...]]:
        if self._layer_units is None:
            shades = zip(self._avatar.materials, self._shade_textures(), self._colour_units, strict=True)
            self._layer_units = [
                units if shade is None else self._textures.of_layers(material, shade)
                for material, shade, units in shades
            ]
        return self._layer_units


def _joined(arrays: Sequence[NDArray[np.generic]], columns: int, dtype: type[np.generic]) -> NDArray[np.generic]:
    """All rows in one array that holds one row at least, as a buffer cannot be empty."""
    rows = np.concatenate([np.zeros((0, columns), dtype), *arrays]).astype(dtype)
    return rows if len(rows) else np.zeros((1, columns), dtype)


def _draws(avatar: Avatar) -> tuple[Draw, ...]:
    """One draw per material in use, in the order of drawing: the opaque first, then the blended by their order."""
    counts = [0] * len(avatar.materials)
    for primitive in avatar.primitives:
        counts[primitive.material] += 3 * len(primitive.triangles)
    drawn = [i for i, count in enumerate(counts) if count]
    drawn.sort(key=lambda i: (avatar.materials[i].alpha_mode == "blend", avatar.materials[i].order, i))
    draws, first = [], 0
    for i in drawn:
        material = avatar.materials[i]
        draws.append(
            Draw(
                first,
                counts[i],
                i,
                material.alpha_mode,
                material.alpha_mode != "blend" or material.depth_write,
                material.double_sided,
                material.outline_width > 0.0,
            )
        )
        first += counts[i]
    return tuple(draws)


def _triangles(avatar: Avatar, draws: Sequence[Draw], starts: NDArray[np.int64]) -> NDArray[np.generic]:
    """Vertex numbers of all triangles, material by material in the order of the draws."""
    return _joined(
        [
            primitive.triangles + np.uint32(start)
            for draw in draws
            for primitive, start in zip(avatar.primitives, starts, strict=False)
            if primitive.material == draw.material
        ],
        3,
        np.uint32,
    )


def _material_blocks(avatar: Avatar) -> NDArray[np.float32]:
    """The materials as blocks.glsl lays them out, f32 [M, 64]."""
    blocks = np.zeros((max(len(avatar.materials), 1), _BLOCK // 4), np.float32)
    for block, material in zip(blocks, avatar.materials, strict=False):
        parts = [1.0 if material.part == part else 0.0 for part in _PARTS]
        fields = [
            *material.lit,
            *material.shade, material.alpha_cutoff,
            *material.emissive, material.shading_shift,
            *material.outline_colour, material.outline_width,
            *_placement(material.lit_texture),
            *_placement(material.shade_texture),
            *_placement(material.emissive_texture),
            *_placement(material.outline_texture),
            *parts[:3], material.shading_toony,
            *parts[3:], _dark(material, avatar),
            material.outline_mix,
        ]  # fmt: skip
        block[: len(fields)] = fields
    return blocks


def _placement(texture: TextureRef | None) -> tuple[float, float, float, float]:
    return (1.0, 1.0, 0.0, 0.0) if texture is None else (*texture.scale, *texture.offset)


def _dark(material: Material, avatar: Avatar) -> float:
    """Light in the shade as a share of lit sRGB values: by the luminance of the two colours MToon mixes."""
    lit = _luminance(material.lit[:3], material.lit_texture, avatar)
    shade = _luminance(material.shade, material.shade_texture, avatar)
    return float(np.clip((shade / max(lit, 1e-6)) ** (1.0 / _GAMMA), _DARKEST, 1.0))


def _luminance(colour: Sequence[float], texture: TextureRef | None, avatar: Avatar) -> float:
    """Mean linear luminance of a texture in a colour, where the texture is not clear."""
    mean = np.ones(3)
    if texture is not None:
        pixels = avatar.images[texture.image][::4, ::4].reshape(-1, 4).astype(np.float64) / 255.0
        mean = (pixels[:, :3] ** _GAMMA * pixels[:, 3:]).sum(axis=0) / max(pixels[:, 3].sum(), 1e-6)
    return float(np.array((0.2126, 0.7152, 0.0722)) @ (mean * np.asarray(colour)))
