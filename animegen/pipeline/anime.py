"""``--style anime``: everyone as an avatar that the generator draws, in their own pose and colours.

Where the stages pose and avatar meet: a person's track is lifted and retargeted to the avatar's build, put on a canvas
that follows the avatar through the frames, drawn as shade layers, and coloured by the person's palette.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animegen.avatar.config import EXPRESSION
from animegen.avatar.drawing import ENLARGED, Drawer, Drawing, with_head
from animegen.avatar.generator import AvatarGenerator, load_avatar_generator
from animegen.avatar.options import AnimeOptions
from animegen.colour import palette_rgb
from animegen.errors import InvalidValue, UsageError, WeightsError
from animegen.pose.canvas import canvases, head_canvases, sprite_affine
from animegen.pose.lift import Lifted, lift_track
from animegen.pose.limbs import POINTS
from animegen.pose.retarget import Proportions, Retargeted, retarget
from animegen.pose.skeletons import AVATAR35
from animegen.protocols import PluginContext, Style
from animegen.types import (
    Crop,
    Expression,
    Float32Array,
    Float64Array,
    Identity,
    Prepared,
    RenderRequest,
    Sprite,
    Track,
    Traits,
)

_USUAL_HEAD = 0.14
"""Head to height of people of whom it was not measured."""
_TIPS_SHOWN = 0.1
"""Share of the frames that must show the tip of a finger for it to be drawn."""
_LEAST_WITH_HEAD = 64
"""Figures that are drawn smaller than this show no face to speak of: no head is drawn alone."""
_TIPS = np.array([name.endswith("_tip") for name in AVATAR35.points])


def make_style(options: AnimeOptions | None, context: PluginContext) -> Style:
    """The style with the weights of the context. Raises WeightsError where they cannot be used."""
    options = options or AnimeOptions()
    figures = context.weights["avatar-anime"]
    heads = options.heads or (None if options.weights else context.weights.get("avatar-anime-head"))
    return AnimeStyle(_generator(figures, context), None if heads is None else _generator(heads, context), options)


def _generator(path: Path, context: PluginContext) -> AvatarGenerator:
    """The generator of a file, with what the style has to know of its avatars."""
    generator = load_avatar_generator(path, device=context.device, threads=context.threads)
    hint = "train it on a dataset that `animegen vrm dataset` made"
    if generator.skeleton != AVATAR35:
        raise WeightsError(
            f"{path} is driven by the skeleton '{generator.skeleton.name}', the style anime has '{AVATAR35.name}'", hint
        )
    try:
        for avatar in generator.avatars:
            Proportions.from_dict(avatar["proportions"])
    except (InvalidValue, KeyError) as error:
        raise WeightsError(f"{path} tells too little of its avatars: {error}", hint) from error
    return generator


class AnimeStyle:
    """Draws avatars; implements :class:`animegen.protocols.CastingStyle`.

    ``heads`` draws those of the avatars that it knows by name once more, larger than they stand in the figure.
    """

    def __init__(self, figures: AvatarGenerator, heads: AvatarGenerator | None, options: AnimeOptions) -> None:
        self._figures, self._heads = Drawer(figures), None if heads is None else Drawer(heads)
        self._options = options
        self._names = [str(avatar["name"]) for avatar in figures.avatars]
        self._builds = [Proportions.from_dict(avatar["proportions"]) for avatar in figures.avatars]
        self._traits: list[Mapping[str, Any]] = [avatar.get("traits", {}) for avatar in figures.avatars]
        self._head_rows = {} if heads is None else {str(avatar["name"]): i for i, avatar in enumerate(heads.avatars)}

    def cast(self, identities: Sequence[Identity]) -> list[str]:
        """Who is played by whom: as asked for, else by the free avatar that is most like the person."""
        asked = zip_longest(identities, self._options.avatar[: len(identities)])
        given = [self._known(identity.avatar or name) for identity, name in asked if identity is not None]
        times = Counter(name for name in given if name)
        for i, identity in enumerate(identities):
            if not given[i]:
                given[i] = min(self._names, key=lambda name: (times[name], self._unlikeness(identity, name)))
                times[given[i]] += 1
        return given

    def prepare(self, identity: Identity, track: Track, crops: Sequence[Crop]) -> Prepared:  # noqa: ARG002
        """The avatar's points on its canvas in every frame, and what does not change through the clip."""
        avatar = self._names.index(self._known(identity.avatar) or self.cast([identity])[0])
        build = self._builds[avatar]
        person = lift_track(track)
        moved = retarget(person, build)
        lowest = np.array([pose.bbox[3] for pose in track.poses], np.float64)
        crown = float(self._traits[avatar].get("crown", build.crown))
        canvas = canvases(moved, crown=crown, lowest=lowest)
        xy, z = _on_canvas(moved, canvas)
        stage = self._figures.stage_for(float(canvas[:, 2].max()))
        prepared: dict[str, NDArray[Any]] = {
            "frame_indices": np.array(track.frame_indices, np.int64),
            "canvas": canvas,
            "xy": xy,
            "z": z,
            "score": _drawn_points(person, xy),
            "expression": np.stack([_vector(pose.expression) for pose in track.poses]),
            "avatar": np.array(avatar, np.int64),
            "stage": np.array(stage, np.int64),
        }
        if self._heads is None or self._names[avatar] not in self._head_rows or stage < _LEAST_WITH_HEAD:
            return prepared
        head = head_canvases(moved, crown=crown)
        head_xy, head_z = _on_canvas(moved, head)
        return {
            **prepared,
            "scale": np.array(1 if stage * ENLARGED >= canvas[:, 2].max() else 2, np.int64),
            "head_canvas": head,
            "head_xy": head_xy,
            "head_z": head_z,
            "head_score": _drawn_points(person, head_xy),
            "head_stage": np.array(self._heads.stage_for(float(head[:, 2].max())), np.int64),
        }

    def render(self, requests: Sequence[RenderRequest]) -> list[Sprite]:
        """One sprite per request, the canvas of the avatar."""
        frames = [self._frame(request) for request in requests]
        palettes = [palette_rgb(request.identity.palette) for request in requests]
        shown = [i for i, frame in enumerate(frames) if frame["score"].any()]
        pictures = self._figures.draw([_drawing(frames[i], int(frames[i]["avatar"]), palettes[i]) for i in shown])
        drawn = dict(zip(shown, pictures, strict=True))
        if self._heads is not None:
            with_heads = [i for i in shown if "head_xy" in frames[i]]
            heads = [_drawing(frames[i], self._head_row(frames[i]), palettes[i], "head_") for i in with_heads]
            for i, head in zip(with_heads, self._heads.draw(heads), strict=True):
                drawn[i] = with_head(drawn[i], head, _place(frames[i]), int(frames[i]["scale"]))
        rgba = [drawn.get(i, np.zeros((1, 1, 4), np.uint8)) for i in range(len(requests))]
        return [
            Sprite(picture, sprite_affine(frame["canvas"], len(picture)), request.order)
            for request, frame, picture in zip(requests, frames, rgba, strict=True)
        ]

    def _head_row(self, frame: Prepared) -> int:
        """Which avatar of the generator of heads belongs to a frame's."""
        return self._head_rows[self._names[int(frame["avatar"])]]

    def _frame(self, request: RenderRequest) -> Prepared:
        """What was prepared, of one frame; a frame that was not is prepared alone."""
        prepared = request.prepared
        places = np.flatnonzero(prepared["frame_indices"] == request.frame_index)
        if not places.size:
            track = Track(0, (request.frame_index,), (request.pose,))
            prepared, places = self.prepare(request.identity, track, ()), np.zeros(1, np.intp)
        return {name: values[places[0]] if values.ndim else values for name, values in prepared.items()}

    def _known(self, name: str | None) -> str:
        """An avatar's name as the weights spell it, or nothing for nothing; raises UsageError for a strange one."""
        found = {own.casefold(): own for own in self._names}
        if name and name.casefold() not in found:
            raise UsageError(f"the style anime has no avatar '{name}'", f"it has {', '.join(self._names)}")
        return found[name.casefold()] if name else ""

    def _unlikeness(self, identity: Identity, name: str) -> tuple[float, str]:
        """How unlike a person an avatar is, then an order that is the person's own."""
        heads = [float(one["head_to_height"]) for one in self._traits if "head_to_height" in one]
        own = self._traits[self._names.index(name)]
        usual = float(np.mean(heads)) if heads else 1.0
        draw = hashlib.sha256(f"{identity.seed} {name}".encode()).hexdigest()
        return round(_distance(identity.traits, own, usual), 6), draw


