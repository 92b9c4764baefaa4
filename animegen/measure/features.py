"""How alike two sets of pictures are, by the features of a network: FID and KID, and the network by name.

No feature network comes with this library. Any TFLite model serves, but figures of two models cannot be compared, so
every report names the model's file and its SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from animegen.errors import InvalidValue, WeightsError
from animegen.types import Float64Array, Uint8Array

_ROWS = 512
"""Pictures whose distances to all others are held at a time."""


def frechet_distance(a: Float64Array, b: Float64Array) -> float:
    """Fréchet inception distance of two sets of features, f64 [N, D] and [M, D]; 0 for equal sets.

    ``|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))`` (Heusel et al. 2017, arXiv 1706.08500, equation 6). It is
    biased: few pictures give a larger value. Raises InvalidValue with fewer than two pictures in a set.
    """
    _check(a, b)
    difference = a.mean(axis=0) - b.mean(axis=0)
    first, second = (_root(features) for features in (a, b))
    # tr (C_a C_b)^(1/2) is the sum of the singular values of R_a R_b^T where C = R^T R, whatever N and D are
    shared = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    distance = (difference**2).sum() + (first**2).sum() + (second**2).sum() - 2 * shared
    return max(float(distance), 0.0)


def _root(features: Float64Array) -> Float64Array:
    """A matrix R of at most min(N, D) rows with R^T R the covariance of the features."""
    centred = features - features.mean(axis=0)
    root: Float64Array = np.linalg.qr(centred, mode="r") / np.sqrt(len(features) - 1)
    return root


def kernel_distance(a: Float64Array, b: Float64Array) -> float:
    """Kernel inception distance of two sets of features, f64 [N, D] and [M, D]; may be slightly negative.

    The unbiased estimate of the squared maximum mean discrepancy with the kernel ``(x . y / D + 1)^3`` over all
    pictures at once (Bińkowski et al. 2018, arXiv 1801.01401, section 3.1). Raises InvalidValue with fewer than two
    pictures in a set.
    """
    _check(a, b)
    within = sum((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (_kernel(a, a), _kernel(b, b)))
    return float(within - 2 * _kernel(a, b).mean())


def _kernel(a: Float64Array, b: Float64Array) -> Float64Array:
    kernel: Float64Array = (a @ b.T / a.shape[1] + 1) ** 3
    return kernel


def precision_recall(real: Float64Array, generated: Float64Array, neighbours: int = 3) -> tuple[float, float]:
    """How many generated pictures are like real ones, and how many real ones are like generated: shares, 0..1.

    A picture is like a set where its features f64 [D] are nearer to those of one of the set than that one's k-th
    neighbour in the set is, k being ``neighbours``. Source: Kynkäänniemi et al. 2019, arXiv 1904.06991, section 2.
    Raises InvalidValue with k pictures or fewer in a set.
    """
    _check(real, generated)
    if min(len(real), len(generated)) <= neighbours:
        raise InvalidValue(f"{neighbours} neighbours need more pictures than {min(len(real), len(generated))} in a set")
    return _covered(generated, real, neighbours), _covered(real, generated, neighbours)


def _covered(pictures: Float64Array, known: Float64Array, neighbours: int) -> float:
    """The share of the pictures that lie in the neighbourhood of one of the known."""
    reach = np.concatenate([np.partition(_distances(row, known), neighbours)[:, neighbours] for row in _parts(known)])
    return float(np.mean(np.concatenate([(_distances(row, known) <= reach).any(axis=1) for row in _parts(pictures)])))


def _parts(features: Float64Array) -> list[Float64Array]:
    return np.array_split(features, -(-len(features) // _ROWS))


def _distances(a: Float64Array, b: Float64Array) -> Float64Array:
    """Squared distances f64 [N, M] of features; a picture's own is 0 but for rounding."""
    squares: Float64Array = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return squares


def _check(a: Float64Array, b: Float64Array) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise InvalidValue(f"features must be [N, D] and [M, D], got {a.shape} and {b.shape}")
    if min(len(a), len(b)) < 2:
        raise InvalidValue(f"two pictures at least are needed in each set, got {len(a)} and {len(b)}")


class FeatureExtractor:
    """A TFLite model as a source of features: its first output, averaged over the picture where it is a map.

    Pictures are scaled to the model's input (area averaging when smaller) and to -1..1 for float inputs, or given as
    bytes. Raises WeightsError when the file is missing, is no TFLite model or takes no colour picture.
    """

    def __init__(self, path: Path, threads: int = 2) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        hint = "name a TFLite model that takes one colour picture, such as an Inception or MobileNet"
        if not path.is_file():
            raise WeightsError(f"the feature model {path} is missing", hint)
        content = path.read_bytes()
        self.name = path.name
        self.sha256 = hashlib.sha256(content).hexdigest()
        # without its default delegate, which announces itself on the terminal
        kind = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            self._model: Any = Interpreter(
                model_content=content, num_threads=threads, experimental_op_resolver_type=kind
            )
            self._model.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise WeightsError(f"{path} is not a readable TFLite model: {error}", hint) from error
        given = self._model.get_input_details()
        shape = tuple(map(int, given[0]["shape"]))
        if len(given) != 1 or len(shape) != 4 or shape[0] != 1 or shape[3] != 3:
            raise WeightsError(f"{path} takes no single colour picture: its input is {shape}", hint)
        if given[0]["dtype"] not in (np.float32, np.uint8):
            raise WeightsError(f"{path} takes {given[0]['dtype'].__name__}, not float32 or uint8", hint)
        self._input, self._output = given[0], self._model.get_output_details()[0]
        self.output: str = self._output["name"]

    def __str__(self) -> str:
        return f"{self.name} (SHA-256 {self.sha256}, output '{self.output}')"

    def __call__(self, pictures: Iterable[Uint8Array]) -> Float64Array:
        """Features f64 [N, D] of uint8 [H, W, 3] RGB pictures."""
        return np.stack([self._features(picture) for picture in pictures])

    def _features(self, picture: Uint8Array) -> Float64Array:
        _, height, width, _ = self._input["shape"]
        smaller = height * width < picture.shape[0] * picture.shape[1]
        scaled = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
        if self._input["dtype"] == np.float32:
            scaled = scaled.astype(np.float32) / 127.5 - 1
        self._model.set_tensor(self._input["index"], scaled[None])
        self._model.invoke()
        raw = np.asarray(self._model.get_tensor(self._output["index"])[0], np.float64)
        scale, zero = self._output["quantization"]
        values = (raw - zero) * scale if scale else raw
        features: Float64Array = values.mean(axis=(0, 1)) if values.ndim == 3 else values.ravel()
        return features
