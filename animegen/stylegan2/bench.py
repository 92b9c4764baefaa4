"""What the bench needs of StyleGAN2: a generator of random weights, drawn in several ways, and by others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from animegen.stylegan2.config import GeneratorConfig
from animegen.stylegan2.peers import peer
from animegen.stylegan2.synthesis import Generator, Synthesis

Draw = Callable[[], Tensor]


class BenchedGenerator:
    """A generator with random weights and one batch of random latents, on a device."""

    def __init__(self, resolution: int, channel_base: int, *, batch: int, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.device = torch.device(device)
        # every block but the first can compute in 16 bits
        config = GeneratorConfig(resolution, channel_base=channel_base, num_fp16_res=16)
        self._generator = Generator(config).to(self.device).eval().requires_grad_(requires_grad=False)
        self._ws = torch.randn(batch, config.num_ws, config.w_dim, device=self.device)

    def draw(self, *, half: bool, compiled: bool = False) -> Draw:
        """Draws the batch with fixed weights, in float32 or (``half``) bfloat16; ``compiled``: by torch.compile."""
        dtype = torch.bfloat16 if half else None
        synthesis = Synthesis(self._generator.config).to(self.device).eval().requires_grad_(requires_grad=False)
        synthesis.load_state_dict(self._generator.synthesis.state_dict())
        synthesis.prepare(dtype)
        run = torch.compile(synthesis) if compiled else synthesis
        return self._waiting(lambda: run(self._ws, half=dtype))

    def peer(self, name: str, checkout: Path) -> Draw:
        """Draws the batch with the implementation in ``checkout`` and the same weights, in float32 as it is shipped.

        Raises what :func:`animegen.stylegan2.peers.peer` raises.
        """
        draw = peer(name, checkout, self._generator)
        return self._waiting(lambda: draw(self._ws))

    def gflop(self) -> float:
        """Floating-point operations of the convolutions and products of one batch, in 10^9."""
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            self._generator.synthesis(self._ws)
        return float(counter.get_total_flops()) / 1e9

    def _waiting(self, draw: Draw) -> Draw:
        """``draw`` without gradients, which returns when it is done."""

        def wait() -> Tensor:
            with torch.inference_mode():
                picture = draw()
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            return picture

        return wait


def difference(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    return float((found - wanted).abs().max() / wanted.abs().max())
