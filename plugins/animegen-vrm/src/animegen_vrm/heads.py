"""Pictures of avatars' heads, cut out as the faces of FFHQ are: what small generators of faces are trained on.

Picture ``i`` shows what the latent z of seed ``i`` says: that latent is drawn as StyleGAN2's tools draw it, and its
first numbers are the head's pose, colours, light, ground and face. So a generator can be taught what each seed is to
show, and two generators, of two looks, the same heads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import atan2, cos, radians, sin
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image

from animegen.avatar.layers import colour_layers
from animegen.colour import lab_to_rgb
from animegen.errors import UsageError
from animegen.events import Listener, ignore
from animegen.face.align import face_square, side_of
from animegen.jobs import artefact
from animegen.jobs.artefacts import write_text
from animegen.pipeline.progress import stage
from animegen.pose.skeletons import AVATAR35
from animegen.types import FACE_POINTS, PARTS, Float32Array, Float64Array, Part, Uint8Array
from animegen_vrm import quaternions as q
from animegen_vrm.camera import Camera, look_at
from animegen_vrm.film import over
from animegen_vrm.keypoints import Keypoints
from animegen_vrm.model import Avatar, Posed
from animegen_vrm.read import read_avatar
from animegen_vrm.render import LIGHT, Renderer
from animegen_vrm.rig import BodyPose, Rig
from animegen_vrm.springs import settle

Look: TypeAlias = Literal["soft", "toon"]

_SAMPLES = 16
_X, _Y, _Z = np.eye(3)
_POINTS = [AVATAR35.index(name) for name in FACE_POINTS]

_MEANINGS: Mapping[str, int] = MappingProxyType(
    {
        "camera": 2, "distance": 1, "head": 3, "face": 9, "light": 3,
        "colours": 12, "exposure": 1, "tint": 3, "level": 1, "ground": 6, "slant": 2,
    }
)  # fmt: skip
"""How many numbers of a latent tell what, in their order. The largest of those after them, one an avatar, tells who."""

_CAMERA, _HEAD = ((10.0, 25.0), (5.0, 12.0)), ((9.0, 25.0), (6.0, 15.0), (5.0, 12.0))
"""Deviations and limits in degrees: how the camera stands around and above, how the head turns, nods and tilts."""
_HANGING = 75.0
_DISTANCE = (1.5, 0.3, 0.8, 2.5)  # metres: mean, standard deviation, least and most
_FACES = ("aa", "ou", "ee", "happy", "sad", "surprised", "blink")
_STRENGTH, _CALM = 0.6, 0.4
"""An expression shows as far as its number, times the first, is above the second."""
_LOOK = 0.4
_LIGHT_SPREAD = 0.3
_SOFT_SHADE = 0.25
"""Linear light in the shade of the soft look, as a share of that on the lit side."""
_COLOURS: Mapping[Part, tuple[tuple[float, float, float], tuple[float, float, float]]] = MappingProxyType(
    {
        "hair": ((40.0, 10.0, 16.0), (20.0, 7.0, 11.0)),
        "skin": ((70.0, 12.0, 19.0), (13.0, 2.0, 3.0)),
        "eyes": ((42.0, 0.0, 4.0), (7.0, 12.0, 16.0)),
        "upper": ((58.0, 4.0, 0.0), (22.0, 20.0, 20.0)),
    }
)
"""Mean and standard deviations in CIELAB of the colours that a head shows."""
_GREY = (50.0, 0.0, 0.0)
_EXPOSURE, _TINT = (0.95, 0.08), 0.05
_LEVEL, _GROUND = (130.0, 45.0), 25.0
_MEASURING_FOV = 20.0
_LATENT = 512


@dataclass(frozen=True, slots=True)
class HeadRecipe:
    """Everything that decides the pictures but their number.

    ``soft``: matt surfaces without outlines, under a light of some strength and tint. ``toon``: two tones and outlines,
    as the avatars' materials say.
    """

    avatars: tuple[Path, ...]
    look: Look
    size: int


class HeadStudio:
    """Everything that makes a recipe's pictures. Raises InputError for an avatar that cannot be read."""

    def __init__(self, recipe: HeadRecipe) -> None:
        self._recipe = recipe
        self._renderer = Renderer(recipe.size, samples=_SAMPLES)
        self.avatars = [read_avatar(path) for path in recipe.avatars]
        shown = [softened(avatar) if recipe.look == "soft" else avatar for avatar in self.avatars]
        self._models = [self._renderer.load(avatar) for avatar in shown]
        self._rigs = [Rig(avatar) for avatar in self.avatars]
        self._keypoints = [Keypoints(avatar) for avatar in self.avatars]

    def picture(self, index: int) -> Uint8Array:
        """Picture ``index``: uint8 [size, size, 3] sRGB."""
        told, rest = _told(np.random.RandomState(index).randn(_LATENT))
        who = int(rest[: len(self.avatars)].argmax())
        posed = _posed(self._rigs[who], told)
        yaw, pitch = _angles(_CAMERA, told["camera"])
        toward = np.array((sin(yaw) * cos(pitch), sin(pitch), cos(yaw) * cos(pitch)))
        mean, spread, *limits = _DISTANCE
        distance = float(np.clip(mean + spread * told["distance"][0], limits[0], limits[1]))
        points = self._keypoints[who].points(posed)[_POINTS].astype(np.float64)
        camera = face_camera(points, toward * distance, self._recipe.size)
        x, y, z = (LIGHT + _LIGHT_SPREAD * told["light"]).tolist()
        layers = self._renderer.layers(self._models[who], posed, camera, (x, y, z))
        rgba = colour_layers(layers, _palette(told["colours"]))
        if self._recipe.look == "soft":
            tint = (_EXPOSURE[0] + _EXPOSURE[1] * told["exposure"]) * (1.0 + _TINT * told["tint"])
            rgba[..., :3] = np.clip(np.rint(rgba[..., :3] * tint), 0, rgba[..., 3:])
        return over(rgba, _ground(self._recipe.size, told))


