"""Renders avatars on a GPU, or without one in software, to premultiplied colours or to shade layers."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import moderngl
import numpy as np
from numpy.typing import NDArray

from animegen.avatar.layers import ALPHA, FIXED, LAYERS, SHADES
from animegen.errors import InvalidValue
from animegen.types import Uint8Array
from animegen_vrm.camera import Camera
from animegen_vrm.context import open_context
from animegen_vrm.model import Avatar, Posed
from animegen_vrm.shaders import Programs
from animegen_vrm.upload import Model

LIGHT = (-0.35, 0.55, 0.75)
"""Where the light comes from by default, in the camera's axes: above, in front, from the left of the picture."""

OUTLINE = 0.8
"""Outlines are at least so many pixels wide: thinner ones would break into dots."""

_LEVELS = {4**level: level for level in range(4)}  # samples a pixel -> how often the picture is halved
_FRAME = 0  # binding point of the shaders
_GL_FRAME_BYTES = 80


class _Target:
    """Pictures to draw into, ``2 ** level`` times as wide and high as what is read back of them.

    Drawing larger and averaging is cheaper in software than multisampling, and smooths textures' cut edges too.
    """

    def __init__(self, context: moderngl.Context, size: tuple[int, int], level: int, count: int) -> None:
        self._size, self._level = size, level
        scaled = size[0] << level, size[1] << level
        self._pictures = [context.texture(scaled, 4) for _ in range(count)]
        for picture in self._pictures:
            # Memory for the levels comes first: Mesa would move a picture that is drawn into already.
            picture.build_mipmaps(0, level)
        self._depth = context.depth_renderbuffer(scaled)
        self.framebuffer = context.framebuffer(self._pictures, self._depth)

    def read(self) -> list[Uint8Array]:
        """The averaged pictures, each uint8 [H, W, 4], bottom row first."""
        return [self._read(picture) for picture in self._pictures]

    def _read(self, picture: moderngl.Texture) -> Uint8Array:
        picture.build_mipmaps(0, self._level)
        return np.frombuffer(picture.read(level=self._level), np.uint8).reshape(self._size[1], self._size[0], 4)

    def allow_colours(self, allowed: bool) -> None:
        """Whether colours are drawn, or depth alone."""
        masks = ((allowed,) * 4,) * len(self._pictures)
        self.framebuffer.color_mask = masks  # type: ignore[assignment]  # its hints know of one picture alone

    def release(self) -> None:
        """Give back its memory."""
        self.framebuffer.release()
        self._depth.release()
        for picture in self._pictures:
            picture.release()


