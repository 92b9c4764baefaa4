"""What a dataset shows beside what a generator draws for the same pose, avatar, expression and palette."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animegen.avatar.data import Dataset, Sample
from animegen.avatar.drawing import Draws
from animegen.avatar.layers import colour_layers, part_masks
from animegen.errors import UsageError
from animegen.measure.pictures import scaled
from animegen.types import Float32Array, Uint8Array

BATCH = 16
"""Sprites drawn at once."""

_UNKNOWN_COLOUR = (0.5, 0.5, 0.5)
"""Of a part that an avatar lacks: nothing is drawn in it."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A sample of the dataset and the generator's output for it, uint8 [S, S, 4] RGBA premultiplied.

    ``parts`` uint8 [S, S] are the truth's (see ``part_masks``); ``xy`` f32 [K, 2] and ``visible`` bool [K] are the
    points asked for, in pixels of these pictures; ``avatar`` indexes the dataset's list.
    """

    index: int
    avatar: int
    truth: Uint8Array
    output: Uint8Array
    parts: Uint8Array
    xy: Float32Array
    visible: NDArray[np.bool_]


class Pairs:
    """Pairs of one dataset and one generator at one size.

    The generator draws at its smallest stage that has the size, else at its largest, and its layers are scaled to it.
    Raises UsageError where the dataset is empty, its pictures are smaller than the size, or the generator knows none of
    its avatars.
    """

    def __init__(self, data: Dataset, generator: Draws, size: int) -> None:
        if not len(data):
            raise UsageError(
                f"the {data.split} split of {data.folder} is empty", "name another --split, or make a larger dataset"
            )
        if size > data.header.size:
            raise UsageError(
                f"the pictures of {data.folder} are {data.header.size} px wide, fewer than {size}",
                f"measure at --size {data.header.size}, or make a larger dataset",
            )
        self.data, self.generator, self.size = data, generator, size
        self.stage = next((stage for stage in generator.stages if stage >= size), max(generator.stages))
        self.names = tuple(entry.name for entry in data.header.avatars)
        self._place = {str(known["name"]): place for place, known in enumerate(generator.avatars)}
        known = np.array([name in self._place for name in self.names], bool)
        self.indices: NDArray[np.int64] = np.flatnonzero(known[data.records["avatar"]])
        """Positions in the dataset of the samples whose avatars the generator knows."""
        if not self.indices.size:
            raise UsageError(
                f"{data.folder} shows {', '.join(self.names)}; the generator draws {', '.join(self._place)}",
                "name a dataset of the avatars it was trained on",
            )

    def chosen(self, count: int, seed: int) -> list[int]:
        """At most ``count`` samples, as many of each avatar as can be, drawn by the seed; in the dataset's order."""
        shuffled = np.random.default_rng(seed).permutation(self.indices)
        avatars = self.data.records["avatar"][shuffled]
        turn = np.zeros(len(shuffled), np.int64)
        for avatar in np.unique(avatars):
            turn[avatars == avatar] = np.arange(np.count_nonzero(avatars == avatar))
        return sorted(shuffled[np.argsort(turn, kind="stable")][:count].tolist())

    def draw(self, samples: Sequence[Sample], xy: Float32Array | None = None) -> Uint8Array:
        """What the generator draws for samples: uint8 [N, size, size, 10]; ``xy`` f32 [N, K, 2] in canvas units
        takes the place of their own points. Those outside of the picture are unknown.
        """
        side = np.float32(self.data.header.size)
        layers = self.generator.draw(
            np.stack([canvas_points(sample, self.data.header.size) for sample in samples]) if xy is None else xy,
            np.stack([sample.z for sample in samples]) / side,
            np.stack([sample.visible for sample in samples]),
            expression=np.stack([sample.expression for sample in samples]),
            avatar=np.array([self._place[self.names[sample.avatar]] for sample in samples]),
            stage=self.stage,
        )
        return np.stack([scaled(picture, self.size) for picture in layers])

    def drawn(self, indices: Sequence[int], palettes: Sequence[Float32Array]) -> Iterator[Pair]:
        """The pairs at positions of the dataset, each coloured by its palette f32 [6, 3]."""
        for start in range(0, len(indices), BATCH):
            batch = indices[start : start + BATCH]
            samples = [self.data[index] for index in batch]
            outputs = self.draw(samples)
            for index, sample, output, palette in zip(
                batch, samples, outputs, palettes[start : start + BATCH], strict=True
            ):
                truth = scaled(sample.layers, self.size)
                yield Pair(
                    index,
                    sample.avatar,
                    colour_layers(truth, palette),
                    colour_layers(output, palette),
                    part_masks(truth),
                    canvas_points(sample, self.data.header.size) * self.size - np.float32(0.5),
                    sample.visible > 0,
                )

    def random_palette(self, index: int, seed: int) -> Float32Array:
        """Six sRGB colours drawn evenly from the cube for one sample: f32 [6, 3]."""
        return np.random.default_rng((seed, index)).random((6, 3), np.float32)

    def own_palette(self, index: int) -> Float32Array:
        """The colours that the avatar of a sample has by itself: f32 [6, 3]."""
        entry = self.data.header.avatars[int(self.data.records["avatar"][index])]
        return np.array([colour or _UNKNOWN_COLOUR for colour in entry.palette], np.float32)


def canvas_points(sample: Sample, side: int) -> Float32Array:
    """A sample's points in canvas units, f32 [K, 2]: 0 and 1 are the picture's edges, not its outer pixels' centres."""
    points: Float32Array = (sample.xy + np.float32(0.5)) / np.float32(side)
    return points