def make_heads(recipe: HeadRecipe, folder: Path, count: int, on_event: Listener = ignore) -> None:
    """Write ``count`` pictures as PNG, or what is still missing of them, and whose heads they are as ``heads.json``.

    Raises UsageError where the folder holds the pictures of another recipe.
    """
    studio = HeadStudio(recipe)
    credits = [
        {"name": avatar.name, "licence": avatar.licence.licence, "authors": [*avatar.licence.authors]}
        for avatar in studio.avatars
    ]
    told = {"look": recipe.look, "size": recipe.size, "avatars": credits}
    text, described = json.dumps(told, indent=1, ensure_ascii=False) + "\n", folder / "heads.json"
    if described.exists() and described.read_text(encoding="utf-8") != text:
        raise UsageError(f"{folder} holds heads that were made otherwise", "name another folder with -o")
    write_text(described, text)
    with stage("render", count, on_event) as advance:
        for index in range(count):
            path = folder / f"{index:06d}.png"
            if not path.exists():
                with artefact(path) as part:
                    Image.fromarray(studio.picture(index)).save(part, "png")
            advance(1)


def softened(avatar: Avatar) -> Avatar:
    """An avatar of matt surfaces without outlines: light falls off evenly from what faces it to what faces away."""
    materials = tuple(
        replace(
            material,
            shading_shift=0.0,
            shading_toony=0.0,
            shade=(_SOFT_SHADE * material.lit[0], _SOFT_SHADE * material.lit[1], _SOFT_SHADE * material.lit[2]),
            shade_texture=material.lit_texture,
            outline_width=0.0,
        )
        for material in avatar.materials
    )
    return replace(avatar, materials=materials)


