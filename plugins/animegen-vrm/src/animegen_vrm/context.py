"""OpenGL without a display."""

from __future__ import annotations

from typing import Any

import moderngl

from animegen.errors import AnimegenError

GL_VERSION = 420  # the shaders name their binding points


def open_context(device: int | None = None) -> moderngl.Context:
    """Open an OpenGL context through EGL; ``device`` counts the machine's EGL devices, None takes the default.

    Raises AnimegenError naming what is missing when there is no EGL or no driver.
    """
    # The binding's types take its settings for dictionaries.
    settings: dict[str, Any] = {"backend": "egl"} if device is None else {"backend": "egl", "device_index": device}
    try:
        return moderngl.create_context(require=GL_VERSION, standalone=True, **settings)
    except Exception as error:  # the binding raises bare Exceptions: only their text tells one fault from another
        raise AnimegenError(f"no OpenGL without a display: {error}", _way_out(str(error), device)) from error


def _way_out(fault: str, device: int | None) -> str:
    if "libEGL" in fault or "libGL" in fault or "not found" in fault:
        return "install EGL (Debian: apt install libegl1 libgl1 libgl1-mesa-dri) or the graphics card's driver"
    if device is not None:
        return f"there may be no EGL device {device}: leave the device out to take the default"
    return (
        f"a driver for OpenGL {GL_VERSION // 100}.{GL_VERSION // 10 % 10} or later is missing: install the graphics "
        "card's, or Mesa's for rendering without one (Debian: apt install libgl1-mesa-dri)"
    )
