"""How fast avatars are rendered: posed, drawn with outlines and anti-aliasing, read back, with masks and keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from animegen.avatar.layers import part_masks
from animegen.measure.machine import MachineRates, machine_rates
from animegen.measure.timing import timed_in_turns
from animegen_vrm.camera import look_at
from animegen_vrm.keypoints import Keypoints
from animegen_vrm.motion import random_expression, random_pose
from animegen_vrm.read import read_avatar
from animegen_vrm.render import Renderer
from animegen_vrm.rig import Rig
from animegen_vrm.springs import settle

_FOV = 25.0
_POSES = 32


@dataclass(frozen=True, slots=True)
class VrmRate:
    """Pictures a second of one avatar at the median, the slowest and the fastest round."""

    avatar: str
    triangles: int
    median: float
    slowest: float
    fastest: float


@dataclass(frozen=True, slots=True)
class VrmBench:
    """The rates of some avatars at ``size`` pixels, on what, and what the machine can do at most."""

    size: int
    renderer: str
    machine: MachineRates
    rates: tuple[VrmRate, ...]


def bench_vrm(avatars: Sequence[Path], size: int, rounds: int) -> VrmBench:
    """Render each avatar in 32 random poses a round, the avatars in turns.

    A picture is everything that training data needs: pose and springs, shade layers with outlines and anti-aliasing,
    read back, part masks of them, and the keypoints on them.
    """
    with Renderer(size) as renderer:
        work = {path.stem: _Work(path, renderer) for path in avatars}
        timings = timed_in_turns(work, rounds)
        rates = tuple(VrmRate(name, work[name].triangles, *timing.rate(_POSES)) for name, timing in timings.items())
        return VrmBench(size, str(renderer.context.info["GL_RENDERER"]), machine_rates(), rates)


class _Work:
    """One round of one avatar."""

    def __init__(self, path: Path, renderer: Renderer) -> None:
        avatar = read_avatar(path)
        self.triangles = sum(len(primitive.triangles) for primitive in avatar.primitives)
        self._renderer, self._model = renderer, renderer.load(avatar)
        self._rig, self._keypoints = Rig(avatar), Keypoints(avatar)
        rng = np.random.default_rng(0)
        self._poses = [(random_pose(rng), random_expression(rng)) for _ in range(_POSES)]
        middle = np.array((0.0, self._rig.hip_height, 0.0))
        away = np.array((0.0, 0.0, 1.3 * self._rig.hip_height / np.tan(np.radians(_FOV) / 2)))
        self._camera = look_at(middle + away, middle, (0.0, 1.0, 0.0), _FOV, renderer.size)

    def __call__(self) -> None:
        for pose, face in self._poses:
            posed = settle(self._rig, self._rig.apply(pose, face))
            part_masks(self._renderer.layers(self._model, posed, self._camera))
            self._camera.project(self._keypoints.points(posed))
