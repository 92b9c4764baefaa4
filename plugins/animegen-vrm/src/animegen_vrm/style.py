"""``--style vrm``: everyone as a VRM avatar that moves as they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animegen.avatar.layers import colour_layers
from animegen.colour import palette_rgb
from animegen.errors import UsageError
from animegen.pose.canvas import canvases, sprite_affine
from animegen.pose.hands import measure_hand
from animegen.pose.lift import lift_track
from animegen.pose.retarget import Proportions, Retargeted, retarget
from animegen.pose.skeletons import AVATAR35
from animegen.protocols import PluginContext, Style
from animegen.types import (
    Crop,
    Expression,
    Float32Array,
    Float64Array,
    Identity,
    Palette,
    Prepared,
    RenderRequest,
    Sprite,
    Track,
    Uint8Array,
)
from animegen_vrm.camera import Camera, look_at_parallel
from animegen_vrm.driving import drive
from animegen_vrm.framing import crown_of
from animegen_vrm.keypoints import Keypoints
from animegen_vrm.model import Posed
from animegen_vrm.options import VrmOptions
from animegen_vrm.proportions import measure, standing_height
from animegen_vrm.read import read_avatar
from animegen_vrm.render import Renderer
from animegen_vrm.rig import BONES, BodyPose, Rig, vrm_expressions
from animegen_vrm.springs import SpringSimulation, hold
from animegen_vrm.upload import Model

_LARGEST = 1024
"""Pictures are never drawn larger than this; larger people are enlarged."""
_STEP = 32
"""Sides of pictures are multiples of this."""
_AWAY = np.array((0.0, 0.0, 10.0))
"""From the avatar to the camera, in metres: a parallel camera sees the same from any distance."""
_HELD = [AVATAR35.index(f"{side}_{point}") for side in ("left", "right") for point in ("hip", "ankle")]
_HELD_OF_HALF = [AVATAR35.index(f"{side}_{point}") for side in ("left", "right") for point in ("shoulder", "hip")]
"""What is laid on the retargeted points, of people who are seen whole and of others."""
_LONGEST_STEP = 1.0
"""Seconds of a frame that hair swings for at most."""


def make_style(options: VrmOptions, context: PluginContext) -> Style:
    """The style for some avatars. Raises InputError where one cannot be read."""
    return VrmStyle(options, context.rate)


class _Player:
    """One avatar, ready to be posed."""

    def __init__(self, path: Path) -> None:
        self.avatar = read_avatar(path)
        self.rig, self.keypoints = Rig(self.avatar), Keypoints(self.avatar)
        self.proportions = Proportions.from_dict(measure(self.avatar))
        self.height = standing_height(self.avatar)
        self.crown = crown_of(self.avatar, self.keypoints)


class VrmStyle:
    """Draws VRM avatars; implements :class:`animegen.protocols.CastingStyle`. ``rate``: frames a second of clips."""

    def __init__(self, options: VrmOptions, rate: float) -> None:
        self._frame_seconds = min(1.0 / rate, _LONGEST_STEP)
        self._own_colours = options.colours == "own"
        self._players = {str(path): _Player(path) for path in options.avatar}
        self._renderer: Renderer | None = None
        self._models: dict[str, Model] = {}

    def cast(self, identities: Sequence[Identity]) -> list[str]:
        """Who is played by whom: as asked for, else in the order of the option."""
        given = cycle(self._players)
        return [self._known(identity.avatar) if identity.avatar else next(given) for identity in identities]

    def prepare(self, identity: Identity, track: Track, crops: Sequence[Crop]) -> Prepared:  # noqa: ARG002
        """The avatar's bones in every frame, where hair and cloth hang, and the square that it is drawn in."""
        name = self._known(identity.avatar) if identity.avatar else next(iter(self._players))
        player = self._players[name]
        person = lift_track(track)
        moved = retarget(person, player.proportions)
        lowest = np.array([pose.bbox[3] for pose in track.poses], np.float64)
        canvas = canvases(moved, crown=player.crown, lowest=lowest)
        seen = {side: measure_hand(track, side) for side in ("left", "right")}
        hands = {side: hand for side, hand in seen.items() if hand is not None}
        turns = drive(replace(person, joints=moved.joints), hands)
        side = min(_LARGEST, int(np.ceil(canvas[:, 2].max() / _STEP)) * _STEP)
        frames: dict[str, NDArray[Any]] = {
            "frame_indices": np.array(track.frame_indices, np.int64),
            "rotations": np.stack([turns[bone] for bone in BONES if bone in turns], axis=1).astype(np.float32),
            "bones": np.array([i for i, bone in enumerate(BONES) if bone in turns], np.int64),
            "avatar": np.array(list(self._players).index(name), np.int64),
            "canvas": canvas,
            "size": np.array(side, np.int64),
            "face": np.array([astuple((pose.expression or Expression()).calmed()) for pose in track.poses], np.float32),
        }
        frames["place"], frames["tails"] = _through_the_clip(player, moved, frames, self._frame_seconds)
        return frames

    def render(self, requests: Sequence[RenderRequest]) -> list[Sprite]:
        """One sprite per request, the square around the avatar."""
        return [self._sprite(request) for request in requests]

    def _sprite(self, request: RenderRequest) -> Sprite:
        prepared, row = request.prepared, np.flatnonzero(request.prepared["frame_indices"] == request.frame_index)
        if not row.size:
            prepared = self.prepare(request.identity, Track(0, (request.frame_index,), (request.pose,)), ())
            row = np.zeros(1, np.intp)
        frame = int(row[0])
        name = list(self._players)[int(prepared["avatar"])]
        player, size = self._players[name], int(prepared["size"])
        posed = hold(player.rig, _posed(player, prepared, frame), prepared["tails"][frame])
        left, top, side = prepared["canvas"][frame].tolist()
        scale, x, y = prepared["place"][frame].tolist()
        middle = np.array([(left + side / 2 - x) / scale, (y - top - side / 2) / scale, 0.0])
        camera = look_at_parallel(middle + _AWAY, middle, (0.0, 1.0, 0.0), side / scale, size)
        rgba = self._picture(name, posed, camera, request.identity.palette)
        return Sprite(rgba, sprite_affine(prepared["canvas"][frame], size), request.order)

    def _picture(self, name: str, posed: Posed, camera: Camera, palette: Palette) -> Uint8Array:
        """uint8 [S, S, 4] premultiplied. The GPU is opened by the first picture, in the thread that draws."""
        if self._renderer is None:
            self._renderer = Renderer(camera.size)
        if self._renderer.size != camera.size:
            self._renderer.resize(camera.size)
        if name not in self._models:
            self._models[name] = self._renderer.load(self._players[name].avatar)
        if self._own_colours:
            return self._renderer.colours(self._models[name], posed, camera)
        return colour_layers(self._renderer.layers(self._models[name], posed, camera), palette_rgb(palette))

    def _known(self, name: str) -> str:
        """The avatar that a cast file names, by its path as a cast file may write it."""
        for known in (name, str(Path(name).expanduser().absolute())):
            if known in self._players:
                return known
        raise UsageError(f"the style vrm has no avatar '{name}'", f"it was given {', '.join(self._players)}")


