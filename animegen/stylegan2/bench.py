"""What the bench needs of StyleGAN2: a generator of random weights, drawn in several ways, and by others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from animegen.ops.library import references
from animegen.stylegan2.config import GeneratorConfig
from animegen.stylegan2.peers import HALVES, peer
from animegen.stylegan2.synthesis import Generator, Synthesis

Draw = Callable[[], Tensor]


_HALVES: Mapping[str, torch.dtype] = MappingProxyType({"bf16": torch.bfloat16, "fp16": torch.float16})

_WARM_UPS = 3
"""Draws before a capture: what is built, chosen or allocated at first is there then."""


def precisions(device: str) -> tuple[str, ...]:
    """The number formats worth drawing in on a device."""
    return ("fp32", "TF32", "bf16", "fp16") if device == "cuda" else ("fp32", "bf16")


class BenchedGenerator:
    """A generator with random weights and one batch of random latents, on a device.

    Draws return pictures when they are there, or on a GPU when they are queued.
    """

    def __init__(self, resolution: int, channel_base: int, *, batch: int, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.device = torch.device(device)
        # every block but the first can compute in 16 bits
        config = GeneratorConfig(resolution, channel_base=channel_base, num_fp16_res=16)
        self._generator = Generator(config).to(self.device).eval().requires_grad_(requires_grad=False)
        self._ws = torch.randn(batch, config.num_ws, config.w_dim, device=self.device)

    def renew(self) -> None:
        """Other latents, in the same memory."""
        self._ws.normal_()

    def exact(self) -> Tensor:
        """The batch in float64, by the references of the ops."""
        synthesis = self._copy().double()
        with torch.inference_mode(), references():
            picture: Tensor = synthesis(self._ws.double())
        return picture

    def draw(self, precision: str, *, by: Literal["ops", "references", "torch.compile"] = "ops") -> Draw:
        """Draws the batch with fixed weights in one of :func:`precisions`.

        ``by``: our ops, or their references in PyTorch, eagerly or by torch.compile.
        """
        half, synthesis = _HALVES.get(precision), self._copy()
        if half != torch.float16:  # whose weights are scaled anew each time
            synthesis.prepare(half)
        run = torch.compile(synthesis) if by == "torch.compile" else synthesis

        def draw() -> Tensor:
            with nullcontext() if by == "ops" else references():
                picture: Tensor = run(self._ws, half=half)
            return picture

        return self._drawing(draw, tf32=precision != "fp32")

    def captured(self, draw: Draw) -> Draw:
        """``draw`` as a CUDA graph, which reads the latents where they lie; its picture lasts until the next."""
        current = torch.cuda.current_stream(self.device)
        side = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                draw()
        current.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            picture = draw()

        def replay() -> Tensor:
            graph.replay()
            return picture

        return replay

    def peers(self, name: str, checkout: Path) -> dict[str, Draw]:
        """Draws the batch with the implementation in ``checkout`` and the same weights, by number format.

        On a CPU that is float32 alone; on a GPU float32, TF32, as it is shipped, and float16 but for the first block.
        Raises what :func:`animegen.stylegan2.peers.peer` raises.
        """
        draw = peer(name, checkout, self._generator)
        draws = {f"{name}, fp32": self._drawing(lambda: draw(self._ws))}
        if self.device.type == "cuda":
            draws[f"{name}, TF32"] = self._drawing(lambda: draw(self._ws), tf32=True)
            for words, halved in (("as shipped", 4), ("fp16", 16)) if name in HALVES else ():
                half = peer(name, checkout, self._generator, halved=halved)
                draws[f"{name}, {words}"] = self._drawing(partial(half, self._ws), tf32=True)
        return draws

    def gflop(self) -> float:
        """Floating-point operations of the convolutions and products of one batch, in 10^9."""
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            self._generator.synthesis(self._ws)
        return float(counter.get_total_flops()) / 1e9

    def _copy(self) -> Synthesis:
        synthesis = Synthesis(self._generator.config).to(self.device).eval().requires_grad_(requires_grad=False)
        synthesis.load_state_dict(self._generator.synthesis.state_dict())
        return synthesis

    def _drawing(self, draw: Draw, *, tf32: bool = False) -> Draw:
        """``draw`` without gradients; on a GPU by the quickest convolutions, with products in TF32 where asked for."""

        def run() -> Tensor:
            with torch.inference_mode():
                if self.device.type != "cuda":
                    return draw()
                with _on_gpu("tf32" if tf32 else "ieee"):
                    return draw()

        return run


@contextmanager
def _on_gpu(precision: Literal["tf32", "ieee"]) -> Iterator[None]:
    """How GPUs multiply float32, and that cuDNN tries out which way of a convolution is the quickest."""
    cudnn = torch.backends.cudnn
    places = (torch.backends.cuda.matmul, cudnn.conv)  # type: ignore[attr-defined]
    before, tried = [place.fp32_precision for place in places], cudnn.benchmark
    cudnn.benchmark = True
    for place in places:
        place.fp32_precision = precision
    try:
        yield
    finally:
        cudnn.benchmark = tried
        for place, was in zip(places, before, strict=True):
            place.fp32_precision = was


def error(found: Tensor, exact: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    return float((found - exact).abs().max() / exact.abs().max())
