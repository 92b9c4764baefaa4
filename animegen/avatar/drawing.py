"""Coloured sprites from a generator: always in batches of one size, and parts laid over figures they belong to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from animegen.avatar.config import EXPRESSION
from animegen.avatar.layers import colour_layers
from animegen.avatar.mouths import with_mouth
from animegen.avatar.springs import Turns
from animegen.errors import InvalidValue
from animegen.types import Float32Array, Float64Array, Skeleton, Uint8Array

_LEAST_STAGE = 32
_AT_ONCE = 8
"""Pictures drawn in one call where any number may be: their layers are ten bytes a pixel."""
_FEATHER = 0.12
"""Over how much of its side a part fades into the figure at each border."""
_BLURRED = 2
"""How far around a part that was drawn alone, in pixels of the drawn figure, the blurred one of the figure reaches."""
_LEAST = 1e-3


class Draws(Protocol):
    """What draws avatars, as far as pictures go."""

    @property
    def avatars(self) -> Sequence[Mapping[str, Any]]:
        """Of each avatar: name, licence, credit, palette, proportions, traits."""
        ...

    @property
    def stages(self) -> Sequence[int]:
        """Sides of the pictures it draws, in pixels, ascending."""
        ...

    def draw(
        self,
        xy: Float32Array,
        z: Float32Array,
        score: Float32Array,
        *,
        expression: Float32Array,
        avatar: NDArray[np.integer[Any]],
        stage: int,
        hands: Float32Array | None = None,
        swung: Sequence[Turns | None] | None = None,
    ) -> Uint8Array:
        """Shade layers uint8 [N, stage, stage, 10] (:mod:`animegen.avatar.layers`).

        ``xy`` f32 [N, K, 2] in canvas sides, 0..1 inside; ``z`` f32 [N, K] in the same unit, 0 at the hips, smaller is
        nearer; ``score`` f32 [N, K], 0 for an unknown point; ``expression`` f32 [N, 10] in the order of ``EXPRESSION``;
        ``avatar`` [N] rows of :attr:`avatars`; ``stage`` one of :attr:`stages`; ``hands`` f32 [N, 2, 20] the shapes of
        the left and the right hand (:data:`animegen.avatar.fingers.HAND_SHAPE`), for what can bend each finger by
        itself; ``swung``: how hair and cloth hang in each pose, where an avatar has any that swing; None: as they come
        to rest. Raises InvalidValue naming what does not fit.
        """
        ...


class Generator(Draws, Protocol):
    """What draws avatars: their facets on bones (:mod:`animegen.avatar.rigged_generator`) or a network
    (:mod:`animegen.avatar.generator`).
    """

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton whose points :meth:`draw` takes."""
        ...

    @property
    def drawn_together(self) -> int | None:
        """How many pictures a call has to draw, always as many, for each to be the same beside any others; None: any
        number, the pictures do not depend on each other.
        """
        ...

    @property
    def largest_scale(self) -> int:
        """How many times larger than its largest stage it can finish a picture."""
        ...

    @property
    def most_enlarged(self) -> float:
        """How much larger than drawn a picture may be shown before the next stage, or the next scale, is taken."""
        ...

    @property
    def knows_outside(self) -> bool:
        """Whether points that lie outside of the canvas help to draw what is inside; else they have to be unknown."""
        ...

    def swings(
        self,
        xy: Float32Array,
        z: Float32Array,
        score: Float32Array,
        *,
        avatar: int,
        canvas: Float64Array,
        seconds: Float64Array,
        check: Callable[[], None],
    ) -> Turns:
        """How hair and cloth of an avatar swing while it takes T poses one after the other, f16 [T, J, 3].

        Poses are as :meth:`draw` takes them; ``canvas`` f64 [T, 3]: left, top and side of each pose's canvas in pixels
        of one picture; ``seconds`` f64 [T] rise. J is 0 where nothing swings. ``check`` is called now and then, and may
        raise.
        """
        ...

    def finished(self, layers: Uint8Array, scale: int) -> Uint8Array:
        """Layers uint8 [S, S, 10] as they are shown, ``scale`` times as large."""
        ...

    def flops(self, stage: int) -> int:
        """Floating-point operations for one picture."""
        ...


