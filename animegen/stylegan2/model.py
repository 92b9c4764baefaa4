"""A generator to draw with: NumPy in, NumPy out, and latents that know whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from animegen.errors import InvalidValue, UsageError
from animegen.jobs import artefact, load_arrays, reading, save_arrays
from animegen.stylegan2.checkpoint import load_checkpoint
from animegen.stylegan2.config import GeneratorConfig
from animegen.stylegan2.synthesis import Generator, NoiseMode
from animegen.types import Float32Array, Latent, Uint8Array
from animegen.weights import sha256_of

BASE = "base_sha256"
"""The note of a checkpoint that names the generator whose latents it understands besides its own."""

_NOISE = "noise."


@dataclass(frozen=True, slots=True, eq=False)
class Inverted:
    """A latent with the noise pictures f32 [r, r] that were found with it, by the names of their layers (or none)."""

    latent: Latent
    noise: Mapping[str, Float32Array]


class StyleGan2:
    """A generator on a device, with the SHA-256 of its file."""

    def __init__(self, generator: Generator, sha256: str, *, base_sha256: str = "", device: str = "cpu") -> None:
        self.generator = generator.to(device).eval().requires_grad_(requires_grad=False)
        self.generator.synthesis.prepare()
        self.sha256, self.base_sha256, self.device = sha256, base_sha256, torch.device(device)

    @classmethod
    def load(cls, path: Path, device: str = "cpu", *, threads: int | None = None) -> StyleGan2:
        """The generator of a safetensors file; ``threads`` sets torch's for the process. Raises WeightsError."""
        if threads is not None:
            torch.set_num_threads(threads)
        checkpoint = load_checkpoint(path)
        base = checkpoint.notes.get(BASE, "")
        return cls(checkpoint.generator, sha256_of(path), base_sha256=base, device=device)

    @property
    def config(self) -> GeneratorConfig:
        """What shapes the generator."""
        return self.generator.config

    def understands(self, sha256: str) -> bool:
        """Whether latents of the generator with this SHA-256 have their meaning here."""
        return sha256 == self.sha256 or (sha256 == self.base_sha256 and sha256 != "")

    def z(self, seed: int) -> Latent:
        """The latent z f32 [z_dim] of a seed: ``RandomState(seed).randn(1, z_dim)``, as the official tool draws it."""
        values = np.random.RandomState(seed).randn(1, self.config.z_dim)[0].astype(np.float32)
        return Latent("z", values, self.sha256)

    def mapped(
        self, latents: Sequence[Latent], *, psi: float = 1.0, cutoff: int | None = None, label: int | None = None
    ) -> list[Latent]:
        """Latents w+ of latents of any space; those in z pass through the mapping network with truncation.

        ``label`` is the class of a conditional network. Raises InvalidValue for a latent of another generator or
        shape, and UsageError where the class is missing or there is none.
        """
        return [Latent("w+", values, self.sha256) for values in self.ws(latents, psi=psi, cutoff=cutoff, label=label)]

    def ws(
        self, latents: Sequence[Latent], *, psi: float = 1.0, cutoff: int | None = None, label: int | None = None
    ) -> Float32Array:
        """As :meth:`mapped`, as one array f32 [N, num_ws, w_dim]."""
        labels = self.labels(label) if any(latent.space == "z" for latent in latents) else None
        out = [self._spread(latent, labels, psi, cutoff) for latent in latents]
        empty = torch.empty(0, self.config.num_ws, self.config.w_dim)
        return _array(torch.cat(out) if out else empty)

    def mixed(self, ws: Float32Array, styles: Float32Array, layers: Sequence[int]) -> Float32Array:
        """Style mixing: latents ``ws`` with those of ``styles``, both f32 [N, num_ws, w_dim], in some layers.

        Source: Karras et al. 2019, arXiv 1812.04948, section 3.1. Raises InvalidValue for a layer that does not exist.
        """
        if not all(0 <= layer < ws.shape[1] for layer in layers):
            raise InvalidValue(f"layers are 0 to {ws.shape[1] - 1}, got {list(layers)}")
        out = ws.copy()
        out[:, list(layers)] = styles[:, list(layers)]
        return out

    def draw(
        self, ws: Float32Array, noise: NoiseMode | Mapping[str, Float32Array] = "const", seed: int = 0
    ) -> Float32Array:
        """Pictures f32 [N, channels, r, r], -1..1 nearly, of ``ws`` f32 [N, num_ws, w_dim], drawn one by one.

        ``noise``: the stored pictures, random ones drawn by ``seed``, none, or pictures f32 [r, r] by their layers.
        """
        pictures = [self._draw_one(torch.from_numpy(one[None]), noise, seed + place) for place, one in enumerate(ws)]
        side = self.config.resolution
        return _array(torch.cat(pictures) if pictures else torch.empty(0, self.config.channels, side, side))

    @torch.inference_mode()
    def _draw_one(self, ws: Tensor, noise: NoiseMode | Mapping[str, Float32Array], seed: int) -> Tensor:
        given = self.random_noise(seed) if noise == "random" else noise
        pictures = (
            given
            if isinstance(given, str)
            else {name: torch.from_numpy(value)[None, None].to(self.device) for name, value in given.items()}
        )
        picture: Tensor = self.generator.synthesis(ws.to(self.device), pictures)
        return picture.cpu()

    def random_noise(self, seed: int) -> dict[str, Float32Array]:
        """White noise pictures f32 [r, r] by their layers, of a seed."""
        draw = np.random.RandomState(seed)
        layers = self.generator.synthesis.layers()
        return {name: draw.randn(layer.side, layer.side).astype(np.float32) for name, layer in layers.items()}

    @torch.inference_mode()
    def _spread(self, latent: Latent, labels: Tensor | None, psi: float, cutoff: int | None) -> Tensor:
        config = self.config
        shapes = {"z": (config.z_dim,), "w": (config.w_dim,), "w+": (config.num_ws, config.w_dim)}
        if not self.understands(latent.generator_sha256):
            raise InvalidValue(
                f"the latent belongs to the generator {latent.generator_sha256[:12]}, this one is {self.sha256[:12]}",
                "give the checkpoint it was made with, or one that was made from it",
            )
        if latent.values.shape != shapes[latent.space]:
            raise InvalidValue(f"a latent {latent.space} must be {shapes[latent.space]}, got {latent.values.shape}")
        values = torch.from_numpy(latent.values)[None].to(self.device)
        if latent.space == "z":
            return self.generator.latents(values, labels, psi=psi, cutoff=cutoff).cpu()
        return (values if latent.space == "w+" else values[:, None].repeat(1, config.num_ws, 1)).cpu()

    def labels(self, label: int | None) -> Tensor | None:
        """A class as a one-hot label f32 [1, c_dim], None for a generator without classes. Raises UsageError."""
        classes = self.config.c_dim
        if not classes:
            if label is not None:
                raise UsageError("the generator has no classes", "leave out --class")
            return None
        if label is None or not 0 <= label < classes:
            raise UsageError(
                f"the generator has the classes 0 to {classes - 1}, got {label}", "choose one with --class"
            )
        return torch.nn.functional.one_hot(torch.tensor([label]), classes).float().to(self.device)


