"""The GPU's programs, compiled from the GLSL files beside this one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files

import moderngl

from animegen_vrm.context import GL_VERSION

UNITS = {
    "lit_texture": 0,
    "shade_texture": 1,
    "emissive_texture": 2,
    "outline_texture": 3,
    "part_texture": 0,
    "fixed_texture": 1,
    "joint_matrices": 0,
}
"""The texture unit of each sampler."""

JOINTS_A_ROW = 256
"""How many joints' matrices lie side by side in the texture that moves vertices: no side of it is ever too long."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a surface's program has to do: the switches of surface.vert and surface.frag."""

    layers: bool  # draws shade layers, else colours
    part: bool  # takes its colour from a palette
    fixed: bool  # and keeps some of its own
    alpha_mask: bool
    alpha_blend: bool
    shade_texture: bool  # has one besides the lit one
    emissive: bool
    outline: bool = False  # draws the hull around the surface


class Programs:
    """Compiles programs for one context, each once."""

    def __init__(self, context: moderngl.Context) -> None:
        self._context = context
        self._surfaces: dict[Look, moderngl.Program] = {}
        head = f"#define JOINTS_A_ROW {JOINTS_A_ROW}u\n"
        self.skin = _with_units(
            context.program(vertex_shader=_source("skin.vert", head), varyings=("position", "normal"))
        )

    def surface(self, look: Look) -> moderngl.Program:
        """The program of a surface."""
        if look not in self._surfaces:
            head = "".join(f"#define {name.upper()} {int(value)}\n" for name, value in asdict(look).items())
            head += _text("surface.glsl")
            program = self._context.program(
                vertex_shader=_source("surface.vert", head), fragment_shader=_source("surface.frag", head)
            )
            self._surfaces[look] = _with_units(program)
        return self._surfaces[look]


def _with_units(program: moderngl.Program) -> moderngl.Program:
    for name, unit in UNITS.items():
        if name in program:
            program[name] = unit
    return program


def _source(name: str, head: str = "") -> str:
    return f"#version {GL_VERSION} core\n{head}{_text(name)}"


@cache
def _text(name: str) -> str:
    return (files(__name__) / name).read_text("utf-8")
