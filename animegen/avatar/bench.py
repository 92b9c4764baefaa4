"""What the bench needs of generators beside drawing: all formats of one, and the parts of drawing alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from animegen.avatar.conditioning import PoseBatch
from animegen.avatar.drawing import Generator
from animegen.avatar.generator import AvatarGenerator, Precision, load_avatar_generator
from animegen.avatar.layers import colour_layers
from animegen.avatar.loading import load_drawing
from animegen.avatar.rigged_generator import RiggedGenerator, samples_at
from animegen.ops.precision import has_bfloat16
from animegen.types import Float32Array, Uint8Array


@dataclass(frozen=True, slots=True, eq=False)
class Poses:
    """What :meth:`animegen.avatar.drawing.Generator.draw` takes, all of one avatar, and the colours f32 [6, 3]."""

    xy: Float32Array
    z: Float32Array
    score: Float32Array
    expression: Float32Array
    avatar: int
    palette: Float32Array


def in_formats(path: Path, *, device: str, threads: int) -> dict[Precision, Generator]:
    """What draws a file's avatars, in each number format that is worth drawing them in on a device.

    Raises WeightsError naming the file.
    """
    generator = load_drawing(path, device=device, threads=threads)
    if not isinstance(generator, AvatarGenerator):
        return {"fp32": generator}
    formats: tuple[Precision, ...] = ("bf16", "fp32") if has_bfloat16(torch.device(device)) else ("fp32",)
    return {name: load_avatar_generator(path, device=device, threads=threads, precision=name) for name in formats}


def draw(generator: Generator, poses: Poses, stage: int) -> Uint8Array:
    """All poses in one call: uint8 [N, stage, stage, 10]."""
    avatar = np.full(len(poses.xy), poses.avatar)
    return generator.draw(poses.xy, poses.z, poses.score, expression=poses.expression, avatar=avatar, stage=stage)


def parts(generator: Generator, poses: Poses, stage: int) -> Mapping[str, Callable[[], object]]:
    """Functions that each do one part of drawing the poses, and nothing else, and return when that is done."""
    layers = draw(generator, poses, stage)
    own: Mapping[str, Callable[[], object]] = {}
    if isinstance(generator, RiggedGenerator):
        own = _of_rigged(generator, poses, stage)
    elif isinstance(generator, AvatarGenerator):
        own = {"conditioning": _conditioning(generator, poses, stage)}
    return {**own, "colouring": lambda: [colour_layers(picture, poses.palette) for picture in layers]}


def _of_rigged(generator: RiggedGenerator, poses: Poses, stage: int) -> Mapping[str, Callable[[], object]]:
    figure = generator.figures[poses.avatar]
    posed = figure.solver.solve(poses.xy, poses.z, poses.score)
    scale = samples_at(stage)

    def place(at: int) -> Tensor:
        some = slice(at, at + 1)
        return figure.vertices(posed.matrices[some], posed.focal[some], poses.expression[some], stage)

    pictures = range(len(poses.xy))
    placed = [place(i) for i in pictures]
    work: Mapping[str, Callable[[], object]] = {
        "solve": lambda: figure.solver.solve(poses.xy, poses.z, poses.score),
        "placing": lambda: [place(i) for i in pictures],
        "filling": lambda: [figure.scene.draw(vertices, stage, scale) for vertices in placed],
    }
    return {name: _waited_for(function, generator.device) for name, function in work.items()}


def _conditioning(generator: AvatarGenerator, poses: Poses, stage: int) -> Callable[[], object]:
    """All conditioning maps of one draw."""
    network = generator.network
    arrays: tuple[NDArray[Any], ...] = (poses.xy, poses.z, poses.score)
    pose = PoseBatch(*(torch.from_numpy(array).to(generator.device) for array in arrays))

    def draw_maps() -> None:
        network.maps.limbs(pose, network.config.limb_side(stage))
        for side in network.config.grids_to(stage):
            network.maps.points(pose, side)

    return _waited_for(draw_maps, generator.device)


def _waited_for(work: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """The work without gradients; it returns when the device has done it."""

    def whole() -> object:
        with torch.inference_mode():
            result = work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return result

    return whole
