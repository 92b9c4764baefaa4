"""The GPU's programs, compiled from the GLSL files beside this one."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import moderngl

from animegen_vrm.context import GL_VERSION
from animegen_vrm.model import AlphaMode


class Programs:
    """Compiles programs for one context, each once."""

    def __init__(self, context: moderngl.Context, samples: int) -> None:
        self._context = context
        self._samples = samples
        self._surfaces: dict[tuple[bool, bool, bool, AlphaMode], moderngl.Program] = {}
        self.skin = context.program(vertex_shader=_source("skin.vert", {}), varyings=("position", "normal"))

    def surface(self, *, layers: bool, part: bool, outline: bool, alpha: AlphaMode) -> moderngl.Program:
        """The program of a material's surface or outline; ``part``: in the shade of a palette's colour."""
        key = (layers, part, outline, alpha)
        if key not in self._surfaces:
            switches = {
                "LAYERS": layers,
                "PART": part,
                "OUTLINE": outline,
                "ALPHA_MASK": alpha == "mask",
                "ALPHA_BLEND": alpha == "blend",
                "SAMPLES": self._samples,
            }
            program = self._context.program(
                vertex_shader=_source("surface.vert", switches), fragment_shader=_source("surface.frag", switches)
            )
            for unit, name in enumerate(TEXTURES):
                if name in program:
                    program[name] = unit
            self._surfaces[key] = program
        return self._surfaces[key]


TEXTURES = ("lit_texture", "shade_texture", "emissive_texture", "outline_texture")
"""The samplers of a surface, each on the texture unit of its position here."""


def _source(name: str, switches: dict[str, int]) -> str:
    defines = "".join(f"#define {key} {int(value)}\n" for key, value in switches.items())
    blocks = _text("blocks.glsl") if name.startswith("surface") else ""
    return f"#version {GL_VERSION} core\n{defines}{blocks}{_text(name)}"


@cache
def _text(name: str) -> str:
    return (files(__name__) / name).read_text("utf-8")
