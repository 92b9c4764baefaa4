"""What the bench needs of a generator beside drawing: its formats, and its conditioning alone."""

from __future__ import annotations

from collections.abc import Callable

import torch

from animegen.avatar.conditioning import PoseBatch
from animegen.avatar.generator import AvatarGenerator, Precision
from animegen.ops.precision import has_bfloat16
from animegen.types import Float32Array


def precisions(device: str) -> tuple[Precision, ...]:
    """The number formats worth drawing in on a device."""
    return ("bf16", "fp32") if has_bfloat16(torch.device(device)) else ("fp32",)


def conditioning(
    generator: AvatarGenerator, xy: Float32Array, z: Float32Array, score: Float32Array, stage: int
) -> Callable[[], None]:
    """A function that makes all conditioning maps of one draw, and nothing else, and returns when that is done."""
    network = generator.network
    pose = PoseBatch(*(torch.from_numpy(array).to(generator.device) for array in (xy, z, score)))

    def draw_maps() -> None:
        with torch.inference_mode():
            network.maps.limbs(pose, network.config.limb_side(stage))
            for side in network.config.grids_to(stage):
                network.maps.points(pose, side)
        if generator.device.type == "cuda":
            torch.cuda.synchronize()

    return draw_maps
