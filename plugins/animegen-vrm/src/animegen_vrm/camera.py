"""Cameras: where a picture is taken from, and where the points of a scene land in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from animegen.errors import InvalidValue
from animegen.types import Float32Array, Float64Array

NEAR, FAR = 0.05, 100.0
"""What is nearer or farther (metres) is not drawn. 24 bits of depth tell 0.03 mm apart at 5 m."""


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A camera as OpenGL knows it, column vectors.

    ``view`` f64 [4, 4]: from the world's metres to the camera's (x right, y up, looking along -z). ``projection``
    f64 [4, 4]: from there to clip space. ``size``: (width, height) of the picture in pixels. Pixels are those of
    :mod:`animegen.types`: the centre of the top-left one is (0, 0).
    """

    view: Float64Array
    projection: Float64Array
    size: tuple[int, int]

    def __post_init__(self) -> None:
        for name, matrix in (("view", self.view), ("projection", self.projection)):
            if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
                raise InvalidValue(f"Camera.{name} must be a finite (4, 4) matrix, got {matrix.tolist()}")
        _check_size(self.size)

    def project(self, points: ArrayLike) -> tuple[Float32Array, Float32Array]:
        """Where points [K, 3] land: pixels f32 [K, 2], and how many metres before the camera f32 [K].

        The pixel of a point in the camera's own plane or behind it means nothing.
        """
        seen = _homogeneous(points) @ self.view.T
        clip = seen @ self.projection.T
        w = np.where(np.abs(clip[:, 3:]) > 1e-9, clip[:, 3:], 1e-9)
        xy = (clip[:, :2] / w * (1.0, -1.0) + 1.0) * 0.5 * self.size - 0.5
        return xy.astype(np.float32), (-seen[:, 2]).astype(np.float32)

    def pixels_per_metre(self, point: ArrayLike) -> float:
        """How many pixels high a metre is at a point [3] before the camera."""
        seen = self.projection @ self.view @ _homogeneous(np.asarray(point)[None])[0]
        return float(self.projection[1, 1] * self.size[1] / 2.0 / seen[3])


def look_at(eye: ArrayLike, target: ArrayLike, up: ArrayLike, fov_y: float, size: int | tuple[int, int]) -> Camera:
    """A camera at ``eye`` that looks at ``target`` (metres) and sees ``fov_y`` degrees from top to bottom."""
    if not 0.0 < fov_y < 180.0:
        raise InvalidValue(f"a camera's field of view must lie between 0 and 180 degrees, got {fov_y}")
    width, height = _size(size)
    scale = 1.0 / np.tan(np.radians(fov_y) / 2.0)
    projection = np.zeros((4, 4))
    projection[0, 0], projection[1, 1] = scale * height / width, scale
    projection[2, 2:] = (NEAR + FAR) / (NEAR - FAR), 2.0 * NEAR * FAR / (NEAR - FAR)
    projection[3, 2] = -1.0
    return Camera(_view(eye, target, up), projection, (width, height))


def look_at_parallel(
    eye: ArrayLike, target: ArrayLike, up: ArrayLike, height: float, size: int | tuple[int, int]
) -> Camera:
    """A camera without perspective whose picture is ``height`` metres high."""
    if height <= 0.0:
        raise InvalidValue(f"a parallel camera's picture must be higher than 0 m, got {height}")
    pixels_wide, pixels_high = _size(size)
    width = height * pixels_wide / pixels_high
    projection = np.diag((2.0 / width, 2.0 / height, 2.0 / (NEAR - FAR), 1.0))
    projection[2, 3] = (NEAR + FAR) / (NEAR - FAR)
    return Camera(_view(eye, target, up), projection, (pixels_wide, pixels_high))


def _size(size: int | tuple[int, int]) -> tuple[int, int]:
    sides = (size, size) if isinstance(size, int) else size
    _check_size(sides)
    return sides


def _check_size(size: tuple[int, int]) -> None:
    if min(size) < 1:
        raise InvalidValue(f"a camera's picture must have at least (1, 1) pixels, got {size}")


def _view(eye: ArrayLike, target: ArrayLike, up: ArrayLike) -> Float64Array:
    position = np.asarray(eye, np.float64)
    back = position - np.asarray(target, np.float64)
    right = np.cross(np.asarray(up, np.float64), back)
    if min(np.linalg.norm(back), np.linalg.norm(right)) < 1e-9:
        raise InvalidValue(f"a camera at {eye!r} cannot look at {target!r} with {up!r} as up")
    back /= np.linalg.norm(back)
    right /= np.linalg.norm(right)
    view = np.eye(4)
    view[:3, :3] = right, np.cross(back, right), back
    view[:3, 3] = -view[:3, :3] @ position
    return view


def _homogeneous(points: ArrayLike) -> Float64Array:
    array = np.asarray(points, np.float64)
    return np.concatenate([array, np.ones((len(array), 1))], axis=1)