def check_asked(generator: Generator, stage: int, avatar: NDArray[np.integer[Any]], **arrays: NDArray[Any]) -> None:
    """Raises InvalidValue naming what does not fit :meth:`Draws.draw`: a shape, an avatar's row, the stage."""
    count, points = len(avatar), len(generator.skeleton)
    shapes = {
        "xy": (count, points, 2), "z": (count, points), "score": (count, points),
        "expression": (count, len(EXPRESSION)),
    }  # fmt: skip
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise InvalidValue(f"{name} must be {shape}, got {arrays[name].shape}")
    known = len(generator.avatars)
    if count and not 0 <= int(avatar.min()) <= int(avatar.max()) < known:
        raise InvalidValue(f"avatar must be from 0 to {known - 1}, got {sorted(set(avatar.tolist()))}")
    if stage not in generator.stages:
        raise InvalidValue(f"stage must be one of {generator.stages}, got {stage}")


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A pose on a canvas, as :meth:`Draws.draw` takes it, for one picture.

    ``palette`` f32 [6, 3] sRGB 0..1, ``hands`` f32 [2, 20]. The picture is ``scale`` times as large as its stage.
    ``swing`` f16 [J, 3]: how hair and cloth hang (:meth:`Generator.swings`); None: as they come to rest.
    """

    xy: Float32Array
    z: Float32Array
    score: Float32Array
    expression: Float32Array
    avatar: int
    stage: int
    scale: int
    palette: Float32Array
    hands: Float32Array
    swing: Turns | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A part of a figure that was drawn by itself.

    ``picture`` uint8 [P, P, 4] RGBA with premultiplied alpha; ``place`` is where it lies on the figure's: left, top and
    side in sides of it. ``alone``: it shows nothing but the part; else it shows all that is there. ``opacity`` 0..1.
    """

    picture: Uint8Array
    place: tuple[float, float, float]
    alone: bool = False
    opacity: float = 1.0


class Drawer:
    """Draws the pictures of one generator; with ``mouths``, those have theirs drawn in."""

    def __init__(self, generator: Generator, *, mouths: bool = False) -> None:
        self._generator, self._mouths = generator, mouths

    def stage_for(self, side: float) -> int:
        """The stage for pictures that are shown with up to ``side`` pixels."""
        stages = [stage for stage in self._generator.stages if stage >= _LEAST_STAGE] or self._generator.stages[-1:]
        return next((stage for stage in stages if stage * self._generator.most_enlarged >= side), stages[-1])

    def scale_for(self, stage: int, side: float) -> int:
        """How many times to enlarge pictures of a stage that are shown with up to ``side`` pixels."""
        largest, drawn = self._generator.largest_scale, stage * self._generator.most_enlarged
        return next((scale for scale in range(1, largest) if drawn * scale >= side), largest)

    def flops(self, stage: int) -> int:
        """Floating-point operations for one picture."""
        return self._generator.flops(stage)

    def draw(self, drawings: Sequence[Drawing]) -> list[Uint8Array]:
        """One picture each, uint8 [scale stage, scale stage, 4] RGBA with premultiplied alpha."""
        by_stage: dict[int, list[int]] = defaultdict(list)
        for i, drawing in enumerate(drawings):
            by_stage[drawing.stage].append(i)
        pictures: dict[int, Uint8Array] = {}
        for stage, members in by_stage.items():
            together = self._generator.drawn_together or _AT_ONCE
            for start in range(0, len(members), together):
                batch = members[start : start + together]
                layers = self._layers([drawings[i] for i in batch], stage)
                for i, planes in zip(batch, layers, strict=False):
                    pictures[i] = colour_layers(self._finished(planes, drawings[i]), drawings[i].palette)
        return [pictures[i] for i in range(len(drawings))]

    def _finished(self, layers: Uint8Array, drawing: Drawing) -> Uint8Array:
        """Layers at the size that is asked for, with firm edges, and a mouth where one is wanted."""
        finished = self._generator.finished(layers, drawing.scale)
        if not self._mouths:
            return finished
        return with_mouth(finished, self._generator.skeleton, drawing.xy, drawing.score, drawing.expression)

    def _layers(self, batch: Sequence[Drawing], stage: int) -> Uint8Array:
        full = [*batch, *[batch[-1]] * ((self._generator.drawn_together or 0) - len(batch))]
        return self._generator.draw(
            np.stack([one.xy for one in full]),
            np.stack([one.z for one in full]),
            np.stack([one.score for one in full]),
            expression=np.stack([one.expression for one in full]),
            avatar=np.array([one.avatar for one in full], np.int64),
            stage=stage,
            hands=np.stack([one.hands for one in full]),
            swung=[one.swing for one in full],
        )


