"""How fast avatars are rendered: posed, drawn with outlines and anti-aliasing, read back, with masks and keypoints."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from pathlib import Path

import numpy as np

from animegen.avatar.layers import part_masks
from animegen.errors import AnimegenError
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
    """Pictures a second of one avatar, of all processes together, at the median, the slowest and the fastest round."""

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
    processes: int
    machine: MachineRates
    rates: tuple[VrmRate, ...]


def bench_vrm(avatars: Sequence[Path], size: int, rounds: int, processes: int) -> VrmBench:
    """Render each avatar in 32 random poses a round in every one of ``processes`` processes, the avatars in turns.

    A picture is everything that training data needs: pose and springs, shade layers with outlines and anti-aliasing,
    read back, part masks of them, and the keypoints on them.
    """
    with _crew(avatars, size, processes) as (crew, loaded):
        timings = timed_in_turns({name: partial(_render, crew, name) for name in loaded.triangles}, rounds)
    amount = _POSES * processes
    rates = (VrmRate(name, loaded.triangles[name], *timing.rate(amount)) for name, timing in timings.items())
    return VrmBench(size, loaded.renderer, processes, machine_rates(), tuple(rates))


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What a process says when it is ready: what it renders with, and how many triangles each avatar has."""

    renderer: str
    triangles: dict[str, int]


def _render(crew: Sequence[Connection], name: str) -> None:
    """One round of an avatar in all processes at once."""
    for end in crew:
        with _alive():
            end.send(name)
    for end in crew:
        _heard(end)


@contextmanager
def _crew(avatars: Sequence[Path], size: int, processes: int) -> Generator[tuple[list[Connection], _Loaded]]:
    """Processes that have loaded the avatars, by the pipes to them."""
    spawn, crew, workers = SpawnContext(), [], []
    try:
        for _ in range(processes):
            ours, theirs = spawn.Pipe()
            worker = spawn.Process(target=_work, args=(avatars, size, theirs), daemon=True)
            worker.start()
            theirs.close()
            crew.append(ours)
            workers.append(worker)
        loaded = [_heard(end) for end in crew][0]  # noqa: RUF015  # all of them have to be ready
        assert isinstance(loaded, _Loaded)
        yield crew, loaded
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _heard(end: Connection) -> object:
    """What a process says; raises what went wrong in it."""
    with _alive():
        said = end.recv()
    if isinstance(said, AnimegenError):
        raise said
    return said


@contextmanager
def _alive() -> Generator[None]:
    """Turn what a pipe says of a process that is gone into an AnimegenError."""
    try:
        yield
    except (EOFError, OSError) as gone:
        hint = "where it said nothing above, memory may be short: try fewer --processes"
        raise AnimegenError("a process that renders ended early", hint) from gone


def _work(avatars: Sequence[Path], size: int, orders: Connection) -> None:
    """What a process does: load the avatars, then render a round of whichever is asked for, until it is ended."""
    os.environ.setdefault("LP_NUM_THREADS", "0")  # Mesa's software renderer: the processes use the cores already
    try:
        with Renderer(size) as renderer:
            rounds = {path.stem: _Round(path, renderer) for path in avatars}
            triangles = {name: each.triangles for name, each in rounds.items()}
            orders.send(_Loaded(str(renderer.context.info["GL_RENDERER"]), triangles))
            while True:
                rounds[orders.recv()]()
                orders.send(None)
    except AnimegenError as error:
        orders.send(error)
    except EOFError:
        pass  # whoever asked is gone


class _Round:
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
