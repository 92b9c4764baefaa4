"""``--style anime``: everyone as an avatar in their own pose and colours.

Where the stages pose and avatar meet: a person's track is lifted and retargeted to the avatar's build, put on a canvas
that follows the avatar through the frames, drawn as shade layers on its bones or by a network
(:mod:`animegen.avatar.drawing`), and coloured by the person's palette.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animegen.avatar.config import EXPRESSION
from animegen.avatar.drawing import Drawer, Generator, Patch, with_patches
from animegen.avatar.fingers import HAND_SHAPE
from animegen.avatar.loading import load_drawing
from animegen.avatar.options import AnimeOptions
from animegen.colour import palette_rgb
from animegen.errors import InvalidValue, UsageError, WeightsError
from animegen.pipeline.anime_parts import FIGURES, HANDS, HEADS, PARTS, PartArtist, drawing, drawn_points, on_canvas
from animegen.pose.canvas import canvases, sprite_affine
from animegen.pose.hands import measure_hand
from animegen.pose.lift import lift_track
from animegen.pose.retarget import Proportions, retarget
from animegen.pose.skeletons import AVATAR35
from animegen.protocols import PluginContext
from animegen.types import (
    Crop,
    Expression,
    Float32Array,
    Identity,
    Prepared,
    RenderRequest,
    Sprite,
    Track,
    Traits,
)

_USUAL_HEAD = 0.14
"""Head to height of people of whom it was not measured."""
_UNSEEN: Mapping[str, float] = MappingProxyType({"skirt": 0.5, "trousers": 0.1})
"""How much it counts that an avatar has a skirt or bare legs where it was not measured whether the person does."""
_SEEN_ONCE = 0.2
"""Confidence of what one picture shows: all that there is of somebody in a photo."""
_DARKEST = 12.0
"""Lightness of what is black: on cloth as dark as ink, no line and no fold can be told."""
_LEAST_WITH_PARTS = 64
"""Figures that are drawn smaller than this show no face to speak of: no part of them is drawn once more."""


def make_style(options: AnimeOptions | None, context: PluginContext) -> AnimeStyle:
    """The style with the weights of the context. Raises WeightsError where they cannot be used."""
    options = options or AnimeOptions()
    figures = _generator(context.weights[FIGURES], context, round_ears=options.ears == "round")
    given = {HEADS: options.heads, HANDS: options.hand_weights}
    generators = {name: _generator(file, context) for name, file in given.items() if file}
    for name, generator in generators.items():
        if generator.knows_outside:
            raise WeightsError(
                f"{given[name]} holds whole figures, which have heads and hands of their own",
                "leave --set heads and hand_weights out, or name networks that draw heads or hands alone",
            )
    parts = [PartArtist(part, generators[part.weights]) for part in PARTS if part.weights in generators]
    return AnimeStyle(figures, parts, options, context)


def _generator(path: Path, context: PluginContext, *, round_ears: bool = False) -> Generator:
    """The generator of a file, with what the style has to know of its avatars."""
    generator = load_drawing(path, device=context.device, threads=context.threads, round_ears=round_ears)
    hint = "make it by `animegen vrm rigged`, or train it on a dataset that `animegen vrm dataset` made"
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

    ``parts`` are drawn once more and laid over the figure, the first one first.
    """

    def __init__(
        self, figures: Generator, parts: Sequence[PartArtist], options: AnimeOptions, context: PluginContext
    ) -> None:
        self._figures, self._parts, self._options = Drawer(figures), parts, options
        self._swings, self._context = figures.swings, context
        self._outside = figures.knows_outside
        self._names = [str(avatar["name"]) for avatar in figures.avatars]
        self._builds = [Proportions.from_dict(avatar["proportions"]) for avatar in figures.avatars]
        self._traits: list[Mapping[str, Any]] = [avatar.get("traits", {}) for avatar in figures.avatars]

    def cast(self, identities: Sequence[Identity]) -> list[str]:
        """The avatar of each person: the one that was asked for, else of those still free the most similar one."""
        asked = zip_longest(identities, self._options.avatar[: len(identities)])
        given = [self._known(identity.avatar or name) for identity, name in asked if identity is not None]
        times = Counter(name for name in given if name)
        for i, identity in enumerate(identities):
            if not given[i]:
                given[i] = min(self._names, key=lambda name: (times[name], self._unlikeness(identity, name)))
                times[given[i]] += 1
        return given

    def prepare(self, identity: Identity, track: Track, crops: Sequence[Crop]) -> Prepared:  # noqa: ARG002
        """For every frame of the track the avatar's points on its canvas and how its hair swings, and what stays."""
        avatar = self._names.index(self._known(identity.avatar) or self.cast([identity])[0])
        build = self._builds[avatar]
        person = lift_track(track)
        moved = retarget(person, build)
        lowest = np.array([pose.bbox[3] for pose in track.poses], np.float64)
        crown = float(self._traits[avatar].get("crown", build.crown))
        canvas = canvases(moved, crown=crown, lowest=lowest)
        xy, z = on_canvas(moved, canvas)
        score = drawn_points(person, xy, outside=self._outside)
        frames, clip = np.array(track.frame_indices, np.int64), self._context
        swing = self._swings(xy, z, score, avatar=avatar, canvas=canvas, seconds=frames / clip.rate, check=clip.check)
        stage = self._figures.stage_for(float(canvas[:, 2].max()))
        prepared: dict[str, NDArray[Any]] = {
            "frame_indices": frames,
            "canvas": canvas,
            "xy": xy,
            "z": z,
            "score": score,
            "swing": swing,
            "expression": np.stack([_vector(pose.expression) for pose in track.poses]),
            "hands": np.stack([_shape(track, side) for side in ("left", "right")], axis=1),
            "avatar": np.array(avatar, np.int64),
            "stage": np.array(stage, np.int64),
            "scale": np.array(self._figures.scale_for(stage, float(canvas[:, 2].max())), np.int64),
        }
        if stage < _LEAST_WITH_PARTS:
            return prepared
        parts: dict[str, NDArray[Any]] = {}
        for part in self._parts:
            parts |= part.prepare(self._names[avatar], person, moved, crown)
        return {**prepared, **parts}

    def flops(self, prepared: Prepared) -> int:
        """Floating-point operations for one sprite of what was prepared, with its parts."""
        return self._figures.flops(int(prepared["stage"])) + sum(part.flops(prepared) for part in self._parts)

    def render(self, requests: Sequence[RenderRequest]) -> list[Sprite]:
        """One sprite per request, the canvas of the avatar."""
        frames = [self._frame(request) for request in requests]
        palettes = [palette_rgb(request.identity.palette, darkest=_DARKEST) for request in requests]
        shown = [i for i, frame in enumerate(frames) if frame["score"].any()]
        asked, colours = [frames[i] for i in shown], [palettes[i] for i in shown]
        figures = self._figures.draw([drawing(*one) for one in zip(asked, colours, strict=True)])
        patches: list[list[Patch]] = [[] for _ in shown]
        for part in self._parts:
            for place, patch in part.draw(asked, colours).items():
                patches[place].append(patch)
        drawn = {
            i: with_patches(figure, laid, int(frames[i]["scale"])) if laid else figure
            for i, figure, laid in zip(shown, figures, patches, strict=True)
        }
        rgba = [drawn.get(i, np.zeros((1, 1, 4), np.uint8)) for i in range(len(requests))]
        return [
            Sprite(picture, sprite_affine(frame["canvas"], len(picture)), request.order)
            for request, frame, picture in zip(requests, frames, rgba, strict=True)
        ]

    def _frame(self, request: RenderRequest) -> Prepared:
        """What was prepared for the request's frame; a frame that is not in the track is prepared now, alone."""
        prepared = request.prepared
        places = np.flatnonzero(prepared["frame_indices"] == request.frame_index)
        if not places.size:
            track = Track(0, (request.frame_index,), (request.pose,))
            prepared, places = self.prepare(request.identity, track, ()), np.zeros(1, np.intp)
        return {name: values[places[0]] if values.ndim else values for name, values in prepared.items()}

    def _known(self, name: str | None) -> str:
        """An avatar's name as the weights spell it; empty for an empty one. Raises UsageError for any other name."""
        found = {own.casefold(): own for own in self._names}
        if name and name.casefold() not in found:
            raise UsageError(f"the style anime has no avatar '{name}'", f"it has {', '.join(self._names)}")
        return found[name.casefold()] if name else ""

    def _unlikeness(self, identity: Identity, name: str) -> tuple[float, str]:
        """A sort key: how different an avatar is from a person, then an order by the person's seed among equals."""
        heads = [float(one["head_to_height"]) for one in self._traits if "head_to_height" in one]
        own = self._traits[self._names.index(name)]
        usual = float(np.median(heads)) if heads else 1.0
        draw = hashlib.sha256(f"{identity.seed} {name}".encode()).hexdigest()
        return round(_distance(identity.traits, own, usual), 6), draw


