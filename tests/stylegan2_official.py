"""The official networks beside ours, where checkouts are at hand; run as a script, this writes the reference tensors.

Paths of checkouts stand in the environment: ``ANIMEGEN_STYLEGAN2_ADA`` (NVlabs/stylegan2-ada-pytorch) and
``ANIMEGEN_ROSINALITY`` (rosinality/stylegan2-pytorch). Their code is run, as its licence allows, and never kept here.
"""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stylegan2_numbers import CASES, Case, filled, numbers

REFERENCES = Path(__file__).with_name("stylegan2_references.npz")
ADA, ROSINALITY = "ANIMEGEN_STYLEGAN2_ADA", "ANIMEGEN_ROSINALITY"


def ada_networks() -> Any:
    """The official module of networks, with its slow paths in place of its CUDA extensions."""
    sys.path.insert(0, os.environ[ADA])
    sys.modules.setdefault("requests", types.ModuleType("requests"))
    from torch_utils.ops import bias_act, upfirdn2d
    from training import networks

    bias_act._init = upfirdn2d._init = lambda: False
    return networks


def ada_pair(case: Case) -> tuple[Any, Any]:
    """The official generator and discriminator of a case, with our numbers."""
    networks = ada_networks()
    shared = {"channel_base": case.base, "channel_max": case.most, "conv_clamp": case.clamp}
    generator = networks.Generator(
        z_dim=64,
        c_dim=case.c_dim,
        w_dim=48,
        img_resolution=case.resolution,
        img_channels=case.channels,
        mapping_kwargs={"num_layers": 3},
        synthesis_kwargs={"architecture": case.architecture, **shared},
    )
    discriminator = networks.Discriminator(
        c_dim=case.c_dim,
        img_resolution=case.resolution,
        img_channels=case.channels,
        architecture=case.architecture,
        mapping_kwargs={"num_layers": 2},
        epilogue_kwargs={"mbstd_group_size": 2},
        **shared,
    )
    return filled(generator), filled(discriminator)


def ada_outputs(case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures and scores of the official networks."""
    generator, discriminator = ada_pair(case)
    pictures = generator(
        case.z(), case.label(), truncation_psi=case.psi, truncation_cutoff=case.cutoff, noise_mode=case.noise
    )
    return pictures, discriminator(case.pictures(), case.label())


def rosinality_model() -> Any:
    """rosinality's module of networks, its widest layers narrowed to 64 channels so that they are small."""
    import torch.utils.cpp_extension as extension

    extension.load = lambda *_, **__: None  # its CUDA kernels; without a GPU it computes in PyTorch
    folder = Path(os.environ[ROSINALITY])
    sys.path.insert(0, str(folder))
    model = types.ModuleType("rosinality_model")
    source = (folder / "model.py").read_text(encoding="utf-8")
    for side, width in ((4, 64), (8, 64), (16, 64), (32, 64)):
        source = source.replace(f"{side}: 512,", f"{side}: {width},")
    for side, width in ((64, 256), (128, 128), (256, 64), (512, 32), (1024, 16)):
        source = source.replace(f"{side}: {width} * channel_multiplier", f"{side}: {width} * channel_multiplier // 8")
    exec(compile(source, str(folder / "model.py"), "exec"), model.__dict__)
    return model


def rosinality_checkpoint(size: int) -> dict[str, Any]:
    """What rosinality's training saves, with our numbers: g, d, g_ema and latent_avg."""
    model = rosinality_model()
    generator = rosinality_filled(model.Generator(size, 48, 3, channel_multiplier=2))
    discriminator = rosinality_filled(model.Discriminator(size, channel_multiplier=2))
    tensors = generator.state_dict()
    return {"g": tensors, "d": discriminator.state_dict(), "g_ema": tensors, "latent_avg": numbers("latent_avg", (48,))}


def rosinality_outputs(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures (truncated by 0.7) and scores of rosinality's networks."""
    model = rosinality_model()
    generator = rosinality_filled(model.Generator(size, 48, 3, channel_multiplier=2))
    discriminator = rosinality_filled(model.Discriminator(size, channel_multiplier=2))
    z = torch.from_numpy(np.random.RandomState(1).randn(2, 48)).float()
    average = numbers("latent_avg", (48,))
    pictures, _ = generator([z], randomize_noise=False, truncation=0.7, truncation_latent=average)
    return pictures, discriminator(numbers("pictures", (2, 3, size, size)) * 0.5)


def rosinality_filled(network: Any) -> Any:
    """A network of rosinality's with the numbers of its own names, scaled as :func:`filled` scales ours."""
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if not name.endswith("kernel"):
                tensor.copy_(rosinality_numbers(name, tuple(tensor.shape)))
    return network.eval().requires_grad_(False)


def rosinality_numbers(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The tensor f32 of a name in rosinality's layout."""
    drawn = numbers(name.replace("modulation.bias", "affine.bias").replace("noise.weight", "noise_strength"), shape)
    return drawn * 100 if name.startswith("style.") and name.endswith("weight") else drawn


def main() -> None:
    """Write the reference tensors."""
    arrays = {}
    for name, case in CASES.items():
        pictures, scores = ada_outputs(case)
        arrays[f"{name}.pictures"] = pictures[:, :, :: case.stride, :: case.stride].numpy()
        arrays[f"{name}.scores"] = scores.numpy()
        arrays[f"{name}.largest"] = pictures.abs().max().numpy()
    pictures, scores = rosinality_outputs(64)
    arrays |= {"rosinality.pictures": pictures[:, :, ::3, ::3].numpy(), "rosinality.scores": scores.numpy()}
    arrays["rosinality.largest"] = pictures.abs().max().numpy()
    np.savez_compressed(REFERENCES, **arrays)


if __name__ == "__main__":
    main()
