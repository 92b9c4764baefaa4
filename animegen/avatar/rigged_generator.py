"""Rigged avatars, ready to draw: bones from a pose, facets from bones, shade layers from facets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import radians
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from animegen.avatar.armature import Armature, PosedBones
from animegen.avatar.config import EXPRESSION
from animegen.avatar.drawing import check_asked
from animegen.avatar.layers import LAYERS
from animegen.avatar.rigged import RiggedAvatar
from animegen.avatar.rigged_files import load_rigged
from animegen.avatar.rigged_scene import Scene
from animegen.avatar.solids import solids_of
from animegen.avatar.solve import Solver
from animegen.avatar.springs import Swing, Turns
from animegen.errors import InvalidValue, WeightsError
from animegen.types import Float32Array, Float64Array, Skeleton, Uint8Array

STAGES = (*range(32, 512, 32), *range(512, 1025, 64))
"""Sides of the pictures that rigged avatars are drawn at."""

_FINE = 384
"""Up to this stage a pixel is the mean of 3 x 3 samples, above it of 2 x 2."""
_FLOPS = 350
"""Of each facet and the vertex that comes with it: matrices added, vectors moved by their sum, lines, changes."""
_AT_ONCE = 64
"""Poses solved in one call."""
_BLINKS = ("blink_l", "blink_r")


class RiggedGenerator:
    """Draws the rigged avatars of a file. ``avatars`` tells of each: name, licence, credit, palette, proportions,
    traits.
    """

    def __init__(self, rigged: Sequence[RiggedAvatar], skeleton: Skeleton, device: torch.device) -> None:
        self.skeleton, self.device = skeleton, device
        self.avatars: Sequence[Mapping[str, Any]] = [avatar.about for avatar in rigged]
        self.figures = [RiggedFigure(avatar, skeleton, device) for avatar in rigged]

    @property
    def stages(self) -> tuple[int, ...]:
        """Sides of the pictures it draws, in pixels, ascending."""
        return STAGES

    @property
    def drawn_together(self) -> int | None:
        """Any number of pictures may be drawn in a call: they do not depend on each other."""
        return None

    @property
    def largest_scale(self) -> int:
        """Pictures are not made larger after they were drawn."""
        return 1

    @property
    def most_enlarged(self) -> float:
        """They are made a little smaller as long as there is a stage: resampled at their own size they would blur."""
        return 0.92

    @property
    def knows_outside(self) -> bool:
        """Bones hang together: a foot outside tells how the knee inside is bent."""
        return True

    def swings(
        self,
        xy: Float32Array,
        z: Float32Array,
        score: Float32Array,
        *,
        avatar: int,
        canvas: Float64Array,
        seconds: Float64Array,
        check: Callable[[], None],
    ) -> Turns:
        """How hair and cloth swing; takes and returns what :meth:`animegen.avatar.drawing.Generator.swings` does."""
        figure, posed = self.figures[avatar], []
        if not figure.swing.count or not len(xy):
            return np.zeros((len(xy), figure.swing.count, 3), np.float16)
        for start in range(0, len(xy), _AT_ONCE):
            check()
            posed.append(figure.solver.solve(*(array[start : start + _AT_ONCE] for array in (xy, z, score))))
        whole = PosedBones(*(np.concatenate([getattr(one, name) for one in posed]) for name in ("matrices", "focal")))
        return figure.swing.through(figure.swing.motion(whole, canvas), seconds, check)

    def finished(self, layers: Uint8Array, scale: int) -> Uint8Array:  # noqa: ARG002
        """The layers themselves: facets have firm edges and two tones."""
        return layers

    def flops(self, stage: int) -> int:  # noqa: ARG002
        """Floating-point operations for one picture of the largest avatar, counted by hand: mostly placing facets."""
        return _FLOPS * max((len(figure.avatar.corners) for figure in self.figures), default=0)

    def draw(
        self,
        xy: Float32Array,
        z: Float32Array,
        score: Float32Array,
        *,
        expression: Float32Array,
        avatar: NDArray[np.integer[Any]],
        stage: int,
        hands: Float32Array | None = None,
        swung: Sequence[Turns | None] | None = None,
    ) -> Uint8Array:
        """Draw shade layers; takes and returns what :meth:`animegen.avatar.drawing.Draws.draw` does."""
        check_asked(self, stage, avatar, xy=xy, z=z, score=score, expression=expression)
        layers = np.zeros((len(xy), stage, stage, LAYERS), np.uint8)
        for row in np.unique(avatar).tolist():
            figure, mine = self.figures[row], np.flatnonzero(avatar == row)
            posed = figure.solver.solve(xy[mine], z[mine], score[mine], None if hands is None else hands[mine])
            swings = [swung[i] if swung else None for i in mine.tolist()]
            bones = np.stack([figure.swung(*one) for one in zip(posed.matrices, swings, strict=True)])
            together = torch.get_num_threads()  # a picture a thread
            for start in range(0, len(mine), together):
                some, rows = slice(start, start + together), mine[start : start + together]
                with torch.inference_mode():
                    vertices = figure.vertices(bones[some], posed.focal[some], expression[rows], stage)
                    pictures, _, window = figure.scene.draw(vertices, stage, samples_at(stage))
                left, top, width, height = window
                layers[rows, top : top + height, left : left + width] = pictures.cpu().numpy()
        return layers


@dataclass(eq=False)
class RiggedFigure:
    """One avatar, driven by the points of a skeleton, on a device."""

    avatar: RiggedAvatar
    skeleton: Skeleton
    device: torch.device

    @cached_property
    def solver(self) -> Solver:
        """What finds its bones."""
        return Solver(self.avatar.armature, self.skeleton.points, solids_of(self.avatar))

    @cached_property
    def scene(self) -> Scene:
        """Its facets on the device."""
        return Scene.of(self.avatar, self.device)

    @cached_property
    def swing(self) -> Swing:
        """What moves its hair and cloth."""
        return Swing(self.avatar.armature, self.avatar.springs)

    def swung(self, matrices: Float32Array, turns: Turns | None) -> Float32Array:
        """Matrices [B, 3, 4] of a pose with the bones that swing turned; None: as they come to rest.

        Raises InvalidValue for turns of another number of bones.
        """
        if turns is None:
            turns = self.swing.hanging(matrices)
        if turns.shape != (self.swing.count, 3):
            raise InvalidValue(f"what swings must be {(self.swing.count, 3)}, got {turns.shape}")
        return self.swing.applied(matrices, turns)

    def vertices(self, matrices: Float32Array, focal: Float32Array, expression: Float32Array, stage: int) -> Tensor:
        """Where cameras see its vertices: f32 [N, V, 8] for the scene to draw.

        ``matrices`` f32 [N, B, 3, 4] and ``focal`` f32 [N] as in :class:`animegen.avatar.armature.PosedBones`;
        ``expression`` f32 [N, 10] in the order of ``EXPRESSION``; ``stage`` is the side of the pictures.
        """
        faces = [dict(zip(EXPRESSION, values, strict=True)) for values in expression.tolist()]
        turned = np.stack(
            [self._with_gaze(one, face["gaze_x"], face["gaze_y"]) for one, face in zip(matrices, faces, strict=True)]
        )
        scale = samples_at(stage)
        bones, seen = (torch.from_numpy(array).to(self.device) for array in (turned, focal))
        return self.scene.vertices(bones, seen, [_morphs(face) for face in faces], stage * scale, scale)

    def _with_gaze(self, matrices: Float32Array, x: float, y: float) -> Float32Array:
        """Matrices [B, 3, 4] with the eyes turned to the avatar's left by ``x`` and up by ``y``, -1..1."""
        horizontal, vertical = self.avatar.gaze
        turned = matrices.copy()
        turn = _turn(radians(horizontal) * x, -radians(vertical) * y)
        for bone in _eyes(self.avatar.armature):
            pivot = self.avatar.armature.pivots[bone]
            turned[bone, :, :3] = matrices[bone, :, :3] @ turn
            turned[bone, :, 3] += matrices[bone, :, :3] @ (pivot - turn @ pivot)
        return turned