def _distance(person: Traits, avatar: Mapping[str, Any], usual_head: float) -> float:
    """Sum of the differences that were measured, by confidence; heads are compared with what is usual for each kind.

    Skirts and shorts are for whoever is seen in them.
    """
    total, usual = 0.0, Traits()
    for name in ("hair_length", "sleeves", "skirt", "trousers"):
        if name in avatar:
            trait, own = getattr(person, name), float(avatar[name])
            total += trait.confidence * abs(trait.value - own)
            unseen = max(1 - trait.confidence / _SEEN_ONCE, 0.0)
            total += unseen * _UNSEEN.get(name, 0.0) * abs(getattr(usual, name).value - own)
    if "head_to_height" in avatar:
        head = person.head_to_height
        ratio = (head.value / _USUAL_HEAD) / (float(avatar["head_to_height"]) / usual_head)
        total += head.confidence * abs(np.log(max(ratio, 1e-3)))
    return float(total)


def _shape(track: Track, side: str) -> Float32Array:
    """f32 [T, 20] a hand as :data:`animegen.avatar.fingers.HAND_SHAPE` has it, 0 where its fingers are not seen."""
    hand = measure_hand(track, side)
    if hand is None:
        return np.zeros((len(track.poses), HAND_SHAPE), np.float32)
    return np.column_stack([hand.known, hand.fans, hand.bends.reshape(len(hand.bends), -1)]).astype(np.float32)


def _vector(face: Expression | None) -> Float32Array:
    """f32 [10] in the order of EXPRESSION."""
    shown = (face or Expression()).calmed()
    return np.array([getattr(shown, name) for name in EXPRESSION], np.float32)
