"""Keypoint fidelity: does a pose backend find the points in a drawn avatar that the drawing was asked to have?

Backends are trained on photographs, and an anime figure is hard for them even when it is drawn perfectly. So every
error of the output stands beside the error of the same backend on the truth's own render. BlazePose is asked a second
time with the figure's true region in place of its detector's, which takes the detector out of the comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from animegen.config import ConvertConfig
from animegen.events import Listener
from animegen.measure.pictures import figure, over_grey
from animegen.pipeline.avatar_pairs import Pair
from animegen.pipeline.stages import Stages, resolve
from animegen.pose.blazepose.landmarks import LandmarkModel
from animegen.pose.blazepose.regions import Region
from animegen.protocols import PoseBackend
from animegen.types import Float32Array, Frame, Skeleton, Uint8Array

PRESENT = 0.5
"""BlazePose finds a person in a region from this presence on."""

_BLAZEPOSE, _LANDMARKS = "blazepose", "blazepose-landmark-full"

Looker: TypeAlias = Callable[[Uint8Array, Pair], Float32Array | None]
"""The points f32 [K, 2] that a backend finds in a picture of a pair, or None where it finds nobody."""


@dataclass(slots=True)
class Fidelity:
    """The errors met so far by one way of looking, in units of the figure's height; NaN where nobody was found."""

    look: Looker
    shared: list[tuple[int, int]]
    truth: list[float] = field(default_factory=list)
    output: list[float] = field(default_factory=list)
    apart: list[float] = field(default_factory=list)

    def add(self, pair: Pair) -> None:
        """Look at both pictures of a pair. Pairs with no visible shared point or no figure count for nothing."""
        found_at, asked_at = (np.array(ends) for ends in zip(*self.shared, strict=True))
        seen = pair.visible[asked_at]
        height = _height(pair.truth)
        if not height or not seen.any():
            return
        asked = pair.xy[asked_at][seen]
        found = [self.look(over_grey(picture), pair) for picture in (pair.truth, pair.output)]
        truth, output = (None if points is None else points[found_at][seen] for points in found)
        self.truth.append(_error(truth, asked) / height)
        self.output.append(_error(output, asked) / height)
        self.apart.append(_error(truth, output) / height)

    def summary(self) -> dict[str, Any]:
        """Errors over the pictures in which somebody was found in both, the ratio of their means, detection rates."""
        truth, output, apart = (np.array(errors, np.float64) for errors in (self.truth, self.output, self.apart))
        both = np.isfinite(truth) & np.isfinite(output)
        counts: dict[str, Any] = {
            "pictures": len(truth),
            "compared": int(both.sum()),
            "truth_detected": float(np.isfinite(truth).mean()) if len(truth) else None,
            "output_detected": float(np.isfinite(output).mean()) if len(truth) else None,
        }
        if not both.any():
            return {**counts, "truth_error": None, "output_error": None, "ratio": None}
        return {
            **counts,
            "truth_error": float(truth[both].mean()),
            "output_error": float(output[both].mean()),
            "ratio": float(output[both].mean() / max(truth[both].mean(), 1e-9)),
            "truth_median": float(np.median(truth[both])),
            "output_median": float(np.median(output[both])),
            "ratio_of_medians": float(np.median(output[both]) / max(np.median(truth[both]), 1e-9)),
            "between": float(apart[both].mean()),
        }


def fidelities(backend: str, asked: Skeleton, on_event: Listener) -> dict[str, Fidelity]:
    """The ways of looking that a pose backend offers, by name.

    ``found`` searches the picture as a first frame; ``given region``, with BlazePose only, looks once where the figure
    is. Raises PluginError or WeightsError when the backend cannot be had.
    """
    stages = resolve(ConvertConfig(pose=backend, device="cpu"), on_event, kinds=("pose",))
    estimator = stages.body_backend()
    shared = [(estimator.skeleton.points.index(name), k) for k, name in enumerate(asked.points)
              if name in estimator.skeleton.points]  # fmt: skip
    ways = {"found": Fidelity(_finder(estimator), shared)}
    if stages.specs["pose"].name == _BLAZEPOSE:
        ways["given region"] = Fidelity(_region_looker(stages, asked), shared)
    return ways


def _finder(backend: PoseBackend) -> Looker:
    def look(picture: Uint8Array, pair: Pair) -> Float32Array | None:  # noqa: ARG001
        poses = next(iter(backend.estimate([Frame(0, Fraction(0), picture)])))
        return max(poses, key=lambda pose: pose.confidence).xy if poses else None

    return look


def _region_looker(stages: Stages, asked: Skeleton) -> Looker:
    model = LandmarkModel(stages.context.weights[_LANDMARKS], stages.context.threads)
    hips, shoulders = ([asked.index(f"{side}_{joint}") for side in ("left", "right")] for joint in ("hip", "shoulder"))

    def look(picture: Uint8Array, pair: Pair) -> Float32Array | None:
        middle, above = pair.xy[hips].mean(axis=0), pair.xy[shoulders].mean(axis=0)
        upward = (above - middle) / max(float(np.linalg.norm(above - middle)), 1e-6)
        radius = np.linalg.norm(pair.xy - middle, axis=1).max()
        seen = model.look(picture, Region.from_alignment(middle, middle + radius * upward))
        return seen.xy if seen.presence >= PRESENT else None

    return look


def _height(truth: Uint8Array) -> float:
    """The longer side of the box around a figure in pixels; 0 where there is none."""
    rows, columns = np.nonzero(figure(truth))
    return float(max(np.ptp(rows), np.ptp(columns)) + 1) if rows.size else 0.0


def _error(found: NDArray[np.float32] | None, asked: NDArray[np.float32] | None) -> float:
    """Mean distance in pixels; NaN where nobody was found."""
    if found is None or asked is None:
        return float("nan")
    return float(np.linalg.norm(found - asked, axis=1).mean())
