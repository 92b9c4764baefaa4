"""``--style anime``: everyone as an avatar that the generator draws, in their own pose and colours.

Where the stages pose and avatar meet: a person's track is lifted and retargeted to the avatar's build, put on a canvas
that follows the avatar through the frames, drawn as shade layers, and coloured by the person's palette.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from animegen.avatar.config import EXPRESSION
from animegen.avatar.generator import AvatarGenerator, load_avatar_generator
from animegen.avatar.layers import colour_layers, firm_layers
from animegen.avatar.options import AnimeOptions
from animegen.colour import palette_rgb
from animegen.errors import InvalidValue, UsageError, WeightsError
from animegen.pose.canvas import canvases, sprite_affine
from animegen.pose.lift import Lifted, lift_track
from animegen.pose.limbs import POINTS
from animegen.pose.retarget import Proportions, retarget
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
    Uint8Array,
)

DRAWN_TOGETHER = {"cpu": 4, "cuda": 16}
"""Pictures drawn in one call, always as many, else filled up: how many there are decides how a device adds up, and so
the last bit of each picture; beside whom it is drawn decides nothing."""

_ENLARGED = 1.25
"""How much larger than it is drawn a person may be shown before the next stage is taken."""
_LEAST_STAGE = 32
_USUAL_HEAD = 0.14
"""Head to height of people of whom it was not measured."""
_TIPS_SHOWN = 0.1
"""Share of the frames that must show the tip of a finger for it to be drawn."""
_TIPS = np.array([name.endswith("_tip") for name in AVATAR35.points])


def make_style(options: AnimeOptions | None, context: PluginContext) -> Style:
    """The style with the weights of the context. Raises WeightsError where they cannot be used."""
    path = context.weights["avatar-anime"]
    generator = load_avatar_generator(path, device=context.device, threads=context.threads)
    if generator.skeleton != AVATAR35:
        raise WeightsError(
            f"{path} is driven by the skeleton '{generator.skeleton.name}', the style anime has '{AVATAR35.name}'",
            "train it on a dataset that `animegen vrm dataset` made",
        )
    try:
        return AnimeStyle(generator, options or AnimeOptions())
    except (InvalidValue, KeyError) as error:
        raise WeightsError(
            f"{path} tells too little of its avatars: {error}", "train it on a dataset that `animegen vrm dataset` made"
        ) from error


class AnimeStyle:
    """Draws avatars; implements :class:`animegen.protocols.CastingStyle`."""

    def __init__(self, generator: AvatarGenerator, options: AnimeOptions) -> None:
        self._generator = generator
        self._options = options
        self._names = [str(avatar["name"]) for avatar in generator.avatars]
        self._builds = [Proportions.from_dict(avatar["proportions"]) for avatar in generator.avatars]
        self._traits: list[Mapping[str, Any]] = [avatar.get("traits", {}) for avatar in generator.avatars]

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
        side = canvas[:, None, 2:].astype(np.float32)
        xy = ((moved.xyz[..., :2] - canvas[:, None, :2]) / side).astype(np.float32)
        return {
            "frame_indices": np.array(track.frame_indices, np.int64),
            "canvas": canvas,
            "xy": xy,
            "z": moved.xyz[..., 2] / side[..., 0],
            "score": _drawn_points(person, xy),
            "expression": np.stack([_vector(pose.expression) for pose in track.poses]),
            "avatar": np.array(avatar, np.int64),
            "stage": np.array(self._stage(canvas), np.int64),
        }

    def render(self, requests: Sequence[RenderRequest]) -> list[Sprite]:
        """One sprite per request, the canvas of the avatar."""
        drawings = [self._frame(request) for request in requests]
        by_stage: dict[int, list[int]] = defaultdict(list)
        for i, drawing in enumerate(drawings):
            if drawing["score"].any():
                by_stage[int(drawing["stage"])].append(i)
        layers: dict[int, Uint8Array] = {}
        for stage, members in by_stage.items():
            for i, picture in zip(members, self._draw([drawings[i] for i in members], stage), strict=True):
                layers[i] = picture
        return [
            _sprite(request, drawing, layers.get(i))
            for i, (request, drawing) in enumerate(zip(requests, drawings, strict=True))
        ]

    def _draw(self, drawings: Sequence[Prepared], stage: int) -> list[Uint8Array]:
        """The shade layers of single frames, drawn in batches of always the same size."""
        together = DRAWN_TOGETHER[self._generator.device.type]
        drawn: list[Uint8Array] = []
        for start in range(0, len(drawings), together):
            batch = drawings[start : start + together]
            full = [*batch, *[batch[-1]] * (together - len(batch))]
            arrays = {name: np.stack([one[name] for one in full]) for name in ("xy", "z", "score", "expression")}
            avatar = np.stack([one["avatar"] for one in full])
            drawn.extend(self._generator.draw(**arrays, avatar=avatar, stage=stage)[: len(batch)])
        return drawn

    def _frame(self, request: RenderRequest) -> Prepared:
        """What was prepared, of one frame; a frame that was not is prepared alone."""
        prepared = request.prepared
        places = np.flatnonzero(prepared["frame_indices"] == request.frame_index)
        if not places.size:
            track = Track(0, (request.frame_index,), (request.pose,))
            prepared, places = self.prepare(request.identity, track, ()), np.zeros(1, np.intp)
        moving = {name: prepared[name][places[0]] for name in ("canvas", "xy", "z", "score", "expression")}
        return {**moving, "avatar": prepared["avatar"], "stage": prepared["stage"]}

    def _stage(self, canvas: Float64Array) -> int:
        """One stage for a person and clip, large enough where the person is largest."""
        wanted = float(canvas[:, 2].max()) / _ENLARGED
        stages = [stage for stage in self._generator.stages if stage >= _LEAST_STAGE] or self._generator.stages[-1:]
        return next((stage for stage in stages if stage >= wanted), stages[-1])

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


def _sprite(request: RenderRequest, drawing: Prepared, layers: Uint8Array | None) -> Sprite:
    if layers is None:
        layers = np.zeros((1, 1, 10), np.uint8)
    rgba = colour_layers(firm_layers(layers), palette_rgb(request.identity.palette))
    return Sprite(rgba, sprite_affine(drawing["canvas"], len(layers)), request.order)