def with_patches(figure: Uint8Array, patches: Sequence[Patch], scale: int) -> Uint8Array:
    """A figure with parts laid over its own, one after the other; their borders fade.

    ``figure`` uint8 [S, S, 4] RGBA with premultiplied alpha, ``scale`` times as large as it was drawn. Returns the
    same shape.
    """
    planes = torch.from_numpy(figure).permute(2, 0, 1)[None].float()
    for patch in patches:
        _lay(planes, patch, _BLURRED * scale)
    whole: Uint8Array = planes[0].round_().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    return whole


def _lay(planes: Tensor, patch: Patch, blurred: int) -> None:
    """Lay a part over a figure f32 [1, 4, S, S] in place."""
    size = planes.shape[-1]
    left, top, side = (value * size for value in patch.place)
    columns, rows = _span(left, side, size), _span(top, side, size)
    if not (len(columns) and len(rows)):
        return
    u, v = ((np.array(span) + 0.5 - begin) / side for span, begin in ((columns, left), (rows, top)))
    grid = torch.from_numpy(np.stack(np.meshgrid(2 * u - 1, 2 * v - 1), axis=-1).astype(np.float32))[None]
    source = torch.from_numpy(patch.picture.copy()).permute(2, 0, 1)[None].float()
    laid = functional.grid_sample(source, grid, padding_mode="border", align_corners=False)
    share = torch.from_numpy((patch.opacity * _fade(v)[:, None] * _fade(u)[None]).astype(np.float32))
    under = planes[..., rows.start : rows.stop, columns.start : columns.stop]
    if patch.alone:
        alpha = laid[:, 3:] / 255
        laid += (1 - alpha) * _without(under, alpha, share, blurred)
    under += share * (laid - under)


def _without(under: Tensor, alpha: Tensor, share: Tensor, blurred: int) -> Tensor:
    """A figure without what lies around a part of opacity ``alpha`` f32 [1, 1, H, W].

    What is farther around grows in there pixel by pixel, but covers nothing that the figure did not cover.
    """
    near = share * functional.max_pool2d(alpha, 2 * blurred + 1, 1, blurred)
    known = (near < 0.5).float()
    grown = known * under
    for _ in range(2 * blurred):
        colours, weight = (functional.avg_pool2d(x, 3, 1, 1) for x in (grown, known))
        grown = torch.where(known > 0, grown, colours / weight.clamp_min(_LEAST))
        known = (weight > 0).float()
    grown = torch.where(known > 0, grown, under)
    grown = grown * (under[:, 3:] / grown[:, 3:].clamp_min(_LEAST)).clamp_max(1)
    return under + near * (grown - under)


def _span(begin: float, length: float, size: int) -> range:
    """The pixels of 0 .. ``size`` whose middles lie between ``begin`` and ``begin + length``."""
    return range(max(0, int(np.ceil(begin - 0.5))), min(size, int(np.ceil(begin + length - 0.5))))


def _fade(position: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """From 0 at both ends of 0..1 smoothly to 1 inside."""
    inward = np.clip(np.minimum(position, 1 - position) / _FEATHER, 0, 1)
    return inward * inward * (3 - 2 * inward)
