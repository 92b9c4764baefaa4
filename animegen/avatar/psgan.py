"""PSGAN: a progressive GAN that sees the pose at every scale (Hamada et al. 2018, arXiv 1809.01890).

Generator and discriminator are those of Karras et al. 2018 (arXiv 1710.10196, appendix A): equalised learning rate,
pixel normalisation, minibatch standard deviation, stages blended in. What PSGAN adds: the keypoints as heat maps,
brought down to each scale by a layer that learns nothing, and concatenated with the features there in both networks.
The latent z says who it is: in the paper the avatar's costume, here avatar and palette.

The paper names neither the 20 keypoints nor the heat maps' width, nor the pooling's window. Chosen here: ten pairs of
AVATAR35 (its only unpaired point is the nose, which eyes and ears stand in for), Gaussians of 0.012 of the picture's
side, and the maximum over each cell, so that a point stays as bright at 4 px as at 512. Channels, latent and batches,
which it does not give for every stage, are Karras's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from animegen.avatar.checkpoint import load_tensors, restore, save_tensors
from animegen.avatar.conditioning import PoseBatch
from animegen.errors import InvalidValue, WeightsError
from animegen.types import Skeleton

FORMAT = "animegen-psgan-1"

KEYPOINTS = tuple(
    f"{side}_{part}"
    for part in ("eye", "ear", "shoulder", "elbow", "wrist", "index", "hip", "knee", "ankle", "foot_index")
    for side in ("left", "right")
)
"""The 20 points of the heat maps."""

SMALLEST = 4
_SLOPE = 0.2
_GAIN = math.sqrt(2)
_EPSILON = 1e-8


@dataclass(frozen=True, slots=True)
class PsganConfig:
    """The shape of both networks. ``indices`` are the heat maps' points in the poses' skeleton.

    ``channels`` maps the side of a feature grid to its width; ``point_sigma`` is in canvas sides.
    """

    indices: tuple[int, ...]
    largest_stage: int
    latent: int = 512
    point_sigma: float = 0.012
    channels: Mapping[int, int] = field(
        default_factory=lambda: {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64, 512: 32, 1024: 16}
    )

    @classmethod
    def of(cls, skeleton: Skeleton, largest_stage: int) -> PsganConfig:
        """For poses of a skeleton. Raises InvalidValue naming a keypoint that it lacks."""
        missing = [name for name in KEYPOINTS if name not in skeleton.points]
        if missing:
            raise InvalidValue(f"skeleton '{skeleton.name}' has no point '{missing[0]}'")
        return cls(tuple(skeleton.index(name) for name in KEYPOINTS), largest_stage)

    @property
    def stages(self) -> tuple[int, ...]:
        """Sides of the pictures, from 4 up."""
        return tuple(2**i for i in range(2, self.largest_stage.bit_length()))

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> PsganConfig:
        """Read what :meth:`to_json` wrote; raises InvalidValue when it is something else."""
        try:
            values: dict[str, Any] = json.loads(text)
            channels = {int(side): int(width) for side, width in values.pop("channels").items()}
            return cls(indices=tuple(values.pop("indices")), channels=channels, **values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidValue(f"this is not a PSGAN's configuration: {error!r}") from error


def heat_maps(pose: PoseBatch, config: PsganConfig, side: int) -> Tensor:
    """The structural condition of one scale: f32 [B, 20, side, side], 0 for a point that is not known.

    Maximum pooling of a Gaussian picks its value where the cell is nearest to the point, so the pooled map is drawn
    directly: nothing has to be drawn large first.
    """
    xy, score = pose.xy[:, config.indices, :], pose.score[:, config.indices]
    low = torch.arange(side, device=xy.device, dtype=xy.dtype) / side
    away = torch.maximum(low - xy[..., None], xy[..., None] - low - 1 / side).clamp_min(0)
    columns, rows = torch.exp(-(away**2) / (2 * config.point_sigma**2)).unbind(dim=2)
    return (rows * score[..., None])[..., :, None] * columns[..., None, :]


class Equalised(nn.Module):
    """A convolution whose weights have unit variance and are scaled as they are used (Karras et al. 2018, 4.1)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, padding: int = 0, gain: float = _GAIN) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale, self.padding = gain / math.sqrt(inputs * kernel * kernel), padding

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] to [B, outputs, H', W']."""
        return functional.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)


def pixel_norm(x: Tensor) -> Tensor:
    """Each pixel's features brought to unit mean square (Karras et al. 2018, 4.2)."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + _EPSILON)


def minibatch_deviation(x: Tensor) -> Tensor:
    """``x`` [B, C, H, W] with one more map: the features' standard deviation over the batch, averaged to one number."""
    deviation = torch.sqrt(x.var(dim=0, unbiased=False) + _EPSILON).mean()
    return torch.cat([x, deviation.expand(len(x), 1, *x.shape[2:])], dim=1)