def _through_the_clip(
    player: _Player, moved: Retargeted, frames: Mapping[str, NDArray[Any]], frame_seconds: float
) -> tuple[Float64Array, Float32Array]:
    """What depends on the frames before: where the avatar stands, f64 [T, 3], and its springs' tails, f32 [T, S, 3].

    A place is pixels per metre and the frame's pixel of the world's origin.
    """
    springs = SpringSimulation(player.rig)
    held = _HELD if moved.whole else _HELD_OF_HALF
    place, tails = np.empty((len(moved.time), 3)), []
    for frame, (points, height) in enumerate(zip(moved.xyz, moved.height, strict=True)):
        posed = _posed(player, frames, frame)
        if frame and moved.time[frame] - moved.time[frame - 1] > 1:
            springs.reset()  # the person was out of sight: nothing tells how they moved
        springs.step(posed, frame_seconds)
        tails.append(springs.tails)
        scale = height / player.height
        own = player.keypoints.points(posed)[held] * (scale, -scale, scale)
        place[frame] = scale, *(points[held, :2] - own[:, :2]).mean(axis=0)
    return place, np.stack(tails)


def _posed(player: _Player, prepared: Mapping[str, NDArray[Any]], frame: int) -> Posed:
    """The avatar in one frame, its hips where they are at rest, its springs not yet moved."""
    names = list(BONES)
    turns = prepared["rotations"][frame]
    pose = BodyPose({names[i]: turn for i, turn in zip(prepared["bones"].tolist(), turns, strict=True)})
    face = Expression(*prepared["face"][frame].tolist())
    return player.rig.apply(pose, vrm_expressions(face, player.avatar), (face.gaze_x, face.gaze_y))