def _distance(person: Traits, avatar: Mapping[str, Any], usual_head: float) -> float:
    """Sum of the differences that were measured, by confidence; heads are compared with what is usual for each kind."""
    total = 0.0
    for name in ("hair_length", "sleeves", "skirt"):
        if name in avatar:
            trait = getattr(person, name)
            total += trait.confidence * abs(trait.value - float(avatar[name]))
    if "head_to_height" in avatar:
        head = person.head_to_height
        ratio = (head.value / _USUAL_HEAD) / (float(avatar["head_to_height"]) / usual_head)
        total += head.confidence * abs(np.log(max(ratio, 1e-3)))
    return float(total)


def _drawn_points(person: Lifted, xy: Float32Array) -> Float32Array:
    """f32 [T, 35] 1 for every point that is drawn on the canvas, 0 for the others, as the generator knows it.

    What a frame does not show is drawn where it is taken to be; only finger tips that are hardly ever seen are not.
    """
    ever = person.known[:, :POINTS]
    drawn = np.where(_TIPS, ever.mean(axis=0) >= _TIPS_SHOWN, ever.any())
    inside = ((xy >= 0) & (xy < 1)).all(axis=2)
    return np.asarray(inside & drawn, np.float32)


def _vector(face: Expression | None) -> Float32Array:
    """f32 [10] in the order of EXPRESSION."""
    shown = (face or Expression()).calmed()
    return np.array([getattr(shown, name) for name in EXPRESSION], np.float32)


def _on_canvas(avatar: Retargeted, canvas: Float64Array) -> tuple[Float32Array, Float32Array]:
    """An avatar's points in sides of a canvas that follows them: f32 [T, 35, 2], and their depth f32 [T, 35]."""
    side = canvas[:, None, 2:].astype(np.float32)
    xy = ((avatar.xyz[..., :2] - canvas[:, None, :2]) / side).astype(np.float32)
    return xy, avatar.xyz[..., 2] / side[..., 0]


def _drawing(frame: Prepared, avatar: int, palette: Float32Array, part: str = "") -> Drawing:
    """What a generator is asked for in a frame; ``part`` begins the names of what was prepared for it alone."""
    return Drawing(
        frame[f"{part}xy"],
        frame[f"{part}z"],
        frame[f"{part}score"],
        frame["expression"],
        avatar,
        int(frame[f"{part}stage"]),
        palette,
    )


def _place(frame: Prepared) -> tuple[float, float, float]:
    """Where the head's canvas lies on the figure's: left, top and side in sides of it."""
    figure, head = frame["canvas"], frame["head_canvas"]
    left, top = (head[:2] - figure[:2]) / figure[2]
    return float(left), float(top), float(head[2] / figure[2])
