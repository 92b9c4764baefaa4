"""Directions along which latents change a picture: found in the weights (SeFa) or in samples of w (GANSpace)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from animegen.errors import InvalidValue, UsageError
from animegen.jobs import artefact, load_arrays, reading, save_arrays
from animegen.stylegan2.inversion import w_samples
from animegen.stylegan2.model import StyleGan2
from animegen.types import Float32Array


@dataclass(frozen=True, slots=True, eq=False)
class Directions:
    """``vectors`` f32 [N, w_dim] of unit length, the strongest first; ``scales`` f32 [N]: how far w spreads along them.

    A strength of 1 moves a latent by one standard deviation in the ``layers``. They belong to one generator.
    """

    vectors: Float32Array
    scales: Float32Array
    layers: tuple[int, ...]
    generator_sha256: str

    def moved(self, ws: Float32Array, number: int, strengths: Float32Array | Sequence[float]) -> Float32Array:
        """Latents f32 [T, num_ws, w_dim] moved along one direction, each by its own of T strengths.

        Raises InvalidValue for a direction that does not exist, and for as many strengths as do not fit.
        """
        if not 0 <= number < len(self.vectors):
            raise InvalidValue(f"directions are 0 to {len(self.vectors) - 1}, got {number}")
        amounts = np.asarray(strengths, np.float32)
        if amounts.shape != ws.shape[:1]:
            raise InvalidValue(f"there are {len(ws)} latents and strengths of the shape {amounts.shape}")
        out = ws.copy()
        out[:, list(self.layers)] += (amounts[:, None] * self.scales[number] * self.vectors[number])[:, None]
        return out


def sefa(model: StyleGan2, count: int, layers: Sequence[int] | None = None, *, label: int | None = None) -> Directions:
    """The directions that change the modulations of some layers (all of them without) the most.

    They are the eigenvectors of A^T A with the largest eigenvalues, A the weights of those layers' modulations on each
    other. Source: Shen and Zhou 2021, arXiv 2007.06600, equations 4 to 7. Raises InvalidValue for a layer that does
    not exist, and UsageError for more directions than there are.
    """
    chosen = _layers(model, layers)
    names = list(model.generator.synthesis.layers().values())
    affine = [names[place].affine for place in chosen if place < len(names)]
    if not affine:
        raise UsageError("the last layer makes colours only", "choose layers before it")
    weights = torch.cat([layer.weight.detach().double().cpu() for layer in affine])
    _, vectors = torch.linalg.eigh(weights.T @ weights)
    return _directions(model, vectors.T.flip(0).numpy(), count, chosen, label)


def ganspace(
    model: StyleGan2, count: int, layers: Sequence[int] | None = None, *, label: int | None = None
) -> Directions:
    """The principal components of w over 10,000 fixed samples, to be applied in some layers (all of them without).

    Source: Harkonen et al. 2020, arXiv 2004.02546, section 3. Raises InvalidValue for a layer that does not exist, and
    UsageError for more directions than there are.
    """
    samples = w_samples(model, label).double().cpu()
    _, _, vectors = torch.linalg.svd(samples - samples.mean(dim=0), full_matrices=False)
    return _directions(model, vectors.numpy(), count, _layers(model, layers), label)


def _directions(
    model: StyleGan2, vectors: NDArray[np.float64], count: int, layers: tuple[int, ...], label: int | None
) -> Directions:
    if not 1 <= count <= len(vectors):
        raise UsageError(f"the generator has 1 to {len(vectors)} directions, got {count}", "choose fewer with --count")
    kept = vectors[:count]
    largest = np.take_along_axis(kept, np.abs(kept).argmax(axis=1, keepdims=True), axis=1)
    kept = kept * np.sign(largest)  # a direction and its opposite are one: the larger part points up
    scales = (w_samples(model, label).double().cpu().numpy() @ kept.T).std(axis=0)
    return Directions(kept.astype(np.float32), scales.astype(np.float32), layers, model.sha256)


def _layers(model: StyleGan2, layers: Sequence[int] | None) -> tuple[int, ...]:
    count = model.config.num_ws
    chosen = tuple(range(count)) if layers is None else tuple(layers)
    if not all(0 <= layer < count for layer in chosen):
        raise InvalidValue(f"layers are 0 to {count - 1}, got {list(chosen)}")
    return chosen


def save_directions(path: Path, directions: Directions) -> None:
    """Write directions as one ``.npz``, whole or not at all."""
    arrays: dict[str, NDArray[Any]] = {
        "vectors": directions.vectors,
        "scales": directions.scales,
        "layers": np.array(directions.layers, np.int64),
        "generator_sha256": np.array(directions.generator_sha256),
    }
    with artefact(path) as part:
        save_arrays(part, arrays)


def load_directions(path: Path, model: StyleGan2) -> Directions:
    """Read what :func:`save_directions` wrote for this generator, or the one it was made from.

    Raises InputError for a damaged file, and InvalidValue for directions of another generator.
    """
    with reading(path, "`animegen stylegan2 directions` writes such files"):
        arrays = load_arrays(path)
        layers = tuple(int(layer) for layer in arrays["layers"])
        sha256 = str(arrays["generator_sha256"])
        found = Directions(arrays["vectors"], arrays["scales"], layers, sha256)
    if not model.understands(sha256):
        raise InvalidValue(
            f"the directions belong to the generator {sha256[:12]}, this one is {model.sha256[:12]}",
            "find its own with `animegen stylegan2 directions`",
        )
    return found
