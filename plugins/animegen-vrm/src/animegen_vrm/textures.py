"""An avatar's textures in the memory of the GPU: premultiplied, with mipmaps."""

from __future__ import annotations

from typing import Protocol

import moderngl
import numpy as np

from animegen.types import Uint8Array
from animegen_vrm.model import Avatar, Material, TextureRef

_WHITE = np.full((1, 1, 4), 255, np.uint8)


class ShadeTexture(Protocol):
    """A material's texture as a palette colours it: a shade uint8 [H, W], and what keeps its colour uint8 [H, W, 3]."""

    @property
    def shade(self) -> Uint8Array: ...  # noqa: D102
    @property
    def fixed(self) -> Uint8Array: ...  # noqa: D102


class Textures:
    """Uploads what materials use, each picture once.

    Every material has four: lit, shade, emissive and outline width; or, to be coloured by a palette, what no palette
    colours, the part's shade, nothing and outline width. A missing one is white.
    """

    def __init__(self, context: moderngl.Context, avatar: Avatar) -> None:
        self._context = context
        self._avatar = avatar
        self._uploaded: dict[tuple[int, bool, bool], moderngl.Texture] = {}
        self._white = self._upload(_WHITE, repeat=True)

    def of_colours(self, material: Material) -> tuple[moderngl.Texture, ...]:
        """What a material shows in its own colours."""
        cut = material.alpha_mode != "opaque"
        lit = material.lit_texture
        # The alpha of a shade texture means nothing, unless it is the lit one, whose clear parts are not seen.
        same = lit is not None and material.shade_texture is not None and lit.image == material.shade_texture.image
        return (
            self._picture(lit, premultiply=cut),
            self._picture(material.shade_texture, premultiply=cut and same),
            self._picture(material.emissive_texture, premultiply=False),
            self._picture(material.outline_texture, premultiply=False),
        )

    def of_layers(self, material: Material, shade: ShadeTexture) -> tuple[moderngl.Texture, ...]:
        """What a material shows as a part of a palette."""
        alpha = np.full((*shade.shade.shape, 1), 255, np.uint8)
        lit = material.lit_texture
        if lit is not None and material.alpha_mode != "opaque":
            alpha = self._avatar.images[lit.image][..., 3:]
        repeat = lit is None or lit.repeat
        return (
            self._upload(_premultiplied(np.concatenate([shade.fixed, alpha], axis=-1)), repeat),
            self._upload(_premultiplied(np.concatenate([shade.shade[..., None], alpha], axis=-1))[..., :1], repeat),
            self._white,
            self._picture(material.outline_texture, premultiply=False),
        )

    def _picture(self, reference: TextureRef | None, premultiply: bool) -> moderngl.Texture:
        if reference is None:
            return self._white
        key = (reference.image, premultiply, reference.repeat)
        if key not in self._uploaded:
            image = self._avatar.images[reference.image]
            if premultiply:
                image = _premultiplied(image)
            else:
                image = image.copy()
                image[..., 3] = 255
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
    scaled = image[..., :-1] * alpha
    return np.concatenate([((scaled + 127) // 255).astype(np.uint8), image[..., -1:]], axis=-1)
