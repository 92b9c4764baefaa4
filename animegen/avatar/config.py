"""What an avatar generator is made of: everything that shapes its weights, as plain data that travels with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

from animegen.errors import InvalidValue
from animegen.types import Skeleton

EXPRESSION = ("blink_l", "blink_r", "aa", "ih", "ou", "ee", "oh", "brow", "gaze_x", "gaze_y")
"""The expression vector: the fields of :class:`animegen.types.Expression` without its confidence."""

FACE = ("left_eye", "right_eye", "mouth_left", "mouth_right", "nose")
"""The points that say where a face is and how it is turned."""

SMALLEST_STAGE = 8

_SMALLEST_WITH_FACES = 32
"""On coarser grids a whole face is a few cells."""

CHANNELS: Mapping[int, int] = MappingProxyType({4: 256, 8: 256, 16: 256, 32: 192, 64: 96, 128: 48, 256: 24})
"""The usual widths of the grids by side."""

PATCH: Mapping[int, int] = MappingProxyType({8: 96, 16: 96, 32: 64, 64: 32})
"""The usual widths of a face's patch by side."""


@dataclass(frozen=True, slots=True)
class AvatarConfig:
    """The shape of one generator.

    ``channels`` maps the side of a feature grid (4, 8, 16, ...) to its width. A picture of side s is drawn from the
    grid of side s / 2 by sub-pixel convolution (Shi et al. 2016, arXiv 1609.05158), so the widest grid gives the
    largest stage. ``latent`` is the length of an avatar's latent, ``width`` that of the modulating vector w.
    ``limb_sigma`` and ``point_sigma`` are the widths of the conditioning maps' Gaussians, in canvas sides;
    ``map_size`` is the side at which limb maps are drawn before they are resampled to the other grids. ``patch`` maps
    the sides of a face's own patch to their widths (:mod:`animegen.avatar.face_patch`); without one, faces are drawn as
    everything else is. ``sharp``: a discriminator saw to it that edges are drawn where one may run, and not the mean of
    all such places.
    """

    skeleton: Skeleton
    avatars: int
    channels: Mapping[int, int] = field(default_factory=lambda: dict(CHANNELS))
    largest_stage: int = 256
    latent: int = 32
    width: int = 128
    limb_sigma: float = 0.022
    point_sigma: float = 0.012
    map_size: int = 64
    patch: Mapping[int, int] = field(default_factory=lambda: dict(PATCH))
    sharp: bool = False

    def __post_init__(self) -> None:
        if self.largest_stage < SMALLEST_STAGE or self.largest_stage & (self.largest_stage - 1):
            raise InvalidValue(
                f"the largest stage must be a power of two from {SMALLEST_STAGE}, got {self.largest_stage}"
            )
        missing = [side for side in self.grids if side not in self.channels]
        if missing:
            raise InvalidValue(f"no channels for the grid of side {missing[0]}; given: {sorted(self.channels)}")
        if self.avatars < 1:
            raise InvalidValue(f"a generator needs at least one avatar, got {self.avatars}")

    @property
    def grids(self) -> tuple[int, ...]:
        """Sides of the feature grids, from 4 up."""
        return tuple(stage // 2 for stage in self.stages)

    @property
    def faces(self) -> tuple[int, ...]:
        """Sides of the grids that a face's patch is laid into."""
        usable = self.patch and set(FACE) <= set(self.skeleton.points)
        return tuple(side for side in self.grids if usable and side >= _SMALLEST_WITH_FACES)

    @property
    def stages(self) -> tuple[int, ...]:
        """Sides of the pictures it draws, from 8 up, in pixels."""
        return tuple(2**i for i in range(3, self.largest_stage.bit_length()))

    def limb_side(self, stage: int) -> int:
        """The side at which limb maps are drawn for pictures up to a stage."""
        return max(min(self.map_size, stage // 2), 16)

    def grids_to(self, stage: int) -> tuple[int, ...]:
        """Sides of the grids that a picture of a stage goes through."""
        return tuple(side for side in self.grids if 2 * side <= stage)

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> AvatarConfig:
        """Read what :meth:`to_json` wrote; raises InvalidValue when it is something else."""
        try:
            values: dict[str, Any] = json.loads(text)
            bones = values.pop("skeleton")
            skeleton = Skeleton(
                bones["name"],
                tuple(bones["points"]),
                tuple((a, b) for a, b in bones["edges"]),
                tuple((a, b) for a, b in bones["flip_pairs"]),
            )
            channels = {int(side): int(width) for side, width in values.pop("channels").items()}
            patch = {int(side): int(width) for side, width in values.pop("patch", {}).items()}
            return cls(skeleton=skeleton, channels=channels, patch=patch, **values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidValue(f"this is not an avatar generator's configuration: {error!r}") from error
