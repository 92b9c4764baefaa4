"""What the bench needs of StyleGAN2: a generator of random weights, drawn in several ways, and the official one."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from animegen.errors import InputError, UsageError
from animegen.stylegan2.config import GeneratorConfig
from animegen.stylegan2.synthesis import Generator, Synthesis

PEERS: Mapping[str, str] = MappingProxyType(
    {"stylegan2-ada-pytorch": "training.networks", "stylegan3": "training.networks_stylegan2"}
)
"""Official implementations that can be drawn with, and the module of each that holds the generator."""

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
        """Draws the batch with an official implementation and the same weights, in float32 as it is shipped.

        Raises UsageError for a name that is not among :data:`PEERS` and InputError for a folder that holds something
        else.
        """
        if name not in PEERS:
            raise UsageError(f"'{name}' is no peer of this bench", f"it is one of {', '.join(PEERS)}")
        networks = _module(checkout, PEERS[name])
        config = self._generator.config
        shared = {"channel_base": config.channel_base, "channel_max": config.channel_max}
        keywords = {"synthesis_kwargs": shared} if name == "stylegan2-ada-pytorch" else shared
        generator = networks.Generator(
            z_dim=config.z_dim,
            c_dim=0,
            w_dim=config.w_dim,
            img_resolution=config.resolution,
            img_channels=3,
            **keywords,
        )
        ours = self._generator.state_dict()
        generator.load_state_dict({**generator.state_dict(), **ours})
        generator = generator.to(self.device).eval().requires_grad_(requires_grad=False)
        return self._waiting(lambda: generator.synthesis(self._ws, noise_mode="const", force_fp32=True))

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


def _module(checkout: Path, name: str) -> Any:
    if not (checkout / f"{name.replace('.', '/')}.py").is_file():
        raise InputError(f"{checkout} holds no {name.replace('.', '/')}.py", "give the folder of a checkout")
    sys.path.insert(0, str(checkout))
    sys.modules.setdefault("requests", types.ModuleType("requests"))  # it fetches nothing here
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(checkout))
