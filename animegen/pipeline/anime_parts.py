"""Heads and hands of the style ``anime``: generators of their own draw them again, larger than they are in the figure.

``anime`` prepares and draws the whole figure, and lays these parts over it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from animegen.avatar.drawing import Drawer, Drawing, Generator, Patch
from animegen.pose.canvas import hand_canvases, head_canvases, mirrored
from animegen.pose.lift import Lifted
from animegen.pose.limbs import POINTS
from animegen.pose.retarget import Retargeted
from animegen.pose.skeletons import AVATAR35
from animegen.types import Float32Array, Float64Array, Prepared

_TIPS_SHOWN = 0.1
"""Share of the frames that must show the tip of a finger for it to be drawn."""
_UNSEEN, _SEEN = 0.3, 0.6
"""Up to the first score of its points a part is not drawn, and from the second on it is opaque: a part whose place is
only guessed is better left as the figure has it, blurred."""
_FADE_FRAMES = 3.0
_TIPS = np.array([name.endswith("_tip") for name in AVATAR35.points])


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a figure.

    ``name`` begins the names of what is prepared for it; ``weights`` is the name of the generator's. ``canvases`` says
    where an avatar's is drawn, given how far its crown lies above its ears (:func:`animegen.pose.canvas.canvases`);
    one whose canvas is never wider than ``least`` pixels is not drawn. ``alone``: as
    :class:`animegen.avatar.drawing.Patch` has it, and all points of the body are known to the generator wherever they
    are. ``mirrored``: the generator knows the one of the other side. ``mouths``: a mouth is drawn in. ``seen``: it
    fades where a person's points of these names are not seen.
    """

    name: str
    weights: str
    canvases: Callable[[Retargeted, float], Float64Array]
    least: float = 0.0
    alone: bool = False
    mirrored: bool = False
    mouths: bool = False
    seen: tuple[str, ...] = ()


def _hand(avatar: Retargeted, crown: float) -> Float64Array:  # noqa: ARG001
    return hand_canvases(avatar)


FIGURES, HEADS, HANDS = "avatar-anime", "avatar-anime-head", "avatar-anime-hand"

PARTS = (
    Part("head", HEADS, lambda avatar, crown: head_canvases(avatar, crown=crown), mouths=True),
    Part("right_hand", HANDS, _hand, least=16, alone=True, seen=("right_wrist", "right_index")),
    Part("left_hand", HANDS, _hand, least=16, alone=True, mirrored=True, seen=("left_wrist", "left_index")),
)
"""In the order in which they are laid over the figure."""


class PartArtist:
    """Draws one part, of the avatars that its generator was trained on."""

    def __init__(self, part: Part, generator: Generator) -> None:
        self._part, self._drawer = part, Drawer(generator, mouths=part.mouths)
        self._outside = generator.knows_outside
        self._rows = {str(avatar["name"]): i for i, avatar in enumerate(generator.avatars)}

    def prepare(self, name: str, person: Lifted, moved: Retargeted, crown: float) -> dict[str, NDArray[Any]]:
        """What :meth:`draw` needs for every frame of the track; empty where the part is not drawn for this avatar."""
        part = self._part
        seen = mirrored(moved) if part.mirrored else moved
        canvas = part.canvases(seen, crown)
        row = self._rows.get(name, self._rows.get(name.rpartition("-")[0]))  # NAME-skirt has the head of NAME
        if row is None or canvas[:, 2].max() < part.least:
            return {}
        xy, z = on_canvas(seen, canvas)
        if part.mirrored:
            canvas = np.stack([-canvas[:, 0] - canvas[:, 2], canvas[:, 1], canvas[:, 2]], axis=1)
        largest = float(canvas[:, 2].max())
        stage = self._drawer.stage_for(largest)
        prepared: dict[str, NDArray[Any]] = {
            "canvas": canvas,
            "xy": xy,
            "z": z,
            "score": np.ones_like(z) if part.alone else drawn_points(person, xy, outside=self._outside),
            "avatar": np.array(row, np.int64),
            "stage": np.array(stage, np.int64),
            "scale": np.array(self._drawer.scale_for(stage, largest), np.int64),
            "opacity": _opacity(person, part.seen),
        }
        return {f"{part.name}_{what}": values for what, values in prepared.items()}

    def flops(self, prepared: Prepared) -> int:
        """Floating-point operations for the part in one frame of what was prepared; 0 where it is not drawn."""
        stage = prepared.get(f"{self._part.name}_stage")
        return 0 if stage is None else self._drawer.flops(int(stage))

    def draw(self, frames: Sequence[Prepared], palettes: Sequence[Float32Array]) -> Mapping[int, Patch]:
        """The drawn part by position in ``frames``; frames for which it was not prepared are absent."""
        name = self._part.name
        members = [i for i, frame in enumerate(frames) if frame.get(f"{name}_opacity", 0) > 0]
        pictures = self._drawer.draw([drawing(frames[i], palettes[i], f"{name}_") for i in members])
        return {
            i: Patch(
                picture[:, ::-1] if self._part.mirrored else picture,
                _place(frames[i]["canvas"], frames[i][f"{name}_canvas"]),
                self._part.alone,
                float(frames[i][f"{name}_opacity"]),
            )
            for i, picture in zip(members, pictures, strict=True)
        }