class Renderer:
    """Draws posed avatars. A context manager; what it loaded is gone when it closes."""

    def __init__(self, size: int | tuple[int, int], *, samples: int = 4, device: int | None = None) -> None:
        """``size``: (width, height) in pixels, or the side of a square. ``samples`` a pixel: 1, 4, 16 or 64.

        ``device``: which of the machine's EGL devices. Raises AnimegenError naming what is missing where there is no
        OpenGL.
        """
        if samples not in _LEVELS:
            raise InvalidValue(f"samples must be one of {', '.join(map(str, _LEVELS))}, got {samples}")
        self._level = _LEVELS[samples]
        self.context = open_context(device)
        self._programs = Programs(self.context)
        self._frame = self.context.buffer(reserve=_GL_FRAME_BYTES, dynamic=True)
        self._targets: dict[bool, _Target] = {}
        self.context.blend_func = moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA
        self.resize(size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back the context and everything in it."""
        self.context.release()

    def resize(self, size: int | tuple[int, int]) -> None:
        """Draw pictures of another size from now on."""
        width, height = (size, size) if isinstance(size, int) else size
        largest = int(self.context.info["GL_MAX_TEXTURE_SIZE"]) >> self._level
        if not (1 <= width <= largest and 1 <= height <= largest):
            raise InvalidValue(f"a picture's sides must be 1 to {largest} pixels, got {(width, height)}")
        self.size = width, height
        with self.context:
            for target in self._targets.values():
                target.release()
        self._targets = {}

    def load(self, avatar: Avatar, shown: Sequence[NDArray[np.bool_]] | None = None) -> Model:
        """Bring an avatar to the GPU, or those triangles of its primitives that are ``shown``, bool [T] each."""
        with self.context:
            return Model(self.context, self._programs, avatar, shown)

    def colours(
        self, model: Model, posed: Posed, camera: Camera, light: tuple[float, float, float] = LIGHT
    ) -> Uint8Array:
        """The avatar in its own colours: uint8 [H, W, 4] sRGB with premultiplied alpha.

        ``light``: where it comes from, in the camera's axes (x right, y up, z to the viewer), of any length.
        """
        return self._render(model, posed, camera, light, layers=False)[0][::-1].copy()

    def layers(
        self,
        model: Model,
        posed: Posed,
        camera: Camera,
        light: tuple[float, float, float] = LIGHT,
        whole: Model | None = None,
    ) -> Uint8Array:
        """The avatar in the shade layers of animegen.avatar: uint8 [H, W, 10]. ``light`` as in colours.

        Of a model that shows some of its triangles alone, what is hidden by ``whole``, that of all, is left out.
        """
        fixed, first, second = self._render(model, posed, camera, light, layers=True, whole=whole)
        layers = np.empty((*fixed.shape[:2], LAYERS), np.uint8)
        sources = [(fixed, ALPHA, (3,)), (first, SHADES.start, range(3)), (second, SHADES.start + 3, range(3))]
        for source, start, channels in (*sources, (fixed, FIXED.start, range(3))):
            for offset, channel in enumerate(channels):
                layers[..., start + offset] = source[::-1, :, channel]
        return layers

    def _render(
        self,
        model: Model,
        posed: Posed,
        camera: Camera,
        light: tuple[float, float, float],
        *,
        layers: bool,
        whole: Model | None = None,
    ) -> list[Uint8Array]:
        """Draw, average the samples and read back: uint8 [H, W, 4] per target, bottom row first."""
        if camera.size != self.size:
            raise InvalidValue(f"the camera's picture is {camera.size}, the renderer's {self.size}")
        with self.context:
            target = self._target(layers)
            framebuffer = target.framebuffer
            framebuffer.use()
            framebuffer.depth_mask = True
            framebuffer.clear()
            self._write_frame(camera, light)
            if whole is not None:
                target.allow_colours(False)
                self._draw(whole, posed, framebuffer, layers)
                target.allow_colours(True)
            self.context.depth_func = "<" if whole is None else "<="  # the same triangles have the same depth
            self._draw(model, posed, framebuffer, layers)
            self.context.depth_func = "<"
            return target.read()

    def _draw(self, model: Model, posed: Posed, framebuffer: moderngl.Framebuffer, layers: bool) -> None:
        """Draw all triangles of a model."""
        model.pose(posed)
        for step in model.layer_steps if layers else model.colour_steps:
            framebuffer.depth_mask = step.depth_write
            self.context.enable_only(step.flags)
            self.context.cull_face = step.cull
            model.draw(step)

    def _target(self, layers: bool) -> _Target:
        if layers not in self._targets:
            self._targets[layers] = _Target(self.context, self.size, self._level, 3 if layers else 1)
        return self._targets[layers]

    def _write_frame(self, camera: Camera, light: tuple[float, float, float]) -> None:
        block = np.zeros(_GL_FRAME_BYTES // 4, np.float32)
        block[:16] = (camera.projection @ camera.view).T.ravel()
        to_light = camera.view[:3, :3].T @ np.asarray(light, np.float64)
        length = float(np.linalg.norm(to_light))
        if length == 0.0:
            raise InvalidValue(f"light must have a direction, got {light}")
        block[16:19] = to_light / length
        block[19] = OUTLINE * 2.0 / (camera.size[1] * camera.projection[1, 1])
        self._frame.write(block)
        self._frame.bind_to_uniform_block(_FRAME)