def to_image(picture: Float32Array) -> Uint8Array:
    """A picture f32 [C, H, W] of -1..1 as uint8 [H, W, C], rounded as the official tool does."""
    scaled = np.clip(picture.transpose(1, 2, 0) * np.float32(127.5) + np.float32(128), 0, 255)
    return np.ascontiguousarray(scaled.astype(np.uint8))


def to_picture(image: Uint8Array) -> Float32Array:
    """An image uint8 [H, W, C] as f32 [C, H, W] of -1..1."""
    return np.ascontiguousarray((image.astype(np.float32) / np.float32(127.5) - np.float32(1)).transpose(2, 0, 1))


def save_latent(path: Path, found: Inverted) -> None:
    """Write a latent and its noise pictures as one ``.npz``, whole or not at all."""
    arrays: dict[str, NDArray[Any]] = {
        "space": np.array(found.latent.space),
        "values": found.latent.values,
        "generator_sha256": np.array(found.latent.generator_sha256),
        **{f"{_NOISE}{name}": value for name, value in found.noise.items()},
    }
    with artefact(path) as part:
        save_arrays(part, arrays)


def load_latent(path: Path) -> Inverted:
    """Read what :func:`save_latent` wrote. Raises InputError naming the file and what is wrong with it."""
    with reading(path, "`animegen stylegan2 project` writes latents"):
        arrays = load_arrays(path)
        space: Literal["z", "w", "w+"] = str(arrays["space"])  # type: ignore[assignment]
        if space not in {"z", "w", "w+"}:
            raise ValueError(f"its space is {space!r}")
        latent = Latent(space, arrays["values"].astype(np.float32), str(arrays["generator_sha256"]))
    noise = {name.removeprefix(_NOISE): arrays[name] for name in arrays if name.startswith(_NOISE)}
    return Inverted(latent, noise)


def _array(tensor: Tensor) -> Float32Array:
    array: Float32Array = tensor.detach().cpu().numpy()
    return array
