"""The trained generator, ready to draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from animegen.avatar.checkpoint import load_generator
from animegen.avatar.conditioning import PoseBatch
from animegen.avatar.config import EXPRESSION
from animegen.avatar.drawing import check_asked
from animegen.avatar.firm import firm_layers
from animegen.avatar.network import Generator
from animegen.avatar.springs import Turns
from animegen.ops.precision import has_bfloat16
from animegen.types import Float32Array, Float64Array, Skeleton, Uint8Array

Precision = Literal["auto", "bf16", "fp32"]

DRAWN_TOGETHER = {"cpu": 4, "cuda": 16}
"""Pictures drawn in one call, always as many, else filled up: how many there are decides how a device adds up, and so
the last bit of each picture; beside whom it is drawn decides nothing."""

_LARGEST_SCALE = 3


@dataclass(frozen=True, slots=True, eq=False)
class AvatarGenerator:
    """Draws the avatars of a weights file. ``avatars`` tells of each: name, licence, credit, palette, proportions,
    traits.
    """

    network: Generator
    avatars: Sequence[Mapping[str, Any]]
    device: torch.device
    dtype: torch.dtype

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton whose points :meth:`draw` takes."""
        return self.network.config.skeleton

    @property
    def stages(self) -> tuple[int, ...]:
        """Sides of the pictures it draws, in pixels, ascending."""
        return self.network.config.stages

    @property
    def drawn_together(self) -> int | None:
        """How many pictures a call has to draw for each to be the same beside any others."""
        return DRAWN_TOGETHER[self.device.type]

    @property
    def largest_scale(self) -> int:
        """How many times larger than its largest stage it can finish a picture."""
        return _LARGEST_SCALE

    @property
    def most_enlarged(self) -> float:
        """The next stage takes twice to four times as long: it had better be well used."""
        return 1.25

    @property
    def knows_outside(self) -> bool:
        """Points outside of the canvas were unknown when the network was trained."""
        return False

    def swings(
        self,
        xy: Float32Array,
        z: Float32Array,  # noqa: ARG002
        score: Float32Array,  # noqa: ARG002
        *,
        avatar: int,  # noqa: ARG002
        canvas: Float64Array,  # noqa: ARG002
        seconds: Float64Array,  # noqa: ARG002
        check: Callable[[], None],  # noqa: ARG002
    ) -> Turns:
        """Nothing: a network draws hair as it saw it at rest. f16 [T, 0, 3]."""
        return np.zeros((len(xy), 0, 3), np.float16)

    def finished(self, layers: Uint8Array, scale: int) -> Uint8Array:
        """Layers uint8 [S, S, 10] with firm edges, ``scale`` times as large."""
        return firm_layers(layers, scale, sharp=self.network.config.sharp)

    def draw(
        self,
        xy: Float32Array,
        z: Float32Array,
        score: Float32Array,
        *,
        expression: Float32Array,
        avatar: NDArray[np.integer[Any]],
        stage: int,
        hands: Float32Array | None = None,  # noqa: ARG002
        swung: Sequence[Turns | None] | None = None,  # noqa: ARG002
    ) -> Uint8Array:
        """Draw shade layers (:mod:`animegen.avatar.layers`).

        ``xy`` f32 [N, K, 2] in canvas sides, 0..1 inside; ``z`` f32 [N, K] in the same unit, 0 at the hips, smaller is
        nearer; ``score`` f32 [N, K], 0 for an unknown point; ``expression`` f32 [N, 10] in the order of ``EXPRESSION``;
        ``avatar`` [N] rows of :attr:`avatars`; ``stage`` one of :attr:`stages`; ``hands`` are told by points alone.
        Returns uint8 [N, stage, stage, 10]. Raises InvalidValue naming what does not fit.
        """
        check_asked(self, stage, avatar, xy=xy, z=z, score=score, expression=expression)
        if not len(xy):
            return np.zeros((0, stage, stage, 10), np.uint8)

        def tensor(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

        pose = PoseBatch(tensor(xy), tensor(z), tensor(score))
        with torch.inference_mode(), torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            latent = self.network.avatars(tensor(avatar.astype(np.int64)))
            layers = self.network(pose, latent, tensor(expression), [stage])[stage]
            drawn: Uint8Array = layers.float().mul_(255).round_().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        return drawn

    def flops(self, stage: int) -> int:
        """Floating-point operations of the convolutions and products for one picture (a product and sum count 2)."""
        count = len(self.skeleton)
        with torch.inference_mode(), torch.device("meta"), FlopCounterMode(display=False) as counter:
            network = Generator(self.network.config)  # nothing is computed
            zeros = torch.zeros(1, count)
            pose = PoseBatch(zeros[..., None].expand(1, count, 2), zeros, zeros)
            network(pose, network.avatars.weight[:1], torch.zeros(1, len(EXPRESSION)), [stage])
        return int(counter.get_total_flops())


def load_avatar_generator(
    path: Path, *, device: str = "cpu", threads: int | None = None, precision: Precision = "auto"
) -> AvatarGenerator:
    """Load weights for drawing.

    ``precision`` auto takes bfloat16 where the device has instructions for it. ``threads`` sets torch's threads for
    this process. Raises WeightsError naming the file when it is missing, damaged or something else.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    network, avatars = load_generator(path)
    where = torch.device(device)
    network.to(where).eval().requires_grad_(False)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    half = precision == "bf16" or (precision == "auto" and has_bfloat16(where))
    dtype = torch.bfloat16 if half else torch.float32
    network.prepare(dtype)
    return AvatarGenerator(network, avatars, where, dtype)