def load_rigged_generator(
    path: Path, *, device: str = "cpu", threads: int | None = None, round_ears: bool = False
) -> RiggedGenerator:
    """Load avatars for drawing. ``threads`` sets torch's threads for this process.

    ``round_ears``: with round ears, those that know how they would be. Raises WeightsError naming the file.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    avatars, skeleton = load_rigged(path)
    avatars = [avatar.with_round_ears() for avatar in avatars] if round_ears else avatars
    generator = RiggedGenerator(avatars, skeleton, torch.device(device))
    for figure in generator.figures:
        try:
            _ = figure.solver
        except InvalidValue as error:
            name = figure.avatar.about["name"]
            raise WeightsError(f"{path}: avatar '{name}' cannot be posed: {error}", "make it again") from error
    return generator


def samples_at(stage: int) -> int:
    """Samples of a pixel and side in pictures of a stage."""
    return 3 if stage <= _FINE else 2


def _eyes(armature: Armature) -> list[int]:
    return [armature.bones.index(name) for name in ("leftEye", "rightEye") if name in armature.bones]


def _turn(yaw: float, pitch: float) -> Float64Array:
    """About y, then (inside of it) about x."""
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    about_y = np.array(((cy, 0, sy), (0, 1, 0), (-sy, 0, cy)))
    about_x = np.array(((1, 0, 0), (0, cp, -sp), (0, sp, cp)))
    return np.asarray(about_y @ about_x, np.float64)


def _morphs(face: Mapping[str, float]) -> dict[str, float]:
    """Weights 0..1 by the names of MORPHS."""
    weights = {name: face[name] for name in ("aa", "ih", "ou", "ee", "oh")}
    weights["blink"] = sum(face[name] for name in _BLINKS) / len(_BLINKS)
    for name, axis, sign in (
        ("look_left", "gaze_x", 1), ("look_right", "gaze_x", -1), ("look_up", "gaze_y", 1), ("look_down", "gaze_y", -1),
    ):  # fmt: skip
        weights[name] = sign * face[axis]
    return {name: min(max(weight, 0.0), 1.0) for name, weight in weights.items()}