def drawn_points(person: Lifted, xy: Float32Array, *, outside: bool) -> Float32Array:
    """f32 [T, 35]: 1 for every point that is drawn, 0 for one that is not.

    A point that a frame does not show is drawn where it is estimated to be, except finger tips that the clip hardly
    ever shows. One that lies outside of the canvas is drawn where ``outside`` says so.
    """
    ever = person.known[:, :POINTS]
    drawn = np.where(_TIPS, ever.mean(axis=0) >= _TIPS_SHOWN, ever.any())
    within = np.isfinite(xy).all(axis=2) & (outside | ((xy >= 0) & (xy < 1)).all(axis=2))
    return np.asarray(within & drawn, np.float32)


def _opacity(person: Lifted, names: Sequence[str]) -> Float32Array:
    """How certainly the named points of a person are seen: f32 [T] 0..1, smoothed over time; 1 for no names."""
    if not names:
        return np.ones(len(person.score), np.float32)
    seen = person.score[:, [AVATAR35.index(name) for name in names]].min(axis=1)
    steady = gaussian_filter1d(seen, _FADE_FRAMES, mode="nearest")
    return np.asarray(np.clip((steady - _UNSEEN) / (_SEEN - _UNSEEN), 0, 1), np.float32)


def on_canvas(avatar: Retargeted, canvas: Float64Array) -> tuple[Float32Array, Float32Array]:
    """An avatar's points on a canvas that follows it, in units of its side: f32 [T, 35, 2]; and depths f32 [T, 35]."""
    side = canvas[:, None, 2:].astype(np.float32)
    xy = ((avatar.xyz[..., :2] - canvas[:, None, :2]) / side).astype(np.float32)
    return xy, avatar.xyz[..., 2] / side[..., 0]


def drawing(frame: Prepared, palette: Float32Array, part: str = "") -> Drawing:
    """The input of a generator for one frame. ``part`` is the prefix of a part's prepared arrays; empty: the figure."""
    return Drawing(
        frame[f"{part}xy"],
        frame[f"{part}z"],
        frame[f"{part}score"],
        frame["expression"],
        int(frame[f"{part}avatar"]),
        int(frame[f"{part}stage"]),
        int(frame[f"{part}scale"]),
        palette,
        frame["hands"],
        frame.get(f"{part}swing"),
    )


def _place(figure: Float64Array, part: Float64Array) -> tuple[float, float, float]:
    """Where a part's canvas lies on the figure's: left, top and side, in units of the figure's side."""
    left, top = (part[:2] - figure[:2]) / figure[2]
    return float(left), float(top), float(part[2] / figure[2])
