"""An avatar's textures in the memory of the GPU: premultiplied, with mipmaps."""

from __future__ import annotations

from collections.abc import Mapping

import moderngl
import numpy as np

from animegen.types import Uint8Array
from animegen_vrm.model import Avatar, Material, TextureRef
from animegen_vrm.recolour import ShadeTexture

_WHITE = np.full((1, 1, 4), 255, np.uint8)


class Textures:
    """Uploads what materials use, each picture once, by the names of the shaders' samplers. A missing one is white."""

    def __init__(self, context: moderngl.Context, avatar: Avatar) -> None:
        self._context = context
        self._avatar = avatar
        self._uploaded: dict[tuple[int, bool, bool], moderngl.Texture] = {}
        self._white = self._upload(_WHITE, repeat=True)

    def of_colours(self, material: Material) -> Mapping[str, moderngl.Texture]:
        """What a material shows in its own colours."""
        return {
            "lit_texture": self._picture(material.lit_texture, premultiply=material.alpha_mode != "opaque"),
            "shade_texture": self._picture(material.shade_texture),
            "emissive_texture": self._picture(material.emissive_texture),
            "outline_texture": self._picture(material.outline_texture),
        }

    def of_part(self, material: Material, shade: ShadeTexture) -> Mapping[str, moderngl.Texture]:
        """What a material shows as a part of a palette."""
        alpha = np.full((*shade.shade.shape, 1), 255, np.uint8)
        lit = material.lit_texture
        if lit is not None and material.alpha_mode != "opaque":
            alpha = self._avatar.images[lit.image][..., 3:]
        repeat = lit is None or lit.repeat
        return {
            "part_texture": self._upload(_premultiplied(np.dstack([shade.shade, alpha])), repeat),
            "fixed_texture": self._upload(_premultiplied(np.dstack([shade.fixed, alpha])), repeat),
            "outline_texture": self._picture(material.outline_texture),
        }

    def _picture(self, reference: TextureRef | None, premultiply: bool = False) -> moderngl.Texture:
        """A picture of the avatar; where it is not premultiplied its alpha means nothing and is taken as 1."""
        if reference is None:
            return self._white
        key = (reference.image, premultiply, reference.repeat)
        if key not in self._uploaded:
            image = self._avatar.images[reference.image]
            if premultiply:
                image = _premultiplied(image)
            else:
                image = np.dstack([image[..., :3], np.full(image.shape[:2], 255, np.uint8)])
            self._uploaded[key] = self._upload(image, reference.repeat)
        return self._uploaded[key]

    def _upload(self, image: Uint8Array, repeat: bool) -> moderngl.Texture:
        height, width, channels = image.shape
        texture = self._context.texture((width, height), channels, np.ascontiguousarray(image), alignment=1)
        texture.build_mipmaps()
        texture.filter = moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR
        texture.repeat_x = texture.repeat_y = repeat
        return texture


def _premultiplied(image: Uint8Array) -> Uint8Array:
    """Scale all channels but the last by it, rounded."""
    alpha = image[..., -1:].astype(np.uint16)
    scaled = (image[..., :-1] * alpha + 127) // 255
    return np.dstack([scaled.astype(np.uint8), image[..., -1:]])
