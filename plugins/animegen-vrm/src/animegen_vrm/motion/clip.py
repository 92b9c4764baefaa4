"""A motion: poses of a humanoid at a steady rate, in arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from animegen.errors import InvalidValue
from animegen.types import Float32Array
from animegen_vrm import quaternions
from animegen_vrm.rig import BodyPose


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """Poses that any humanoid can take, ``rate`` a second.

    ``rotations`` f32 [F, B, 4] of ``bones``, ``hips`` f32 [F, 3] and ``clearance`` f32 [F] mean what they mean in
    BodyPose. The first pose stands over the origin; the first second faces +Z on average. ``expressions``: VRM name ->
    weights f32 [F]; ``look`` f32 [F, 2]: gaze to the left and up, -1..1.
    """

    name: str
    rate: float
    bones: tuple[str, ...]
    rotations: Float32Array
    hips: Float32Array
    clearance: Float32Array
    expressions: Mapping[str, Float32Array] = field(default_factory=dict)
    look: Float32Array | None = None

    def __len__(self) -> int:
        return len(self.rotations)

    @property
    def duration(self) -> float:
        """Seconds from the first pose to the last."""
        return (len(self) - 1) / self.rate

    def __getitem__(self, frame: int) -> BodyPose:
        """The pose of one frame; raises InvalidValue beyond the end."""
        if not 0 <= frame < len(self):
            raise InvalidValue(f"motion '{self.name}' has {len(self)} poses, no pose {frame}")
        rotations = dict(zip(self.bones, self.rotations[frame], strict=True))
        return BodyPose(rotations, self.hips[frame], float(self.clearance[frame]))

    def at(self, seconds: float) -> BodyPose:
        """The pose at a time, between frames by interpolation; before the start and after the end the pose there."""
        position = min(max(seconds * self.rate, 0.0), len(self) - 1.0)
        first = int(position)
        share = position - first
        if share == 0.0:
            return self[first]
        pair = slice(first, first + 2)
        turned = quaternions.blend(self.rotations[first], self.rotations[first + 1], share).astype(np.float32)
        weights = np.array((1.0 - share, share), np.float32)
        return BodyPose(
            dict(zip(self.bones, turned, strict=True)), weights @ self.hips[pair], float(weights @ self.clearance[pair])
        )

    def expressions_at(self, frame: int) -> dict[str, float]:
        """Weights of the expressions that the motion sets in one frame."""
        return {name: float(weights[frame]) for name, weights in self.expressions.items()}