class PsganGenerator(nn.Module):
    """Draws RGB pictures on a plain background from a latent and a pose."""

    def __init__(self, config: PsganConfig) -> None:
        super().__init__()
        self.config = config
        maps, width = len(config.indices), config.channels
        self.start = Equalised(config.latent, width[SMALLEST] * SMALLEST**2, 1, gain=_GAIN / 4)
        self.first = nn.ModuleDict()
        self.second = nn.ModuleDict()
        self.rgb = nn.ModuleDict()
        for side in config.stages:
            if side > SMALLEST:
                self.first[str(side)] = Equalised(width[side // 2] + maps, width[side], 3, padding=1)
            inputs = width[side] + (maps if side == SMALLEST else 0)
            self.second[str(side)] = Equalised(inputs, width[side], 3, padding=1)
            self.rgb[str(side)] = Equalised(width[side], 3, 1, gain=1)

    def forward(self, z: Tensor, pose: PoseBatch, stage: int, fade: float = 1.0) -> Tensor:
        """``z`` f32 [B, latent], normal; returns f32 [B, 3, stage, stage], -1 black to 1 white, not clamped.

        ``fade`` below 1 blends with the stage below, as while it is grown.
        """
        x = self.start(pixel_norm(z)[:, :, None, None]).view(len(z), -1, SMALLEST, SMALLEST)
        x = torch.cat([_normal(x), heat_maps(pose, self.config, SMALLEST)], dim=1)
        x = _normal(self.second[str(SMALLEST)](x))
        below = x
        for side in self.config.stages[1 : self.config.stages.index(stage) + 1]:
            below = x
            x = functional.interpolate(x, scale_factor=2, mode="nearest")
            x = torch.cat([x, heat_maps(pose, self.config, side)], dim=1)
            x = _normal(self.second[str(side)](_normal(self.first[str(side)](x))))
        drawn: Tensor = self.rgb[str(stage)](x)
        if fade < 1 and stage > SMALLEST:
            old = functional.interpolate(self.rgb[str(stage // 2)](below), scale_factor=2, mode="nearest")
            drawn = torch.lerp(old, drawn, fade)
        return drawn


class PsganDiscriminator(nn.Module):
    """Scores pictures with their pose: the generator's mirror image."""

    def __init__(self, config: PsganConfig) -> None:
        super().__init__()
        self.config = config
        maps, width = len(config.indices), config.channels
        self.rgb = nn.ModuleDict()
        self.first = nn.ModuleDict()
        self.second = nn.ModuleDict()
        for side in config.stages:
            self.rgb[str(side)] = Equalised(3, width[side], 1)
            if side > SMALLEST:
                self.first[str(side)] = Equalised(width[side] + maps, width[side], 3, padding=1)
                self.second[str(side)] = Equalised(width[side], width[side // 2], 3, padding=1)
        self.last = Equalised(width[SMALLEST] + maps + 1, width[SMALLEST], 3, padding=1)
        self.whole = Equalised(width[SMALLEST], width[SMALLEST], SMALLEST)
        self.score = Equalised(width[SMALLEST], 1, 1, gain=1)

    def forward(self, picture: Tensor, pose: PoseBatch, fade: float = 1.0) -> Tensor:
        """``picture`` f32 [B, 3, s, s] in -1..1, of any stage; returns scores f32 [B], larger for what seems real."""
        stage = picture.shape[-1]
        x = _active(self.rgb[str(stage)](picture))
        for side in reversed(self.config.stages[1 : self.config.stages.index(stage) + 1]):
            x = torch.cat([x, heat_maps(pose, self.config, side)], dim=1)
            x = _active(self.second[str(side)](_active(self.first[str(side)](x))))
            x = functional.avg_pool2d(x, 2)
            if side == stage and fade < 1:
                old = _active(self.rgb[str(side // 2)](functional.avg_pool2d(picture, 2)))
                x = torch.lerp(old, x, fade)
        x = torch.cat([minibatch_deviation(x), heat_maps(pose, self.config, SMALLEST)], dim=1)
        scores: Tensor = self.score(_active(self.whole(_active(self.last(x)))))
        return scores.flatten()


def _active(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, _SLOPE)


def _normal(x: Tensor) -> Tensor:
    return pixel_norm(_active(x))


def save_psgan(path: Path, generator: PsganGenerator, notes: Mapping[str, str]) -> None:
    """Write a generator's weights in float32, whole or not at all; ``notes`` are further metadata."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in generator.state_dict().items()}
    metadata = {"format": FORMAT, "config": generator.config.to_json(), "keypoints": json.dumps(KEYPOINTS)}
    save_tensors(path, tensors, {**metadata, **notes})


def load_psgan(path: Path) -> PsganGenerator:
    """The generator of a weights file, in float32 on the CPU. Raises WeightsError naming the file and its fault."""
    tensors, metadata = load_tensors(path)
    if metadata.get("format") != FORMAT:
        raise WeightsError(
            f"{path} is no PSGAN: its format is {metadata.get('format')!r}, expected {FORMAT!r}",
            "`animegen train avatar --config psgan-2018` writes such a file",
        )
    try:
        generator = PsganGenerator(PsganConfig.from_json(metadata.get("config", "")))
    except InvalidValue as error:
        raise WeightsError(f"{path} is damaged: {error}", "fetch or make it again") from error
    restore(generator, tensors, path)
    return generator
