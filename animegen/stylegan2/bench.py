"""What the bench needs of StyleGAN2: a generator of random weights, drawn in several ways, and by others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from animegen.stylegan2.config import GeneratorConfig
from animegen.stylegan2.peers import HALVES, peer
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

    def draw(self, *, half: bool, compiled: bool = False, tf32: bool = False) -> Draw:
        """Draws the batch with fixed weights, in float32 (``tf32``: TF32 on a GPU) or (``half``) bfloat16.

        ``compiled``: by torch.compile.
        """
        dtype = torch.bfloat16 if half else None
        synthesis = Synthesis(self._generator.config).to(self.device).eval().requires_grad_(requires_grad=False)
        synthesis.load_state_dict(self._generator.synthesis.state_dict())
        synthesis.prepare(dtype)
        run = torch.compile(synthesis) if compiled else synthesis
        return self._waiting(lambda: run(self._ws, half=dtype), tf32=tf32)

    def peers(self, name: str, checkout: Path) -> dict[str, Draw]:
        """Draws the batch with the implementation in ``checkout`` and the same weights, by number format.

        On a CPU that is float32 alone; on a GPU float32, TF32, as it is shipped, and float16 but for the first block.
        Raises what :func:`animegen.stylegan2.peers.peer` raises.
        """
        draw = peer(name, checkout, self._generator)
        draws = {f"{name}, fp32": self._waiting(lambda: draw(self._ws))}
        if self.device.type == "cuda":
            draws[f"{name}, TF32"] = self._waiting(lambda: draw(self._ws), tf32=True)
            for words, halved in (("as shipped", 4), ("fp16", 16)) if name in HALVES else ():
                half = peer(name, checkout, self._generator, halved=halved)
                draws[f"{name}, {words}"] = self._waiting(partial(half, self._ws), tf32=True)
        return draws

    def gflop(self) -> float:
        """Floating-point operations of the convolutions and products of one batch, in 10^9."""
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            self._generator.synthesis(self._ws)
        return float(counter.get_total_flops()) / 1e9

    def _waiting(self, draw: Draw, *, tf32: bool = False) -> Draw:
        """``draw`` without gradients, which returns when it is done; ``tf32``: products in TF32 where a GPU has it."""

        def wait() -> Tensor:
            if self.device.type != "cuda":
                with torch.inference_mode():
                    return draw()
            with torch.inference_mode(), _products("tf32" if tf32 else "ieee"):
                picture = draw()
            torch.cuda.synchronize(self.device)
            return picture

        return wait


@contextmanager
def _products(precision: Literal["tf32", "ieee"]) -> Iterator[None]:
    """How GPUs multiply float32."""
    places = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)  # type: ignore[attr-defined]
    before = [place.fp32_precision for place in places]
    for place in places:
        place.fp32_precision = precision
    try:
        yield
    finally:
        for place, was in zip(places, before, strict=True):
            place.fp32_precision = was


def difference(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    return float((found - wanted).abs().max() / wanted.abs().max())
