"""Networks by whose features sets of pictures are compared, of the files that users name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from animegen.measure.features import FeatureExtractor, frechet_distance, kernel_distance
from animegen.stylegan2.inception import Inception
from animegen.types import Float64Array, Uint8Array


class Extractor(Protocol):
    """A network by name, and its features f64 [N, D] of uint8 [H, W, 3] RGB pictures."""

    name: str
    sha256: str
    output: str

    def __call__(self, pictures: Iterable[Uint8Array]) -> Float64Array:
        """The features of pictures."""
        ...


def feature_extractor(path: Path, device: str = "cpu") -> Extractor:
    """FID's Inception (``.pth``, ``.safetensors``), or any model of pictures (``.tflite``).

    Raises WeightsError for a file that is missing, damaged or something else.
    """
    return FeatureExtractor(path) if path.suffix == ".tflite" else Inception(path, device)


def feature_distances(extractor: Extractor, real: Float64Array, generated: Float64Array) -> dict[str, Any]:
    """FID and KID of two sets of features f64 [N, D] and [M, D], by whose they are, as plain JSON values."""
    return {
        "model": extractor.name,
        "sha256": extractor.sha256,
        "output": extractor.output,
        "dimensions": real.shape[1],
        "fid": frechet_distance(real, generated),
        "kid": kernel_distance(real, generated),
    }