def face_camera(points: Float64Array, away: Float64Array, size: int) -> Camera:
    """The camera, ``away`` f64 [3] from the eyes' middle, whose picture is the square that FFHQ cuts out around a face.

    ``points`` f64 [5, 3] in the order of FACE_POINTS; metres, Y up.
    """
    target = points[:2].mean(axis=0)
    level = look_at(target + away, target, _Y, _MEASURING_FOV, size)
    *_, across, below = face_square(level.project(points)[0])
    roll, (right, up) = atan2(below, across), level.view[:2, :3]
    camera = look_at(target + away, target, cos(roll) * up + sin(roll) * right, _MEASURING_FOV, size)
    square = face_square(camera.project(points)[0])
    x, y = ((square[:2] + 0.5) / size * 2.0 - 1.0) * (1.0, -1.0)
    zoom = size / float(side_of(square))
    projection = camera.projection.copy()
    projection[:2] = zoom * (projection[:2] - np.outer((x, y), projection[3]))
    return Camera(camera.view, projection, camera.size)


def _told(z: Float64Array) -> tuple[Mapping[str, Float64Array], Float64Array]:
    """The numbers of a latent by what they tell, and the rest."""
    *numbers, rest = np.split(z, np.cumsum([*_MEANINGS.values()]))
    return dict(zip(_MEANINGS, numbers, strict=True)), rest


def _posed(rig: Rig, told: Mapping[str, Float64Array]) -> Posed:
    """Arms hanging, the head turned a little, some face; hair at rest."""
    yaw, pitch, roll = _angles(_HEAD, told["head"])
    turn = q.multiply(q.about(_Y, yaw), q.multiply(q.about(_X, pitch), q.about(_Z, roll)))
    half = q.blend(q.IDENTITY, turn, 0.5)
    turns = {"neck": half, "head": half} | {
        f"{side}UpperArm": q.about(_Z, radians(angle)) for side, angle in (("left", -_HANGING), ("right", _HANGING))
    }
    pose = BodyPose({bone: turned.astype(np.float32) for bone, turned in turns.items()})
    *faces, left, up = told["face"].tolist()
    weights = {name: max(_STRENGTH * number - _CALM, 0.0) for name, number in zip(_FACES, faces, strict=True)}
    return settle(rig, rig.apply(pose, weights, (_LOOK * left, _LOOK * up)))


def _angles(ranges: tuple[tuple[float, float], ...], numbers: Float64Array) -> list[float]:
    """Angles of these standard deviations, held within these limits; in radians."""
    return [
        radians(np.clip(spread * number, -most, most)) for (spread, most), number in zip(ranges, numbers, strict=True)
    ]


def _palette(numbers: Float64Array) -> Float32Array:
    """A palette f32 [6, 3] of natural colours, sRGB 0..1; parts that no head shows are grey."""
    lab = dict.fromkeys(PARTS, _GREY) | {
        part: np.add(mean, np.multiply(spread, three))
        for (part, (mean, spread)), three in zip(_COLOURS.items(), numbers.reshape(-1, 3), strict=True)
    }
    colours = lab_to_rgb(np.array([lab[part] for part in PARTS], np.float32))
    return np.asarray(colours, np.float32) / np.float32(255)


def _ground(size: int, told: Mapping[str, Float64Array]) -> Float32Array:
    """A colour that changes evenly into a similar one, f32 [size, size, 3] sRGB 0..255."""
    first, second = np.clip(_LEVEL[0] + _LEVEL[1] * told["level"] + _GROUND * told["ground"].reshape(2, 3), 0.0, 255.0)
    across, down = told["slant"] / max(float(np.linalg.norm(told["slant"])), 1e-9)
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    share = np.clip(0.5 + across * columns + down * rows, 0.0, 1.0)[..., None]
    ground: Float32Array = ((1.0 - share) * first + share * second).astype(np.float32)
    return ground
